import Glibc

/// Deleting: the entry, then merging pages that have become too empty.
extension TreeWriter {
    /// Deletes a key.
    ///
    /// - Returns: false if it is not there, and then nothing has changed.
    func delete(_ key: KeyBytes) throws(DatabaseError) -> Bool {
        guard tree.pointee.depth > 0 else { return false }
        let position = try TreeRead.descend(
            source, tree.pointee, to: key, path: path, forChange: true)
        guard position.found else { return false }
        let found = path[tree.pointee.depth - 1]
        try touchPath()
        let removed = try digest(of: found, key)
        try removeFound(removed)
        return true
    }

    /// Deletes the entry the path leads to, with all its values. All pages of the path may change in place.
    ///
    /// - Parameter removed: what the entry has added to the digest.
    func removeFound(_ removed: ContentDigest) throws(DatabaseError) {
        assert(isPathOwn)
        let step = tree.pointee.depth - 1
        let leaf = Page(path[step].page, size: pageSize)
        let index = path[step].index
        var entryCount: UInt64 = 1
        if !tree.pointee.isValueTree {
            guard let value = leaf.value(index) else { throw source.badEntry(leaf) }
            tree.pointee.record.digest -= removed
            switch value.kind {
            case .inline: break
            case .overflow: release(OverflowPointer(at: value.bytes))
            case .inlineValues: entryCount = LeafValue.entryCount(LeafValue(value))
            case .valueTree:
                entryCount = LeafValue.entryCount(LeafValue(value))
                try releaseValueTree(ValueTree(at: value.bytes))
            }
        }
        if tree.pointee.record.flags.contains(.duplicates) {
            TreeRecord.subtract(1, from: &tree.pointee.record.keys)
        }
        if isCounted { changeEntryCounts(by: 0 &- entryCount) }
        leaf.removeEntry(index)
        TreeRecord.subtract(entryCount, from: &tree.pointee.record.entries)
        tree.pointee.lastInsertPage = .none
        noteChange()
        try rebalance(step)
    }

    /// Pages emptier than this are merged with a neighbour if both fit in one.
    private var mergeBelow: Int { Page.capacity(pageSize: pageSize) * 2 / 5 }

    /// Restores the shape of the tree above a page that has lost an entry.
    func rebalance(_ step: Int) throws(DatabaseError) {
        let page = Page(path[step].page, size: pageSize)
        if page.count == 0 {
            try removePage(step)
            return
        }
        guard step > 0 else {
            try shrinkRoot()
            return
        }
        // A branch without separators may still have a prefix.
        let isSingle = page.isBranch && page.count == 1
        guard page.liveSize < mergeBelow || isSingle else { return }
        let index = path[step - 1].index
        if try merge(step, left: index) { return }
        if index > 0, try merge(step, left: index - 1) { return }
        if isSingle { try borrow(step) }
    }

    /// Takes a page that has no entries any more out of the tree.
    func removePage(_ step: Int) throws(DatabaseError) {
        countLost(Page(path[step].page, size: pageSize))
        release(path[step].reference)
        guard step > 0 else {
            tree.pointee.record.root = .none
            tree.pointee.record.depth = 0
            return
        }
        removeChild(path[step - 1].index, of: Page(path[step - 1].page, size: pageSize))
        try rebalance(step - 1)
    }

    /// Lets the only child of the root be the root.
    func shrinkRoot() throws(DatabaseError) {
        while tree.pointee.depth > 1 {
            let root = tree.pointee.root
            let page = try source.page(
                root, level: tree.pointee.depth - 1, layout: tree.pointee.branchLayout)
            guard page.count == 1 else { return }
            tree.pointee.record.root = page.child(0)
            tree.pointee.record.depth -= 1
            TreeRecord.subtract(1, from: &tree.pointee.record.branchPages)
            release(root)
        }
    }

    private func countLost(_ page: Page) {
        if page.isLeaf {
            TreeRecord.subtract(1, from: &tree.pointee.record.leafPages)
        } else {
            TreeRecord.subtract(1, from: &tree.pointee.record.branchPages)
        }
    }

    private func removeChild(_ index: Int, of parent: Page) {
        guard index == 0, parent.count > 1 else {
            parent.removeEntry(index)
            return
        }
        // The first entry has no separator: the second's child takes its place.
        parent.setChild(0, parent.child(1))
        if isCounted { parent.setEntryCount(0, parent.entryCount(1)) }
        parent.removeEntry(1)
    }

    /// Moves a child to a branch that has only one from a neighbour, which has three or more as the
    /// two would not have fitted in one page. So every branch but one above nothing else keeps two, and
    /// trees stay flat whatever the keys.
    ///
    /// The separator between the two becomes another one, maybe a longer one: the parent may split.
    private func borrow(_ step: Int) throws(DatabaseError) {
        let parent = Page(path[step - 1].page, size: pageSize)
        let index = path[step - 1].index
        let isFromRight = index + 1 < parent.count
        let leftIndex = isFromRight ? index : index - 1
        guard leftIndex >= 0, leftIndex + 1 < parent.count else { return }
        let level = parent.level - 1
        let giverIndex = isFromRight ? index + 1 : index - 1
        let giver = try ownChild(giverIndex, of: parent, level: level)
        guard giver.count > 2 else { return }
        let taker = Page(path[step].page, size: pageSize)

        let scratch = workspace.pointee.scratch
        let oldLength = parent.copyKey(leftIndex + 1, to: scratch.firstKey)
        let buffer =
            level & 1 == 0 ? workspace.pointee.separators.0 : workspace.pointee.separators.1
        let given = isFromRight ? 0 : giver.count - 1
        let newLength = giver.copyKey(isFromRight ? 1 : given, to: buffer)
        guard oldLength >= 0, newLength >= 0 else { throw source.badEntry(parent) }

        let own = (child: taker.child(0), entries: taker.entryCount(0))
        let moved = (child: giver.child(given), entries: giver.entryCount(given))
        let (first, second) = isFromRight ? (own, moved) : (moved, own)
        let none = KeyBytes(start: nil, count: 0)
        taker.format(
            kind: .branch, level: level, prefix: none, layout: tree.pointee.branchLayout)
        taker.insertBranchEntry(
            at: 0, suffix: none, child: first.child, entries: first.entries)
        taker.insertBranchEntry(
            at: 1, suffix: KeyBytes(start: scratch.firstKey, count: oldLength),
            child: second.child, entries: second.entries)
        removeChild(given, of: giver)

        let (left, right) = isFromRight ? (taker, giver) : (giver, taker)
        let rightReference = parent.child(leftIndex + 1)
        parent.removeEntry(leftIndex + 1)
        path[step - 1].index = leftIndex
        try insertInParent(
            step, separator: KeyBytes(start: buffer, count: newLength), child: rightReference,
            entryCount: right.entryCount, leftEntryCount: left.entryCount)
    }

    /// A child of a branch that may change in place, copied if it was not to.
    private func ownChild(
        _ index: Int, of parent: Page, level: Int
    ) throws(DatabaseError) -> Page {
        let reference = parent.child(index)
        let page = try source.page(
            reference, level: level, layout: tree.pointee.layout(level: level))
        guard !isOwn(reference) else { return page }
        let (copyReference, copy) = try newPage()
        memcpy(copy.base, page.base, pageSize)
        release(reference)
        parent.setChild(index, copyReference)
        return copy
    }

    /// Merges child `left` of the parent with the one after it, if there is one and both fit in
    /// one page, and then the parent with its neighbours.
    private func merge(_ step: Int, left index: Int) throws(DatabaseError) -> Bool {
        guard try mergeChildren(step, left: index) else { return false }
        workspace.pointee.merges &+= 1
        try rebalance(step - 1)
        return true
    }

    /// Merges child `left` of the parent with the one after it, if there is one and both fit in
    /// one page. The parent is the last page of the path that counts.
    func mergeChildren(_ step: Int, left index: Int) throws(DatabaseError) -> Bool {
        let parent = Page(path[step - 1].page, size: pageSize)
        guard index + 1 < parent.count else { return false }
        let level = parent.level - 1
        let leftReference = parent.child(index)
        let rightReference = parent.child(index + 1)
        let layout = tree.pointee.layout(level: level)
        let left = try source.page(leftReference, level: level, layout: layout)
        let right = try source.page(rightReference, level: level, layout: layout)
        if tree.pointee.isValueTree, level == 0 {
            try TreeRead.checkValueLeaf(source, tree.pointee, left)
            try TreeRead.checkValueLeaf(source, tree.pointee, right)
        }
        let capacity = Page.capacity(pageSize: pageSize)
        guard left.liveSize + right.liveSize - left.prefixLength - right.prefixLength <= capacity
        else { return false }

        let scratch = workspace.pointee.scratch
        let separator = KeyBytes(
            start: workspace.pointee.separators.0,
            count: max(0, parent.copyKey(index + 1, to: workspace.pointee.separators.0)))
        let isLeaf = left.isLeaf
        let leftEntries = PageEntries(left, scratch: scratch)
        let rightEntries = PageEntries(right, scratch: scratch)
        // The prefix of the merged page: what its first and last keys share.
        let first =
            isLeaf || left.count > 1
            ? leftEntries.key(isLeaf ? 0 : 1, in: scratch.firstKey) : separator
        let last =
            isLeaf || right.count > 1
            ? rightEntries.key(right.count - 1, in: scratch.secondKey) : separator
        let prefixLength =
            tree.pointee.isValueTree && isLeaf ? 0 : KeyOrder.commonPrefixLength(first, last)
        var size = Page.slotsOffset(prefixLength: prefixLength) - Page.headerSize
        for entry in 0..<left.count {
            size += leftEntries.size(entry, prefixLength: prefixLength)
        }
        for entry in 0..<right.count {
            size += rightEntries.size(entry, prefixLength: prefixLength)
        }
        // The right page's first child gets the separator for its key.
        if !isLeaf { size += Page.restLength(suffixLength: separator.count - prefixLength) }
        guard size <= capacity else { return false }

        memcpy(scratch.page, left.base, pageSize)
        let target: Page
        if isOwn(leftReference) {
            target = left
        } else {
            let (reference, page) = try newPage()
            target = page
            release(leftReference)
            parent.setChild(index, reference)
        }
        target.format(
            kind: isLeaf ? .leaf : .branch, level: level,
            prefix: KeyBytes(rebasing: first.prefix(prefixLength)), layout: layout,
            width: tree.pointee.valueWidth)
        let copy = PageEntries(Page(scratch.page, size: pageSize), scratch: scratch)
        copy.append(0..<copy.count, to: target)
        if isLeaf {
            rightEntries.append(0..<right.count, to: target)
        } else {
            target.insertBranchEntry(
                at: target.count, suffix: separator.behind(prefixLength),
                child: right.child(0), entries: right.entryCount(0))
            rightEntries.append(1..<right.count, to: target)
        }
        if isCounted {
            parent.setEntryCount(index, parent.entryCount(index) &+ parent.entryCount(index + 1))
        }
        countLost(right)
        release(rightReference)
        removeChild(index + 1, of: parent)
        return true
    }
}
