import ArgumentParser

/// A key on the command line: its text, or 0x and its bytes in hexadecimal.
struct KeyArgument: ExpressibleByArgument {
    let bytes: [UInt8]

    init?(argument: String) {
        guard argument.hasPrefix("0x") else {
            bytes = Array(argument.utf8)
            return
        }
        let digits = argument.utf8.dropFirst(2).map { Hex.value($0) }
        guard digits.count.isMultiple(of: 2), !digits.contains(nil) else { return nil }
        let values = digits.compactMap { $0 }
        bytes = stride(from: 0, to: values.count, by: 2).map { values[$0] << 4 | values[$0 + 1] }
    }
}

/// Digits of hexadecimal numbers.
enum Hex {
    /// The values of all bytes as digits; 255 for those that are none.
    static let values = (0...255).map { value(UInt8($0)) ?? 255 }
    private static let digits = Array("0123456789abcdef".utf8)
    /// The digits of all bytes, two of each.
    static let pairs = (0..<512).map { digits[$0 & 1 == 0 ? $0 >> 5 : $0 >> 1 & 15] }

    /// The value of a digit; nil if it is none.
    @inline(__always)
    static func value(_ digit: UInt8) -> UInt8? {
        switch digit {
        case 0x30...0x39: digit - 0x30
        case 0x61...0x66: digit - 0x57
        case 0x41...0x46: digit - 0x37
        default: nil
        }
    }
}
