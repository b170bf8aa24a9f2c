import Testing

@testable import Simulator
@testable import ZeroDB

/// What the data file grows to, and what is left of it.
@Suite("Space")
struct SpaceTests {
    private func open(
        _ fileSystem: any FileSystem = MemoryFileSystem(),
        _ change: (inout EnvironmentOptions) -> Void = { _ in }
    ) throws -> Environment {
        try Environment.inMemory(fileSystem) { options in
            options.maxTransactionPages = 0
            options.logSize = 1 << 20
            change(&options)
        }
    }

    private func value(_ seed: Int, _ count: Int) -> [UInt8] {
        ValueRecipe(seed: UInt32(seed), count: count).bytes
    }

    // MARK: Steady loads

    struct Load: Sendable, CustomStringConvertible {
        var name: String
        var sizes: [Int]
        var keys = 500
        var transactionSize = 50
        /// Pages that the environment may grow by while it runs, times those in use.
        var factor = 2.0

        var description: String { name }
    }

    static let loads = [
        Load(name: "small values", sizes: [100]),
        Load(name: "values near the limit of a leaf", sizes: [900, 1000, 1020]),
        Load(name: "large values", sizes: [20_000], keys: 60, transactionSize: 6),
        Load(name: "values of all sizes", sizes: [10, 1000, 5000, 30_000, 100], keys: 200),
        Load(
            name: "values larger than a region of the free tree", sizes: [3 << 20], keys: 4,
            transactionSize: 1),
        Load(name: "one put a transaction", sizes: [100], transactionSize: 1),
        Load(
            name: "everything in each transaction", sizes: [100, 6000], keys: 200,
            transactionSize: 200),
    ]

    @Test("Overwriting the same keys forever does not grow the file forever", arguments: loads)
    func overwrites(_ load: Load) throws {
        let environment = try open()
        var random = SeededGenerator(seed: TestSettings.seed)
        try environment.write { transaction in
            for key in 0..<load.keys {
                try transaction.put("key \(key)", value(key, load.sizes[key % load.sizes.count]))
            }
        }
        var steady: UInt64 = 0
        let rounds = 600
        for round in 0..<rounds {
            try environment.write { transaction in
                for _ in 0..<load.transactionSize {
                    let size = random.pick(load.sizes)
                    try transaction.put("key \(random.below(load.keys))", value(round, size))
                }
            }
            if round == rounds / 3 { steady = try environment.info().pageCount }
        }
        let report = try environment.verify()
        #expect(report.problems == 0)
        let info = try environment.info()
        let used = report.treePages + report.overflowPages
        #expect(
            Double(info.pageCount) <= Double(used) * load.factor * 2 + 200,
            "\(info.pageCount) pages for \(used) in use")
        #expect(
            Double(info.pageCount) <= Double(steady) * 1.5 + 50,
            "grown from \(steady) to \(info.pageCount) pages in \(rounds * 2 / 3) rounds")
    }

    @Test("Deleting everything and putting it back does not grow the file forever")
    func refills() throws {
        let environment = try open()
        var sizes: [UInt64] = []
        for round in 0..<12 {
            try environment.write { transaction in
                for key in 0..<2000 { try transaction.put("key \(key)", value(round, 300)) }
            }
            try environment.write { transaction in
                for key in 0..<2000 { try transaction.delete("key \(key)") }
            }
            try environment.checkpoint()
            sizes.append(try environment.info().pageCount)
        }
        #expect(sizes[11] <= sizes[3] + sizes[3] / 4, "\(sizes)")
        let info = try environment.info()
        // All but the free tree itself is free.
        #expect(info.freePages + 40 >= info.pageCount, "\(info.freePages) of \(info.pageCount)")
        #expect(try environment.verify().problems == 0)
    }

    @Test("Pages that a reader pinned are reused when it ends")
    func reusesAfterReader() throws {
        let environment = try open()
        func overwrite(_ rounds: Int) throws {
            for round in 0..<rounds {
                try environment.write { transaction in
                    for key in 0..<200 { try transaction.put("key \(key)", value(round, 200)) }
                }
            }
        }
        try overwrite(40)
        let before = try environment.info().pageCount
        let reader = try environment.beginRead()
        try overwrite(60)
        let pinned = try environment.info().pageCount
        #expect(pinned > before, "a reader keeps the pages of its snapshot")
        #expect(try reader.get("key 7") == value(39, 200))
        try endTransaction(reader)
        try overwrite(60)
        let after = try environment.info().pageCount
        #expect(after <= pinned + pinned / 10 + 20, "\(before), \(pinned), then \(after) pages")
        #expect(try environment.verify().problems == 0)
    }

    private func endTransaction(_ transaction: consuming ReadTransaction) throws {}

    // MARK: Trees

    /// A read transaction, to keep several of.
    private final class Reader {
        let transaction: ReadTransaction

        init(_ environment: Environment) throws { transaction = try environment.beginRead() }
    }

    @Test(
        "What was written after a snapshot and freed is reused while that is being read",
        arguments: [1, 10])
    func reusesBetweenSnapshots(_ readerCount: Int) throws {
        let environment = try open { $0.logSize = 1 << 30 }
        let keys = 3000
        try environment.write { transaction throws in
            for number in 0..<keys { try transaction.put("key \(number)", value(number, 300)) }
        }
        try environment.checkpoint()
        let before = try environment.info().pageCount
        let commits = 6000
        var readers: [Reader] = []
        var expected: [[Int: [UInt8]]] = []
        var newest: [Int: [UInt8]] = [:]
        for commit in 0..<commits {
            if commit % (commits / readerCount) == 0 {
                readers.append(try Reader(environment))
                expected.append(newest)
            }
            let changed = value(commit, 300)
            try environment.write { try $0.put("key \(commit % 50)", changed) }
            newest[commit % 50] = changed
        }
        // Each snapshot has the pages of the hot keys for itself, and keeps those freed with them.
        let after = try environment.info().pageCount
        #expect(after - before < before / 2 + UInt64(readerCount) * 200)
        for (reader, changed) in zip(readers, expected) {
            for number in 0..<keys {
                #expect(
                    try reader.transaction.get("key \(number)") == changed[number]
                        ?? value(number, 300))
            }
        }
        readers.removeAll()
        #expect(try environment.verify().problems == 0)
    }

    @Test("A tree that has lost nine tenths of its entries has lost most of its leaves")
    func mergesSparseLeaves() throws {
        for valueSize in [20, 150, 600] {
            let environment = try open()
            var random = SeededGenerator(seed: TestSettings.seed)
            let count = 20_000
            try environment.write { transaction in
                for key in 0..<count { try transaction.put("key \(key)", value(key, valueSize)) }
            }
            var keys = Array(0..<count)
            keys.shuffle(using: &random)
            let full = try leafPages(environment)
            try environment.write { transaction in
                for key in keys.prefix(count * 9 / 10) { try transaction.delete("key \(key)") }
            }
            let sparse = try leafPages(environment)
            // Leaves at least a third full on average, where random puts leave them at two.
            #expect(sparse <= full / 10 * 3, "\(full) leaves, then \(sparse)")
            try environment.write { transaction in
                for key in keys.dropFirst(count * 9 / 10) { try transaction.delete("key \(key)") }
            }
            #expect(try leafPages(environment) == 0)
            #expect(try environment.verify().problems == 0)
        }
    }

    private func leafPages(_ environment: Environment) throws -> UInt64 {
        try environment.read { try $0.statistics().leafPages }
    }

    enum Order: CaseIterable, Sendable {
        case ascending
        case descending
        case appending
    }

    @Test(
        "Loading in order leaves full leaves", arguments: Order.allCases, [4096, 16384, 65536])
    func fillsLeaves(_ order: Order, pageSize: Int) throws {
        let environment = try open { $0.pageSize = pageSize }
        let count: UInt64 = 20_000
        let valueSize = 100
        try environment.write { transaction in
            for number in 0..<count {
                let key = KeyMaker.bigEndian(order == .descending ? count - number : number)
                let value = value(Int(number), valueSize)
                if order == .appending {
                    try transaction.append(key, value)
                } else {
                    try transaction.put(key, value)
                }
            }
        }
        let statistics = try environment.read { try $0.statistics() }
        // An entry takes its slot, the value, the value's length; keys are in prefix and slot.
        let bytes = Int(count) * (Page.leafSlotSize + 2 + valueSize)
        let filled = Double(bytes) / Double(Int(statistics.leafPages) * pageSize)
        #expect(filled >= 0.9, "leaves are \(filled) full")
        #expect(try environment.verify().problems == 0)
    }

    @Test("Loading in random order leaves leaves at least six tenths full")
    func fillsLeavesAtRandom() throws {
        let environment = try open()
        var random = SeededGenerator(seed: TestSettings.seed)
        let count = 30_000
        try environment.write { transaction in
            for number in 0..<count {
                try transaction.put(random.bytes(24), value(number, 150))
            }
        }
        let statistics = try environment.read { try $0.statistics() }
        let bytes = count * (Page.leafSlotSize + 2 + 150 + 20)
        let filled = Double(bytes) / Double(Int(statistics.leafPages) * 4096)
        #expect(filled >= 0.6, "leaves are \(filled) full")
    }

    @Test("Runs in order between other keys leave leaves at least seven tenths full")
    func fillsLeavesOfRuns() throws {
        let environment = try open()
        try environment.write { transaction in
            for cluster in ["b", "d", "a", "c"] {
                for number in 0..<5000 as Range<UInt64> {
                    let key = Array(cluster.utf8) + KeyMaker.bigEndian(number)
                    try transaction.put(key, value(Int(number), 100))
                }
            }
        }
        let statistics = try environment.read { try $0.statistics() }
        let filled = Double(20_000 * 110) / Double(Int(statistics.leafPages) * 4096)
        #expect(filled >= 0.7, "leaves are \(filled) full")
    }
}
