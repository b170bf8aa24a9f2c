import Testing

@testable import Simulator
@testable import ZeroDB

@Suite("Records of the log")
struct LogRecordTests {
    @Test("The time of a commit is after that of the one before, whatever the clock says")
    func clock() throws {
        let files = MemoryFileSystem()
        func time() throws -> UInt64 {
            let copy = files.copy()
            copy.clock.withLock { $0 = 1 }
            // By a replay, which keeps the times of the records.
            let environment = try Environment.inMemory(copy)
            defer { try? environment.close() }
            return try environment.store.visibleMeta().wallClock
        }
        var last: UInt64 = 0
        for (number, clock) in [5_000, 4_000, 4_000, 9_000, 1, UInt64.max, 3].enumerated() {
            files.clock.withLock { $0 = clock }
            let environment = try Environment.inMemory(files)
            for value in 0..<3 {
                try environment.write { try $0.put("key", "\(number) \(value)") }
                let now = try environment.store.visibleMeta().wallClock
                // There is no time after the last.
                #expect(now > last || (now == .max && last == .max))
                #expect(now >= clock)
                #expect(try time() == now)
                last = now
            }
            if number % 2 == 0 { try environment.close() } else { try environment.checkpoint() }
            if number % 2 == 1 { try environment.close() }
        }
    }

    @Test("A record of any size is replayed")
    func largeRecords() throws {
        let files = MemoryFileSystem()
        func open(_ files: MemoryFileSystem) throws -> Environment {
            try Environment.inMemory(files) {
                $0.logRecordMax = 256 << 20
                $0.maxTransactionPages = 0
            }
        }
        let environment = try open(files)
        try environment.write { try $0.put("before", "1") }
        try environment.checkpoint()
        let large = [UInt8](repeating: 5, count: 40 << 20)
        try environment.write { writer throws in
            try writer.put("large", large)
            for number in 0..<10_000 {
                try writer.put(KeyMaker.bigEndian(UInt64(number)), "value")
            }
        }
        try environment.write { try $0.put("after", "2") }
        let copy = try open(files.copy())
        #expect(copy.recoveryReport.records == 2)
        #expect(copy.recoveryReport.bytes > 40 << 20)
        #expect(try copy.info().digest == environment.info().digest)
        #expect(try copy.read { try $0.get("large") } == large)
        #expect(try copy.verify().problems == 0)
        try copy.close()
        try environment.close()
    }
}
