import Glibc
import Synchronization
import Testing

@testable import Simulator
@testable import ZeroDB

/// Each limit at, below and above it: what goes, what is refused and how, and that it is counted.
@Suite("Limits and their metrics")
struct LimitMetricTests {
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
        func put(pages: Int, in environment: Environment) throws {
            let size = pages * 4096 - Page.headerSize
            try environment.write { try $0.put("key", [UInt8](repeating: 1, count: size)) }
        }
        // Two meta pages and a leaf, of the 256 pages in all.
        for pages in [252, 253] {
            let environment = try Environment.inMemory { $0.maxSize = 1 << 20 }
            try expectNoHit(in: environment) { try put(pages: pages, in: environment) }
            #expect(try environment.info().pageCount == UInt64(pages) + 3)
        }
        let environment = try Environment.inMemory { $0.maxSize = 1 << 20 }
        try expectHit(.maxSize, .full, in: environment) { try put(pages: 254, in: environment) }
        #expect(try environment.read { try $0.statistics().entries } == 0)
    }

    @Test("Pages of a transaction")
    func transactionPages() throws {
        // A leaf has three such entries; a branch is above the leaves.
        func put(leaves: Int, in environment: Environment) throws {
            try environment.write { transaction throws in
                for number in 0..<leaves * 3 {
                    let key = "key " + String(1000 + number)
                    try transaction.append(key, [UInt8](repeating: 1, count: 1300))
                }
            }
        }
        for leaves in [10, 11] {
            let environment = try Environment.inMemory { $0.maxTransactionPages = 12 }
            try expectNoHit(in: environment) { try put(leaves: leaves, in: environment) }
            #expect(try MetricReading(environment)["pages_written_total"] == UInt64(leaves) + 1)
        }
        let environment = try Environment.inMemory { $0.maxTransactionPages = 12 }
        try expectHit(.transactionPages, .transactionFull, in: environment) {
            try put(leaves: 12, in: environment)
        }
        #expect(try MetricReading(environment)["pages_written_total"] == 0)
    }

    @Test("Memory of a transaction, beyond which it goes on, and what is spilled is counted")
    func transactionMemory() throws {
        // Pages of trees have 256 KiB to begin with.
        let pagesMax = (1 << 20 - 256 << 10) / 4096
        let environment = try Environment.inMemory { $0.maxTransactionMemory = 1 << 20 }
        func put(pages: Int) throws {
            let size = pages * 4096 - Page.headerSize
            try environment.write { try $0.put("key", [UInt8](repeating: 1, count: size)) }
        }
        for pages in [pagesMax - 1, pagesMax] {
            try expectNoHit(in: environment) { try put(pages: pages) }
        }
        #expect(try MetricReading(environment)["spilled_bytes_total"] == 0)
        try put(pages: pagesMax + 1)
        let reading = try MetricReading(environment)
        #expect(reading.hits(.transactionMemory) == 1)
        #expect(reading["spilled_bytes_total"] == UInt64(pagesMax + 1) * 4096)
        let count = try environment.read { try $0.value(for: "key")?.byteCount }
        #expect(count == (pagesMax + 1) * 4096 - Page.headerSize)
        // The next one is not held to what this one had.
        try expectNoHit(in: environment) { try put(pages: pagesMax) }
    }

    @Test("Memory that a transaction leaves for the next one is there for a large value")
    func transactionMemoryKept() throws {
        let environment = try Environment.inMemory { $0.maxTransactionMemory = 32 << 20 }
        let value = [UInt8](repeating: 1, count: 60_000)
        try environment.write { transaction in
            for number in 0..<300 { try transaction.put("\(number)", value) }
        }
        try environment.write {
            try $0.put("large", [UInt8](repeating: 2, count: 30 << 20))
            try $0.put("small", value)
        }
        let reading = try MetricReading(environment)
        #expect(reading.hits(.transactionMemory) == 0)
        #expect(reading["spilled_bytes_total"] == 0)
        #expect(try environment.read { try $0.value(for: "large")?.byteCount } == 30 << 20)
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
        try expectHit(.keySize, .badValueSize, in: environment) {
            try transaction.put("key", bytes, in: list)
        }
        // No key at all is an error of another kind.
        try expectNoHit(in: environment) {
            let refused = try databaseError { try transaction.put("", "value") }
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
        // Files in memory cannot become as large. Nothing is written to this one.
        let directory = try TemporaryDirectory()
        var options = EnvironmentOptions()
        options.usesThread = false
        options.maxTransactionMemory = 0
        let environment = try Environment(path: directory.path, options: options)
        let largest = Format.valueSizeMax
        let memory = try #require(
            mmap(
                nil, largest + 1, PROT_READ,
                MAP_PRIVATE | Int32(MAP_ANONYMOUS) | Int32(MAP_NORESERVE), -1, 0))
        defer { munmap(memory, largest + 1) }
        func put(_ size: Int) throws {
            var transaction = try environment.beginWrite()
            try transaction.put("key", UnsafeRawBufferPointer(start: memory, count: size))
            #expect(try transaction.value(for: "key")?.byteCount == size)
            transaction.abort()
        }
        for size in [largest - 1, largest] {
            try expectNoHit(in: environment) { try put(size) }
        }
        try expectHit(.valueSize, .badValueSize, in: environment) { try put(largest + 1) }
    }

    /// An environment with one commit, which puts a value of so many bytes.
    private func committed(
        _ size: Int, _ change: (inout EnvironmentOptions) -> Void = { _ in }
    ) throws -> (MetricReading, logBytes: UInt64) {
        let environment = try Environment.inMemory(MemoryFileSystem(), change)
        try environment.write { try $0.put("key", [UInt8](repeating: 1, count: size)) }
        return (try MetricReading(environment), try environment.info().logBytes)
    }

    @Test("The log: a checkpoint is made beyond its size")
    func logSize() throws {
        let around = try committed(1 << 20 - 4096).logBytes - (1 << 20 - 4096)
        let atLimit = 1 << 20 - Int(around)
        for size in [atLimit - 8, atLimit] {
            let (reading, logBytes) = try committed(size) { $0.logSize = 1 << 20 }
            #expect(logBytes == UInt64(1 << 20 - atLimit + size))
            #expect(reading.hits(.logSize) == 0)
            #expect(reading["checkpoint_seconds"] == 0)
        }
        let (reading, logBytes) = try committed(atLimit + 8) { $0.logSize = 1 << 20 }
        #expect(logBytes == 0)
        #expect(reading.hits(.logSize) == 1)
        #expect(reading["checkpoint_seconds"] == 1)
    }

    @Test("A record of the log: the commit becomes a checkpoint beyond it")
    func logRecord() throws {
        func recordBytes(_ reading: MetricReading) throws -> Int {
            Int(try #require(reading["written_bytes_total{file=\"log\"}"]))
        }
        let atLimit = 100_000 - (try recordBytes(try committed(60_000).0) - 60_000)
        for size in [atLimit - 8, atLimit] {
            let (reading, _) = try committed(size) { $0.logRecordMax = 100_000 }
            #expect(try recordBytes(reading) == 100_000 - atLimit + size)
            #expect(reading.hits(.logRecord) == 0)
            #expect(reading["checkpoint_seconds"] == 0)
        }
        let (reading, _) = try committed(atLimit + 8) { $0.logRecordMax = 100_000 }
        #expect(try recordBytes(reading) == 0)
        #expect(reading.hits(.logRecord) == 1)
        #expect(reading["checkpoint_seconds"] == 1)
    }

    @Test("Waiting for a writer")
    func writerWait() throws {
        let environment = try Environment.inMemory { $0.writerWaitMilliseconds = 30 }
        let writer = try environment.beginWrite()
        onThreads(1) { _ in
            let error = try databaseError { _ = try environment.beginWrite().id }
            try check(error?.code == .busy && error?.limit == .writerWait, "waiting")
            // One that does not want to wait has met no limit.
            let impatient = try databaseError {
                Transactions.end(
                    try Transactions.beginWrite(environment.store.state, wait: .never))
            }
            try check(impatient?.code == .busy && impatient?.limit == nil, "not waiting")
        }
        #expect(try MetricReading(environment).hits(.writerWait) == 1)
        writer.abort()
    }

    @Test("A wait for a writer that ends in time")
    func writerWaitInTime() throws {
        for milliseconds in [0, 600_000] as [UInt32] {
            let environment = try Environment.inMemory { $0.writerWaitMilliseconds = milliseconds }
            try expectNoHit(in: environment) {
                let hasBegun = Atomic(false)
                let waits = Atomic(false)
                onThreads(2) { thread in
                    if thread == 0 {
                        let writer = try environment.beginWrite()
                        hasBegun.store(true, ordering: .releasing)
                        while !waits.load(ordering: .acquiring) { sched_yield() }
                        writer.abort()
                    } else {
                        while !hasBegun.load(ordering: .acquiring) { sched_yield() }
                        waits.store(true, ordering: .releasing)
                        try environment.beginWrite().abort()
                    }
                }
            }
        }
    }

    @Test("Depth of a tree")
    func depth() throws {
        let environment = try Environment.inMemory()
        let keySize = environment.maxKeySize
        // A tree of 32 levels has billions of pages: the limit is lowered.
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
            #expect(try transaction.statistics().depth == 2)
            transaction.abort()
        }
        for depthMax in [3, 2] { try expectNoHit(in: environment) { try put(depthMax: depthMax) } }
        try expectHit(.depth, .full, in: environment) { try put(depthMax: 1) }
    }
}
