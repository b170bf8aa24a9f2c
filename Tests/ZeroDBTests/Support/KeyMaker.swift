@testable import Simulator

/// How the keys of a workload look.
enum KeyPattern: String, CaseIterable, Sendable {
    /// A few thousand different short keys: most operations find one that is there.
    case few
    /// 8 to 24 random bytes.
    case random
    /// A counter going up.
    case ascending
    /// A counter going down.
    case descending
    /// Long common prefixes, some of them prefixes of others.
    case clustered
    /// 0 and 255 only, so that keys end in zeros, begin each other, and share their heads.
    case extremes
    /// Up to the largest size.
    case long
}

/// Makes keys of a pattern.
struct KeyMaker {
    let pattern: KeyPattern
    let keySizeMax: Int
    private var counter: UInt64 = 1 << 40

    init(_ pattern: KeyPattern, keySizeMax: Int) {
        self.pattern = pattern
        self.keySizeMax = keySizeMax
    }

    mutating func next(_ random: inout SeededGenerator) -> [UInt8] {
        switch pattern {
        case .few: return Array("key \(random.below(3000))".utf8)
        case .random: return random.bytes(random.within(8...24))
        case .ascending:
            counter += UInt64(random.within(1...3))
            return Self.bigEndian(counter)
        case .descending:
            counter -= UInt64(random.within(1...3))
            return Self.bigEndian(counter)
        case .clustered:
            let prefix = Array("cluster/\(random.below(20))/with/a/long/common/beginning/".utf8)
            return prefix[..<random.within(1...prefix.count)] + random.bytes(random.below(6))
        case .extremes:
            return (0..<random.within(1...12)).map { _ in random.chance(70) ? 0 : 255 }
        case .long:
            let start = Array("long/\(random.below(4))/".utf8)
            let count = random.chance(30) ? keySizeMax : random.within(16...keySizeMax)
            // Different at the front, the back, or both.
            let middle = [UInt8](repeating: 0x6d, count: count - start.count - 4)
            return start + (random.chance(50) ? random.bytes(4) + middle : middle + random.bytes(4))
        }
    }

    static func bigEndian(_ number: UInt64) -> [UInt8] {
        withUnsafeBytes(of: number.bigEndian) { Array($0) }
    }
}
