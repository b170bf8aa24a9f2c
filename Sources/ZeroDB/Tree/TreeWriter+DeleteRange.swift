/// Deleting many neighbouring entries.
extension TreeWriter {
    /// Deletes the entries of a range, leaf by leaf. Leaves that go as a whole are not copied.
    ///
    /// - Parameters:
    ///   - from: the first key; nil for the beginning.
    ///   - to: the key after the last, and after `from`; nil for the end. Neither lies in a page of
    ///     the transaction.
    /// - Returns: how many there were.
    func deleteRange(from: KeyBytes?, to: KeyBytes?) throws(DatabaseError) -> UInt64 {
        let none = KeyBytes(start: nil, count: 0)
        assert(from.map { isPutable($0, none) } ?? true && to.map { isPutable($0, none) } ?? true)
        var deleted: UInt64 = 0
        var leavesLeft = TreeRead.leavesMax(source)
        var freed: UInt64 = 0
        while tree.pointee.depth > 0, try moveToFirst(atOrAfter: from) {
            let step = tree.pointee.depth - 1
            let leaf = Page(path[step].page, size: pageSize)
            let start = path[step].index
            let end = to.map { leaf.searchLeaf($0).index } ?? leaf.count
            guard end >= 0 else { throw source.badEntry(leaf) }
            guard start < end else { break }
            let isLast = end < leaf.count
            try TreeRead.countLeaf(&leavesLeft, source, path[step].reference)
            deleted &+= try deleteEntries(start..<end, step, &freed)
            if isLast { break }
        }
        return deleted
    }

    /// Fills the path with the way to the first entry at or after a key.
    ///
    /// - Returns: false if there is none.
    private func moveToFirst(atOrAfter key: KeyBytes?) throws(DatabaseError) -> Bool {
        guard let key else {
            try TreeRead.descend(
                source, tree.pointee, to: .first, path: path, from: 0,
                reference: tree.pointee.root)
            return true
        }
        let position = try TreeRead.descend(source, tree.pointee, to: key, path: path)
        let leaf = Page(path[tree.pointee.depth - 1].page, size: pageSize)
        guard position.index >= leaf.count else { return true }
        return try TreeRead.moveToNeighbor(source, tree.pointee, forward: true, path: path)
    }

    /// Deletes entries of the leaf that the path leads to.
    ///
    /// - Parameter freed: counts the pages of value trees.
    private func deleteEntries(
        _ range: Range<Int>, _ step: Int, _ freed: inout UInt64
    ) throws(DatabaseError) -> UInt64 {
        let found = Page(path[step].page, size: pageSize)
        // All of it is hashed, in another order than it lies in.
        if range.count > 4 { found.prefetch() }
        for index in range {
            tree.pointee.record.digest -= try digest(ofEntry: index, of: found)
        }
        let isWhole = range.count == found.count
        try touchPath(steps: isWhole ? step : step + 1)
        let leaf = Page(path[step].page, size: pageSize)
        let count = TreeRead.entryCount(leaf, range, tree.pointee.record)
        let hasDuplicates = tree.pointee.record.flags.contains(.duplicates)
        for index in range {
            guard let value = leaf.value(index) else { throw source.badEntry(leaf) }
            if value.kind == .overflow { release(OverflowPointer(at: value.bytes)) }
            if value.kind == .valueTree {
                freed &+= try releaseValueTree(ValueTree(at: value.bytes))
                try checkFreed(freed, path[step].reference)
            }
        }
        if hasDuplicates {
            TreeRecord.subtract(UInt64(range.count), from: &tree.pointee.record.keys)
        }
        if isCounted { changeEntryCounts(by: 0 &- count) }
        TreeRecord.subtract(count, from: &tree.pointee.record.entries)
        tree.pointee.lastInsertPage = .none
        noteChange()
        if isWhole {
            try removePage(step)
        } else {
            leaf.removeLeafEntries(range)
            try rebalance(step)
        }
        return count
    }
}
