@testable import ZeroDB

/// A transaction that a simulated program has tried: everything it does follows from its seed.
///
/// Its number is in the database it leaves, so that what a crash leaves says by itself which
/// transaction was the last. Two attempts with the same transaction id, of which the first has
/// failed, have two numbers.
struct Attempt: Sendable {
    /// What transactions of a workload look like.
    struct Shape: Sendable {
        /// Puts and deletes, at most.
        var operationsMax = 10
        /// Bytes of most values, at most.
        var valueMax = 200
        /// In so many of 100 puts the value is larger than a page.
        var overflowPercent = 2
        /// Different keys of each database.
        var keys = 500
        /// Databases besides the main one.
        var namedDatabases = 5
        /// Of 100 operations, how many clear, drop or rename a database.
        var structurePercent = 1
        /// Before how many of 100 operations a nested transaction begins.
        var nestedPercent = 3
    }

    enum Operation {
        case put(database: Int, key: [UInt8], ModelValue)
        /// Deletes a key with all its values.
        case delete(database: Int, key: [UInt8])
        /// In a database with duplicates.
        case deletePair(database: Int, key: [UInt8], value: [UInt8])
        case clear(database: Int)
        /// If it is there.
        case drop(database: Int)
        /// If it is there, and no database has the other name.
        case rename(database: Int, to: Int)
        /// What follows is in a transaction nested in the one so far.
        case begin
        /// The nested transaction is over, committed or aborted.
        case end(isKept: Bool)
    }

    var number: Int
    /// The attempt whose state this one began with; 0 for an empty environment.
    var base: Int
    /// How many are before it.
    var depth: Int
    var durability: Durability
    var shape: Shape
    var seed: UInt64
    /// Whether its record is too large for the log.
    var isGiant = false

    /// The key whose value is the number of the last transaction; before all others.
    static let numberKey: [UInt8] = [0]

    static func name(ofDatabase index: Int) -> String { "database \(index)" }

    /// What a database is. The first and the last are alike, so that one can get the other's name.
    static func flags(ofDatabase index: Int) -> DatabaseFlags {
        switch index {
        case 2: [.duplicates, .fixedSizeDuplicates, .integerDuplicates, .counted]
        case 3: .duplicates
        case 4: .counted
        default: []
        }
    }

    static func hasDuplicates(_ index: Int) -> Bool {
        flags(ofDatabase: index).contains(.duplicates)
    }

    static func bytes(ofNumber number: Int) -> [UInt8] {
        withUnsafeBytes(of: UInt64(number).littleEndian) { Array($0) }
    }

    static func number(in bytes: UnsafeRawBufferPointer) -> Int? {
        guard bytes.count == 8 else { return nil }
        return Int(exactly: UInt64(littleEndian: bytes.loadUnaligned(as: UInt64.self)))
    }

    /// Does all that the transaction does, but for its number.
    func perform(_ body: (Operation) throws -> Void) rethrows {
        var random = SeededGenerator(seed: seed)
        let count = random.within(0...shape.operationsMax)
        var depth = 0
        for _ in 0..<count {
            if depth < 3, random.chance(shape.nestedPercent) {
                try body(.begin)
                depth += 1
            } else if depth > 0, random.chance(20) {
                try body(.end(isKept: random.chance(60)))
                depth -= 1
            }
            let database = random.below(shape.namedDatabases + 1)
            if random.chance(shape.structurePercent) {
                try changeDatabase(database, &random, body)
            } else if Self.hasDuplicates(database) {
                try changePairs(database, &random, body)
            } else {
                let key = Self.key(random.below(shape.keys))
                if random.chance(25) {
                    try body(.delete(database: database, key: key))
                } else {
                    try body(.put(database: database, key: key, .recipe(recipe(&random))))
                }
            }
        }
        for _ in 0..<depth { try body(.end(isKept: random.chance(60))) }
        guard isGiant else { return }
        for _ in 0..<3 {
            let recipe = ValueRecipe(
                seed: UInt32(truncatingIfNeeded: random.next()), count: (3 << 20) + random.below(99)
            )
            try body(.put(database: 0, key: Self.key(random.below(8)), .recipe(recipe)))
        }
    }

    private func changeDatabase(
        _ database: Int, _ random: inout SeededGenerator, _ body: (Operation) throws -> Void
    ) rethrows {
        switch random.below(3) {
        case 0: try body(.clear(database: database))
        case 1 where database > 0: try body(.drop(database: database))
        case 2 where database == 1: try body(.rename(database: 1, to: 5))
        case 2 where database == 5: try body(.rename(database: 5, to: 1))
        default: break
        }
    }

    /// Few keys, so that they come to have many values.
    private func changePairs(
        _ database: Int, _ random: inout SeededGenerator, _ body: (Operation) throws -> Void
    ) rethrows {
        let key = Self.key(random.below(6))
        let values = shape.keys
        switch random.below(100) {
        case 0..<4: try body(.delete(database: database, key: key))
        case 4..<30:
            try body(
                .deletePair(
                    database: database, key: key,
                    value: Self.value(database, random.below(values))))
        case 30..<36:
            // Values that follow one another.
            let first = random.below(values)
            for number in first..<(first + random.within(10...min(300, 10 * shape.operationsMax))) {
                let value = Self.value(database, number)
                try body(.put(database: database, key: key, .bytes(value)))
            }
        default:
            let value = Self.value(database, random.below(values))
            try body(.put(database: database, key: key, .bytes(value)))
        }
    }

    private static func value(_ database: Int, _ number: Int) -> [UInt8] {
        flags(ofDatabase: database).contains(.integerDuplicates)
            ? bytes(ofNumber: number) : key(number)
    }

    private func recipe(_ random: inout SeededGenerator) -> ValueRecipe {
        let count =
            random.chance(shape.overflowPercent)
            ? random.within(1000...40_000) : random.below(shape.valueMax + 1)
        return ValueRecipe(seed: UInt32(truncatingIfNeeded: random.next()), count: count)
    }

    /// Short ones, some that fill a page by fives, and some of the largest size, which differ in their
    /// first bytes or in their last ones.
    private static func key(_ number: Int) -> [UInt8] {
        let text = Array("key \(number)".utf8)
        let longest = Format.keySizeMax(pageSize: Format.pageSizeMin)
        let padding =
            number % 17 == 0
            ? longest - text.count - number % 2
            : number % 11 == 0 ? number * 37 % 700 : number % 20
        let dashes = [UInt8](repeating: UInt8(ascii: "-"), count: padding)
        return number % 34 == 0 ? dashes + text : text + dashes
    }
}
