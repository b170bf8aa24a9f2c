/// A line of JSON: one object, whose values are strings, whole numbers, null, or lists of strings.
struct JSONLine {
    enum Value {
        case text([UInt8])
        case number(UInt64)
        case list([[UInt8]])
        case null
    }

    /// The names and values, in their order; no name twice.
    private(set) var parts: [(name: String, value: Value)] = []

    /// Bytes of a key or value.
    static let valueSizeMax = 128 << 20
    static let sizeMax = 1 << 30

    private let bytes: [UInt8]
    private var index = 0

    private struct Problem: Error {
        let text: String
    }

    /// - Throws: what is wrong with it, and at which byte.
    init(_ bytes: [UInt8], line: UInt64) throws {
        self.bytes = bytes
        do {
            try parse()
        } catch let problem as Problem {
            throw TransferError.input("line \(line): byte \(index + 1): \(problem.text)")
        }
    }

    /// The value of a name.
    subscript(_ name: String) -> Value? { parts.first { $0.name == name }?.value }

    // MARK: Parts

    private mutating func parse() throws {
        skipSpace()
        try expect(0x7b, "an object is expected")
        skipSpace()
        if take(0x7d) { return try finish() }
        repeat {
            skipSpace()
            let name = String(decoding: try string(), as: UTF8.self)
            guard self[name] == nil else {
                throw Problem(text: "\(Output.name(Array(name.utf8))) is there twice")
            }
            guard parts.count < 16 else { throw Problem(text: "more than 16 parts") }
            skipSpace()
            try expect(0x3a, "a colon is expected")
            skipSpace()
            parts.append((name, try value()))
            skipSpace()
        } while take(0x2c)
        try expect(0x7d, "a comma or the end of the object is expected")
        try finish()
    }

    private mutating func finish() throws {
        skipSpace()
        guard index == bytes.count else { throw Problem(text: "something follows the object") }
    }

    private mutating func value() throws -> Value {
        switch peek() {
        case 0x22: return .text(try string())
        case .some(0x30...0x39): return .number(try number())
        case 0x5b: return .list(try list())
        default:
            guard bytes[index...].starts(with: Array("null".utf8)) else {
                throw Problem(
                    text: "a string, a whole number, a list of strings or null is expected")
            }
            index += 4
            return .null
        }
    }

    private mutating func number() throws -> UInt64 {
        var number: UInt64 = 0
        while let byte = peek(), 0x30...0x39 ~= byte {
            let (product, isTooLarge) = number.multipliedReportingOverflow(by: 10)
            let (sum, overflows) = product.addingReportingOverflow(UInt64(byte - 0x30))
            guard !isTooLarge, !overflows else { throw Problem(text: "the number is too large") }
            number = sum
            index += 1
        }
        return number
    }

    private mutating func list() throws -> [[UInt8]] {
        var strings: [[UInt8]] = []
        index += 1
        skipSpace()
        if take(0x5d) { return strings }
        repeat {
            skipSpace()
            guard strings.count < 16 else { throw Problem(text: "more than 16 strings") }
            strings.append(try string())
            skipSpace()
        } while take(0x2c)
        try expect(0x5d, "a comma or the end of the list is expected")
        return strings
    }

    // MARK: Strings

    private mutating func string() throws -> [UInt8] {
        try expect(0x22, "a string is expected")
        var text: [UInt8] = []
        while true {
            let plain = bytes[index...].prefix { $0 != 0x22 && $0 != 0x5c && $0 >= 0x20 }
            text.append(contentsOf: plain)
            index += plain.count
            guard let byte = peek() else { throw Problem(text: "the string has no end") }
            index += 1
            if byte == 0x22 { break }
            guard byte == 0x5c else { throw Problem(text: "a control character in a string") }
            try escape(into: &text)
        }
        guard text.withUnsafeBytes(JSONText.isUTF8) else {
            throw Problem(text: "the string before is no UTF-8")
        }
        return text
    }

    private mutating func escape(into text: inout [UInt8]) throws {
        guard let byte = peek() else { throw Problem(text: "the string has no end") }
        index += 1
        switch byte {
        case 0x22, 0x5c, 0x2f: text.append(byte)
        case 0x62: text.append(0x08)
        case 0x66: text.append(0x0c)
        case 0x6e: text.append(0x0a)
        case 0x72: text.append(0x0d)
        case 0x74: text.append(0x09)
        case 0x75: try scalar(into: &text)
        default: throw Problem(text: "an escape that JSON does not have")
        }
    }

    private mutating func scalar(into text: inout [UInt8]) throws {
        var code = try unit()
        if 0xd800...0xdbff ~= code {
            guard take(0x5c), take(0x75) else { throw Problem(text: "half of a surrogate pair") }
            let low = try unit()
            guard 0xdc00...0xdfff ~= low else { throw Problem(text: "half of a surrogate pair") }
            code = 0x10000 + (code - 0xd800) << 10 + (low - 0xdc00)
        }
        guard let scalar = Unicode.Scalar(code) else {
            throw Problem(text: "half of a surrogate pair")
        }
        text.append(contentsOf: Array(String(scalar).utf8))
    }

    private mutating func unit() throws -> UInt32 {
        var unit: UInt32 = 0
        for _ in 0..<4 {
            guard let byte = peek(), let digit = Hex.value(byte) else {
                throw Problem(text: "four hexadecimal digits are expected")
            }
            unit = unit << 4 | UInt32(digit)
            index += 1
        }
        return unit
    }

    // MARK: Bytes

    private func peek() -> UInt8? { index < bytes.count ? bytes[index] : nil }

    private mutating func take(_ byte: UInt8) -> Bool {
        guard peek() == byte else { return false }
        index += 1
        return true
    }

    private mutating func expect(_ byte: UInt8, _ text: String) throws {
        guard take(byte) else { throw Problem(text: text) }
    }

    private mutating func skipSpace() {
        while let byte = peek(), [0x20, 0x09, 0x0d].contains(byte) { index += 1 }
    }
}
