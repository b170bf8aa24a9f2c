/// The values of one key that lie together where a cursor of a read transaction stands, in a value leaf or
/// in the key's entry: all that a step to the next one needs, in one place. Without any all is zero.
@usableFromInline
package struct ValueRun {
    /// Where offsets of values count from: the value leaf, or the first of values in an entry.
    @usableFromInline var base: UnsafeRawPointer?
    /// The values where all have one size; else the leaf's slots, or the table of where values end.
    @usableFromInline var slots: UnsafeRawPointer?
    @usableFromInline var index = 0
    @usableFromInline var count = 0
    /// Bytes of each value, 0 if they have slots or a table.
    @usableFromInline var width = 0
    /// What offsets of values stay within.
    @usableFromInline var size = 0
    /// Where the cursor's path says which value of a value leaf it is on; without a leaf `index` says it.
    @usableFromInline var pathIndex: UnsafeMutablePointer<Int>?
    /// The key as it is handed out.
    @usableFromInline package var key: UnsafeRawPointer?
    @usableFromInline package var keyLength = 0

    /// One of the values.
    @usableFromInline
    package struct Bytes {
        @usableFromInline package let start: UnsafeRawPointer
        @usableFromInline package let count: Int

        @inlinable @inline(__always)
        init(_ start: UnsafeRawPointer, _ count: Int) {
            self.start = start
            self.count = count
        }
    }

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
        base = UnsafeRawPointer(leaf.base)
        slots = UnsafeRawPointer(leaf.base + leaf.slotsOffset)
        self.index = index
        count = leaf.count
        self.width = width
        size = leaf.size
        self.key = key.baseAddress
        keyLength = key.count
        self.pathIndex = pathIndex
    }

    /// Values in an entry of a leaf.
    ///
    /// - Parameters:
    ///   - ends: where each value ends, two bytes each, from `base`.
    ///   - base: the first value.
    ///   - size: bytes of all.
    ///   - index: the value that the cursor is on.
    init(
        ends: UnsafeRawPointer, base: UnsafeRawPointer, size: Int, width: Int, count: Int,
        index: Int, key: UnsafeRawBufferPointer
    ) {
        self.base = base
        slots = width > 0 ? base : ends
        self.index = index
        self.count = count
        self.width = width
        self.size = size
        self.key = key.baseAddress
        keyLength = key.count
    }

    /// Whether the values lie in an entry.
    var isInline: Bool { count > 0 && pathIndex == nil }

    /// Whether there may be a next value.
    @inlinable @inline(__always)
    package var isEmpty: Bool { count == 0 }

    /// Moves to the next value of those that lie together.
    ///
    /// - Returns: the value; nil if there is none, or if it is out of bounds, and then nothing changes.
    @inlinable @inline(__always)
    package mutating func next() -> Bytes? {
        let next = index &+ 1
        guard next < count, let base, let slots else { return nil }
        guard let pathIndex else {
            guard let value = inlineValue(next, base, slots) else { return nil }
            index = next
            return value
        }
        guard
            let value = Self.value(next, leaf: base, slots: slots, width: width, pageSize: size)
        else { return nil }
        index = next
        pathIndex.pointee = next
        return value
    }

    /// A value behind the first of those in an entry.
    ///
    /// - Returns: nil if it is out of bounds.
    @inlinable @inline(__always)
    func inlineValue(
        _ index: Int, _ base: UnsafeRawPointer, _ ends: UnsafeRawPointer
    ) -> Bytes? {
        if width > 0 { return Bytes(base + index &* width, width) }
        let bounds = ends + 2 &* index
        let start = Int(
            UInt16(littleEndian: bounds.loadUnaligned(fromByteOffset: -2, as: UInt16.self)))
        let end = Int(UInt16(littleEndian: bounds.loadUnaligned(as: UInt16.self)))
        guard start <= end, end <= size else { return nil }
        return Bytes(base + start, end &- start)
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
    ) -> Bytes? {
        if width > 0 { return Bytes(slots + index &* width, width) }
        let slot = slots + index &* Slot.size
        let offset = slot.loadUnaligned(fromByteOffset: Slot.offset, as: UInt16.self)
        let lengthField = slot.loadUnaligned(fromByteOffset: Slot.length, as: UInt16.self)
        let start = Int(UInt16(littleEndian: offset))
        let length = Int(UInt16(littleEndian: lengthField) & Slot.lengthMask)
        guard start &+ length <= pageSize else { return nil }
        return Bytes(leaf + start, length)
    }
}
