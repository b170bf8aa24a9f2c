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
        var namedDatabases = 2
    }

    enum Operation {
        case put(database: Int, key: [UInt8], ValueRecipe)
        case delete(database: Int, key: [UInt8])
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
        for _ in 0..<count {
            let database = random.below(shape.namedDatabases + 1)
            let key = Self.key(random.below(shape.keys))
            if random.chance(25) {
                try body(.delete(database: database, key: key))
            } else {
                try body(.put(database: database, key: key, recipe(&random)))
            }
        }
        guard isGiant else { return }
        for _ in 0..<3 {
            let recipe = ValueRecipe(
                seed: UInt32(truncatingIfNeeded: random.next()), count: (3 << 20) + random.below(99)
            )
            try body(.put(database: 0, key: Self.key(random.below(8)), recipe))
        }
    }

    private func recipe(_ random: inout SeededGenerator) -> ValueRecipe {
        let count =
            random.chance(shape.overflowPercent)
            ? random.within(1000...40_000) : random.below(shape.valueMax + 1)
        return ValueRecipe(seed: UInt32(truncatingIfNeeded: random.next()), count: count)
    }

    /// Short ones, and some that fill a page by fives.
    private static func key(_ number: Int) -> [UInt8] {
        let text = "key \(number)"
        let padding = number % 11 == 0 ? number * 37 % 700 : number % 20
        return Array(text.utf8) + repeatElement(UInt8(ascii: "-"), count: padding)
    }
}
