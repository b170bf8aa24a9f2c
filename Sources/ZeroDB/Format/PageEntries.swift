import Glibc

/// Memory that rebuilding and splitting pages needs, one set a write transaction.
struct PageScratch {
    /// A page being rebuilt, as it was.
    let page: UnsafeMutableRawPointer
    /// Keys being put together; each has room for the largest key and a few bytes.
    let firstKey: UnsafeMutableRawPointer
    let secondKey: UnsafeMutableRawPointer
    let pageSize: Int

    init(pageSize: Int) {
        self.pageSize = pageSize
        let keySize = Format.keyBufferSize(pageSize: pageSize)
        page = .allocate(byteCount: pageSize + 2 * keySize, alignment: 64)
        firstKey = page + pageSize
        secondKey = firstKey + keySize
    }

    func deallocate() { page.deallocate() }
}

/// The entries of a page with one more among them, as a split sees them: nothing is moved until
/// it is decided where everything goes.
struct PageEntries {
    /// The page without the new entry; not written to.
    let page: Page
    let isLeaf: Bool
    /// Where the new entry stands among the others; -1 for none.
    let newIndex: Int
    let newKey: KeyBytes
    let newValue: LeafValue
    let newChild: PageReference
    /// Entries below the new child, in a counted branch.
    let newEntryCount: UInt64
    let scratch: PageScratch
    let layout: PageLayout
    private var isValueLeaf: Bool { layout.contains(.valueLeaf) }

    static var noValue: LeafValue {
        LeafValue(kind: .inline, bytes: UnsafeRawBufferPointer(start: nil, count: 0))
    }

    /// All entries of `page`, and no new one.
    init(_ page: Page, scratch: PageScratch) {
        self.init(
            page, newIndex: -1, newKey: KeyBytes(start: nil, count: 0), newValue: Self.noValue,
            newChild: .none, newEntryCount: 0, scratch: scratch)
    }

    init(
        _ page: Page, newIndex: Int, newKey: KeyBytes, newValue: LeafValue,
        newChild: PageReference, newEntryCount: UInt64 = 0, scratch: PageScratch
    ) {
        self.page = page
        self.layout = page.layout
        self.newEntryCount = newEntryCount
        self.isLeaf = page.isLeaf
        self.newIndex = newIndex
        self.newKey = newKey
        self.newValue = newValue
        self.newChild = newChild
        self.scratch = scratch
    }

    var count: Int { page.count + (newIndex >= 0 ? 1 : 0) }

    /// The page's own index of an entry, or nil if it is the new one.
    @inline(__always)
    private func pageIndex(_ index: Int) -> Int? {
        if newIndex < 0 || index < newIndex { return index }
        return index == newIndex ? nil : index - 1
    }

    @inline(__always)
    private func keyLength(_ index: Int) -> Int {
        guard let own = pageIndex(index) else { return newKey.count }
        // A branch's entry 0 has no key, not even the prefix.
        return !isLeaf && own == 0 ? 0 : page.keyLength(own)
    }

    /// An entry's whole key, in `buffer` if it has to be put together.
    func key(_ index: Int, in buffer: UnsafeMutableRawPointer) -> KeyBytes {
        guard let own = pageIndex(index) else { return newKey }
        if !isLeaf && own == 0 { return KeyBytes(start: buffer, count: 0) }
        return KeyBytes(start: buffer, count: max(0, page.copyKey(own, to: buffer)))
    }

    /// The prefix that a page of entries `range` would have.
    func prefixLength(_ range: Range<Int>) -> Int {
        if isValueLeaf { return 0 }
        // Entry 0 of a branch loses its key.
        let first = isLeaf ? range.lowerBound : range.lowerBound + 1
        let last = range.upperBound - 1
        guard first < last else { return 0 }
        let longest = KeyOrder.commonPrefixLength(
            key(first, in: scratch.firstKey), key(last, in: scratch.secondKey))
        // A longer prefix than the page's can cost up to 8 bytes more than it saves. All that the page
        // holds must fit where it did; anything less has lost more than that.
        let own = page.prefixLength
        guard longest > own, isWholePage(range),
            Page.slotsOffset(prefixLength: longest) > Page.slotsOffset(prefixLength: own)
        else { return longest }
        return size(range, prefixLength: longest) <= size(range, prefixLength: own) ? longest : own
    }

    /// Whether a range is all that the page holds, and no more.
    private func isWholePage(_ range: Range<Int>) -> Bool {
        range.count == page.count && (newIndex < 0 || !range.contains(newIndex))
    }

    /// Bytes of an entry in a page of that prefix, slot included.
    @inline(__always)
    func size(_ index: Int, prefixLength: Int) -> Int {
        let own = pageIndex(index)
        if isValueLeaf {
            return own.map { page.valueLeafEntrySize($0) }
                ?? Page.valueLeafEntrySize(layout, length: newKey.count)
        }
        let valueLength =
            isLeaf ? own.map { page.value($0)?.count ?? 0 } ?? newValue.bytes.count : 0
        return Page.entrySize(
            isLeaf: isLeaf, suffixLength: max(0, keyLength(index) - prefixLength),
            valueLength: valueLength) + Page.countSize(layout)
    }

    /// The entries that a page of entries `range` stands for.
    func entryCount(_ range: Range<Int>) -> UInt64 {
        var total: UInt64 = 0
        for index in range {
            if let own = pageIndex(index) {
                total &+= page.entryCount(own)
            } else {
                total &+= isLeaf ? LeafValue.entryCount(newValue) : newEntryCount
            }
        }
        return total
    }

    /// Bytes that a page of entries `range` would use.
    func size(_ range: Range<Int>) -> Int { size(range, prefixLength: prefixLength(range)) }

    private func size(_ range: Range<Int>, prefixLength prefix: Int) -> Int {
        var total = Page.slotsOffset(prefixLength: prefix) - Page.headerSize
        for index in range {
            // The first separator of a branch is not stored.
            let isBare = !isLeaf && index == range.lowerBound
            total +=
                isBare
                ? Page.branchSlotSize + Page.countSize(layout) : size(index, prefixLength: prefix)
        }
        return total
    }

    func fits(_ range: Range<Int>) -> Bool {
        !range.isEmpty && size(range) <= Page.capacity(pageSize: page.size)
    }

    /// Writes entries `range` to a page, formatted anew.
    func write(_ range: Range<Int>, to target: Page, level: Int) {
        let prefixLength = prefixLength(range)
        let firstKeyed = isLeaf ? range.lowerBound : range.lowerBound + 1
        let prefixKey =
            prefixLength > 0
            ? key(firstKeyed, in: scratch.firstKey) : KeyBytes(start: nil, count: 0)
        target.format(
            kind: isLeaf ? .leaf : .branch, level: level,
            prefix: KeyBytes(rebasing: prefixKey.prefix(prefixLength)), layout: layout,
            width: page.width)
        append(range, to: target)
    }

    /// Appends entries `range` to a page whose prefix they share. The first entry of an empty
    /// branch goes in without its key.
    func append(_ range: Range<Int>, to target: Page) {
        let prefixLength = target.prefixLength
        var place = target.count
        for index in range {
            if isValueLeaf {
                target.insertDuplicate(at: place, key: key(index, in: scratch.firstKey))
            } else if isLeaf {
                let value: LeafValue
                if let own = pageIndex(index) {
                    guard let field = page.value(own) else { continue }
                    value = LeafValue(field)
                } else {
                    value = newValue
                }
                let key = key(index, in: scratch.firstKey)
                target.insertLeafEntry(
                    at: place, suffix: key.behind(prefixLength),
                    value: value)
            } else {
                let own = pageIndex(index)
                let child = own.map { page.child($0) } ?? newChild
                let entryCount =
                    layout.isEmpty ? 0 : own.map { page.entryCount($0) } ?? newEntryCount
                let key =
                    place == 0
                    ? KeyBytes(start: nil, count: 0)
                    : key(index, in: scratch.firstKey).behind(prefixLength)
                target.insertBranchEntry(
                    at: place, suffix: key, child: child, entries: entryCount)
            }
            place += 1
        }
    }

    /// Where to cut so that both pages fit and are as even as can be. Branches keep two children.
    ///
    /// A branch always has such a cut, and so has a leaf whose new entry is the first or the last
    /// (docs/internals/trees.md). If a cut beside the new entry does not fit, no other does, as one of
    /// its sides would hold the same and more.
    ///
    /// - Parameter preferred: a cut wanted for another reason, taken if it fits.
    /// - Returns: how many entries stay left; nil if no cut fits.
    func splitIndex(preferred: Int?) -> Int? {
        let low = isLeaf ? 1 : 2
        let high = count - low
        guard low <= high else { return nil }
        if let preferred, preferred >= low, preferred <= high, fits(0..<preferred),
            fits(preferred..<count)
        {
            return preferred
        }
        for cut in [evenCut, newIndex, newIndex + 1] {
            let cut = min(max(cut, low), high)
            if fits(0..<cut), fits(cut..<count) { return cut }
        }
        return nil
    }

    /// The cut nearest to half the bytes, as if the prefix stayed what it is.
    private var evenCut: Int {
        let prefix = page.prefixLength
        let count = self.count
        var total = 0
        for index in 0..<count { total += size(index, prefixLength: prefix) }
        var left = 0
        for index in 0..<count {
            let entry = size(index, prefixLength: prefix)
            if index > 0, left + entry / 2 >= total / 2 { return index }
            left += entry
        }
        return count - 1
    }
}
