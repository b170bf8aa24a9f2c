import Testing

@testable import Simulator
@testable import ZeroDB

/// Pages have room for two keys of the largest size, if that. What this demands of splits, merges and
/// separators is in docs/internals/trees.md.
@Suite("Keys of up to half a page")
struct LongKeyTests {
    private static let types: [DatabaseType] = [
        DatabaseType(), DatabaseType([.counted, .reverseKeys]), DatabaseType(.counted),
        DatabaseType(.duplicates), DatabaseType([.duplicates, .reverseDuplicates, .counted]),
        DatabaseType([.duplicates, .fixedSizeDuplicates, .reverseKeys], valueWidth: 21),
    ]

    @Test(
        "Long keys of every kind stay what a model says through inserts, deletes and replacements",
        arguments: allPageSizes, LongKeyFamily.allCases)
    func matchesModel(pageSize: Int, family: LongKeyFamily) throws {
        for (number, type) in Self.types.enumerated() {
            let orders = LongKeyRun.Order.allCases
            // All pairs of type and order with the smallest pages, and some with others.
            for (place, order) in orders.enumerated()
            where pageSize == 4096 || place == number % orders.count {
                let run = try LongKeyRun(type, family, order, pageSize: pageSize)
                try run.run(keys: max(60, (type.hasDuplicates ? 120 : 240) * 4096 / pageSize))
            }
        }
    }

    @Test("Thousands of keys of the largest size come and go", arguments: LongKeyFamily.allCases)
    func holdsThousands(family: LongKeyFamily) throws {
        for type in [DatabaseType(), DatabaseType([.counted, .reverseKeys])] {
            let run = try LongKeyRun(type, family, .random, pageSize: 4096)
            try run.run(keys: TestSettings.operations(usually: 3000))
        }
    }

    @Test(
        "Values of the largest size stay in order in their trees", arguments: allPageSizes,
        LongKeyFamily.allCases)
    func holdsLongDuplicates(pageSize: Int, family: LongKeyFamily) throws {
        for isReversed in [false, true] {
            let environment = try Environment.inMemory {
                $0.pageSize = pageSize
                $0.maxTransactionPages = 0
            }
            let sizeMax = environment.maxKeySize
            let type = DatabaseType(isReversed ? [.duplicates, .reverseDuplicates] : .duplicates)
            let maker = LongKeyMaker(family: family, sizeMax: sizeMax, isReversed: isReversed)
            var values = Array(Set((0..<max(60, 400 * 4096 / pageSize)).map { maker.key($0) }))
            var random = SeededGenerator(seed: TestSettings.seed)
            values.sort { keyOrder($0, $1) < 0 }
            let order = ModelOrder.ofValues(type.flags)
            let sorted = values.sorted { order.compare($0, $1) < 0 }
            values.shuffle(using: &random)
            // A short key, and one that leaves no room beside it.
            let keys = [[1], [UInt8](repeating: 2, count: sizeMax)]
            try environment.write { transaction throws in
                try transaction.createMain(flags: type.flags)
                for value in values {
                    for key in keys { try transaction.insertPair(key, value) }
                }
            }
            for key in keys {
                #expect(try environment.read { try $0.values(for: key) } == sorted)
            }
            #expect(try environment.verify().problems == 0)
            values.shuffle(using: &random)
            let rest = Array(values[..<3])
            try environment.write { transaction throws in
                for value in values.dropFirst(3) {
                    for key in keys {
                        let isDeleted = try transaction.deletePair(key, value)
                        #expect(isDeleted)
                    }
                }
            }
            let left = rest.sorted { order.compare($0, $1) < 0 }
            for key in keys {
                #expect(try environment.read { try $0.values(for: key) } == left)
            }
            #expect(try environment.verify().problems == 0)
        }
    }

    @Test("An entry that fits beside neither of its neighbours gets a leaf of its own")
    func splitsInThree() throws {
        for pageSize in allPageSizes {
            for flags: DatabaseFlags in [.duplicates, [.duplicates, .counted]] {
                let environment = try Environment.inMemory { $0.pageSize = pageSize }
                // With the record of a value tree, two of these keys fill a leaf.
                let half = Page.capacity(pageSize: pageSize) / 2
                let size = half - 6 - ValueTree.size
                let first = [1] + [UInt8](repeating: 1, count: size - 1)
                let last = [3] + [UInt8](repeating: 3, count: size - 1)
                // And one of these takes more than half of one.
                let middle = [2] + [UInt8](repeating: 2, count: environment.maxKeySize - 1)
                let values = [4, 5].map { [UInt8](repeating: $0, count: 100) }
                func put(_ key: [UInt8], _ transaction: inout WriteTransaction) throws -> UInt64 {
                    for value in values { try transaction.insertPair(key, value) }
                    let statistics = try transaction.statistics()
                    // One leaf for the values of each key.
                    return statistics.leafPages - statistics.keys
                }
                try environment.write { transaction throws in
                    try transaction.createMain(flags: flags)
                    #expect(try put(first, &transaction) == 1)
                    #expect(try put(last, &transaction) == 1)
                    #expect(try put(middle, &transaction) == 3)
                    for (rank, key) in [first, middle, last].enumerated() {
                        #expect(try transaction.values(for: key) == values)
                        guard flags.contains(.counted) else { continue }
                        #expect(try transaction.rank(of: key) == UInt64(2 * rank))
                    }
                }
                #expect(try environment.verify().problems == 0)
            }
        }
    }

    @Test("A tree at its largest depth refuses to grow, and the transaction fails whole")
    func refusesDepth() throws {
        let environment = try Environment.inMemory { $0.maxTransactionPages = 0 }
        let maker = LongKeyMaker(family: .groups, sizeMax: environment.maxKeySize)
        try environment.write { try $0.put([0], "before") }
        var transaction = try environment.beginWrite()
        for number in 0..<40 { try transaction.put(maker.key(number), "") }
        // Trees of that depth have billions of pages: this one only says that it has.
        let depth = try transaction.statistics().depth
        #expect(depth > 1)
        let known = transaction.access.operations.state.pointee.write
        let write = try #require(known)
        let workspace = write.pointee.workspace
        workspace.pointee.depthMax = Int(depth)
        defer { workspace.pointee.depthMax = Format.depthMax }
        var failure: DatabaseError?
        for number in 40..<2000 where failure == nil {
            do throws(DatabaseError) {
                try transaction.put(maker.key(number), "")
            } catch {
                failure = error
            }
        }
        let error = try #require(failure)
        #expect(error.code == .full)
        #expect(error.message.contains("levels") && error.message.contains("larger pages"))
        transaction.abort()
        #expect(try environment.read { try $0.statistics().entries } == 1)
        #expect(try environment.verify().problems == 0)
    }
}

/// A database of long keys and the model it must match.
private final class LongKeyRun: ModelTest {
    enum Order: CaseIterable {
        case random
        case ascending
        case descending
        /// From the two ends to the middle.
        case inward
    }

    private let type: DatabaseType
    private let family: LongKeyFamily
    private let order: Order
    private let pageSize: Int
    private let environment: Environment
    private var model: ReferenceModel
    private var random = SeededGenerator(seed: TestSettings.seed)
    private var phase = "at the beginning"

    var progress: String {
        "\(type), \(family), \(order), pages of \(pageSize) bytes, \(phase), \(model.count) entries"
    }

    init(
        _ type: DatabaseType, _ family: LongKeyFamily, _ order: Order, pageSize: Int
    ) throws {
        self.type = type
        self.family = family
        self.order = order
        self.pageSize = pageSize
        model = ReferenceModel(type)
        environment = try Environment.inMemory {
            $0.pageSize = pageSize
            $0.maxTransactionPages = 0
            $0.logSize = 1 << 30
        }
    }

    func run(keys count: Int) throws {
        try environment.write { try $0.createMain(flags: type.flags) }
        let maker = LongKeyMaker(
            family: family, sizeMax: environment.maxKeySize,
            isReversed: type.flags.contains(.reverseKeys))
        var keys = Array(Set((0..<count).map { maker.key($0) }))
        keys.sort { model.compareKeys($0, $1) < 0 }
        arrange(&keys)

        try change("putting") { transaction throws in
            for key in keys { try put(key, &transaction) }
        }
        try change("putting again") { transaction throws in
            for key in keys where random.chance(50) { try put(key, &transaction) }
        }
        keys.shuffle(using: &random)
        let half = keys[..<(keys.count / 2)]
        try change("deleting half") { transaction throws in
            for key in half { try delete(key, &transaction) }
        }
        try change("putting those back") { transaction throws in
            for key in half { try put(key, &transaction) }
        }
        try deleteMiddle()
        try change("putting and deleting") { transaction throws in
            for key in keys {
                if random.chance(50) {
                    try put(key, &transaction)
                } else {
                    try delete(random.pick(keys), &transaction)
                }
            }
        }
        if order == .ascending { keys.sort { model.compareKeys($0, $1) < 0 } }
        if order == .descending { keys.sort { model.compareKeys($0, $1) > 0 } }
        for part in 0..<3 {
            let start = keys.count * part / 3
            let end = keys.count * (part + 1) / 3
            try change("deleting part \(part)") { transaction throws in
                for key in keys[start..<end] { try delete(key, &transaction) }
            }
        }
        try expect(model.isEmpty, "the model is not empty")
    }

    private func arrange(_ keys: inout [[UInt8]]) {
        switch order {
        case .random: keys.shuffle(using: &random)
        case .ascending: break
        case .descending: keys.reverse()
        case .inward:
            let count = keys.count
            keys = (0..<count).map { keys[$0 % 2 == 0 ? $0 / 2 : count - 1 - $0 / 2] }
        }
    }

    /// Now and then in several transactions, so that pages are copied.
    private func change(
        _ name: String, _ body: (inout WriteTransaction) throws -> Void
    ) throws {
        phase = name
        do {
            try environment.write { try body(&$0) }
        } catch let error as DatabaseError {
            throw failure("\(error)")
        }
        try check()
    }

    private func put(_ key: [UInt8], _ transaction: inout WriteTransaction) throws {
        for _ in 0..<(type.hasDuplicates ? random.within(1...4) : 1) {
            let value = random.bytes(valueSize(key))
            try transaction.put(key, value)
            model.put(key, .bytes(value))
        }
    }

    private func valueSize(_ key: [UInt8]) -> Int {
        if type.valueWidth > 0 { return type.valueWidth }
        let room = Format.inlineEntrySizeMax(pageSize: pageSize) - 6 - key.count
        switch random.below(10) {
        case 0: return 0
        case 1: return max(0, min(room, environment.maxKeySize))
        case 2: return max(0, min(room + 1, environment.maxKeySize))
        case 3 where !type.hasDuplicates: return pageSize
        case 4: return random.below(environment.maxKeySize)
        default: return random.below(70)
        }
    }

    private func delete(_ key: [UInt8], _ transaction: inout WriteTransaction) throws {
        if type.hasDuplicates, random.chance(70), let value = model.values(of: key).first {
            let isDeleted = try transaction.deletePair(key, value.bytes)
            try expect(isDeleted, "a pair is not there")
            model.delete(key, value)
            // In the end all values go.
            guard phase.hasPrefix("deleting part") else { return }
        }
        let isDeleted = try transaction.delete(key)
        try expect(isDeleted == model.delete(key), "a key is there or not")
    }

    private func deleteMiddle() throws {
        guard model.count > 8 else { return }
        let from = model[rank: model.count / 3].key
        let to = model[rank: model.count / 2].key
        try change("deleting a range") { transaction throws in
            let deleted = try transaction.delete(KeyRange(from: from, to: to))
            try expect(Int(deleted) == model.deleteRange(from: from, to: to), "deleted \(deleted)")
        }
    }

    private func check() throws {
        let report = try environment.verify { print($0.page ?? 0, $0.message) }
        try expect(report.problems == 0, "\(report.problems) problems")
        try environment.read { transaction throws in
            var cursor = try transaction.cursor()
            var index = model.startIndex
            while let entry = try cursor.next() {
                guard let expected = model.entry(at: index) else { throw failure("too many") }
                let isSame = entry.key.withUnsafeBytes { key in
                    entry.value.withUnsafeBytes { value in
                        key.elementsEqual(expected.key) && value.elementsEqual(expected.value.bytes)
                    }
                }
                try expect(isSame, "entry \(model.rank(of: index)) differs")
                index = model.index(after: index)
            }
            try expect(index == model.endIndex, "entries are missing")
            for _ in 0..<min(20, model.count) {
                guard let entry = model.pick(&random) else { break }
                let value = try transaction.get(entry.key)
                try expect(value == model.value(for: entry.key)?.bytes, "a value differs")
                if type.isCounted {
                    let rank = try transaction.rank(of: entry.key)
                    try expect(Int(rank) == model.rank(entry.key), "a rank of \(rank)")
                }
            }
            let state = transaction.access.operations.state
            let tree = try state.pointee.tree(Database.main.handle).pointee
            try checkFanOut(state.pointee.source, tree)
        }
    }

    /// Every branch has two children, which bounds the depth.
    private func checkFanOut(_ source: PageSource, _ tree: TreeState) throws {
        guard tree.depth > 0 else { return }
        var level = tree.depth - 1
        var references = [tree.root]
        while level > 0 {
            var below: [PageReference] = []
            for reference in references {
                let page = try source.page(reference, level: level, layout: tree.branchLayout)
                try expect(page.count > 1, "a branch of level \(level) with one child")
                below += (0..<page.count).map { page.child($0) }
            }
            references = below
            level -= 1
        }
    }
}
