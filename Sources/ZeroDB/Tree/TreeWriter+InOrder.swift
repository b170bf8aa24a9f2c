/// Keys that come in order: they are put behind the last entry without a search, and a leaf that they have
/// filled stays as it is.
extension TreeWriter {
    /// Whether the path leads to the last entry of the tree, by the writer before, and a key comes behind it.
    @inline(__always)
    func isBehindEnd(_ key: KeyBytes) -> Bool {
        let end = workspace.pointee.end
        guard end.user == workspace.pointee.pathUses, end.tree == tree,
            end.changes == tree.pointee.changes
        else { return false }
        return Page(path[tree.pointee.depth - 1].page, size: pageSize).endsBefore(key)
    }

    /// Notes that the path leads to the last entry of the tree, if it does. To be the last use that a
    /// writer makes of the path.
    @inline(__always)
    func noteEnd() {
        guard workspace.pointee.insertedBy == workspace.pointee.pathUses else { return }
        if workspace.pointee.foundBehindEndBy != workspace.pointee.pathUses {
            let step = tree.pointee.depth - 1
            guard path[step].index == Page(path[step].page, size: pageSize).count - 1,
                isRightmost(step)
            else { return }
        }
        workspace.pointee.end = TreeEnd(
            tree: tree, changes: tree.pointee.changes, user: workspace.pointee.pathUses &+ 1)
    }

    /// Inserts an entry behind the last one of a leaf that is full and stays as it is, into a leaf of its
    /// own: what `rebuildOrSplit` does with a run of ascending keys, without looking at each entry.
    ///
    /// - Returns: whether that could be done.
    @inline(never)
    func insertBehindFull(
        _ step: Int, at index: Int, key: KeyBytes, value: LeafValue
    ) throws(DatabaseError) -> Bool {
        let page = Page(path[step].page, size: pageSize)
        let count = page.count
        guard index == count, count > 1, !tree.pointee.isValueTree, !isCounted,
            preferredCut(step, index, count + 1) == index,
            Page.entrySize(isLeaf: true, suffixLength: key.count, valueLength: value.bytes.count)
                <= Page.capacity(pageSize: pageSize)
        else { return false }
        let scratch = workspace.pointee.scratch
        let shared = commonPrefixLength(page, key)
        guard shared >= 0 else { throw source.badEntry(page) }
        if mayFit(page, key, value, sharing: shared) { return false }
        let last = page.copyKey(count - 1, to: scratch.secondKey)
        guard last >= 0 else { throw source.badEntry(page) }
        let (reference, right) = try newPage()
        workspace.pointee.splits &+= 1
        workspace.pointee.leavesFilledInOrder += 1
        // What all keys of the full leaf share with this one, those behind it are likely to share too.
        let prefix = KeyBytes(rebasing: key.prefix(shared))
        right.format(kind: .leaf, level: 0, prefix: prefix, layout: tree.pointee.leafLayout)
        right.insertLeafEntry(
            at: 0, suffix: key.behind(shared), value: value)
        TreeRecord.add(1, to: &tree.pointee.record.leafPages)
        noteInsert(reference, 0)
        let separator = copySeparator(
            between: KeyBytes(start: scratch.secondKey, count: last), and: key,
            to: workspace.pointee.separators.0)
        try insertInParent(
            step, separator: separator, child: reference, entryCount: 0, leftEntryCount: 0)
        return true
    }

    /// How many bytes the keys of a leaf share with one behind them; negative if the leaf is damaged.
    private func commonPrefixLength(_ page: Page, _ key: KeyBytes) -> Int {
        let first = workspace.pointee.scratch.firstKey
        let length = page.copyKey(0, to: first)
        guard length >= 0 else { return length }
        return KeyOrder.commonPrefixLength(KeyBytes(start: first, count: length), key)
    }

    /// Whether a leaf might have room for one more entry behind its last one, after closing the holes and
    /// choosing the prefix anew, which is `shared` bytes long then.
    private func mayFit(
        _ page: Page, _ key: KeyBytes, _ value: LeafValue, sharing shared: Int
    ) -> Bool {
        // Each byte of a longer prefix saves one of each key at most.
        let saved = max(0, shared - page.prefixLength) * page.count
        let size = Page.entrySize(
            isLeaf: true, suffixLength: key.count - shared, valueLength: value.bytes.count)
        return page.liveSize - saved + size <= Page.capacity(pageSize: pageSize)
    }
}
