/// Ranks: what the counts in the branches of a counted database are for.
extension TreeRead {
    /// The entries before the one that a path leads to; those of the same key come with it.
    static func rank(_ source: PageSource, _ tree: TreeState, path: Path) -> UInt64 {
        guard tree.depth > 0 else { return 0 }
        var rank: UInt64 = 0
        for step in 0..<(tree.depth - 1) {
            rank &+= Page(path[step].page, size: source.pageSize).entryCount(
                before: path[step].index)
        }
        let step = path[tree.depth - 1]
        guard tree.record.flags.contains(.duplicates), !tree.isValueTree else {
            return rank &+ UInt64(max(0, step.index))
        }
        return rank &+ Page(step.page, size: source.pageSize).entryCount(before: step.index)
    }

    /// Fills a path with the way to the entry before which there are `rank` others.
    ///
    /// - Returns: of the values of its key, which one it is; nil if there are not so many entries.
    /// - Complexity: a pass over one page a level.
    static func descend(
        _ source: PageSource, _ tree: TreeState, toRank rank: UInt64, path: Path
    ) throws(DatabaseError) -> UInt64? {
        guard rank < tree.record.entries, tree.depth > 0 else { return nil }
        var left = rank
        var reference = tree.root
        for step in 0..<tree.depth {
            let level = tree.depth - 1 - step
            let page = try source.page(reference, level: level, layout: tree.layout(level: level))
            if level == 0, tree.isValueTree { try checkValueLeaf(source, tree, page) }
            let isLeafOfOnes =
                level == 0 && (tree.isValueTree || !tree.record.flags.contains(.duplicates))
            var index = 0
            if isLeafOfOnes {
                guard left < UInt64(page.count) else { throw wrongCount(source, page) }
                index = Int(left)
                left = 0
            } else {
                var entryCount = page.count > 0 ? page.entryCount(0) : 0
                while left >= entryCount {
                    left -= entryCount
                    index += 1
                    guard index < page.count else { throw wrongCount(source, page) }
                    entryCount = page.entryCount(index)
                }
            }
            path[step] = PathStep(reference: reference, page: page.base, index: index)
            if level > 0 { reference = page.child(index) }
        }
        if source.mode == .full { try checkFences(source, tree, path: path) }
        return left
    }

    private static func wrongCount(_ source: PageSource, _ page: Page) -> DatabaseError {
        source.corrupted(
            page.number, "page", "it has fewer entries than the counts above it say")
    }
}
