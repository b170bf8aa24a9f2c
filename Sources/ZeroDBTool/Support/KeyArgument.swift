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
