@testable import ZeroDB

/// Where changes of files get their numbers from: a seed, or what a fuzzer made up.
protocol ChoiceSource {
    mutating func byte() -> UInt8

    /// A number from 0 to `limit` - 1.
    mutating func below(_ limit: Int) -> Int

    mutating func number() -> UInt64

    /// So many bytes, or fewer.
    mutating func run(_ count: Int) -> [UInt8]
}

extension ChoiceSource {
    /// Two bytes.
    mutating func word() -> Int { Int(byte()) << 8 | Int(byte()) }

    /// A number of those that hurt most often.
    mutating func hurtful(near value: UInt64) -> UInt64 {
        switch byte() % 10 {
        case 0: 0
        case 1: UInt64.max
        case 2: value &+ 1
        case 3: value &- 1
        case 4: value ^ (1 << UInt64(byte() % 64))
        case 5: 1 << UInt64(byte() % 64)
        case 6: UInt64(byte())
        case 7: PageReference.numberLimit &- UInt64(byte())
        case 8: Format.idLimit &- UInt64(byte())
        default: number()
        }
    }
}

extension SeededGenerator: ChoiceSource {
    mutating func number() -> UInt64 { next() }

    mutating func run(_ count: Int) -> [UInt8] { bytes(count) }
}
