import CZeroDBPlatform
import Glibc

/// Strings of bytes packed one behind the other, as `zerodb.h` describes under "Packed lists". All
/// numbers have 4 bytes, little-endian.
package enum PackedList {
    package static let list: UInt8 = 0x5b
    package static let string: UInt8 = 0x73
    package static let entry: UInt8 = 0x29
    /// An entry whose number of strings has 4 bytes.
    package static let longEntry: UInt8 = 0x28
    package static let nothing: UInt8 = 0x4e
    /// Bytes of a list before its elements, and of a string before its own.
    package static let headSize = 5
    /// Bytes of an entry before its key.
    package static let entryHeadSize = 2

    /// Writes a list into memory of a caller, who may read it as soon as `finish` has been called.
    package struct Writer {
        /// The caller's memory.
        package let base: UnsafeMutableRawPointer
        package let size: Int
        /// Bytes written.
        package private(set) var used = PackedList.headSize
        /// Elements written.
        package private(set) var count = 0

        /// - Returns: nil if there is not even room for the head.
        package init?(_ buffer: UnsafeMutableRawPointer?, size: Int) {
            guard let buffer, size >= PackedList.headSize else { return nil }
            base = buffer
            self.size = size
        }

        @inline(__always)
        package func hasRoom(for bytes: Int) -> Bool { bytes <= size - used }

        /// The place of the next byte.
        @inline(__always)
        package var end: UnsafeMutableRawPointer { base + used }

        @inline(__always)
        package mutating func putEntryHead() {
            base.storeBytes(of: PackedList.entry, toByteOffset: used, as: UInt8.self)
            base.storeBytes(of: 2, toByteOffset: used + 1, as: UInt8.self)
            used += PackedList.entryHeadSize
        }

        /// Writes the head of a string whose bytes are written by the caller, behind it.
        @inline(__always)
        package mutating func putStringHead(_ count: Int) {
            base.storeBytes(of: PackedList.string, toByteOffset: used, as: UInt8.self)
            base.storeBytes(
                of: UInt32(truncatingIfNeeded: count).littleEndian, toByteOffset: used + 1,
                as: UInt32.self)
            used += PackedList.headSize + count
        }

        @inline(__always)
        package mutating func putString(_ bytes: UnsafeRawBufferPointer) {
            if let start = bytes.baseAddress {
                memcpy(base + used + PackedList.headSize, start, bytes.count)
            }
            putStringHead(bytes.count)
        }

        package mutating func putNothing() {
            base.storeBytes(of: PackedList.nothing, toByteOffset: used, as: UInt8.self)
            used += 1
        }

        /// Counts an element that has been written.
        @inline(__always)
        package mutating func endElement() { count += 1 }

        /// Writes the head of the list.
        ///
        /// - Parameter strings: that each element was written as; 1 where entries are elements.
        package func finish(strings: Int = 1) {
            base.storeBytes(of: PackedList.list, as: UInt8.self)
            base.storeBytes(
                of: UInt32(truncatingIfNeeded: count &* strings).littleEndian, toByteOffset: 1,
                as: UInt32.self)
        }
    }

    /// Reads a list of a caller. Every byte is checked.
    package struct Reader {
        private let bytes: UnsafeRawBufferPointer
        private var offset = PackedList.headSize
        /// Elements in all.
        package let count: Int

        package init(_ bytes: UnsafeRawBufferPointer) throws(DatabaseError) {
            guard bytes.count >= PackedList.headSize, bytes[0] == PackedList.list else {
                throw PackedList.malformed(at: 0)
            }
            self.bytes = bytes
            count = Int(bytes.loadUnaligned(fromByteOffset: 1, as: UInt32.self).littleEndian)
        }

        /// Checks that all elements are pairs of strings.
        package func checkEntries() throws(DatabaseError) {
            var ahead = self
            for _ in 0..<count { _ = try ahead.entry() }
        }

        /// A pair of strings.
        package mutating func entry() throws(DatabaseError) -> (
            key: UnsafeRawBufferPointer, value: UnsafeRawBufferPointer
        ) {
            try entryHead()
            let key = try string()
            return (key, try string())
        }

        @inline(__always)
        package mutating func string() throws(DatabaseError) -> UnsafeRawBufferPointer {
            guard offset + PackedList.headSize <= bytes.count, bytes[offset] == PackedList.string
            else { throw PackedList.malformed(at: offset) }
            let size = Int(
                bytes.loadUnaligned(fromByteOffset: offset + 1, as: UInt32.self).littleEndian)
            let start = offset + PackedList.headSize
            guard size <= bytes.count - start else { throw PackedList.malformed(at: offset) }
            offset = start + size
            return UnsafeRawBufferPointer(rebasing: bytes[start..<offset])
        }

        @inline(__always)
        private mutating func entryHead() throws(DatabaseError) {
            guard offset + PackedList.headSize <= bytes.count else {
                throw PackedList.malformed(at: offset)
            }
            switch bytes[offset] {
            case PackedList.entry where bytes[offset + 1] == 2:
                offset += PackedList.entryHeadSize
            case PackedList.longEntry
            where bytes.loadUnaligned(fromByteOffset: offset + 1, as: UInt32.self).littleEndian == 2:
                offset += PackedList.headSize
            default:
                throw PackedList.malformed(at: offset)
            }
        }
    }

    private static func malformed(at offset: Int) -> DatabaseError {
        DatabaseError(
            .badArgument, "the packed list is not one: what is at byte \(offset) cannot be there")
    }
}
