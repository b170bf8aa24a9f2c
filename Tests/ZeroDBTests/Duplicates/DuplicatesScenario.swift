@testable import Simulator
@testable import ZeroDB

/// A random workload on databases of several types.
struct DuplicatesScenario: Sendable, CustomStringConvertible {
    var name: String
    /// The first is that of the main database.
    var types: [DatabaseType]
    var pageSize = 4096
    /// In an ordinary run.
    var operations = 60_000
    /// Pairs in all databases at which the workload begins to delete.
    var pairsMax = 30_000
    /// Different keys that databases with duplicates have at most.
    var keysWithDuplicates = 60
    /// Bytes of log after which a checkpoint is made.
    var logSize: UInt64 = 4 << 20
    var durabilities = [Durability.full]
    /// Whether a copy is opened that was not closed, before each reopening.
    var isReplayed = true

    var description: String { name }
}

/// Makes keys and values for a database of some type.
struct PairMaker {
    private let type: DatabaseType
    private let sizeMax: Int
    private let pageSize: Int
    /// Different keys that databases with duplicates have.
    private let keysWithDuplicates: Int
    private var keys: KeyMaker
    private var values: KeyMaker
    private var counter: UInt64 = 1 << 20

    init(_ type: DatabaseType, number: Int, pageSize: Int, keysWithDuplicates: Int) {
        self.type = type
        self.pageSize = pageSize
        self.keysWithDuplicates = keysWithDuplicates
        sizeMax = Format.keySizeMax(pageSize: pageSize)
        let patterns = KeyPattern.allCases
        keys = KeyMaker(patterns[number % patterns.count], keySizeMax: sizeMax)
        values = KeyMaker(patterns[(number + 3) % patterns.count], keySizeMax: sizeMax)
    }

    mutating func key(_ random: inout SeededGenerator) -> [UInt8] {
        if type.keyWidth > 0 {
            let number =
                type.hasDuplicates
                ? UInt64(random.below(keysWithDuplicates)) &* 0x0101_0101_0101
                : random.chance(50) ? UInt64(random.below(5000)) : random.next()
            return ModelOrder.bytes(of: number, width: type.keyWidth)
        }
        guard type.hasDuplicates else { return keys.next(&random) }
        // Few keys, short ones and some of the largest size.
        let number = random.below(keysWithDuplicates)
        guard number % 10 == 9 else { return Array("key \(number)".utf8) }
        return [UInt8](repeating: UInt8(number), count: sizeMax - number % 3)
    }

    mutating func value(_ random: inout SeededGenerator) -> [UInt8] {
        if !type.hasDuplicates {
            let size = random.chance(3) ? random.below(3 * pageSize) : random.below(120)
            return random.bytes(size)
        }
        if type.flags.contains(.integerDuplicates) {
            counter &+= UInt64(random.below(5))
            let number =
                switch random.below(4) {
                case 0: UInt64(random.below(3000))
                case 1: random.next()
                default: counter
                }
            return ModelOrder.bytes(of: number, width: type.valueWidth)
        }
        if type.valueWidth > 0 {
            var value = random.bytes(type.valueWidth)
            if random.chance(70) {
                for index in 2..<value.count { value[index] = 7 }
            }
            return value
        }
        switch random.below(100) {
        case 0: return []
        case 1: return random.bytes(sizeMax)
        default: return values.next(&random)
        }
    }
}
