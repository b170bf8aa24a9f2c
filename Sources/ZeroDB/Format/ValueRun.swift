/// The value leaf that a cursor of a read transaction stands in: all that a step to the next value
/// needs, in one place. Without a leaf all is zero.
@usableFromInline
package struct ValueRun {
    /// The leaf; its entries have been validated.
    @usableFromInline var leaf: UnsafeRawPointer?
    /// The leaf's values where all have one size, or its slots.
    @usableFromInline var slots: UnsafeRawPointer?
    @usableFromInline var index = 0
    @usableFromInline var count = 0
    /// Bytes of each value, 0 if they have slots.
    @usableFromInline var width = 0
    @usableFromInline var pageSize = 0
    /// Where the cursor's path says which value it is on.
    @usableFromInline var pathIndex: UnsafeMutablePointer<Int>?
    /// The key as it is handed out.
    @usableFromInline package var key = UnsafeRawBufferPointer(start: nil, count: 0)

    /// A leaf's slot: four bytes of the key, then these fields. The same as `Page` has, which the ABI
    /// does not see.
    @usableFromInline
    enum Slot {
        @inlinable @inline(__always)
        static var size: Int { 8 }
        @inlinable @inline(__always)
        static var offset: Int { 4 }
        @inlinable @inline(__always)
        static var length: Int { 6 }
        @inlinable @inline(__always)
        static var lengthMask: UInt16 { 0x7fff }
    }

    init() {}

    /// - Parameters:
    ///   - index: the value that the cursor is on.
    ///   - pathIndex: follows the run.
    init(
        _ leaf: Page, index: Int, width: Int, key: UnsafeRawBufferPointer,
        pathIndex: UnsafeMutablePointer<Int>
    ) {
        self.leaf = UnsafeRawPointer(leaf.base)
        slots = UnsafeRawPointer(leaf.base + leaf.slotsOffset)
        self.index = index
        count = leaf.count
        self.width = width
        pageSize = leaf.size
        self.key = key
        self.pathIndex = pathIndex
    }

    /// Whether there may be a next value.
    @inlinable @inline(__always)
    package var isEmpty: Bool { count == 0 }

    /// Moves to the next value of the leaf.
    ///
    /// - Returns: the value; nil if there is none, or if it is out of bounds, and then nothing changes.
    @inlinable @inline(__always)
    package mutating func next() -> UnsafeRawBufferPointer? {
        let next = index + 1
        guard next < count, let leaf, let slots, let pathIndex,
            let value = Self.value(
                next, leaf: leaf, slots: slots, width: width, pageSize: pageSize)
        else { return nil }
        index = next
        pathIndex.pointee = next
        return value
    }

    /// A value of a value leaf.
    ///
    /// - Parameters:
    ///   - slots: the leaf's slots, or its values where all have one size.
    ///   - width: bytes of each value, 0 if they have slots.
    /// - Returns: nil if it is out of bounds.
    @inlinable @inline(__always)
    static func value(
        _ index: Int, leaf: UnsafeRawPointer, slots: UnsafeRawPointer, width: Int, pageSize: Int
    ) -> UnsafeRawBufferPointer? {
        if width > 0 {
            return UnsafeRawBufferPointer(start: slots + index * width, count: width)
        }
        let slot = slots + index * Slot.size
        let offset = slot.loadUnaligned(fromByteOffset: Slot.offset, as: UInt16.self)
        let lengthField = slot.loadUnaligned(fromByteOffset: Slot.length, as: UInt16.self)
        let start = Int(UInt16(littleEndian: offset))
        let length = Int(UInt16(littleEndian: lengthField) & Slot.lengthMask)
        guard start + length <= pageSize else { return nil }
        return UnsafeRawBufferPointer(start: leaf + start, count: length)
    }
}
