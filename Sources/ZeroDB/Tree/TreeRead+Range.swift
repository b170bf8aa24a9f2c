/// Ranges of keys: from one, included, to another, not included.
extension TreeRead {
    /// Leaves ahead of a pass that memory is asked for.
    private static let prefetchLeaves = 8

    /// Counts the entries of a range.
    ///
    /// - Parameters:
    ///   - from: the first key; nil for the beginning.
    ///   - to: the key after the last, and after `from`; nil for the end.
    /// - Complexity: O(leaves of the range), of which the first and the last are searched and the
    ///   others asked for their counts.
    static func count(
        _ source: PageSource, _ tree: TreeState, from: KeyBytes?, to: KeyBytes?
    ) throws(DatabaseError) -> UInt64 {
        guard tree.depth > 0 else { return 0 }
        let leafStep = tree.depth - 1
        let path = Path.allocate(capacity: 2 * (Format.depthMax + 1))
        defer { path.deallocate() }
        let end = path + (Format.depthMax + 1)
        try descend(source, tree, to: to, orEnd: .last, path: end)
        // Without a last key the end is behind the last entry.
        let endIndex = end[leafStep].index + (to == nil ? 1 : 0)
        try descend(source, tree, to: from, orEnd: .first, path: path)
        var start = path[leafStep].index
        var total: UInt64 = 0
        var leavesLeft = leavesMax(source)
        while true {
            try countLeaf(&leavesLeft, source, path[leafStep].reference)
            let leaf = Page(path[leafStep].page, size: source.pageSize)
            let isLast = path[leafStep].reference == end[leafStep].reference
            let stop = isLast ? endIndex : leaf.count
            if start < stop { total &+= entryCount(leaf, start..<stop, tree.record) }
            guard !isLast, try moveToNeighbor(source, tree, forward: true, path: path) else {
                return total
            }
            start = 0
            let parent = Page(path[leafStep - 1].page, size: source.pageSize)
            let ahead = path[leafStep - 1].index + prefetchLeaves
            if ahead < parent.count { source.prefetch(parent.child(ahead)) }
        }
    }

    /// Leaves that a pass over a tree can come to. No tree has more, whatever a damaged one refers to
    /// twice: its branches could lead to a few pages again and again, for longer than anyone waits.
    static func leavesMax(_ source: PageSource) -> UInt64 {
        source.pageCount &+ UInt64(source.frames?.pointee.count ?? 0) &+ 1
    }

    /// Notes that a pass has come to a leaf.
    ///
    /// - Throws: `corrupted` if it cannot have.
    static func countLeaf(
        _ leavesLeft: inout UInt64, _ source: PageSource, _ reference: PageReference
    ) throws(DatabaseError) {
        guard leavesLeft > 0 else {
            throw source.corrupted(
                reference.number, "page", "a tree leads to more pages than there are")
        }
        leavesLeft -= 1
    }

    private static func descend(
        _ source: PageSource, _ tree: TreeState, to key: KeyBytes?, orEnd end: End, path: Path
    ) throws(DatabaseError) {
        if let key {
            _ = try descend(source, tree, to: key, path: path)
        } else {
            try descend(source, tree, to: end, path: path, from: 0, reference: tree.root)
        }
    }

    /// Pairs of key and value that entries of a leaf hold.
    static func entryCount(
        _ leaf: Page, _ range: Range<Int>, _ tree: borrowing TreeRecord
    ) -> UInt64 {
        guard tree.flags.contains(.duplicates) else { return UInt64(range.count) }
        var total: UInt64 = 0
        for index in range { total &+= leaf.entryCount(index) }
        return total
    }
}
