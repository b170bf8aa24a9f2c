import Glibc

/// A key being looked for: its bytes, not owned.
package typealias KeyBytes = UnsafeRawBufferPointer

extension KeyBytes {
    /// The bytes behind the first `length`, none if there are no more.
    @inline(__always)
    func behind(_ length: Int) -> KeyBytes {
        let skipped = Swift.min(length, count)
        return KeyBytes(start: baseAddress.map { $0 + skipped }, count: count &- skipped)
    }
}

/// Where a search in a page ended.
struct PagePosition {
    /// The first entry at or after the key; `count` if there is none; -1 if the page is damaged.
    var index: Int
    /// Whether that entry is the key.
    var found: Bool

    static let badEntry = PagePosition(index: -1, found: false)

    @inline(__always)
    init(index: Int, found: Bool) {
        self.index = index
        self.found = found
    }
}

extension Page {
    /// The first entry of a leaf at or after a key. O(log count): a search over the slots'
    /// heads, then usually one entry.
    @inline(__always)
    func searchLeaf(_ key: KeyBytes) -> PagePosition {
        search(key, from: 0, slotShift: 3)
    }

    /// Whether a key comes behind the last entry of a leaf that has some.
    @inline(__always)
    func endsBefore(_ key: KeyBytes) -> Bool {
        let prefix = prefixLength
        let last = count &- 1
        guard last >= 0, slotsAreInBounds, let start = key.baseAddress else { return false }
        if prefix > 0 {
            let order = memcmp(start, base + Self.headerSize, min(prefix, key.count))
            if order != 0 || key.count < prefix { return order > 0 }
        }
        let suffix = start + prefix
        let length = key.count - prefix
        let order = compare(
            UnsafeRawPointer(slot(last)), head: Self.head(of: suffix, count: length),
            suffix: suffix, count: length)
        return order < 0 && order != Self.impossible
    }

    /// The child of a branch whose range holds a key; -1 if the page is damaged.
    @inline(__always)
    func searchBranch(_ key: KeyBytes) -> Int {
        // Entry 0 has no separator: search those after it.
        let position = search(key, from: 1, slotShift: 4)
        return position.found ? position.index : position.index &- 1
    }

    /// The first four bytes of a suffix as a number, zeros after its end.
    @inline(__always)
    static func head(of suffix: UnsafeRawPointer, count: Int) -> UInt32 {
        if count >= 4 {
            return UInt32(bigEndian: suffix.loadUnaligned(as: UInt32.self))
        }
        var head: UInt32 = 0
        for index in 0..<count {
            head |= UInt32(suffix.load(fromByteOffset: index, as: UInt8.self)) << (24 - 8 * index)
        }
        return head
    }

    @inline(__always)
    private func search(_ key: KeyBytes, from first: Int, slotShift: Int) -> PagePosition {
        finish(searchHeads(key, from: first, slotShift: slotShift))
    }

    /// A search that has come to the one entry it has to look at, if it has to.
    struct HeadSearch {
        /// Where the search has ended, or the first entry whose head is the key's.
        var index: Int
        /// Whether it goes on there.
        var goesOn: Bool
        fileprivate var slots: UnsafeRawPointer
        fileprivate var slotShift: Int
        fileprivate var head: UInt32
        fileprivate var suffix: UnsafeRawPointer
        fileprivate var suffixLength: Int

        /// Where in the page the entry is that the search goes on with.
        @inline(__always)
        var entryOffset: Int { Page.offset(slots + index &<< slotShift) }

        @inline(__always)
        fileprivate static func ended(_ index: Int, _ anywhere: UnsafeRawPointer) -> HeadSearch {
            HeadSearch(
                index: index, goesOn: false, slots: anywhere, slotShift: 0, head: 0,
                suffix: anywhere, suffixLength: 0)
        }
    }

    /// The part of `searchLeaf` that touches slots only.
    @inline(__always)
    func searchLeafHeads(_ key: KeyBytes) -> HeadSearch {
        searchHeads(key, from: 0, slotShift: 3)
    }

    @inline(__always)
    private func searchHeads(_ key: KeyBytes, from first: Int, slotShift: Int) -> HeadSearch {
        let count = self.count
        let prefix = prefixLength
        let slotsStart = Self.slotsOffset(prefixLength: prefix)
        guard slotsStart + count &<< slotShift <= size, count >= first,
            let keyStart = key.baseAddress
        else { return .ended(-1, base) }
        if prefix > 0 {
            let order = memcmp(keyStart, base + Self.headerSize, min(prefix, key.count))
            if order != 0 || key.count < prefix {
                let isAfter = order > 0
                return .ended(isAfter ? count : first, base)
            }
        }
        let suffix = keyStart + prefix
        let suffixLength = key.count - prefix
        let head = Self.head(of: suffix, count: suffixLength)
        let slots = UnsafeRawPointer(base + slotsStart)

        // Branch-free: the comparison becomes a mask, as a mispredicted jump costs more than
        // a step of the search.
        var low = first
        var length = count - first
        while length > 1 {
            let half = length >> 1
            let probe = Self.head(slots + (low + half - 1) &<< slotShift)
            let isLess = Int(truncatingIfNeeded: (Int64(probe) - Int64(head)) >> 63)
            low += half & isLess
            length -= half
        }
        if length == 1, Self.head(slots + low &<< slotShift) < head { low += 1 }
        guard low < count, Self.head(slots + low &<< slotShift) == head else {
            return .ended(low, base)
        }
        return HeadSearch(
            index: low, goesOn: true, slots: slots, slotShift: slotShift, head: head,
            suffix: suffix, suffixLength: suffixLength)
    }

    /// The rest of a search: looks at entries.
    @inline(__always)
    func finish(_ search: HeadSearch) -> PagePosition {
        var low = search.index
        guard search.goesOn else { return PagePosition(index: low, found: false) }
        let count = self.count
        let (slots, slotShift, head) = (search.slots, search.slotShift, search.head)
        // One entry with this head is the usual case; several are searched by whole keys.
        var high = low + 1
        if high < count, Self.head(slots + high &<< slotShift) == head {
            var step = 1
            while high < count, Self.head(slots + high &<< slotShift) == head {
                high = min(count, high + step)
                step *= 2
            }
            // `high` may be past the run of equal heads; whole keys order those just as well.
        }
        while low < high {
            let middle = (low + high) >> 1
            let order = compare(
                slots + middle &<< slotShift, head: head, suffix: search.suffix,
                count: search.suffixLength)
            if order == 0 { return PagePosition(index: middle, found: true) }
            if order == Self.impossible { return .badEntry }
            if order < 0 { low = middle + 1 } else { high = middle }
        }
        return PagePosition(index: low, found: false)
    }

    private static let impossible = Int.min

    /// Orders an entry's suffix against another: negative, 0, positive, or `impossible`.
    @inline(__always)
    private func compare(
        _ slot: UnsafeRawPointer, head: UInt32, suffix: UnsafeRawPointer, count: Int
    ) -> Int {
        let slotHead = Self.head(slot)
        if slotHead != head { return slotHead < head ? -1 : 1 }
        let length = Self.suffixLength(slot)
        // Equal heads, and one key ends inside its head: what the shorter lacks of the head are
        // zeros in the longer, so length decides.
        guard length > 4, count > 4 else { return length - count }
        let offset = Self.offset(slot)
        guard offset + length - 4 <= size else { return Self.impossible }
        let order = memcmp(base + offset, suffix + 4, min(length, count) - 4)
        return order != 0 ? Int(order) : length - count
    }
}
