import Glibc
import Testing

@testable import Simulator
@testable import ZeroDB

/// Copies of environments with pages of every kind: they hold the same, and verify.
@Suite("Copies")
struct CopyTests {
    enum Way: CaseIterable {
        case plain, compact, plainStream, compactStream

        var options: CopyOptions {
            var options = CopyOptions()
            options.compacts = self == .compact || self == .compactStream
            return options
        }

        var isStream: Bool { self == .plainStream || self == .compactStream }
    }

    /// Databases with all flags, with free pages between them.
    static func fill(_ environment: Environment) throws {
        let flagSets: [(String, DatabaseFlags)] = [
            ("plain", []), ("counted", .counted), ("reversed", .reverseKeys),
            ("duplicates", .duplicates), ("both", [.duplicates, .counted]),
            ("fixed", [.duplicates, .fixedSizeDuplicates]),
        ]
        for (name, flags) in flagSets {
            try environment.write { transaction in
                let database = try transaction.createDatabase(name, flags: flags)
                for number in 0..<3000 {
                    let size = flags.contains(.fixedSizeDuplicates) ? 20 : number % 90
                    let key = VerifyFixture.key(flags.contains(.duplicates) ? number % 7 : number)
                    let value = VerifyFixture.key(number) + [UInt8](repeating: 1, count: size)
                    try transaction.put(key, value, in: database)
                }
            }
        }
        try environment.write { transaction in
            for number in 0..<400 {
                let value = [UInt8](repeating: UInt8(number & 0xff), count: number * 50)
                try transaction.put(VerifyFixture.key(number), value)
            }
        }
        try environment.write { transaction in
            for number in stride(from: 0, to: 400, by: 3) {
                _ = try transaction.delete(VerifyFixture.key(number))
            }
        }
    }

    /// Makes a copy, in a directory or through a pipe.
    static func copy(
        _ environment: Environment, _ way: Way, to path: String
    ) throws -> CopyReport {
        guard way.isStream else { return try environment.copy(to: path, options: way.options) }
        try #require(mkdir(path, 0o700) == 0)
        let ends = try Pipe()
        let made = Locked<Result<CopyReport, any Error>?>(nil)
        let thread = try #require(
            JoinedThread {
                let result = Result {
                    try environment.copy(toDescriptor: ends.writing, options: way.options)
                }
                made.withLock { $0 = result }
                close(ends.writing)
            })
        try ends.readAll(into: path + "/data.zdb")
        thread.join()
        return try #require(made.withLock { $0 }).get()
    }

    private struct Pipe {
        let reading: Int32
        let writing: Int32

        init() throws {
            var ends: [Int32] = [0, 0]
            try #require(pipe(&ends) == 0)
            reading = ends[0]
            writing = ends[1]
        }

        /// Writes what comes out of it to a file, and closes it.
        func readAll(into path: String) throws {
            let file = creat(path, 0o600)
            try #require(file >= 0)
            var buffer = [UInt8](repeating: 0, count: 1 << 16)
            while case let count = read(reading, &buffer, buffer.count), count > 0 {
                #expect(write(file, buffer, count) == count)
            }
            close(file)
            close(reading)
        }
    }

    private func names(_ path: String) -> [String] { (try? PosixFileSystem().list(path)) ?? [] }

    private func fileSize(_ path: String) -> UInt64 {
        var status = stat()
        return stat(path, &status) == 0 ? UInt64(status.st_size) : 0
    }

    @Test("A copy holds the same, verifies and can be written", arguments: Way.allCases)
    func holdsTheSame(_ way: Way) throws {
        let directory = try TemporaryDirectory()
        let environment = try directory.open()
        try Self.fill(environment)
        let digest = try environment.info().digest
        let path = directory.path + "-copy"
        let report = try Self.copy(environment, way, to: path)
        #expect(report.digest == digest)
        #expect(fileSize(path + "/data.zdb") == report.fileSize)
        let original = try environment.info()
        try environment.close()

        var opening = EnvironmentOptions()
        opening.createsIfMissing = false
        let copy = try Environment(path: path, options: opening)
        #expect(try copy.info().digest == digest)
        var problems: [String] = []
        let verified = try copy.verify { problems.append($0.message) }
        #expect(problems == [])
        #expect(verified.digest == digest)
        if way.options.compacts {
            #expect(verified.freePages == 0)
        } else {
            #expect(try copy.info().environmentID == original.environmentID)
        }
        #expect(try copy.info().lastTransaction == original.lastTransaction)
        try copy.write { transaction in
            try transaction.put(VerifyFixture.key(1), VerifyFixture.key(2))
        }
        try copy.close()
        let again = try Environment(path: path)
        #expect(try again.verify().problems == 0)
        try again.close()
    }

    @Test("A copy of an empty environment is one", arguments: Way.allCases)
    func copiesNothing(_ way: Way) throws {
        let directory = try TemporaryDirectory()
        let environment = try directory.open()
        let path = directory.path + "-copy"
        _ = try Self.copy(environment, way, to: path)
        let copy = try Environment(path: path)
        #expect(try copy.info().digest == environment.info().digest)
        #expect(try copy.verify().problems == 0)
        try copy.close()
        try environment.close()
    }

    @Test("A page that is damaged ends a copy, and leaves none", arguments: Way.allCases)
    func stopsAtDamage(_ way: Way) throws {
        let directory = try TemporaryDirectory()
        let environment = try directory.open()
        try Self.fill(environment)
        let digest = try environment.info().digest
        try environment.close()
        let file = open(directory.dataPath, O_RDWR)
        defer { close(file) }
        var generator = SeededGenerator(seed: 7)
        var ended = 0
        for round in 0..<30 {
            let pages = try directory.fileSize / 4096
            let place = Int.random(in: 2..<pages, using: &generator) * 4096 + 40 + round
            var byte: UInt8 = 0
            #expect(pread(file, &byte, 1, place) == 1)
            byte ^= 0x20
            #expect(pwrite(file, &byte, 1, place) == 1)
            let path = directory.path + "-copy\(round)"
            let damaged = try directory.open()
            do {
                #expect(try Self.copy(damaged, way, to: path).digest == digest)
                #expect(try Environment(path: path).verify().problems == 0)
            } catch {
                ended += 1
                #expect((error as? DatabaseError)?.code == .corrupted)
                if way.isStream {
                    #expect(throws: DatabaseError.self) { _ = try Environment(path: path) }
                } else {
                    #expect(names(path) == [])
                }
            }
            try damaged.close()
            byte ^= 0x20
            #expect(pwrite(file, &byte, 1, place) == 1)
        }
        #expect(ended > 10)
    }

    @Test("A copy beside writers is of one snapshot", arguments: Way.allCases)
    func copiesBesideWriters(_ way: Way) throws {
        let directory = try TemporaryDirectory()
        let environment = try directory.open()
        try Self.fill(environment)
        let digests = Locked<[UInt64: ContentDigest]>([:])
        let isDone = Locked(false)
        let writer = try #require(
            JoinedThread {
                var generator = SeededGenerator(seed: 3)
                while !isDone.withLock({ $0 }) {
                    try? environment.write { transaction in
                        for _ in 0..<20 {
                            let number = Int.random(in: 0..<400, using: &generator)
                            let count = Int.random(in: 0..<6000, using: &generator)
                            try transaction.put(
                                VerifyFixture.key(number), [UInt8](repeating: 3, count: count))
                        }
                    }
                    guard let info = try? environment.info() else { continue }
                    digests.withLock { $0[info.lastTransaction] = info.digest }
                }
            })
        for round in 0..<5 {
            let path = directory.path + "-copy\(round)"
            let report = try Self.copy(environment, way, to: path)
            let copy = try Environment(path: path)
            #expect(try copy.verify().problems == 0)
            #expect(try copy.info().digest == report.digest)
            try copy.close()
            let known = digests.withLock { $0[report.transaction] }
            if let known { #expect(known == report.digest) }
        }
        isDone.withLock { $0 = true }
        writer.join()
        try environment.close()
    }

    @Test("A copy goes into an empty directory only")
    func needsAnEmptyDirectory() throws {
        let directory = try TemporaryDirectory()
        let environment = try directory.open()
        let code = #expect(throws: DatabaseError.self) { try environment.copy(to: directory.path) }
        #expect(code?.systemError == EEXIST)
        let path = directory.path + "-other"
        try #require(mkdir(path, 0o700) == 0)
        close(creat(path + "/file", 0o600))
        let other = #expect(throws: DatabaseError.self) { try environment.copy(to: path) }
        #expect(other?.systemError == ENOTEMPTY)
        try environment.close()
    }

    @Test(
        "A caller can end a copy, and a pipe that nobody reads ends one", arguments: [true, false])
    func ends(_ compacts: Bool) throws {
        let directory = try TemporaryDirectory()
        let environment = try directory.open()
        try Self.fill(environment)
        var options = CopyOptions()
        options.compacts = compacts
        let path = directory.path + "-copy"
        let ended = #expect(throws: DatabaseError.self) {
            try environment.copy(to: path, options: options) { _ in false }
        }
        #expect(ended?.systemError == ECANCELED)
        #expect(names(path) == (compacts ? [] : ["data.zdb.new"]))
        let ends = try Pipe()
        close(ends.reading)
        defer { close(ends.writing) }
        let unread = #expect(throws: DatabaseError.self) {
            try environment.copy(toDescriptor: ends.writing, options: options)
        }
        #expect(unread?.systemError == EPIPE)
        try environment.close()
    }
}
