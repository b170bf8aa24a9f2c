import Glibc

@testable import ZeroDB

/// Orders two keys by their bytes, a prefix before what it begins: what the engine promises.
func keyOrder(_ left: UnsafeRawBufferPointer, _ right: UnsafeRawBufferPointer) -> Int {
    let common = min(left.count, right.count)
    if common > 0, let leftStart = left.baseAddress, let rightStart = right.baseAddress {
        let order = memcmp(leftStart, rightStart, common)
        if order != 0 { return Int(order) }
    }
    return left.count - right.count
}

func keyOrder(_ left: [UInt8], _ right: [UInt8]) -> Int {
    left.withUnsafeBytes { left in right.withUnsafeBytes { keyOrder(left, $0) } }
}

/// A key for a message: as text if it is, and not all of it if it is long.
func show(_ key: [UInt8]?) -> String {
    guard let key else { return "nothing" }
    let isText = key.allSatisfy { $0 >= 0x20 && $0 < 0x7f }
    let start = key.prefix(40)
    let text = isText ? "\"\(String(decoding: start, as: UTF8.self))\"" : "\(start)"
    return key.count > 40 ? "\(text)… (\(key.count) bytes)" : text
}

/// How a database orders keys or values, written without the engine's code.
enum ModelOrder: Sendable {
    case bytes
    case reversedBytes
    case numbers

    static func ofKeys(_ flags: DatabaseFlags) -> Self {
        flags.contains(.integerKeys)
            ? .numbers : flags.contains(.reverseKeys) ? .reversedBytes : .bytes
    }

    static func ofValues(_ flags: DatabaseFlags) -> Self {
        flags.contains(.integerDuplicates)
            ? .numbers : flags.contains(.reverseDuplicates) ? .reversedBytes : .bytes
    }

    func compare(_ left: [UInt8], _ right: [UInt8]) -> Int {
        switch self {
        case .bytes: return keyOrder(left, right)
        case .reversedBytes:
            var (one, other) = (left.count - 1, right.count - 1)
            while one >= 0, other >= 0 {
                if left[one] != right[other] { return left[one] < right[other] ? -1 : 1 }
                one -= 1
                other -= 1
            }
            return left.count - right.count
        case .numbers:
            let (one, other) = (Self.number(left), Self.number(right))
            return one == other ? 0 : one < other ? -1 : 1
        }
    }

    static func number(_ bytes: [UInt8]) -> UInt64 {
        bytes.reversed().reduce(0) { $0 << 8 | UInt64($1) }
    }

    static func bytes(of number: UInt64, width: Int) -> [UInt8] {
        (0..<width).map { UInt8(truncatingIfNeeded: number >> (8 * UInt64($0))) }
    }
}
