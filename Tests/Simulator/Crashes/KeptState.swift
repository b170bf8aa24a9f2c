import Glibc

@testable import ZeroDB

/// A disk as a power cut left it, with all that is needed to check it again: what a failure
/// leaves behind, as programs with threads never take the same course twice.
///
/// Its directory has the environment's files as they are, for other tools, and `story`: a line
/// for each attempt and promise.
struct KeptState {
    var disk: SimulatedDisk
    var history: AttemptHistory
    var promises: Promises
    var pageSize: Int
    /// Repeats what is done with the disk.
    var seed: UInt64

    // MARK: Writing

    /// - Returns: the directory, nil if it could not be written.
    static func save(
        _ disk: SimulatedDisk, _ history: AttemptHistory, _ promises: Promises, pageSize: Int,
        seed: UInt64, name: String
    ) -> String? {
        let parent = getenv("TMPDIR").map { String(cString: $0) } ?? "/tmp"
        let directory = "\(parent)/zerodb-crash-\(name)"
        for path in ["", "/environment", "/environment/log"] {
            guard mkdir(directory + path, 0o700) == 0 || errno == EEXIST else { return nil }
        }
        for (path, file) in disk.contents {
            let target = directory + path.dropFirst("/machine".count)
            guard write(file.memory.bytes, to: target) else { return nil }
        }
        if let lock = disk.volatileBytes(SimulatedProgram.lockPath) {
            _ = lock.withUnsafeBytes { write($0, to: directory + "/environment/lock.zdb") }
        }
        var lines = ["environment \(pageSize) \(seed)"]
        for attempt in history.attempts.dropFirst() {
            let shape = attempt.shape
            lines.append(
                "attempt \(attempt.base) \(attempt.durability.rawValue) \(attempt.seed) "
                    + "\(attempt.isGiant ? 1 : 0) \(shape.operationsMax) \(shape.valueMax) "
                    + "\(shape.overflowPercent) \(shape.keys) \(shape.namedDatabases) "
                    + "\(shape.structurePercent) \(shape.nestedPercent)")
        }
        lines += promises.durable.sorted().map { "durable \($0)" }
        lines += promises.undone.sorted().map { "undone \($0)" }
        lines += promises.committing.sorted().map { "committing \($0)" }
        let story = Array(lines.joined(separator: "\n").utf8)
        return story.withUnsafeBytes { write($0, to: directory + "/story") } ? directory : nil
    }

    private static func write(_ bytes: UnsafeRawBufferPointer, to path: String) -> Bool {
        do throws(DatabaseError) {
            let file = try PosixFileSystem().open(
                path, access: .readWrite, create: true, mode: 0o600)
            defer { file.close() }
            try file.truncate(to: 0)
            if !bytes.isEmpty { try file.write(bytes, at: 0) }
            return true
        } catch {
            return false
        }
    }

    // MARK: Reading

    private static func read(_ path: String) throws -> [UInt8] {
        let file = try PosixFileSystem().open(path, access: .readOnly, create: false, mode: 0)
        defer { file.close() }
        var bytes = [UInt8](repeating: 0, count: Int(try file.size()))
        _ = try bytes.withUnsafeMutableBytes { try file.read(into: $0, at: 0) }
        return bytes
    }

    init(_ directory: String) throws {
        var files: [String: SimulatedDisk.File] = [:]
        for folder in ["/environment", "/environment/log"] {
            for name in try PosixFileSystem().list(directory + folder).sorted() where name != "log"
            {
                let bytes = try Self.read("\(directory)\(folder)/\(name)")
                let path = "/machine\(folder)/\(name)"
                let isLock = path == SimulatedProgram.lockPath
                let memory = SimulatedMemory()
                if !isLock { memory.store(bytes) }
                files[path] = SimulatedDisk.File(
                    inode: files.count + 1, memory: memory,
                    volatile: isLock ? VolatileMemory(bytes) : nil)
            }
        }
        disk = SimulatedDisk(
            files: files,
            directories: [
                "/machine", SimulatedProgram.directory, SimulatedProgram.directory + "/log",
            ],
            isRecording: true)
        history = AttemptHistory()
        promises = Promises()
        pageSize = 0
        seed = 0
        let story = String(decoding: try Self.read(directory + "/story"), as: UTF8.self)
        for line in story.split(separator: "\n") {
            let words = line.split(separator: " ")
            let numbers = words.dropFirst().compactMap { UInt64($0) }
            guard let kind = words.first, numbers.count == words.count - 1, !numbers.isEmpty else {
                throw CrashFailure("\(directory)/story has the line \"\(line)\"")
            }
            try add(String(kind), numbers)
        }
    }

    private mutating func add(_ kind: String, _ numbers: [UInt64]) throws {
        switch (kind, numbers.count) {
        case ("environment", 2):
            pageSize = Int(numbers[0])
            seed = numbers[1]
        case ("attempt", 11):
            guard let durability = Durability(rawValue: UInt32(numbers[1])) else {
                throw CrashFailure("\(numbers[1]) is no durability")
            }
            let shape = Attempt.Shape(
                operationsMax: Int(numbers[4]), valueMax: Int(numbers[5]),
                overflowPercent: Int(numbers[6]), keys: Int(numbers[7]),
                namedDatabases: Int(numbers[8]), structurePercent: Int(numbers[9]),
                nestedPercent: Int(numbers[10]))
            _ = history.begin(
                after: Int(numbers[0]), durability, shape, seed: numbers[2],
                isGiant: numbers[3] == 1)
        case ("durable", 1): promises.promise(Int(numbers[0]), history)
        case ("undone", 1): promises.apply(.undone(Int(numbers[0])), history)
        case ("committing", 1): promises.apply(.committing(Int(numbers[0])), history)
        default: throw CrashFailure("a story has no \(kind) of \(numbers.count) numbers")
        }
    }
}
