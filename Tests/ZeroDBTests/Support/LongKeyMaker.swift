@testable import Simulator
@testable import ZeroDB

/// How keys of the largest size share their bytes, and so how long separators and prefixes are.
enum LongKeyFamily: CaseIterable, Sendable {
    /// They differ in their first bytes: separators are short.
    case nothing
    /// They have their first half in common.
    case half
    /// They differ in their last four bytes only: one prefix for all, and separators as long as keys.
    case allButFour
    /// Groups of three that differ in their last bytes; groups share nothing. Separators are as long as
    /// keys, and no prefix helps.
    case groups
    /// The same among short keys, some of which end the prefix of what is around them.
    case mixed
    /// Keys of all lengths, each the beginning of the next ones, in four lines.
    case beginnings
    /// All sizes around those at which one, two or three fit in a page.
    case fractions
}

/// Makes keys of a family, up to the largest size.
struct LongKeyMaker {
    let family: LongKeyFamily
    let sizeMax: Int
    /// Whether the order of keys is by their bytes from the last to the first.
    var isReversed = false

    /// The key of a number.
    func key(_ number: Int) -> [UInt8] {
        let key = forwardKey(number)
        return isReversed ? key.reversed() : key
    }

    private func forwardKey(_ number: Int) -> [UInt8] {
        let digits = Self.digits(number)
        switch family {
        case .nothing: return scattered(number) + filler(sizeMax - 4)
        case .half: return filler(sizeMax / 2) + scattered(number) + filler((sizeMax - 7) / 2)
        case .allButFour: return filler(sizeMax - 4) + digits
        case .groups: return scattered(number / 3) + filler(sizeMax - 8) + digits
        case .mixed:
            switch number % 4 {
            case 0: return scattered(number)
            case 1: return filler(number % 97) + scattered(number)
            default: return scattered(number / 12) + filler(sizeMax - 8) + digits
            }
        case .beginnings:
            let line = [UInt8(truncatingIfNeeded: number % 4)]
            return line + filler((number / 4 * 7919) % (sizeMax - 1))
        case .fractions:
            let size = [sizeMax, sizeMax * 2 / 3, sizeMax / 2, sizeMax / 3, 12][number % 5]
            let end = number / 5 % 7 == 0 ? scattered(number) : digits
            return scattered(number / 10) + filler(size - 8 - number % 3) + end
        }
    }

    private func filler(_ count: Int) -> [UInt8] { [UInt8](repeating: 0x6d, count: max(0, count)) }

    private static func digits(_ number: Int) -> [UInt8] {
        withUnsafeBytes(of: UInt32(truncatingIfNeeded: number).bigEndian) { Array($0) }
    }

    /// Four bytes that differ at the front, and never twice the same.
    private func scattered(_ number: Int) -> [UInt8] {
        Self.digits(Int(UInt32(truncatingIfNeeded: number) &* 0x9e37_79b1))
    }
}
