import Testing

@testable import Simulator
@testable import ZeroDB

/// The mark by which whoever closes last says that nothing follows in the log: opening need not look for
/// what a damaged record hides.
@Suite("The mark of a clean end")
struct CleanEndTests {
    /// Files of an environment that was closed, with a log of some size, in the first start of the machine.
    private func closedFiles() throws -> MemoryFileSystem {
        let files = MemoryFileSystem()
        files.start.withLock { $0 = 1 }
        let environment = try Environment.inMemory(files) { $0.logSize = 32 << 20 }
        // So that the log ends near the beginning of a segment of 4 MiB.
        for number in 0..<60 {
            try environment.write {
                try $0.put("key \(number)", String(repeating: "v", count: 60_000))
            }
        }
        try environment.close()
        return files
    }

    /// How many calls read files while an environment is opened, which is closed then.
    private func readCalls(
        _ files: MemoryFileSystem, _ change: (inout EnvironmentOptions) -> Void = { _ in }
    ) throws -> Int {
        let counting = FaultyFileSystem(files)
        let environment = try Environment.inMemory(counting, change)
        let count = counting.plan.count(.read)
        try environment.close()
        return count
    }

    @Test("After it the rest of the log is not read, also when readers have come between")
    func sparesReading() throws {
        let files = try closedFiles()
        let known = try readCalls(files)
        #expect(try readCalls(files) { $0.isReadOnly = true } <= known)
        #expect(try readCalls(files) <= known)
        files.start.withLock { $0 = 2 }
        #expect(try readCalls(files) > known + 5, "in another start")
        files.start.withLock { $0 = 0 }
        #expect(try readCalls(files) > known + 5, "where the system does not tell")
        #expect(try readCalls(files) > known + 5, "a mark that was made there")
    }

    @Test("A process that dies leaves none")
    func goesWithWriting() throws {
        let files = try closedFiles()
        let known = try readCalls(files)
        let environment = try Environment.inMemory(files)
        let left = files.copy()
        try environment.close()
        left.start.withLock { $0 = 1 }
        #expect(try readCalls(left) > known + 5)
    }

    /// A power cut may leave `lock.zdb` as it was before all that was written last.
    @Test("An old one hides no damage after a power cut", arguments: [true, false])
    func survivesPowerCut(_ isDamaged: Bool) throws {
        let files = try closedFiles()
        let mark = try #require(files.contents("env/lock.zdb")).bytes
        let environment = try Environment.inMemory(files)
        let end = try environment.store.visibleMeta().logEnd
        for number in 0..<3 { try environment.write { try $0.put("later", "\(number)") } }
        let left = files.copy()
        try environment.close()
        left.setContents("env/lock.zdb", MemoryContents(mark))
        left.start.withLock { $0 = 2 }
        if isDamaged {
            let segment = try #require(
                left.list("env/log").compactMap { LogSegment.base(ofName: $0) }.filter { $0 <= end }
                    .max())
            let log = try #require(left.contents("env/log/\(LogSegment.name(base: segment))"))
            log[Int(end - segment) + LogSegment.headerSize + LogRecord.headerSize] ^= 1
            expectFailure(.corrupted) { try Environment.inMemory(left).close() }
        } else {
            let again = try Environment.inMemory(left)
            #expect(try again.read { try $0.get("later") } == Array("2".utf8))
            try again.close()
        }
    }
}
