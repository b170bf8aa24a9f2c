import Glibc
import Testing

@testable import Simulator
@testable import ZeroDB

/// Each limit at, below and above it: what goes, what is refused and how, and that it is counted.
@Suite("Limits and their metrics")
struct LimitMetricTests {
    private func error(_ body: () throws -> Void) throws -> DatabaseError? {
        do {
            try body()
            return nil
        } catch let error as DatabaseError {
            return error
        }
    }

    /// The body is refused for a limit, which the environment counts once.
    private func expectHit(
        _ limit: Limit, _ code: DatabaseError.Code, in environment: Environment,
        sourceLocation: SourceLocation = #_sourceLocation, _ body: () throws -> Void
    ) throws {
        let before = try MetricReading(environment)
        let found = try error(body)
        #expect(found?.code == code, sourceLocation: sourceLocation)
        #expect(found?.limit == limit, sourceLocation: sourceLocation)
        let after = try MetricReading(environment)
        #expect(
            after.hits(limit) == (before.hits(limit) ?? 0) + 1, sourceLocation: sourceLocation)
        #expect(
            after.errors("\(code)") == (before.errors("\(code)") ?? 0) + 1,
            sourceLocation: sourceLocation)
    }

    /// The body is not refused, and no limit is counted.
    private func expectNoHit(
        in environment: Environment, sourceLocation: SourceLocation = #_sourceLocation,
        _ body: () throws -> Void
    ) throws {
        let before = try hits(environment)
        #expect(try error(body) == nil, sourceLocation: sourceLocation)
        #expect(try hits(environment) == before, sourceLocation: sourceLocation)
    }

    private func hits(_ environment: Environment) throws -> [UInt64?] {
        let reading = try MetricReading(environment)
        return Limit.allCases.map { reading.hits($0) }
    }

    @Test("The limits are those of the options and of the format")
    func tells() throws {
        let environment = try Environment.inMemory {
            $0.maxSize = 8 << 20
            $0.maxTransactionPages = 77
            $0.maxTransactionMemory = 3 << 20
            $0.maxReaders = 130
            $0.logSize = 2 << 20
            $0.writerWaitMilliseconds = 9
        }
        let limits = try environment.limits()
        #expect(limits.maxSize == 8 << 20 && limits.transactionPages == 77)
        #expect(limits.transactionMemory == 3 << 20 && limits.readers == 130)
        #expect(limits.logSize == 2 << 20 && limits.writerWaitMilliseconds == 9)
        #expect(limits.keySize == UInt64(environment.maxKeySize) && limits.depth == 32)
        #expect(Set(Limit.allCases.map(\.name)).count == Limit.allCases.count)
    }

    @Test("The size of the data file")
    func maxSize() throws {
        let environment = try Environment.inMemory { $0.maxSize = 1 << 20 }
        // Pages for the meta pages and the tree remain.
        try expectNoHit(in: environment) {
            try environment.write { try $0.put("key", [UInt8](repeating: 1, count: 240 * 4096)) }
        }
        try expectHit(.maxSize, .full, in: environment) {
            try environment.write { try $0.put("more", [UInt8](repeating: 1, count: 40 * 4096)) }
        }
    }

    @Test("Pages of a transaction")
    func transactionPages() throws {
        // A leaf has three such entries.
        func put(_ environment: Environment, _ count: Int) throws {
            try environment.write { transaction throws in
                for number in 0..<count {
                    let key = "key " + String(1000 + number)
                    try transaction.append(key, [UInt8](repeating: 1, count: 1300))
                }
            }
        }
        let counts = try [10, 11, 12].map { leaves in
            let environment = try Environment.inMemory { $0.maxTransactionPages = 12 }
            try expectNoHit(in: environment) { try put(environment, leaves * 3 - 3) }
            return leaves
        }
        #expect(counts.count == 3)
        let environment = try Environment.inMemory { $0.maxTransactionPages = 12 }
        try expectHit(.transactionPages, .transactionFull, in: environment) {
            try put(environment, 12 * 3)
        }
    }

    @Test("Memory of a transaction, beyond which it goes on, and what is spilled is counted")
    func transactionMemory() throws {
        let environment = try Environment.inMemory { $0.maxTransactionMemory = 1 << 20 }
        try expectNoHit(in: environment) {
            try environment.write { try $0.put("key", [UInt8](repeating: 1, count: 500 << 10)) }
        }
        #expect(try MetricReading(environment)["spilled_bytes_total"] == 0)
        try environment.write { try $0.put("key", [UInt8](repeating: 2, count: 2 << 20)) }
        let reading = try MetricReading(environment)
        #expect(reading.hits(.transactionMemory) == 1)
        #expect(try #require(reading["spilled_bytes_total"]) >= 2 << 20)
    }

    @Test("Readers")
    func readers() throws {
        let environment = try Environment.inMemory { $0.maxReaders = 3 }
        try expectNoHit(in: environment) {
            let first = try environment.beginRead()
            let second = try environment.beginRead()
            let third = try environment.beginRead()
            _ = (first.id, second.id, third.id)
        }
        let first = try environment.beginRead()
        let second = try environment.beginRead()
        let third = try environment.beginRead()
        // The gauges look at no snapshot while there is nothing newer.
        try expectHit(.readers, .readersFull, in: environment) {
            _ = try environment.beginRead().id
        }
        _ = (first.id, second.id, third.id)
    }

    @Test("Nesting")
    func nesting() throws {
        let environment = try Environment.inMemory()
        func nest(_ transaction: inout WriteTransaction, _ depth: Int) throws {
            guard depth > 0 else { return try transaction.put("key", "value") }
            try transaction.nested { try nest(&$0, depth - 1) }
        }
        for depth in [Limits.nestingMax - 1, Limits.nestingMax] {
            try expectNoHit(in: environment) {
                try environment.write { try nest(&$0, depth) }
            }
        }
        try expectHit(.nesting, .full, in: environment) {
            try environment.write { try nest(&$0, Limits.nestingMax + 1) }
        }
    }

    @Test("Keys, values of duplicates, and names")
    func sizes() throws {
        let environment = try Environment.inMemory()
        let longest = environment.maxKeySize
        var transaction = try environment.beginWrite()
        let list = try transaction.createDatabase("list", flags: .duplicates)
        for size in [longest - 1, longest] {
            let bytes = [UInt8](repeating: 1, count: size)
            try expectNoHit(in: environment) {
                try transaction.put(bytes, "value")
                try transaction.put("key", bytes, in: list)
            }
        }
        let bytes = [UInt8](repeating: 1, count: longest + 1)
        try expectHit(.keySize, .badValueSize, in: environment) {
            try transaction.put(bytes, "value")
        }
        try expectHit(.valueSize, .badValueSize, in: environment) {
            try transaction.put("key", bytes, in: list)
        }
        // No key at all is an error of another kind.
        try expectNoHit(in: environment) {
            let refused = try error { try transaction.put("", "value") }
            #expect(refused?.code == .badValueSize)
        }
        for size in [510, 511] {
            try expectNoHit(in: environment) {
                _ = try transaction.createDatabase(String(repeating: "n", count: size))
            }
        }
        try expectHit(.nameSize, .badArgument, in: environment) {
            _ = try transaction.createDatabase(String(repeating: "n", count: 512))
        }
        try transaction.commit()
    }

    @Test("Names that a process remembers")
    func databases() throws {
        let environment = try Environment.inMemory()
        let store = environment.store
        func remember(_ number: Int) throws(DatabaseError) -> Int {
            try withUnsafeBytes(of: number) { name throws(DatabaseError) in
                try counting(store.state) { _ throws(DatabaseError) in
                    try store.databaseHandle(name)
                }
            }
        }
        try expectNoHit(in: environment) {
            for number in 1...Limits.databaseHandlesMax {
                guard try remember(number) == number else {
                    Issue.record("name \(number) has another handle")
                    return
                }
            }
        }
        try expectHit(.databases, .system, in: environment) {
            _ = try remember(Limits.databaseHandlesMax + 1)
        }
        let known = try remember(7)
        #expect(known == 7)
    }

    @Test("Values")
    func values() throws {
        let environment = try Environment.inMemory { $0.maxSize = 16 << 30 }
        let size = Format.valueSizeMax + 1
        let memory = try #require(
            mmap(
                nil, size, PROT_READ, MAP_PRIVATE | Int32(MAP_ANONYMOUS) | Int32(MAP_NORESERVE), -1,
                0))
        defer { munmap(memory, size) }
        let value = UnsafeRawBufferPointer(start: memory, count: size)
        try expectHit(.valueSize, .badValueSize, in: environment) {
            try environment.write { try $0.put("key", value) }
        }
    }

    @Test("The log: a checkpoint is made beyond its size")
    func logSize() throws {
        let environment = try Environment.inMemory { $0.logSize = 1 << 20 }
        for number in 0..<3 {
            try expectNoHit(in: environment) {
                try environment.write {
                    try $0.put("key \(number)", [UInt8](repeating: 1, count: 300 << 10))
                }
            }
        }
        try environment.write { try $0.put("last", [UInt8](repeating: 1, count: 300 << 10)) }
        let reading = try MetricReading(environment)
        #expect(reading.hits(.logSize) == 1)
        #expect(reading["checkpoint_seconds"] == 1)
    }

    @Test("A record of the log: the commit becomes a checkpoint beyond it")
    func logRecord() throws {
        let environment = try Environment.inMemory { $0.logRecordMax = 100_000 }
        func commit(_ size: Int) throws {
            try environment.write { try $0.put("key", [UInt8](repeating: 1, count: size)) }
        }
        try expectNoHit(in: environment) { try commit(99_000) }
        #expect(try MetricReading(environment)["checkpoint_seconds"] == 0)
        try commit(100_000)
        let reading = try MetricReading(environment)
        #expect(reading.hits(.logRecord) == 1)
        #expect(reading["checkpoint_seconds"] == 1)
    }

    @Test("Waiting for a writer")
    func writerWait() throws {
        let environment = try Environment.inMemory { $0.writerWaitMilliseconds = 30 }
        let writer = try environment.beginWrite()
        onThreads(1) { _ in
            let error = try self.error { _ = try environment.beginWrite().id }
            try check(error?.code == .busy && error?.limit == .writerWait, "waiting")
            // One that does not want to wait has met no limit.
            let impatient = try self.error {
                Transactions.end(
                    try Transactions.beginWrite(environment.store.state, wait: .never))
            }
            try check(impatient?.code == .busy && impatient?.limit == nil, "not waiting")
        }
        #expect(try MetricReading(environment).hits(.writerWait) == 1)
        writer.abort()
    }

    @Test("Depth of a tree")
    func depth() throws {
        let environment = try Environment.inMemory()
        let keySize = environment.maxKeySize
        func put(depthMax: Int) throws {
            var transaction = try environment.beginWrite()
            guard let write = transaction.access.claim.state.pointee.write else {
                Issue.record("a write transaction that cannot write")
                return
            }
            write.pointee.workspace.pointee.depthMax = depthMax
            defer { write.pointee.workspace.pointee.depthMax = Format.depthMax }
            for number in 0..<30 as Range<UInt64> {
                let key = KeyMaker.bigEndian(number &* 0x9e37_79b9_7f4a_7c15)
                try transaction.put(
                    key + [UInt8](repeating: 0x6d, count: keySize - 8), "value")
            }
            transaction.abort()
        }
        try expectNoHit(in: environment) { try put(depthMax: 2) }
        try expectHit(.depth, .full, in: environment) { try put(depthMax: 1) }
    }
}
