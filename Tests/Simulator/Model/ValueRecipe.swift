/// A value by what it is made from, so that a model of millions of bytes stays small.
struct ValueRecipe: Equatable, Sendable {
    var seed: UInt32
    var count: UInt32

    init(seed: UInt32, count: Int) {
        self.seed = seed
        self.count = UInt32(count)
    }

    private func word(_ index: Int) -> UInt64 {
        let mixed = (UInt64(seed) &+ 1) &* 0x9e37_79b9_7f4a_7c15 &+ UInt64(index)
        return (mixed ^ (mixed >> 29)) &* 0xbf58_476d_1ce4_e5b9
    }

    /// The bytes, written to the start of `buffer`.
    func write(to buffer: UnsafeMutableRawBufferPointer) -> UnsafeRawBufferPointer {
        let count = Int(count)
        for index in 0..<(count / 8) {
            buffer.storeBytes(of: word(index), toByteOffset: index * 8, as: UInt64.self)
        }
        let last = word(count / 8)
        for offset in count / 8 * 8..<count {
            buffer[offset] = UInt8(truncatingIfNeeded: last >> (8 * UInt64(offset % 8)))
        }
        return UnsafeRawBufferPointer(rebasing: buffer[..<count])
    }

    func matches(_ bytes: UnsafeRawBufferPointer) -> Bool {
        let count = Int(count)
        guard bytes.count == count else { return false }
        var difference: UInt64 = 0
        for index in 0..<(count / 8) {
            difference |=
                bytes.loadUnaligned(fromByteOffset: index * 8, as: UInt64.self) ^ word(index)
        }
        let last = word(count / 8)
        for offset in count / 8 * 8..<count {
            difference |=
                UInt64(bytes[offset] ^ UInt8(truncatingIfNeeded: last >> (8 * UInt64(offset % 8))))
        }
        return difference == 0
    }

    var bytes: [UInt8] {
        // With a capacity of 0 this would store a count in the empty array that all threads share,
        // which ThreadSanitizer reports.
        guard count > 0 else { return [] }
        return Array(unsafeUninitializedCapacity: Int(count)) { buffer, initialized in
            _ = write(to: UnsafeMutableRawBufferPointer(buffer))
            initialized = Int(count)
        }
    }
}
