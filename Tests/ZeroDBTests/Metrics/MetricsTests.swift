import Testing

@testable import Simulator
@testable import ZeroDB

/// Metrics say what a program has done, to the last operation.
@Suite("Metrics")
struct MetricsTests {
    private func expect(_ environment: Environment, _ done: CountedWork) throws {
        let reading = try MetricReading(environment)
        for (name, count) in done.expected {
            #expect(reading[name] == count, "\(name)")
        }
        let flushed = try #require(reading.sum("log_flush_transactions"))
        #expect(UInt64(flushed.rounded()) <= done.full + done.relaxed)
    }

    // MARK: Counts

    @Test("Metrics agree with what one thread has counted")
    func agreesOnOneThread() throws {
        let environment = try Environment.inMemory()
        var program = CountedProgram(environment, thread: 0, seed: TestSettings.seed)
        for _ in 0..<1000 { try program.step() }
        try expect(environment, program.done)
        #expect(try environment.verify().problems == 0)
    }

    @Test("Metrics agree with what many threads have counted together")
    func agreesOnThreads() throws {
        let environment = try Environment.inMemory()
        let total = Locked<CountedWork>(CountedWork())
        onThreads(6) { thread in
            var program = CountedProgram(environment, thread: thread, seed: TestSettings.seed)
            for _ in 0..<300 { try program.step() }
            let done = program.done
            total.withLock { $0.add(done) }
        }
        try expect(environment, total.withLock { $0 })
    }

    @Test("Readers beyond those with words of their own are counted too")
    func countsManyReaders() throws {
        let environment = try Environment.inMemory()
        try environment.write { try $0.put("key", "value") }
        onThreads(200) { _ in
            for _ in 0..<3 {
                let reader = try environment.beginRead()
                _ = try reader.get("key")
                let other = try environment.beginRead()
                _ = try other.get("absent")
            }
        }
        let reading = try MetricReading(environment)
        #expect(reading["read_transaction_seconds"] == 1200)
        #expect(reading.operations("get") == 1200)
        #expect(reading["absent_gets_total"] == 600)
    }

    @Test("A read transaction that is reset and renewed counts each time")
    func countsResets() throws {
        let environment = try Environment.inMemory()
        try environment.write { try $0.put("key", "value") }
        let claim = try Transactions.beginRead(environment.store.state)
        for _ in 0..<5 {
            try Transactions.reset(claim.state)
            try Transactions.renew(claim.state)
        }
        try claim.state.pointee.enter()
        try Transactions.abort(claim)
        #expect(try MetricReading(environment)["read_transaction_seconds"] == 6)
    }

    @Test("Counts are kept when an environment is closed and opened again")
    func keepsCounts() throws {
        let fileSystem = MemoryFileSystem()
        for round in 1...3 as ClosedRange<UInt64> {
            let environment = try Environment.inMemory(fileSystem)
            try environment.write { try $0.put("key", "value \(round)") }
            _ = try environment.read { try $0.get("key") }
            let reading = try MetricReading(environment)
            #expect(reading.committed("full") == round)
            #expect(reading.operations("get") == round)
            try environment.close()
        }
    }

    @Test("Counts of another environment, or another layout, are not kept")
    func forgetsOthers() throws {
        let fileSystem = MemoryFileSystem()
        let environment = try Environment.inMemory(fileSystem)
        try environment.write { try $0.put("key", "value") }
        try environment.close()
        let file = try #require(fileSystem.contents("env/lock.zdb"))
        for (offset, value) in [(16, UInt64(7)), (8, UInt64(6))] {
            file.base.storeLittleEndian(value, at: offset)
            let again = try Environment.inMemory(fileSystem)
            #expect(try MetricReading(again).committed("full") == 0)
            try again.write { try $0.put("key", "another") }
            try again.close()
        }
    }

    // MARK: Work on pages, data and log

    @Test("Pages, bytes and flushes are counted where they are written")
    func countsWriting() throws {
        let environment = try Environment.inMemory()
        for round in 0..<3 {
            try environment.write { transaction throws in
                for number in 0..<2000 {
                    let value = [UInt8](repeating: UInt8(round), count: 99)
                    try transaction.put("key \(number)", value)
                }
            }
        }
        try environment.write { try $0.delete(KeyRange(from: Array("key 1".utf8))) }
        let before = try MetricReading(environment)
        try environment.checkpoint()
        let reading = try MetricReading(environment)
        #expect(reading["data_flushes_total"] == (before["data_flushes_total"] ?? 0) + 2)
        #expect(reading["checkpoint_seconds"] == (before["checkpoint_seconds"] ?? 0) + 1)
        let info = try environment.info()
        let pages = try #require(reading["pages_written_total"])
        let bytes = reading["written_bytes_total{file=\"data\"}"]
        #expect(bytes == pages * UInt64(info.pageSize))
        let fromFile = try #require(reading["pages_allocated_total{source=\"file\"}"])
        let reused = try #require(reading["pages_allocated_total{source=\"free\"}"])
        // The file grows by more than a commit needs; later ones find the rest free.
        #expect(fromFile + reused >= pages && reused > 0)
        #expect(fromFile == info.pageCount - Format.metaPageCount)
        #expect(try #require(reading["pages_split_total"]) > 50)
        #expect(try #require(reading["pages_freed_total"]) > 50)
        #expect(reading.operations("delete_range") == 1)
        #expect(reading["log_records_total"] == 4)
        #expect(reading["written_bytes_total{file=\"log\"}"] ?? 0 > 3 * 2000 * 99)
        #expect(reading["log_flush_seconds"] == reading["log_flush_transactions"])
        #expect(reading.sum("log_flush_transactions").map { Int($0.rounded()) } == 4)
    }

    @Test("A recovery is counted, and what it replays is not counted again")
    func countsRecovery() throws {
        let fileSystem = MemoryFileSystem()
        let environment = try Environment.inMemory(fileSystem)
        for number in 0..<5 { try environment.write { try $0.put("key \(number)", "value") } }
        environment.store.release()
        let again = try Environment.inMemory(fileSystem)
        #expect(again.recoveryReport.records == 5)
        let reading = try MetricReading(again)
        #expect(reading["recoveries_total"] == 1)
        #expect(reading["recovered_transactions_total"] == 5)
        #expect(reading["recovery_seconds"] == 1)
        #expect(reading.operations("put") == 5)
        #expect(reading.committed("full") == 5)
    }

    @Test("A page whose checksum does not hold is counted")
    func countsChecksumFailures() throws {
        let fileSystem = MemoryFileSystem()
        let environment = try Environment.inMemory(fileSystem)
        try environment.write { try $0.put("key", "value") }
        try environment.close()
        let file = try #require(fileSystem.contents("env/data.zdb"))
        for page in 2..<file.count / 4096 {
            file.base.storeLittleEndian(UInt64(page), at: page * 4096 + 2048)
        }
        let again = try Environment.inMemory(fileSystem)
        expectFailure(.corrupted) { _ = try again.read { try $0.get("key") } }
        let reading = try MetricReading(again)
        #expect(reading["checksum_failures_total"] == 1)
        #expect(reading.errors("corrupted") == 1)
        #expect(try #require(reading["pages_checked_total"]) >= 1)
    }

    // MARK: Readers

    @Test("Gauges tell of readers, their age and what the oldest keeps")
    func showsReaders() throws {
        let environment = try Environment.inMemory()
        try environment.write { transaction throws in
            for number in 0..<500 {
                try transaction.put("key \(number)", [UInt8](repeating: 1, count: 200))
            }
        }
        #expect(try MetricReading(environment)["readers"] == 0)
        let reader = try environment.beginRead()
        for round in 2..<5 as Range<UInt8> {
            try environment.write { transaction throws in
                for number in 0..<500 {
                    try transaction.put("key \(number)", [UInt8](repeating: round, count: 200))
                }
            }
            try environment.checkpoint()
        }
        let reading = try MetricReading(environment)
        #expect(reading["readers"] == 1)
        #expect(reading["oldest_reader_transactions"] == 3)
        let pins = try environment.spaceUse().pins.first { $0.transaction == reader.id }
        #expect(reading["oldest_reader_pages"] == pins?.pages)
        #expect(try #require(pins).pages > 20)
        // The look at free pages was no read transaction of the program's.
        #expect(reading["read_transaction_seconds"] == 0)
        #expect(try #require(reading.sum("oldest_reader_age_seconds")) > 0)
    }

    // MARK: Histograms

    @Test("A number is in the bucket below whose bound it lies")
    func sortsIntoBuckets() {
        typealias Histogram = SharedState.Histogram
        var random = SeededGenerator(seed: TestSettings.seed)
        var numbers: [UInt64] = [0, 1, 255, 256, 383, 384, 511, 512, 1 << 36, 1 << 40, .max]
        for _ in 0..<10_000 { numbers.append(random.next() >> UInt64(random.below(64))) }
        for number in numbers {
            let bucket = Histogram.bucket(number)
            if let bound = Histogram.bound(bucket) { #expect(number < bound) }
            if bucket > 0, let below = Histogram.bound(bucket - 1) { #expect(number >= below) }
        }
        #expect(Histogram.bound(Histogram.buckets - 1) == nil)
    }

    @Test("A histogram's buckets add up to its count, in order")
    func cumulates() throws {
        let environment = try Environment.inMemory()
        var program = CountedProgram(environment, thread: 0, seed: TestSettings.seed)
        for _ in 0..<300 { try program.step() }
        let histograms = try environment.metrics().filter { $0.kind == .histogram }
        #expect(histograms.count == Timing.allCases.count)
        for histogram in histograms {
            let counts = histogram.buckets.map(\.count)
            let bounds = histogram.buckets.map(\.bound)
            #expect(counts == counts.sorted() && counts.last == histogram.count)
            #expect(bounds == bounds.sorted() && bounds.last == .infinity)
        }
    }

    // MARK: Text

    @Test("The text has every metric once, with its kind and its help")
    func writesText() throws {
        let environment = try Environment.inMemory()
        try environment.write { try $0.put("key", "value") }
        let metrics = try environment.metrics()
        let text = try environment.prometheusText()
        let lines = text.split(separator: "\n")
        for name in Set(metrics.map(\.name)) {
            #expect(lines.filter { $0.hasPrefix("# HELP \(name) ") }.count == 1)
            #expect(lines.filter { $0.hasPrefix("# TYPE \(name) ") }.count == 1)
        }
        #expect(
            lines.contains(#"zerodb_operations_total{environment="env",operation="put"} 1"#))
        let hard = Metric.prometheusText(metrics, environment: "a\\b\"c\nd")
        #expect(hard.contains(#"{environment="a\\b\"c\nd"}"#))
        #expect(Set(metrics.map(\.fullName)).count == metrics.count)
    }

    // MARK: Damage

    @Test("Whatever is where the metrics are, they are read and counted on")
    func survivesDamage() throws {
        let fileSystem = MemoryFileSystem()
        let environment = try Environment.inMemory(fileSystem)
        let file = try #require(fileSystem.contents("env/lock.zdb"))
        typealias Layout = SharedState.Layout
        for byte in [0xff, 0x7f, 0x80, 0xee] as [UInt8] {
            for offset in Layout.metrics..<Layout.readerSlots {
                file.base.storeBytes(of: byte, toByteOffset: offset, as: UInt8.self)
            }
            var program = CountedProgram(environment, thread: Int(byte), seed: TestSettings.seed)
            for _ in 0..<50 { try program.step() }
            try environment.checkpoint()
            expectFailure(.badValueSize) { _ = try environment.read { try $0.get("") } }
            #expect(try environment.prometheusText().isEmpty == false)
        }
        for offset in stride(from: Layout.metrics, to: Layout.readerSlots, by: 8) {
            file.base.storeLittleEndian(UInt64.max, at: offset)
        }
        #expect(try environment.metrics().isEmpty == false)
        #expect(try environment.verify().problems == 0)
    }
}
