import Testing

@testable import Simulator
@testable import ZeroDB

/// Random transactions, and what the log must say that each of them did.
struct HistoryRun {
    let environment: Environment
    var random: SeededGenerator
    /// By transaction, in the order in which they were done.
    private(set) var expected: [UInt64: [LoggedOperation]] = [:]
    /// Transactions without a record.
    private(set) var unlogged: Set<UInt64> = []
    private(set) var last: UInt64 = 1
    private var isLogging = true

    /// Names of databases and what they are; nil is the main one.
    private static let databases: [(name: String?, flags: DatabaseFlags)] = [
        (nil, []), ("plain", []), ("pairs", .duplicates), ("counted", [.counted, .reverseKeys]),
        ("numbers", [.integerKeys, .duplicates, .fixedSizeDuplicates]),
    ]

    init(_ environment: Environment, seed: UInt64) {
        self.environment = environment
        random = SeededGenerator(seed: seed)
    }

    /// Does a transaction.
    mutating func step() throws {
        // The library makes checkpoints by itself too.
        if let unlogged = unlogged.max(), try environment.info().checkpointTransaction >= unlogged {
            isLogging = true
        }
        let durability = random.pick([Durability.full, .full, .relaxed, .relaxed, .none])
        var transaction = try environment.beginWrite(durability: durability)
        let id = transaction.id
        var done: [LoggedOperation] = []
        for _ in 0..<random.within(1...6) { try change(&transaction, &done, depth: 0) }
        if random.chance(5) { return }
        try transaction.commit()
        guard !done.isEmpty else { return }
        last = id
        if durability == .none { isLogging = false }
        if isLogging { expected[id] = done } else { unlogged.insert(id) }
    }

    /// Has a checkpoint made, after which all is logged again.
    func checkpoint() throws { try environment.checkpoint() }

    private mutating func change(
        _ transaction: inout WriteTransaction, _ done: inout [LoggedOperation], depth: Int
    ) throws {
        guard random.chance(15), depth < 3 else {
            return try operate(&transaction, &done)
        }
        struct Undone: Error {}
        var inner: [LoggedOperation] = []
        let isKept = random.chance(60)
        do {
            try transaction.nested { nested in
                for _ in 0..<random.within(1...3) { try change(&nested, &inner, depth: depth + 1) }
                if !isKept { throw Undone() }
            }
            done += inner
        } catch is Undone {}
    }

    private mutating func operate(
        _ transaction: inout WriteTransaction, _ done: inout [LoggedOperation]
    ) throws {
        let (text, flags) = random.pick(Self.databases)
        let name = text.map { Array($0.utf8) }
        let known = try Set(transaction.databases().map(\.name))
        let database: Database
        if let text {
            if !known.contains(text) { done.append(.create(database: name, flags: flags)) }
            database = try transaction.createDatabase(text, flags: flags)
        } else {
            database = .main
        }
        let key = key(flags)
        let value = value(flags)
        switch random.below(20) {
        case 0:
            let (from, to) = ends(flags)
            let range = KeyRange(from: from, to: to)
            if try transaction.delete(range, in: database) > 0 {
                // All keys: that is what clearing does.
                let isAll = from == nil && to == nil
                done.append(
                    isAll
                        ? .clear(database: name)
                        : .deleteRange(database: name, from: from, to: to))
            }
        case 1 where random.chance(30):
            if try transaction.statistics(of: database).entries > 0 {
                done.append(.clear(database: name))
            }
            try transaction.clear(database)
        case 2 where name != nil && random.chance(30):
            try transaction.drop(database)
            done.append(.drop(database: name))
        case 3 where text == "plain" && !known.contains("renamed"):
            _ = try transaction.rename(database, to: "renamed")
            done.append(.rename(database: name, to: Array("renamed".utf8)))
        case 4...7:
            if try transaction.delete(key, in: database) {
                done.append(.delete(database: name, key: key))
            }
        case 8...9 where flags.contains(.duplicates):
            if try transaction.deletePair(key, value, in: database) {
                done.append(.deleteValue(database: name, key: key, value: value))
            }
        case _ where flags.contains(.duplicates):
            if try transaction.insertPair(key, value, in: database) {
                done.append(.put(database: name, key: key, value: value))
            }
        default:
            try transaction.put(key, value, in: database)
            done.append(.put(database: name, key: key, value: value))
        }
    }

    private mutating func key(_ flags: DatabaseFlags) -> [UInt8] {
        guard flags.contains(.integerKeys) else { return Array("key \(random.below(300))".utf8) }
        return [UInt8(random.below(60)), UInt8(random.below(3)), 0, 0]
    }

    private mutating func ends(_ flags: DatabaseFlags) -> ([UInt8]?, [UInt8]?) {
        (
            random.chance(80) ? key(flags) : nil, random.chance(80) ? key(flags) : nil
        )
    }

    private mutating func value(_ flags: DatabaseFlags) -> [UInt8] {
        if flags.contains(.fixedSizeDuplicates) {
            return [UInt8(random.below(100)), 1, 2, UInt8(random.below(2))]
        }
        if flags.contains(.duplicates) { return Array("value \(random.below(40))".utf8) }
        let isLarge = random.chance(3)
        return random.bytes(random.below(isLarge ? 20_000 : 200))
    }
}
