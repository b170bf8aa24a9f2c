import Testing

@testable import Simulator
@testable import ZeroDB

@Suite("History")
struct HistoryTests {
    @Test(
        "History tells exactly what a thousand random transactions did",
        arguments: [1, 2] as [UInt64])
    func thousandTransactions(seed: UInt64) throws {
        let directory = try TemporaryDirectory()
        var options = EnvironmentOptions()
        options.maxSize = 256 << 20
        options.usesThread = false
        let environment = try Environment(path: directory.path, options: options)
        var run = HistoryRun(environment, seed: seed)
        var seen: Set<UInt64> = []
        for round in 0..<20 {
            for _ in 0..<50 { try run.step() }
            // A checkpoint lets go of older segments.
            try compare(directory.path, run, &seen, isLast: false)
            if round % 2 == 1 { try run.checkpoint() }
        }
        try environment.close()
        try compare(directory.path, run, &seen, isLast: true)
        #expect(seen == Set(run.expected.keys))
        #expect(run.expected.count > 200)
        #expect(run.unlogged.count > 100)
    }

    /// Holds the log against what was done.
    private func compare(
        _ path: String, _ run: HistoryRun, _ seen: inout Set<UInt64>, isLast: Bool
    ) throws {
        var found: [LoggedTransaction] = []
        var gaps: [LogGap] = []
        let summary = try Environment.history(path: path) { item in
            switch item {
            case .transaction(let logged): found.append(logged)
            case .gap(let gap): gaps.append(gap)
            }
            return true
        }
        #expect(summary.problems == [])
        #expect(summary.transactions == UInt64(found.count))
        for (logged, next) in zip(found, found.dropFirst()) {
            #expect(logged.wallClock < next.wallClock)
        }
        for logged in found {
            seen.insert(logged.transaction)
            try compare(logged, path, run)
        }
        for gap in gaps {
            #expect(gap.reason == .unlogged)
            let (first, last) = (try #require(gap.first), try #require(gap.last))
            #expect((first...last).allSatisfy(run.unlogged.contains), "\(first) to \(last)")
        }
        guard isLast else { return }
        #expect(max(found.last?.transaction ?? 0, gaps.last?.last ?? 0) == run.last)
        #expect(found.allSatisfy { $0.durability == .checkpointed })
    }

    private func compare(_ logged: LoggedTransaction, _ path: String, _ run: HistoryRun) throws {
        let expected = try #require(
            run.expected[logged.transaction], "transaction \(logged.transaction)")
        #expect(logged.problem == nil)
        #expect(logged.operations == UInt64(expected.count))
        for database in logged.databases {
            let own = expected.filter { $0.database == database.name }
            let puts = own.filter { if case .put = $0 { true } else { false } }
            #expect(database.operations == UInt64(own.count))
            #expect(database.puts == UInt64(puts.count))
        }
        // Each once more by itself is slow: some of them.
        guard logged.transaction % 7 == 0 else { return }
        var operations: [LoggedOperation] = []
        let again = try Environment.operations(ofTransaction: logged.transaction, path: path) {
            operations.append($0)
            return true
        }
        #expect(again.transaction == logged.transaction)
        let isSame = operations == expected
        #expect(isSame, "transaction \(logged.transaction)")
    }

    @Test("A damaged record is a gap, and those behind it are told")
    func damagedRecord() throws {
        let directory = try TemporaryDirectory()
        var environment = try directory.open()
        for number in 0..<10 {
            try environment.write { try $0.put("key \(number)", "value") }
        }
        try environment.close()
        var places: [UInt64: UInt64] = [:]
        try Environment.history(path: directory.path) {
            if case .transaction(let logged) = $0 { places[logged.transaction] = logged.position }
            return true
        }
        #expect(places.count == 10)
        let place = try #require(places[5])
        try directory.flip(byte: place + 90, of: "log/0000000000001000.log")
        var told: [UInt64] = []
        var gaps: [LogGap] = []
        let summary = try Environment.history(path: directory.path) {
            switch $0 {
            case .transaction(let logged): told.append(logged.transaction)
            case .gap(let gap): gaps.append(gap)
            }
            return true
        }
        #expect(told == [2, 3, 4, 6, 7, 8, 9, 10, 11])
        #expect(gaps.map(\.first) == [5])
        #expect(gaps.map(\.last) == [5])
        #expect(gaps.first?.reason == .damaged)
        #expect(summary.problems.count == 1)
        // What a checkpoint includes does not keep it from opening.
        environment = try directory.open()
        try environment.close()
    }

    @Test("Without a whole meta page the log still tells")
    func noMetaPage() throws {
        let directory = try TemporaryDirectory()
        let environment = try directory.open()
        try environment.write { try $0.put("key", "value") }
        try environment.close()
        for byte in [100, 2148, 4196, 6244] as [UInt64] {
            try directory.flip(byte: byte, of: "data.zdb")
        }
        expectFailure(.corrupted) { _ = try directory.open() }
        var told: [UInt64] = []
        let summary = try Environment.history(path: directory.path) {
            if case .transaction(let logged) = $0 { told.append(logged.transaction) }
            return true
        }
        #expect(told == [2])
        #expect(summary.problems.count == 1)
        #expect(summary.checkpoint == nil)
    }

    @Test("A file named as a segment that no log reaches is none")
    func impossibleSegment() throws {
        let directory = try TemporaryDirectory()
        try directory.open().write { try $0.put("key", "value") }
        let log = try PosixFileSystem().openDirectory(PathBytes(directory.path), create: nil)
            .openDirectory("log", create: nil)
        for name in try log.list() { try log.remove(name) }
        for name in ["ffffffffffffffff.log", "fffffffffffff000.log", "4000000000000000.log"] {
            let file = try log.open(name, access: .readWrite, create: true, mode: 0o600)
            try file.truncate(to: 200_000)
            file.close()
            let summary = try Environment.history(path: directory.path) { _ in true }
            #expect(summary.segments == 0)
            try log.remove(name)
        }
    }

    @Test("A transaction without a record is not found")
    func noRecord() throws {
        let directory = try TemporaryDirectory()
        let environment = try directory.open()
        try environment.write { try $0.put("key", "value") }
        expectFailure(.notFound) {
            try Environment.operations(ofTransaction: 99, path: directory.path) { _ in true }
        }
    }
}

extension TemporaryDirectory {
    /// Changes a bit of a file of the environment.
    func flip(byte offset: UInt64, of name: String) throws {
        let directory = try PosixFileSystem().openDirectory(PathBytes(path), create: nil)
        let parts = name.split(separator: "/").map(String.init)
        let folder =
            parts.count > 1 ? try directory.openDirectory(parts[0], create: nil) : directory
        let file = try folder.open(
            parts[parts.count - 1], access: .readWrite, create: false, mode: 0)
        defer { file.close() }
        var byte: [UInt8] = [0]
        _ = try byte.withUnsafeMutableBytes { try file.read(into: $0, at: offset) }
        byte[0] ^= 0x10
        try byte.withUnsafeBytes { try file.write($0, at: offset) }
    }
}
