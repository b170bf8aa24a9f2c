import Glibc

/// Changing a tree: copy-on-write of the path, then insert and split here, delete and merge in
/// TreeWriter+Delete.swift.
///
/// A page of the snapshot, or of a transaction that this one is nested in, is copied to a frame
/// before it changes, and its parent's reference with it, so every frame's parent is a frame. An
/// error in the middle leaves the transaction's pages half changed; the caller then has it fail.
struct TreeWriter {
    let source: PageSource
    let workspace: UnsafeMutablePointer<TreeWorkspace>
    let tree: UnsafeMutablePointer<TreeState>
    let transaction: UInt64
    let path: Path

    init(
        source: PageSource, workspace: UnsafeMutablePointer<TreeWorkspace>,
        tree: UnsafeMutablePointer<TreeState>, transaction: UInt64
    ) {
        self.source = source
        self.workspace = workspace
        self.tree = tree
        self.transaction = transaction
        path = workspace.pointee.path
        workspace.pointee.pathUses &+= 1
    }

    /// Of a tree of values, beside the path to the key they belong to.
    init(of key: TreeWriter, valueTree: UnsafeMutablePointer<TreeState>) {
        source = key.source
        workspace = key.workspace
        tree = valueTree
        transaction = key.transaction
        path = key.workspace.pointee.valuePath
    }

    var pageSize: Int { source.pageSize }

    enum PutResult {
        case stored
        /// The pair of key and value was there.
        case unchanged
        case exists(UnsafeRawBufferPointer)
        case notSorted
    }

    // MARK: Put

    /// Puts a key and its value. The caller has checked their sizes.
    ///
    /// - Complexity: O(depth) pages copied the first time a transaction comes by, none later.
    func put(
        _ key: KeyBytes, _ value: UnsafeRawBufferPointer, mode: PutMode
    ) throws(DatabaseError) -> PutResult {
        assert(isPutable(key, value))
        guard tree.pointee.depth > 0 else {
            try putFirst(key, value)
            return .stored
        }
        let leafStep = tree.pointee.depth - 1
        guard let position = try find(key, mode) else { return .notSorted }
        if position.found, mode == .noOverwrite {
            let leaf = Page(path[leafStep].page, size: pageSize)
            if tree.pointee.isValueTree { return .unchanged }
            return .exists(
                try TreeRead.value(source, leaf, position.index, tree.pointee.record))
        }
        let added = digest(key, value)
        let found = path[leafStep]
        try touchPath()
        let replaced = try position.found ? digest(of: found, key) : ContentDigest()
        let stored = try store(value, keyLength: key.count, added)
        let leaf = Page(path[leafStep].page, size: pageSize)
        if position.found {
            guard let old = leaf.value(position.index) else { throw source.badEntry(leaf) }
            let overflow = old.kind == .overflow ? OverflowPointer(at: old.bytes) : nil
            tree.pointee.record.digest -= replaced
            try replace(key, stored)
            if let overflow { release(overflow) }
        } else {
            try insertEntry(key, stored)
        }
        noteAdded(added)
        noteChange()
        return .stored
    }

    /// Adds an entry where the path leads. All pages of the path may change in place.
    @inline(__always)
    func insertEntry(_ key: KeyBytes, _ stored: LeafValue) throws(DatabaseError) {
        if isCounted { changeEntryCounts(by: 1) }
        try insertLeafEntry(key, stored)
        TreeRecord.add(1, to: &tree.pointee.record.entries)
    }

    /// Fills the path with the way to where a key is or would be.
    ///
    /// - Returns: nil if it is to be appended and is not after the last key.
    @inline(__always)
    func find(_ key: KeyBytes, _ mode: PutMode) throws(DatabaseError) -> PagePosition? {
        if isBehindEnd(key) {
            let leafStep = tree.pointee.depth - 1
            let count = Page(path[leafStep].page, size: pageSize).count
            path[leafStep].index = count
            workspace.pointee.foundBehindEndBy = workspace.pointee.pathUses
            return PagePosition(index: count, found: false)
        }
        guard mode == .append else {
            return try TreeRead.descend(
                source, tree.pointee, to: key, path: path, forChange: true)
        }
        try TreeRead.descend(
            source, tree.pointee, to: .last, path: path, from: 0, reference: tree.pointee.root)
        let leafStep = tree.pointee.depth - 1
        let leaf = Page(path[leafStep].page, size: pageSize)
        let search = tree.pointee.isValueTree ? leaf.searchValueLeaf(key) : leaf.searchLeaf(key)
        guard search.index == leaf.count else { return nil }
        path[leafStep].index = leaf.count
        return PagePosition(index: leaf.count, found: false)
    }

    /// Replaces the value of the entry the path leads to. All pages of the path may change in place.
    @inline(__always)
    func replace(_ key: KeyBytes, _ stored: LeafValue) throws(DatabaseError) {
        assert(isPathOwn)
        let step = path[tree.pointee.depth - 1]
        let leaf = Page(step.page, size: pageSize)
        if leaf.overwriteValue(step.index, with: stored) { return }
        leaf.removeEntry(step.index)
        try insertLeafEntry(key, stored)
    }

    func putFirst(
        _ key: KeyBytes, _ value: UnsafeRawBufferPointer
    ) throws(DatabaseError) {
        let added = digest(key, value)
        try putFirst(key, stored: try store(value, keyLength: key.count, added))
        noteAdded(added)
    }

    /// Adds a pair to the digest.
    @inline(__always)
    func noteAdded(_ added: ContentDigest) {
        tree.pointee.record.digest += added
        workspace.pointee.lastAdded = added
    }

    func putFirst(_ key: KeyBytes, stored: LeafValue) throws(DatabaseError) {
        let (reference, page) = try newPage()
        page.format(
            kind: .leaf, level: 0, prefix: KeyBytes(start: nil, count: 0),
            layout: tree.pointee.leafLayout, width: tree.pointee.valueWidth)
        if tree.pointee.isValueTree {
            page.insertDuplicate(at: 0, key: key)
        } else {
            page.insertLeafEntry(at: 0, suffix: key, value: stored)
        }
        tree.pointee.record.root = reference
        tree.pointee.record.depth = 1
        TreeRecord.add(1, to: &tree.pointee.record.leafPages)
        TreeRecord.add(1, to: &tree.pointee.record.entries)
        noteChange()
    }

    @inline(__always)
    func noteChange() {
        tree.pointee.changes &+= 1
        tree.pointee.isDirty = true
        workspace.pointee.isDirty = true
    }

    /// A value as its leaf will hold it: itself, or a pointer to an overflow run made here.
    ///
    /// - Parameter digest: of the pair.
    @inline(__always)
    private func store(
        _ value: UnsafeRawBufferPointer, keyLength: Int, _ digest: ContentDigest
    ) throws(DatabaseError) -> LeafValue {
        let size = Page.entrySize(isLeaf: true, suffixLength: keyLength, valueLength: value.count)
        if size <= Format.inlineEntrySizeMax(pageSize: pageSize)
            || value.count <= OverflowPointer.size
        {
            return LeafValue(kind: .inline, bytes: value)
        }
        return try storeOverflow(value, digest)
    }

    @inline(never)
    func storeOverflow(
        _ value: UnsafeRawBufferPointer, _ digest: ContentDigest
    ) throws(DatabaseError) -> LeafValue {
        let length = UInt64(value.count)
        let pages = OverflowPointer.pageCount(length: length, pageSize: pageSize)
        try checkSpace(pages)
        let frame = try workspace.pointee.frames.pointee.allocateRun(pages: pages)
        guard let memory = workspace.pointee.frames.pointee.memory(frame) else {
            throw source.outOfBounds(PageReference(frame: frame))
        }
        memset(memory, 0, Page.headerSize)
        memory.storeLittleEndian(PageKind.overflow.rawValue, at: Format.Header.kind)
        memory.storeLittleEndian(
            UInt32(truncatingIfNeeded: pages), at: Format.OverflowHeader.pageCount)
        memory.storeLittleEndian(length, at: Format.OverflowHeader.length)
        if let start = value.baseAddress {
            workspace.pointee.frames.pointee.copy(
                start, value.count, to: memory + Page.headerSize)
        }
        let used = Page.headerSize + value.count
        memset(memory + used, 0, Int(pages) * pageSize - used)
        TreeRecord.add(pages, to: &tree.pointee.record.overflowPages)
        let pointer = OverflowPointer(
            reference: PageReference(frame: frame), length: length, digest: digest)
        pointer.store(to: workspace.pointee.overflowPointer)
        return LeafValue(
            kind: .overflow,
            bytes: UnsafeRawBufferPointer(
                start: workspace.pointee.overflowPointer, count: OverflowPointer.size))
    }

    @inline(__always)
    func insertLeafEntry(_ key: KeyBytes, _ value: LeafValue) throws(DatabaseError) {
        assert(isPathOwn)
        let step = tree.pointee.depth - 1
        let page = Page(path[step].page, size: pageSize)
        let index = path[step].index
        if tree.pointee.isValueTree {
            if page.gap >= Page.valueLeafEntrySize(tree.pointee.leafLayout, length: key.count) {
                page.insertDuplicate(at: index, key: key)
                noteInsert(path[step].reference, index)
                return
            }
        } else if page.sharesPrefix(key) {
            let suffix = key.behind(page.prefixLength)
            let size = Page.entrySize(
                isLeaf: true, suffixLength: suffix.count, valueLength: value.bytes.count)
            if page.gap >= size {
                page.insertLeafEntry(at: index, suffix: suffix, value: value)
                noteInsert(path[step].reference, index)
                workspace.pointee.insertedBy = workspace.pointee.pathUses
                return
            }
        }
        if try insertBehindFull(step, at: index, key: key, value: value) { return }
        try rebuildOrSplit(step, at: index, key: key, value: value, child: .none)
    }

    @inline(__always)
    func noteInsert(_ page: PageReference, _ index: Int) {
        tree.pointee.lastInsertPage = page
        tree.pointee.lastInsertIndex = index
    }

    // MARK: Split

    /// Inserts an entry into a page that has no gap for it: after closing the holes and choosing
    /// the prefix anew if that makes room, else after splitting the page.
    @inline(never)
    private func rebuildOrSplit(
        _ step: Int, at index: Int, key: KeyBytes, value: LeafValue, child: PageReference,
        entryCount: UInt64 = 0
    ) throws(DatabaseError) {
        let page = Page(path[step].page, size: pageSize)
        let scratch = workspace.pointee.scratch
        memcpy(scratch.page, page.base, pageSize)
        let entries = PageEntries(
            Page(scratch.page, size: pageSize), newIndex: index, newKey: key, newValue: value,
            newChild: child, newEntryCount: entryCount, scratch: scratch)
        let count = entries.count
        if entries.fits(0..<count) {
            entries.write(0..<count, to: page, level: page.level)
            if entries.isLeaf { noteInsert(path[step].reference, index) }
            return
        }
        guard let cut = entries.splitIndex(preferred: preferredCut(step, index, count)) else {
            guard entries.isLeaf else { throw indivisible(page) }
            try insertAlone(step, at: index, key: key, value: value)
            return
        }
        let isLeft = index < cut
        try split(step, entries, cut: cut) { right in
            guard entries.isLeaf else { return }
            noteInsert(isLeft ? path[step].reference : right, isLeft ? index : index - cut)
        }
    }

    /// Divides the entries of a page between it and a new one on its right.
    ///
    /// - Parameters:
    ///   - entries: as the page has them, and one more at most; from a copy of the page.
    ///   - onSplit: called with the new page before the levels above change.
    @inline(__always)
    private func split(
        _ step: Int, _ entries: PageEntries, cut: Int, onSplit: (PageReference) -> Void
    ) throws(DatabaseError) {
        let page = Page(path[step].page, size: pageSize)
        let level = entries.page.level
        let count = entries.count
        let (rightReference, right) = try newPage()
        workspace.pointee.splits &+= 1
        let separator = copySeparator(entries, cut: cut, level: level)
        entries.write(0..<cut, to: page, level: level)
        entries.write(cut..<count, to: right, level: level)
        if entries.isLeaf {
            TreeRecord.add(1, to: &tree.pointee.record.leafPages)
        } else {
            TreeRecord.add(1, to: &tree.pointee.record.branchPages)
        }
        onSplit(rightReference)
        try insertInParent(
            step, separator: separator, child: rightReference,
            entryCount: isCounted ? entries.entryCount(cut..<count) : 0,
            leftEntryCount: isCounted ? entries.entryCount(0..<cut) : 0)
    }

    /// Inserts an entry that fits with neither the entries before it nor those after it: divides its
    /// leaf where it belongs, and then one of the two again, whose first or last entry it is.
    @inline(never)
    private func insertAlone(
        _ step: Int, at index: Int, key: KeyBytes, value: LeafValue
    ) throws(DatabaseError) {
        let page = Page(path[step].page, size: pageSize)
        guard index > 0, index < page.count else { throw indivisible(page) }
        // The counts above include the new entry, which is in neither part.
        let entryCount = isCounted ? LeafValue.entryCount(value) : 0
        if isCounted { changeEntryCounts(by: 0 &- entryCount) }
        let scratch = workspace.pointee.scratch
        let entries = PageEntries(Page(scratch.page, size: pageSize), scratch: scratch)
        try split(step, entries, cut: index) { _ in tree.pointee.lastInsertPage = .none }
        _ = try TreeRead.descend(source, tree.pointee, to: key, path: path)
        let found = path[tree.pointee.depth - 1]
        let part = Page(found.page, size: pageSize)
        // Otherwise its keys are not in order, and dividing it might never end.
        guard found.index == 0 || found.index == part.count else { throw indivisible(part) }
        if isCounted { changeEntryCounts(by: entryCount) }
        try insertLeafEntry(key, value)
    }

    private func indivisible(_ page: Page) -> DatabaseError {
        source.corrupted(page.number, "page", "its entries cannot be divided between pages")
    }

    /// A cut that leaves full pages behind a run of ascending or descending keys.
    func preferredCut(_ step: Int, _ index: Int, _ count: Int) -> Int? {
        if step < tree.pointee.depth - 1 {
            // Above leaves that fill in ascending order, branches do too: leave two children.
            return isRightmost(step) && index == count - 1 ? count - 2 : nil
        }
        let isSamePage = path[step].reference == tree.pointee.lastInsertPage
        if isSamePage, index == tree.pointee.lastInsertIndex + 1 {
            // An entry that does not belong to the run goes right alone; the run fills the left page.
            return index + 1 < count ? index + 1 : index
        }
        if isSamePage, index == tree.pointee.lastInsertIndex { return index + 1 }
        if index == count - 1, isRightmost(step) { return index }
        return nil
    }

    func isRightmost(_ step: Int) -> Bool {
        for above in 0..<step
        where path[above].index != Page(path[above].page, size: pageSize).count - 1 {
            return false
        }
        return true
    }

    /// The shortest key that tells the two sides of a cut apart; for a branch the separator
    /// that moves up. Lies in one of two buffers, so that the level above can split with it.
    private func copySeparator(_ entries: PageEntries, cut: Int, level: Int) -> KeyBytes {
        let right = entries.key(cut, in: entries.scratch.secondKey)
        let buffer =
            level & 1 == 0 ? workspace.pointee.separators.0 : workspace.pointee.separators.1
        if entries.isLeaf {
            let left = entries.key(cut - 1, in: entries.scratch.firstKey)
            return copySeparator(between: left, and: right, to: buffer)
        }
        if let start = right.baseAddress { memcpy(buffer, start, right.count) }
        return KeyBytes(start: buffer, count: right.count)
    }

    /// The shortest key that tells two keys apart, in a buffer.
    func copySeparator(
        between left: KeyBytes, and right: KeyBytes, to buffer: UnsafeMutableRawPointer
    ) -> KeyBytes {
        let length = min(right.count, KeyOrder.commonPrefixLength(left, right) + 1)
        if let start = right.baseAddress { memcpy(buffer, start, length) }
        return KeyBytes(start: buffer, count: length)
    }

    func insertInParent(
        _ step: Int, separator: KeyBytes, child: PageReference, entryCount: UInt64,
        leftEntryCount: UInt64
    ) throws(DatabaseError) {
        guard step > 0 else {
            try growRoot(
                separator: separator, right: child, entryCount: entryCount,
                leftEntryCount: leftEntryCount)
            return
        }
        let parent = Page(path[step - 1].page, size: pageSize)
        let index = path[step - 1].index + 1
        if isCounted { parent.setEntryCount(index - 1, leftEntryCount) }
        if parent.sharesPrefix(separator) {
            let suffix = separator.behind(parent.prefixLength)
            let size =
                Page.entrySize(isLeaf: false, suffixLength: suffix.count, valueLength: 0)
                + Page.countSize(tree.pointee.branchLayout)
            if parent.gap >= size {
                parent.insertBranchEntry(
                    at: index, suffix: suffix, child: child, entries: entryCount)
                return
            }
        }
        try rebuildOrSplit(
            step - 1, at: index, key: separator, value: PageEntries.noValue, child: child,
            entryCount: entryCount)
    }

    private func growRoot(
        separator: KeyBytes, right: PageReference, entryCount: UInt64, leftEntryCount: UInt64
    ) throws(DatabaseError) {
        let depth = tree.pointee.depth
        guard depth < workspace.pointee.depthMax else {
            throw DatabaseError(
                .full, limit: .depth,
                "the tree has reached its largest depth, \(depth) levels; abort the "
                    + "transaction, and copy the database to an environment with larger pages, or "
                    + "give it shorter keys")
        }
        let (reference, page) = try newPage()
        page.format(
            kind: .branch, level: depth, prefix: KeyBytes(start: nil, count: 0),
            layout: tree.pointee.branchLayout)
        page.insertBranchEntry(
            at: 0, suffix: KeyBytes(start: nil, count: 0), child: tree.pointee.root,
            entries: leftEntryCount)
        page.insertBranchEntry(at: 1, suffix: separator, child: right, entries: entryCount)
        tree.pointee.record.root = reference
        tree.pointee.record.depth += 1
        TreeRecord.add(1, to: &tree.pointee.record.branchPages)
    }

    // MARK: Pages

    /// Checks that the transaction may change so many pages of trees more.
    func checkLimits(_ pages: UInt64) throws(DatabaseError) {
        guard workspace.pointee.isLimited else { return }
        let frames = workspace.pointee.frames
        let dirty = frames.pointee.dirtyPages - frames.pointee.valuePages + pages
        let pagesMax = workspace.pointee.pagesMax
        if pagesMax > 0, dirty > pagesMax {
            throw DatabaseError(
                .transactionFull, limit: .transactionPages,
                "the transaction would dirty \(dirty) pages of \(pageSize) bytes; its limit "
                    + "\(c: "max_txn_pages") is \(pagesMax); abort it and commit in smaller "
                    + "transactions, or open the environment with a larger \(c: "max_txn_pages") "
                    + "(0 for no bound)")
        }
        try checkSpace(pages)
    }

    /// Checks that there can be numbers for so many pages more.
    private func checkSpace(_ pages: UInt64) throws(DatabaseError) {
        guard workspace.pointee.isLimited else { return }
        let dirty = workspace.pointee.frames.pointee.dirtyPages + pages
        let spacePages = workspace.pointee.spacePages
        if dirty > spacePages {
            throw DatabaseError(
                .full, limit: .maxSize,
                "the transaction needs \(dirty) pages of \(pageSize) bytes, but the environment "
                    + "has room for \(spacePages) more within its \(c: "max_size"); abort it, then "
                    + "open the environment with a larger \(c: "max_size")")
        }
    }

    @inline(__always)
    func newPage() throws(DatabaseError) -> (PageReference, Page) {
        try checkLimits(1)
        let frame = try workspace.pointee.frames.pointee.allocatePage()
        guard let memory = workspace.pointee.frames.pointee.memory(frame) else {
            throw source.outOfBounds(PageReference(frame: frame))
        }
        return (PageReference(frame: frame), Page(memory, size: pageSize))
    }

    /// Makes every page of the path one that may change.
    @inline(__always)
    func touchPath() throws(DatabaseError) { try touchPath(steps: tree.pointee.depth) }

    /// Makes the first pages of the path ones that may change.
    @inline(__always)
    func touchPath(steps: Int) throws(DatabaseError) {
        if workspace.pointee.frames.pointee.level > 0 { return try touchNestedPath(steps) }
        for step in 0..<steps where !path[step].reference.isFrame { try touch(step) }
    }

    /// The same where frames may be those of a transaction that this one is nested in.
    @inline(never)
    private func touchNestedPath(_ steps: Int) throws(DatabaseError) {
        for step in 0..<steps where !isOwn(path[step].reference) { try touch(step) }
    }

    /// Whether a page may change in place.
    @inline(__always)
    func isOwn(_ reference: PageReference) -> Bool {
        workspace.pointee.frames.pointee.isOwn(reference)
    }

    @inline(never)
    private func touch(_ step: Int) throws(DatabaseError) {
        let (reference, copy) = try newPage()
        memcpy(copy.base, path[step].page, pageSize)
        release(path[step].reference)
        path[step].reference = reference
        path[step].page = copy.base
        if step == 0 {
            tree.pointee.record.root = reference
        } else {
            Page(path[step - 1].page, size: pageSize).setChild(path[step - 1].index, reference)
        }
    }

    /// Whether every page of the path may change in place, for assertions.
    var isPathOwn: Bool { isOwn(steps: tree.pointee.depth) }

    /// The same of the first pages of the path.
    private func isOwn(steps: Int) -> Bool {
        (0..<steps).allSatisfy { isOwn(path[$0].reference) }
    }

    /// Whether key and value have sizes that a put can have, and lie in no page that it may move; for
    /// assertions.
    func isPutable(_ key: KeyBytes, _ value: UnsafeRawBufferPointer) -> Bool {
        let frames = workspace.pointee.frames
        let areInFrames = [key, value].contains { bytes in
            bytes.baseAddress.map { frames.pointee.contains($0) } ?? false
        }
        return key.count <= Format.keySizeMax(pageSize: pageSize)
            && (key.count > 0 || tree.pointee.isValueTree)
            && value.count <= Format.valueSizeMax && !areInFrames
    }

    /// Gives up a tree page: at once if this transaction made it, with its commit if one that it is
    /// nested in did, else when no reader of the snapshot needs it.
    func release(_ reference: PageReference) {
        if reference.isFrame {
            workspace.pointee.frames.pointee.free(reference.frameIndex)
        } else {
            workspace.pointee.free(
                PageRun(start: reference.number, count: 1),
                birth: writer(of: reference))
        }
    }

    func release(_ pointer: OverflowPointer) {
        let length = min(pointer.length, UInt64(Format.valueSizeMax))
        let pages = OverflowPointer.pageCount(length: length, pageSize: pageSize)
        TreeRecord.subtract(pages, from: &tree.pointee.record.overflowPages)
        if pointer.reference.isFrame {
            workspace.pointee.frames.pointee.free(pointer.reference.frameIndex)
        } else {
            workspace.pointee.free(
                PageRun(start: pointer.reference.number, count: pages),
                birth: writer(of: pointer.reference))
        }
    }

    /// The transaction that wrote a page, as its header says; 0 if that cannot be.
    ///
    /// The reference confirms it: a damaged page must not count as younger than it is by what it says, and be
    /// used again early.
    func writer(of reference: PageReference) -> UInt64 {
        let written = source.birth(of: reference.number)
        return written < transaction
            && UInt16(truncatingIfNeeded: written) == reference.transactionTag ? written : 0
    }

    // MARK: Counts

    /// Whether branches count what is below them.
    @inline(__always)
    var isCounted: Bool { tree.pointee.record.flags.contains(.counted) }

    /// Adds to the counts of all branches on the path, which may change in place.
    @inline(never)
    func changeEntryCounts(by change: UInt64) {
        assert(isOwn(steps: tree.pointee.depth - 1))
        for step in 0..<(tree.pointee.depth - 1) {
            let page = Page(path[step].page, size: pageSize)
            let index = path[step].index
            page.setEntryCount(index, page.entryCount(index) &+ change)
        }
    }
}
