import Glibc
import Testing

@testable import Simulator
@testable import ZeroDB

@Suite("Opening and closing")
struct EnvironmentTests {
    private func options(_ change: (inout EnvironmentOptions) -> Void = { _ in })
        -> EnvironmentOptions
    {
        var options = EnvironmentOptions()
        options.maxSize = 64 << 20
        change(&options)
        return options
    }

    private func error(_ body: () throws -> Void) throws -> DatabaseError? {
        do {
            try body()
            return nil
        } catch let error as DatabaseError {
            return error
        }
    }

    @Test("Commits are still there after reopening an environment on disk")
    func persists() throws {
        let directory = try TemporaryDirectory()
        for round in 0..<5 {
            let environment = try Environment(path: directory.path, options: options())
            try environment.read { reader throws in
                #expect(try reader.statistics().entries == UInt64(round * 100))
            }
            try environment.write { transaction throws in
                for number in 0..<100 {
                    try transaction.put("\(round) \(number)", "value \(number)")
                }
            }
            #expect(try environment.verify().problems == 0)
            try environment.close()
        }
    }

    @Test("Files are created for their owner alone unless the options say otherwise")
    func makesPrivateFiles() throws {
        let directory = try TemporaryDirectory()
        try Environment(path: directory.path, options: options()).close()
        #expect(try directory.permissions() == 0o700)
        #expect(try directory.permissions("data.zdb") == 0o600)
        #expect(try directory.permissions("lock.zdb") == 0o600)
        let shared = try TemporaryDirectory()
        let before = umask(0)
        defer { umask(before) }
        try Environment(path: shared.path, options: options { $0.fileMode = 0o640 }).close()
        #expect(try shared.permissions() == 0o750)
        #expect(try shared.permissions("data.zdb") == 0o640)
    }

    @Test("Opening without creating leaves nothing behind")
    func createsNothing() throws {
        let directory = try TemporaryDirectory()
        for change in [{ $0.createsIfMissing = false }, { $0.isReadOnly = true }]
            as [(inout EnvironmentOptions) -> Void]
        {
            let failure = try error {
                _ = try Environment(path: directory.path, options: options(change))
            }
            #expect(failure?.systemError == ENOENT)
            #expect(access(directory.path, F_OK) != 0)
        }
    }

    @Test("One process opens an environment once")
    func refusesSecondOpening() throws {
        let directory = try TemporaryDirectory()
        let environment = try Environment(path: directory.path, options: options())
        let failure = try error {
            _ = try Environment(path: directory.path + "/../environment", options: options())
        }
        #expect(failure?.code == .busy)
        try environment.write { try $0.put("still", "here") }
        try environment.close()
        let again = try Environment(path: directory.path, options: options())
        #expect(try again.read { try $0.get("still") } == Array("here".utf8))
    }

    @Test("An environment closes by itself when its last reference goes away")
    func closesByItself() throws {
        let directory = try TemporaryDirectory()
        for round in 0..<3 {
            let environment = try Environment(path: directory.path, options: options())
            try environment.write { try $0.put("round", "\(round)") }
        }
        let environment = try Environment(path: directory.path, options: options())
        #expect(try environment.read { try $0.get("round") } == Array("2".utf8))
    }

    @Test("An environment may be released while its threads work, and opened again at once")
    func closesByItselfBesideItsThreads() throws {
        let options = options {
            $0.usesThread = true
            $0.durability = .relaxed
            $0.logSize = 1 << 20
        }
        let fileSystem = MemoryFileSystem()
        for round in 0..<600 {
            let environment = try Environment(
                path: "env", options: options, fileSystem: fileSystem)
            if round > 0 {
                let last = try environment.read { try $0.get("round") }
                #expect(last == Array("\(round - 1)".utf8))
            }
            // The log is full: a checkpoint and a segment are asked for.
            for _ in 0..<(round % 3) {
                try environment.write {
                    try $0.put("key", Array(repeating: UInt8(7), count: 600_000))
                }
            }
            try environment.write { try $0.put("round", "\(round)") }
        }
    }

    /// Keeps an environment until its background thread reports something.
    private final class Keeper: @unchecked Sendable {
        let environment = Locked<Environment?>(nil)
        let isLetGo = Locked(false)
    }

    @Test(
        "An environment may be let go of by its own thread, in a call of the host's, and closes then"
    )
    func closesByItselfOnItsOwnThread() throws {
        let fileSystem = FaultyFileSystem(MemoryFileSystem())
        let keeper = Keeper()
        let options = options {
            $0.usesThread = true
            $0.onEvent = { _ in
                keeper.environment.withLock { $0 = nil }
                keeper.isLetGo.withLock { $0 = true }
            }
        }
        keeper.environment.withLock {
            $0 = try? Environment(path: "env", options: options, fileSystem: fileSystem)
        }
        try keeper.environment.withLock { environment in
            let environment = try #require(environment)
            try environment.write { try $0.put("key", "value") }
            // A relaxed commit asks for a flush, which fails: the thread that makes it reports that.
            fileSystem.plan.arm(Fault(call: .sync, number: 1, error: EIO))
            var transaction = try environment.beginWrite(durability: .relaxed)
            try transaction.put("other", "value")
            try transaction.commit()
        }
        while !keeper.isLetGo.withLock({ $0 }) { sched_yield() }
        var again: Environment?
        while again == nil {
            do throws(DatabaseError) {
                again = try Environment(
                    path: "env", options: self.options(), fileSystem: fileSystem)
            } catch {
                try #require(error.code == .busy, "\(error)")
                sched_yield()
            }
        }
        #expect(try again?.verify().problems == 0)
    }

    @Test("An environment with open transactions is not closed")
    func refusesToCloseWhenBusy() throws {
        let environment = try Environment(
            path: "env", options: options(), fileSystem: MemoryFileSystem())
        try environment.write { try $0.put("key", "value") }
        try environment.read { reader throws in
            let failure = try error { try environment.close() }
            #expect(failure?.code == .busy)
            #expect(try reader.get("key") == Array("value".utf8))
        }
        try environment.close()
        #expect(try error { _ = try environment.beginRead() }?.code == .badHandle)
        #expect(try error { _ = try environment.beginWrite() }?.code == .badHandle)
        #expect(try error { _ = try environment.info() }?.code == .badHandle)
        #expect(try error { _ = try environment.verify() }?.code == .badHandle)
        try environment.close()
    }

    @Test("An environment opened for reading refuses to write and follows what others wrote")
    func readsOnly() throws {
        let fileSystem = MemoryFileSystem()
        let writer = try Environment(path: "env", options: options(), fileSystem: fileSystem)
        try writer.write { transaction throws in
            try transaction.put("key", "value")
            _ = try transaction.createDatabase("named")
        }
        try writer.close()
        let reader = try Environment(
            path: "env", options: options { $0.isReadOnly = true }, fileSystem: fileSystem)
        #expect(try reader.read { try $0.get("key") } == Array("value".utf8))
        #expect(try error { _ = try reader.beginWrite() }?.code == .readOnly)
        #expect(try error { try reader.checkpoint() }?.code == .readOnly)
        #expect(try reader.verify().problems == 0)
        try reader.close()
    }

    @Test("A thread with an open write transaction does not wait for itself")
    func refusesSecondWriter() throws {
        let environment = try Environment(
            path: "env", options: options(), fileSystem: MemoryFileSystem())
        try environment.write { transaction throws in
            #expect(try error { _ = try environment.beginWrite() }?.code == .busy)
            try transaction.put("key", "value")
        }
        try environment.write { _ = try $0.delete("key") }
        #expect(try environment.read { try $0.statistics().entries } == 0)
    }

    @Test("There are as many readers as slots, and no more")
    func limitsReaders() throws {
        let environment = try Environment(
            path: "env", options: options { $0.maxReaders = 5 }, fileSystem: MemoryFileSystem())
        func nest(_ depth: Int) throws {
            if depth == 5 {
                #expect(try error { _ = try environment.beginRead() }?.code == .readersFull)
                #expect(try environment.info().readers == 5)
                return
            }
            try environment.read { _ in try nest(depth + 1) }
        }
        try nest(0)
        #expect(try environment.info().readers == 0)
        try nest(0)
    }

    @Test("A database created by a transaction that aborts is gone")
    func forgetsAbortedDatabases() throws {
        let environment = try Environment(
            path: "env", options: options(), fileSystem: MemoryFileSystem())
        var transaction = try environment.beginWrite()
        let handle = try transaction.createDatabase("made")
        try transaction.put("key", "value", in: handle)
        transaction.abort()
        try environment.read { reader throws in
            #expect(try error { _ = try reader.database("made") }?.code == .notFound)
            #expect(try error { _ = try reader.get("key", in: handle) }?.code == .badDatabase)
        }
        try environment.write { transaction throws in
            let again = try transaction.createDatabase("made")
            #expect(again == handle, "a name keeps its handle")
            #expect(try transaction.get("key", in: again) == nil)
            try transaction.put("key", "other", in: again)
        }
        #expect(try environment.read { try $0.get("key", in: handle) } == Array("other".utf8))
        #expect(try environment.info().databases == 1)
    }

    @Test("A thousand databases keep their entries apart")
    func keepsDatabasesApart() throws {
        let fileSystem = MemoryFileSystem()
        let environment = try Environment(path: "env", options: options(), fileSystem: fileSystem)
        try environment.write { transaction throws in
            for number in 0..<1000 {
                let handle = try transaction.createDatabase("database \(number)")
                try transaction.put("number", "\(number)", in: handle)
            }
        }
        try environment.close()
        let again = try Environment(path: "env", options: options(), fileSystem: fileSystem)
        try again.read { reader throws in
            for number in (0..<1000).reversed() {
                let handle = try reader.database("database \(number)")
                #expect(try reader.get("number", in: handle) == Array("\(number)".utf8))
                #expect(try reader.statistics(of: handle).entries == 1)
            }
        }
        #expect(try again.info().databases == 1000)
        #expect(try again.verify().databases == 1000)
    }
}
