/// Bytes of a file, of which none is read that is not there.
struct LMDBBytes {
    let bytes: [UInt8]
    /// Where the bytes that count begin and end.
    let range: Range<Int>

    init(_ bytes: [UInt8]) {
        self.bytes = bytes
        range = 0..<bytes.count
    }

    /// A part of other bytes, in their array.
    ///
    /// - Returns: nil if it is not inside.
    init?(_ whole: LMDBBytes, _ part: Range<Int>) {
        guard part.lowerBound >= 0, part.upperBound <= whole.count else { return nil }
        bytes = whole.bytes
        let start = whole.range.lowerBound
        range = start + part.lowerBound..<start + part.upperBound
    }

    var count: Int { range.count }

    var slice: ArraySlice<UInt8> { bytes[range] }

    /// A little-endian number of up to 8 bytes; nil if it is not inside.
    func number(at offset: Int, size: Int) -> UInt64? {
        guard offset >= 0, offset <= count - size else { return nil }
        var number: UInt64 = 0
        let start = range.lowerBound + offset
        for index in 0..<size { number |= UInt64(bytes[start + index]) << (8 * index) }
        return number
    }

    func short(at offset: Int) -> UInt16? {
        number(at: offset, size: 2).map { UInt16(truncatingIfNeeded: $0) }
    }

    func long(at offset: Int) -> UInt32? {
        number(at: offset, size: 4).map { UInt32(truncatingIfNeeded: $0) }
    }
}
