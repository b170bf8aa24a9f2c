import Glibc
import Testing

@testable import Simulator
@testable import ZeroDB

/// An environment as a process left it that was killed: a checkpoint, and transactions that only the log
/// has. In a directory on disk.
struct CrashedFiles {
    let directory: TemporaryDirectory
    /// The content of each file, by its name.
    let files: [String: [UInt8]]
    /// The content after the checkpoint, and after each transaction in the log.
    let states: [(transaction: UInt64, content: [[UInt8]: [UInt8]])]

    init(logged: Int = 6, entries: Int = 300) throws {
        var options = EnvironmentOptions()
        options.maxSize = 64 << 20
        options.usesThread = false
        let fileSystem = MemoryFileSystem()
        let environment = try Environment(path: "env", options: options, fileSystem: fileSystem)
        var random = SeededGenerator(seed: 9)
        var content: [[UInt8]: [UInt8]] = [:]
        var states: [(transaction: UInt64, content: [[UInt8]: [UInt8]])] = []
        for number in 0...logged {
            try environment.write { transaction in
                for _ in 0..<(number == 0 ? entries : 5) {
                    let key = Array("key \(random.below(entries * 2))".utf8)
                    let value = random.bytes(random.below(100))
                    try transaction.put(key, value)
                    content[key] = value
                }
                let first = content.keys.min { $0.lexicographicallyPrecedes($1) }
                if number == 2, let key = first {
                    try transaction.delete(key)
                    content[key] = nil
                }
            }
            if number == 0 { try environment.checkpoint() }
            states.append((try environment.store.visibleMeta().transaction, content))
        }
        var files: [String: [UInt8]] = [:]
        files["data.zdb"] = fileSystem.contents("env/data.zdb")?.bytes
        for name in try fileSystem.list("env/log") {
            files["log/\(name)"] = fileSystem.contents("env/log/\(name)")?.bytes
        }
        try environment.close()
        self.states = states
        self.files = files
        directory = try TemporaryDirectory()
        try Self.write(files, to: directory.path)
    }

    var path: String { directory.path }

    static func write(_ files: [String: [UInt8]], to path: String) throws {
        mkdir(path, 0o700)
        mkdir(path + "/log", 0o700)
        for (name, bytes) in files { try write(bytes, to: "\(path)/\(name)") }
    }

    static func write(_ bytes: [UInt8], to path: String) throws {
        let file = try #require(fopen(path, "w"))
        defer { fclose(file) }
        #expect(fwrite(bytes, 1, bytes.count, file) == bytes.count)
    }

    static func read(_ path: String) -> [UInt8]? {
        guard let file = fopen(path, "r") else { return nil }
        defer { fclose(file) }
        fseek(file, 0, SEEK_END)
        var bytes = [UInt8](repeating: 0, count: ftell(file))
        rewind(file)
        return fread(&bytes, 1, bytes.count, file) == bytes.count ? bytes : nil
    }

    /// Whether the files are what they were, and no other has been made.
    func expectUnchanged() throws {
        for (name, bytes) in files { #expect(Self.read("\(path)/\(name)") == bytes, "\(name)") }
        let names = try PosixFileSystem().list(path)
        #expect(Set(names).subtracting([".", ".."]) == ["data.zdb", "log"])
    }
}
