/// Makes bytes of a line of text that comes in pieces.
struct LineDecoder {
    /// Bytes that a line may stand for.
    private let sizeMax: Int
    private let isPrinted: Bool
    private let line: UInt64
    private var state = State.plain

    private enum State {
        case plain
        /// After a backslash.
        case escape
        /// After the first of two digits, and its value.
        case digit(UInt8)
    }

    /// - Parameters:
    ///   - isPrinted: whether characters stand for themselves and a backslash escapes, rather than all
    ///     being hexadecimal.
    ///   - sizeMax: bytes that it may stand for.
    ///   - line: its number.
    init(isPrinted: Bool, sizeMax: Int, line: UInt64) {
        self.isPrinted = isPrinted
        self.sizeMax = sizeMax
        self.line = line
    }

    /// Adds what a piece stands for.
    mutating func decode(_ piece: ArraySlice<UInt8>, into bytes: inout [UInt8]) throws {
        if isPrinted {
            try decodePrinted(piece, into: &bytes)
        } else {
            try decodeHex(piece, into: &bytes)
        }
        guard bytes.count <= sizeMax else {
            throw problem("it stands for more than \(sizeMax) bytes")
        }
    }

    /// - Throws: if the line ends within a byte.
    func finish() throws {
        if case .plain = state { return }
        throw problem("it ends in the middle of a byte")
    }

    private mutating func decodeHex(_ piece: ArraySlice<UInt8>, into bytes: inout [UInt8]) throws {
        var rest = piece
        if case .digit(let first) = state, let byte = rest.popFirst() {
            guard let value = Hex.value(byte) else { throw noDigit(byte) }
            bytes.append(first << 4 | value)
            state = .plain
        }
        try decodePairs(rest, into: &bytes)
        guard !rest.count.isMultiple(of: 2), let byte = rest.last else { return }
        guard let value = Hex.value(byte) else { throw noDigit(byte) }
        state = .digit(value)
    }

    /// The same of an even number of digits; one that is left over is not looked at.
    private func decodePairs(_ digits: ArraySlice<UInt8>, into bytes: inout [UInt8]) throws {
        let start = bytes.count
        let count = digits.count / 2
        bytes.append(contentsOf: repeatElement(0, count: count))
        let wrong: UInt8? = Hex.values.withUnsafeBufferPointer { values -> UInt8? in
            digits.withUnsafeBufferPointer { digits -> UInt8? in
                bytes.withUnsafeMutableBufferPointer { bytes -> UInt8? in
                    for index in 0..<count {
                        let high = values[Int(digits[2 * index])]
                        let low = values[Int(digits[2 * index + 1])]
                        guard high | low < 16 else {
                            return digits[2 * index + (high < 16 ? 1 : 0)]
                        }
                        bytes[start + index] = high << 4 | low
                    }
                    return nil
                }
            }
        }
        if let wrong { throw noDigit(wrong) }
    }

    private mutating func decodePrinted(
        _ piece: ArraySlice<UInt8>, into bytes: inout [UInt8]
    ) throws {
        var rest = piece
        while let byte = rest.first {
            if case .plain = state {
                let plain = rest.prefix { $0 != 0x5c }
                bytes.append(contentsOf: plain)
                rest = rest.dropFirst(plain.count)
                if rest.isEmpty { return }
                state = .escape
            } else {
                try decodeEscaped(byte, into: &bytes)
            }
            rest = rest.dropFirst()
        }
    }

    private mutating func decodeEscaped(_ byte: UInt8, into bytes: inout [UInt8]) throws {
        if case .escape = state, byte == 0x5c {
            bytes.append(byte)
            state = .plain
            return
        }
        guard let value = Hex.value(byte) else { throw noDigit(byte) }
        if case .digit(let first) = state {
            bytes.append(first << 4 | value)
            state = .plain
        } else {
            state = .digit(value)
        }
    }

    private func noDigit(_ byte: UInt8) -> TransferError {
        problem(
            "\(Output.name([byte]))\(isPrinted ? " after a backslash" : "") is no hexadecimal digit"
        )
    }

    private func problem(_ text: String) -> TransferError { .input("line \(line): \(text)") }
}
