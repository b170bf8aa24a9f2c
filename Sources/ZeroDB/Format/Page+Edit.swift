import Glibc

/// What a leaf entry holds besides its key, not owned.
struct LeafValue {
    var kind: ValueKind
    var bytes: UnsafeRawBufferPointer

    @inline(__always)
    init(kind: ValueKind, bytes: UnsafeRawBufferPointer) {
        self.kind = kind
        self.bytes = bytes
    }

    @inline(__always)
    init(_ field: Page.ValueField) {
        kind = field.kind
        bytes = UnsafeRawBufferPointer(start: field.bytes, count: field.count)
    }
}

/// Changes to a page that is a transaction's own copy. The caller has checked that what goes in
/// fits; offsets already in the page were checked when it was first met.
extension Page {
    /// Makes this an empty page.
    ///
    /// - Parameters:
    ///   - prefix: what all keys to come begin with; they are appended without it.
    ///   - width: bytes of a value, in a packed value leaf.
    func format(
        kind: PageKind, level: Int, prefix: UnsafeRawBufferPointer, layout: PageLayout = [],
        width: Int = 0
    ) {
        memset(base, 0, Self.headerSize)
        base.storeLittleEndian(kind.rawValue, at: Format.Header.kind)
        base.storeLittleEndian(UInt8(truncatingIfNeeded: level), at: Format.Header.level)
        base.storeLittleEndian(layout.rawValue, at: Format.Header.flags)
        set(width, at: Format.Header.width)
        if prefix.count > 0, let start = prefix.baseAddress {
            set(prefix.count, at: Format.Header.prefixLength)
            let end = slotsOffset
            memset(base + Self.headerSize, 0, end - Self.headerSize)
            memcpy(base + Self.headerSize, start, prefix.count)
        }
    }

    @inline(__always)
    func set(_ value: Int, at offset: Int) {
        base.storeLittleEndian(UInt16(truncatingIfNeeded: value), at: offset)
    }

    /// Whether a key begins with the page's prefix.
    @inline(__always)
    func sharesPrefix(_ key: KeyBytes) -> Bool {
        let prefix = prefixLength
        if prefix == 0 { return true }
        guard key.count >= prefix, let start = key.baseAddress else { return false }
        return memcmp(start, base + Self.headerSize, prefix) == 0
    }

    /// Opens a slot at `index` and stores a suffix in it and the heap.
    ///
    /// - Returns: where the heap entry's bytes after the key go.
    @inline(__always)
    func openSlot(
        at index: Int, suffix: UnsafeRawBufferPointer, flag: UInt16 = 0, extra: Int, slotSize: Int
    ) -> UnsafeMutableRawPointer {
        let count = self.count
        assert(
            index <= count && gap >= slotSize + Self.restLength(suffixLength: suffix.count) + extra)
        let place = base + (slotsOffset + index * slotSize)
        if index < count { memmove(place + slotSize, place, (count - index) * slotSize) }
        let rest = Self.restLength(suffixLength: suffix.count)
        let used = heapUsed + rest + extra
        let offset = size - used
        let head = suffix.baseAddress.map { Self.head(of: $0, count: suffix.count) } ?? 0
        place.storeLittleEndian(head, at: 0)
        // A branch entry with no heap bytes gets an offset that fits, 0.
        let hasHeapEntry = rest + extra > 0
        place.storeLittleEndian(UInt16(truncatingIfNeeded: hasHeapEntry ? offset : 0), at: 4)
        place.storeLittleEndian(
            flag | UInt16(truncatingIfNeeded: suffix.count), at: 6)
        if rest > 0, let start = suffix.baseAddress { memcpy(base + offset, start + 4, rest) }
        set(count + 1, at: Format.Header.count)
        set(used, at: Format.Header.heapUsed)
        return base + (offset + rest)
    }

    /// Inserts a leaf entry, its key without the prefix. The caller has checked `gap`.
    @inline(__always)
    func insertLeafEntry(at index: Int, suffix: UnsafeRawBufferPointer, value: LeafValue) {
        let field = openSlot(
            at: index, suffix: suffix, flag: value.kind == .inline ? 0 : ValueKind.indirectBit,
            extra: 2 + value.bytes.count, slotSize: Self.leafSlotSize)
        field.storeLittleEndian(value.kind.lengthField(value.bytes.count), at: 0)
        if value.bytes.count > 0, let start = value.bytes.baseAddress {
            memcpy(field + 2, start, value.bytes.count)
        }
    }

    /// Inserts a branch entry, its separator without the prefix. The caller has checked `gap`.
    ///
    /// - Parameter entries: how many are below the child; kept in counted branches.
    func insertBranchEntry(
        at index: Int, suffix: UnsafeRawBufferPointer, child: PageReference, entries: UInt64 = 0
    ) {
        let countSize = Self.countSize(layout)
        let count = openSlot(
            at: index, suffix: suffix, extra: countSize,
            slotSize: Self.branchSlotSize)
        setChild(index, child)
        if countSize > 0 { count.storeLittleEndian(entries, at: 0) }
    }

    /// Bytes of entry `index`, slot included.
    func entrySize(_ index: Int) -> Int {
        let isLeaf = self.isLeaf
        let layout = self.layout
        if layout.contains(.valueLeaf) { return valueLeafEntrySize(index) }
        if layout.contains(.counted) {
            return Self.branchSlotSize + 8
                + Self.restLength(suffixLength: Self.suffixLength(slot(index)))
        }
        let valueLength = isLeaf ? value(index)?.count ?? 0 : 0
        return Self.entrySize(
            isLeaf: isLeaf, suffixLength: Self.suffixLength(slot(index)), valueLength: valueLength)
    }

    /// Takes entry `index` out. Its heap bytes are dead until the page is rebuilt.
    func removeEntry(_ index: Int) {
        let slotSize = self.slotSize
        let dead = heapDead + entrySize(index) - slotSize
        let count = self.count
        let place = slot(index)
        if index + 1 < count { memmove(place, place + slotSize, (count - index - 1) * slotSize) }
        set(count - 1, at: Format.Header.count)
        if count == 1 {
            set(0, at: Format.Header.heapUsed)
            set(0, at: Format.Header.heapDead)
        } else {
            set(dead, at: Format.Header.heapDead)
        }
    }

    /// Overwrites a value with one of the same length in place.
    ///
    /// - Returns: false if the lengths differ, and then nothing has changed.
    @inline(__always)
    func overwriteValue(_ index: Int, with value: LeafValue) -> Bool {
        guard let field = self.value(index), field.count == value.bytes.count,
            field.kind == value.kind
        else { return false }
        if field.count > 0, let start = value.bytes.baseAddress {
            memmove(field.bytes, start, field.count)
        }
        return true
    }

    /// Moves the entries of a leaf into the order of their keys, for those who read several, unless most of
    /// them lie in order. Closes the holes.
    ///
    /// - Parameter scratch: room for a page.
    func orderHeap(_ scratch: UnsafeMutableRawPointer) {
        guard isLeaf, !layout.contains(.valueLeaf), slotsAreInBounds, isOutOfOrder else { return }
        let count = count
        let slots = slotsOffset
        let heapStart = size - heapUsed
        // A page that is damaged stays as it is.
        guard heapStart >= slots + count * Self.leafSlotSize else { return }
        var live = 0
        for index in 0..<count {
            guard let length = heapEntrySize(base + (slots + index * Self.leafSlotSize)) else {
                return
            }
            live += length
        }
        guard live == heapUsed - heapDead else { return }
        memcpy(scratch, base, size)
        let old = Page(scratch, size: size)
        var place = size - live
        for index in 0..<count {
            let slot = base + (slots + index * Self.leafSlotSize)
            guard let length = old.heapEntrySize(slot) else { return }
            memcpy(base + place, scratch + Self.offset(slot), length)
            slot.storeLittleEndian(UInt16(truncatingIfNeeded: place), at: ValueRun.Slot.offset)
            place += length
        }
        set(live, at: Format.Header.heapUsed)
        set(0, at: Format.Header.heapDead)
    }

    /// Whether more than an eighth of the entries of a leaf do not lie behind those before them, nor, in a
    /// leaf that was filled in the order of keys, in front of them.
    private var isOutOfOrder: Bool {
        let count = count
        guard count > 2 else { return false }
        var slot = UnsafeRawPointer(base + slotsOffset)
        var before = Self.offset(slot)
        var behind = 0
        for _ in 1..<count {
            slot += Self.leafSlotSize
            let offset = Self.offset(slot)
            behind += offset > before ? 1 : 0
            before = offset
        }
        return min(behind, count - 1 - behind) * 8 > count
    }

    /// Bytes that a leaf entry takes in the heap; nil if it reaches beyond it.
    @inline(__always)
    private func heapEntrySize(_ slot: UnsafeRawPointer) -> Int? {
        let field = Self.keyField(slot)
        let rest = Self.restLength(suffixLength: Int(field & ValueKind.keyLengthMask))
        let start = Self.offset(slot)
        guard start >= size - heapUsed, start + rest + 2 <= size else { return nil }
        let lengthField = base.littleEndian(start + rest, as: UInt16.self)
        let isInline = field & ValueKind.indirectBit == 0
        let kind = isInline ? ValueKind.inline : ValueKind(ofLengthField: lengthField)
        let length = rest + 2 + Int(isInline ? lengthField : lengthField & kind.lengthMask)
        return start + length <= size ? length : nil
    }

    /// Clears what is free, so that no bytes of the process's memory reach the disk.
    func clearGap() {
        let start = slotsOffset + count * slotSize
        let end = size - heapUsed
        if start < end { memset(base + start, 0, end - start) }
    }
}
