import Glibc

/// A checked view of a branch or leaf page: header, common prefix, slots, and a heap that grows
/// down from the page's end.
///
/// ```
/// | header 40 | prefix, padded to 8 | slots → | free | ← heap |
/// ```
///
/// A slot holds the first four bytes of the key after the prefix (as a number, so that a search
/// compares integers), the length of the key after the prefix, and where the rest is. A leaf's
/// slot is 8 bytes; its heap entry is the rest of the key, the value's length (u16), the value.
/// A branch's slot is 16 bytes with the child's reference; its heap entry is the rest of the
/// separator, and entry 0 has none: it stands for everything below separator 1.
///
/// Nothing in a page is trusted: whatever is read from it as an offset or a length is checked
/// against the page's size before it is used, and a view that finds an impossible value answers
/// nil or -1, which callers turn into `corrupted`.
struct Page {
    let base: UnsafeMutableRawPointer
    /// Bytes in the page.
    let size: Int

    static let headerSize = 40
    @inline(__always)
    static var leafSlotSize: Int { ValueRun.Slot.size }
    static let branchSlotSize = 16

    @inline(__always)
    init(_ base: UnsafeMutableRawPointer, size: Int) {
        self.base = base
        self.size = size
    }

    // MARK: Header

    @inline(__always)
    var checksum: UInt64 { base.littleEndian(Format.Header.checksum) }
    @inline(__always)
    var number: UInt64 { base.littleEndian(Format.Header.number) }
    @inline(__always)
    var transaction: UInt64 { base.littleEndian(Format.Header.transaction) }
    @inline(__always)
    var kindByte: UInt8 { base.littleEndian(Format.Header.kind) }
    @inline(__always)
    var level: Int { Int(base.littleEndian(Format.Header.level, as: UInt8.self)) }
    @inline(__always)
    var count: Int { Int(base.littleEndian(Format.Header.count, as: UInt16.self)) }
    @inline(__always)
    var prefixLength: Int { Int(base.littleEndian(Format.Header.prefixLength, as: UInt16.self)) }
    @inline(__always)
    var heapUsed: Int { Int(base.littleEndian(Format.Header.heapUsed, as: UInt16.self)) }
    @inline(__always)
    var heapDead: Int { Int(base.littleEndian(Format.Header.heapDead, as: UInt16.self)) }

    @inline(__always)
    var kind: PageKind? { PageKind(rawValue: kindByte) }
    @inline(__always)
    var isLeaf: Bool { kindByte == PageKind.leaf.rawValue }
    @inline(__always)
    var isBranch: Bool { kindByte == PageKind.branch.rawValue }

    @inline(__always)
    var layout: PageLayout { PageLayout(rawValue: base.littleEndian(Format.Header.flags)) }

    /// Kind, level and layout together: what a page must be where it is referred to.
    @inline(__always)
    var shape: UInt32 { base.littleEndian(Format.Header.kind) }

    @inline(__always)
    static func shape(level: Int, layout: PageLayout) -> UInt32 {
        let kind = level == 0 ? PageKind.leaf : PageKind.branch
        return UInt32(kind.rawValue) | UInt32(truncatingIfNeeded: level & 0xff) << 8
            | UInt32(layout.rawValue) << 16
    }

    @inline(__always)
    var slotSize: Int {
        guard isLeaf else { return Self.branchSlotSize }
        return layout.contains(.packed) ? width : Self.leafSlotSize
    }
    @inline(__always)
    var slotsOffset: Int { Self.slotsOffset(prefixLength: prefixLength) }

    @inline(__always)
    static func slotsOffset(prefixLength: Int) -> Int { headerSize + (prefixLength + 7) & ~7 }

    /// Whether header and slots lie inside the page. One comparison; done at every access.
    @inline(__always)
    var slotsAreInBounds: Bool { slotsOffset + count * slotSize <= size }

    /// The same of a leaf that is no value leaf.
    @inline(__always)
    var leafSlotsAreInBounds: Bool { slotsOffset &+ count &* Self.leafSlotSize <= size }

    // MARK: Slots

    @inline(__always)
    func slot(_ index: Int) -> UnsafeMutableRawPointer {
        base + (slotsOffset + index * slotSize)
    }

    @inline(__always)
    static func head(_ slot: UnsafeRawPointer) -> UInt32 { slot.littleEndian(0) }
    @inline(__always)
    static func offset(_ slot: UnsafeRawPointer) -> Int {
        Int(slot.littleEndian(ValueRun.Slot.offset, as: UInt16.self))
    }
    @inline(__always)
    static func keyField(_ slot: UnsafeRawPointer) -> UInt16 {
        slot.littleEndian(ValueRun.Slot.length)
    }
    @inline(__always)
    static func suffixLength(_ slot: UnsafeRawPointer) -> Int {
        Int(keyField(slot) & ValueKind.keyLengthMask)
    }

    /// The same of a branch, whose slots all have one size.
    @inline(__always)
    private func branchSlot(_ index: Int) -> UnsafeMutableRawPointer {
        base + (slotsOffset &+ index &* Self.branchSlotSize)
    }

    /// The same of a leaf that is no value leaf.
    @inline(__always)
    func leafSlot(_ index: Int) -> UnsafeMutableRawPointer {
        base + (slotsOffset &+ index &* Self.leafSlotSize)
    }

    /// The child a branch entry leads to.
    @inline(__always)
    func child(_ index: Int) -> PageReference {
        PageReference(raw: branchSlot(index).littleEndian(8))
    }

    /// The first entry from `index` on whose child is a frame; `count` if there is none.
    func firstFrameChild(from index: Int) -> Int {
        // Four at a time, as few of many are.
        let size = slotSize
        let count = count
        var index = index
        while index + 4 <= count {
            let child = UnsafeRawPointer(slot(index)) + 8
            let all: UInt64 =
                child.littleEndian(0) | child.littleEndian(size) | child.littleEndian(2 * size)
                | child.littleEndian(3 * size)
            if PageReference(raw: all).isFrame { break }
            index += 4
        }
        return firstEntry(from: index) { PageReference(raw: $0.littleEndian(8)).isFrame }
    }

    /// The first entry from `index` on whose value is not inline; `count` if there is none.
    func firstIndirectValue(from index: Int) -> Int {
        firstEntry(from: index) { Self.keyField($0) & ValueKind.indirectBit != 0 }
    }

    /// The first entry from `index` on whose slot is of a kind; `count` if there is none.
    @inline(__always)
    private func firstEntry(from index: Int, where isOne: (UnsafeRawPointer) -> Bool) -> Int {
        var slot = UnsafeRawPointer(slot(index))
        let size = slotSize
        let count = count
        var index = index
        while index < count, !isOne(slot) {
            index += 1
            slot += size
        }
        return index
    }

    @inline(__always)
    func setChild(_ index: Int, _ child: PageReference) {
        slot(index).storeLittleEndian(child.raw, at: 8)
    }

    /// Bytes of the key of entry `index`, prefix included.
    @inline(__always)
    func keyLength(_ index: Int) -> Int { prefixLength + Self.suffixLength(slot(index)) }

    /// Bytes of a key's suffix that are in the heap: those after the slot's head.
    @inline(__always)
    static func restLength(suffixLength: Int) -> Int { max(0, suffixLength - 4) }

    // MARK: Entries

    /// Puts the key of entry `index` together.
    ///
    /// - Parameter destination: as large as `Format.keyBufferSize` says.
    /// - Returns: the key's length, or -1 if the entry reaches beyond the page.
    @inline(__always)
    func copyKey(_ index: Int, to destination: UnsafeMutableRawPointer) -> Int {
        if layout.contains(.valueLeaf) { return copyDuplicateKey(index, to: destination) }
        return copyKey(slot(index), to: destination)
    }

    /// The same of a leaf that is no value leaf.
    @inline(__always)
    func copyPlainKey(_ index: Int, to destination: UnsafeMutableRawPointer) -> Int {
        copyKey(leafSlot(index), to: destination)
    }

    @inline(__always)
    private func copyKey(_ slot: UnsafeRawPointer, to destination: UnsafeMutableRawPointer) -> Int {
        let prefix = prefixLength
        let suffix = Self.suffixLength(slot)
        // Keys never exceed half a page, which is what `destination` has room for.
        guard prefix &+ suffix <= Format.keyBoundInPage(size) else { return -1 }
        if prefix > 0 { copyShort(Self.headerSize, prefix, to: destination) }
        destination.storeBytes(of: Self.head(slot).bigEndian, toByteOffset: prefix, as: UInt32.self)
        if suffix > 4 {
            let offset = Self.offset(slot)
            guard offset &+ suffix &- 4 <= size else { return -1 }
            copyShort(offset, suffix &- 4, to: destination + (prefix &+ 4))
        }
        return prefix &+ suffix
    }

    /// Copies bytes of the page of which there are few, as a rule, without a call then.
    ///
    /// - Parameter destination: room for 15 bytes more.
    @inline(__always)
    private func copyShort(_ offset: Int, _ count: Int, to destination: UnsafeMutableRawPointer) {
        typealias Block = SIMD2<UInt64>
        let start = UnsafeRawPointer(base + offset)
        let blockSize = MemoryLayout<Block>.size
        if count > 2 &* blockSize || offset &+ blockSize > size {
            memcpy(destination, start, count)
            return
        }
        destination.storeBytes(of: start.loadUnaligned(as: Block.self), as: Block.self)
        if count > blockSize {
            let rest = count &- blockSize
            destination.storeBytes(
                of: start.loadUnaligned(fromByteOffset: rest, as: Block.self), toByteOffset: rest,
                as: Block.self)
        }
    }

    /// A leaf entry's value field.
    struct ValueField {
        var kind: ValueKind
        var bytes: UnsafeMutableRawPointer
        var count: Int

        /// Whether what it holds can be what its kind says, as far as the page alone tells.
        var isPlausible: Bool {
            switch kind {
            case .inline: true
            case .overflow:
                count == OverflowPointer.size && OverflowPointer(at: bytes).isPlausible
            case .inlineValues:
                InlineValues(UnsafeRawBufferPointer(start: bytes, count: count))?.isPlausible
                    ?? false
            case .valueTree: count == ValueTree.size && ValueTree(at: bytes).isPlausible
            }
        }
    }

    /// - Returns: nil if the entry is out of the page's bounds, or too short for its kind.
    @inline(__always)
    func value(_ index: Int) -> ValueField? {
        let slot = UnsafeRawPointer(leafSlot(index))
        let field = Self.keyField(slot)
        // Sums of numbers of 16 bits: none overflows.
        let rest = Self.restLength(suffixLength: Int(field & ValueKind.keyLengthMask))
        let start = Self.offset(slot) &+ rest &+ 2
        guard start <= size else { return nil }
        let lengthField = base.littleEndian(start &- 2, as: UInt16.self)
        guard field & ValueKind.indirectBit == 0 else {
            return indirectValue(start, lengthField)
        }
        let length = Int(lengthField)
        guard start &+ length <= size else { return nil }
        return ValueField(kind: .inline, bytes: base + start, count: length)
    }

    /// The same of a value that is not inline.
    @inline(__always)
    private func indirectValue(_ start: Int, _ lengthField: UInt16) -> ValueField? {
        let kind = ValueKind(ofLengthField: lengthField)
        let length = Int(lengthField & kind.lengthMask)
        guard start &+ length <= size, length >= kind.sizeMin else { return nil }
        return ValueField(kind: kind, bytes: base + start, count: length)
    }

    // MARK: Space

    /// Bytes between the slots and the heap.
    var gap: Int { size - slotsOffset - count * slotSize - heapUsed }

    /// Where the gap between slots and heap ends, in the page; at least 192, even if the page is damaged.
    @inline(__always)
    var gapEnd: Int { max(size - heapUsed, 192) }

    /// Bytes that slots, heap and prefix of the living entries take.
    var liveSize: Int { slotsOffset - Self.headerSize + count * slotSize + heapUsed - heapDead }

    /// Bytes a page of this size has for prefix, slots and heap.
    static func capacity(pageSize: Int) -> Int { pageSize - headerSize }

    /// Heap bytes of a branch entry besides its separator.
    @inline(__always)
    static func countSize(_ layout: PageLayout) -> Int { layout.contains(.counted) ? 8 : 0 }

    /// Bytes an entry takes, slot included, its key without the page's prefix.
    @inline(__always)
    static func entrySize(isLeaf: Bool, suffixLength: Int, valueLength: Int) -> Int {
        let rest = restLength(suffixLength: suffixLength)
        return isLeaf ? leafSlotSize + rest + 2 + valueLength : branchSlotSize + rest
    }

    // MARK: Structure

    /// Checks all that a first meeting with a page can check without its tree: every offset and
    /// length. Key order is left to `verify`.
    ///
    /// - Returns: what is wrong, or nil.
    func structuralProblem() -> String? {
        guard isLeaf || isBranch else { return "its kind is \(kindByte)" }
        guard isLeaf == (level == 0) else { return "its level is \(level)" }
        guard slotsAreInBounds, gap >= 0, heapDead <= heapUsed else {
            return "\(count) slots and \(heapUsed) heap bytes do not fit"
        }
        let keySizeMax = Format.keySizeMax(pageSize: size)
        guard prefixLength <= keySizeMax else { return "its prefix has \(prefixLength) bytes" }
        guard isLeaf || count > 0 else { return "it is a branch with no children" }
        guard layout.isPossible(isLeaf: isLeaf) else { return "its flags are \(layout.rawValue)" }
        if layout.contains(.valueLeaf) { return valueLeafProblem() }
        let countSize = Self.countSize(layout)
        let heapStart = size - heapUsed
        for index in 0..<count {
            let slot = UnsafeRawPointer(slot(index))
            let suffix = Self.suffixLength(slot)
            guard prefixLength + suffix <= keySizeMax else {
                return "key \(index) has \(prefixLength + suffix) bytes"
            }
            // Searches compare heads, and would not find what has another one.
            guard suffix >= 4 || Self.head(slot) << UInt32(8 * suffix) == 0 else {
                return "the head of key \(index) goes on behind its end"
            }
            if isLeaf {
                guard Self.offset(slot) >= heapStart, let value = value(index) else {
                    return "entry \(index) reaches beyond the heap"
                }
                guard value.isPlausible else { return "the value of entry \(index) is impossible" }
            } else {
                let inHeap = Self.restLength(suffixLength: suffix) + countSize
                guard inHeap == 0 || Self.offset(slot) >= heapStart,
                    inHeap == 0 || Self.offset(slot) + inHeap <= size
                else { return "separator \(index) reaches beyond the heap" }
                let child = child(index)
                guard child.number >= Format.metaPageCount, !child.isFrame else {
                    return "child \(index) is page \(child.number)"
                }
            }
        }
        return nil
    }
}

/// Where a value too large for its leaf lies.
struct OverflowPointer {
    static let size = 32

    var reference: PageReference
    /// Bytes of the value.
    var length: UInt64
    /// Of the pair of key and value, so that replacing or deleting it need not read it.
    var digest: ContentDigest

    init(reference: PageReference, length: UInt64, digest: ContentDigest = ContentDigest()) {
        self.reference = reference
        self.length = length
        self.digest = digest
    }

    init(at bytes: UnsafeRawPointer) {
        reference = PageReference(raw: bytes.littleEndian(0))
        length = bytes.littleEndian(8)
        digest = ContentDigest(at: bytes + 16)
    }

    func store(to bytes: UnsafeMutableRawPointer) {
        bytes.storeLittleEndian(reference.raw, at: 0)
        bytes.storeLittleEndian(length, at: 8)
        digest.store(to: bytes + 16)
    }

    /// Whether it can be one of a page on disk.
    var isPlausible: Bool {
        !reference.isFrame && reference.number >= Format.metaPageCount
            && length <= UInt64(Format.valueSizeMax)
    }

    /// Pages in a run that holds `length` bytes after its header.
    static func pageCount(length: UInt64, pageSize: Int) -> UInt64 {
        (length + UInt64(Page.headerSize) + UInt64(pageSize) - 1) / UInt64(pageSize)
    }
}
