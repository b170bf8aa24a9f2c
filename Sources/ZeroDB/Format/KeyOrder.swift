import Glibc

/// The order of keys, and of the values of a key. A database may order either by its bytes from the
/// last to the first: such keys are stored in reverse.
enum KeyOrder {
    /// A value's key from the value, or the value from its key.
    @inline(__always)
    static func copyKey(
        of bytes: UnsafeRawBufferPointer, reversed: Bool, to destination: UnsafeMutableRawPointer
    ) {
        guard let start = bytes.baseAddress else { return }
        guard reversed else {
            memcpy(destination, start, bytes.count)
            return
        }
        if bytes.count == 8 {
            destination.storeBytes(
                of: start.loadUnaligned(as: UInt64.self).byteSwapped, as: UInt64.self)
            return
        }
        var back = bytes.count
        for index in 0..<bytes.count {
            back -= 1
            destination.storeBytes(of: bytes[back], toByteOffset: index, as: UInt8.self)
        }
    }

    /// Orders a value against a key.
    @inline(__always)
    static func compare(
        _ duplicate: UnsafeRawBufferPointer, toKey key: KeyBytes, reversed: Bool
    ) -> Int {
        let common = min(duplicate.count, key.count)
        guard let left = duplicate.baseAddress, let right = key.baseAddress, common > 0 else {
            return duplicate.count - key.count
        }
        if !reversed {
            let order = memcmp(left, right, common)
            return order != 0 ? Int(order) : duplicate.count - key.count
        }
        for index in 0..<common {
            let byte = duplicate[duplicate.count - 1 - index]
            if byte != key[index] { return byte < key[index] ? -1 : 1 }
        }
        return duplicate.count - key.count
    }

    /// Orders two values.
    @inline(__always)
    static func compare(
        _ left: UnsafeRawBufferPointer, _ right: UnsafeRawBufferPointer, reversed: Bool
    ) -> Int {
        let common = min(left.count, right.count)
        guard let leftStart = left.baseAddress, let rightStart = right.baseAddress, common > 0
        else { return left.count - right.count }
        if !reversed {
            let order = memcmp(leftStart, rightStart, common)
            return order != 0 ? Int(order) : left.count - right.count
        }
        if left.count == 8, right.count == 8 {
            let first = littleEndian(leftStart, width: 8)
            let second = littleEndian(rightStart, width: 8)
            return first == second ? 0 : first < second ? -1 : 1
        }
        for index in 1...common {
            let byte = left[left.count - index]
            let other = right[right.count - index]
            if byte != other { return byte < other ? -1 : 1 }
        }
        return left.count - right.count
    }

    @inline(__always)
    static func littleEndian(_ bytes: UnsafeRawPointer, width: Int) -> UInt64 {
        width == 8
            ? UInt64(littleEndian: bytes.loadUnaligned(as: UInt64.self))
            : UInt64(UInt32(littleEndian: bytes.loadUnaligned(as: UInt32.self)))
    }

    @inline(__always)
    static func bigEndian(_ bytes: UnsafeRawPointer, width: Int) -> UInt64 {
        width == 8
            ? UInt64(bigEndian: bytes.loadUnaligned(as: UInt64.self))
            : UInt64(UInt32(bigEndian: bytes.loadUnaligned(as: UInt32.self)))
    }

    /// Bytes that two keys have in common at their start.
    @inline(__always)
    static func commonPrefixLength(_ first: KeyBytes, _ second: KeyBytes) -> Int {
        let limit = min(first.count, second.count)
        var length = 0
        while length < limit, first[length] == second[length] { length += 1 }
        return length
    }
}
