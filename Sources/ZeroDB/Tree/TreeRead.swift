/// Reading a tree. All functions take the tree by value: a reader's tree never changes.
enum TreeRead {
    /// Looks a key up.
    ///
    /// - Returns: its value, nil if it is not there. Points into the map or a frame.
    /// - Complexity: one page a level; the last is the only one not usually in the cache.
    @inline(__always)
    static func get(
        _ source: PageSource, root: PageReference, depth: Int, key: KeyBytes
    ) throws(DatabaseError) -> UnsafeRawBufferPointer? {
        var level = depth - 1
        guard level >= 0 else { return nil }
        var reference = root
        while level > 0 {
            let page = try source.page(reference, level: level)
            let child = page.searchBranch(key)
            guard child >= 0 else { throw source.broken(page) }
            reference = page.child(child)
            level -= 1
        }
        let leaf = try source.page(reference, level: 0)
        let position = leaf.searchLeaf(key)
        guard position.found else {
            if position.index < 0 { throw source.broken(leaf) }
            return nil
        }
        return try value(source, leaf, position.index)
    }

    /// The value of a leaf's entry.
    @inline(__always)
    static func value(
        _ source: PageSource, _ leaf: Page, _ index: Int
    ) throws(DatabaseError) -> UnsafeRawBufferPointer {
        guard let field = leaf.value(index) else { throw source.broken(leaf) }
        if field.kind == .inline {
            return UnsafeRawBufferPointer(start: field.bytes, count: field.count)
        }
        return try source.overflow(OverflowPointer(at: field.bytes))
    }

    /// Fills a path with the way to a key.
    ///
    /// - Returns: where the key is or would be in the leaf.
    @inline(__always)
    static func descend(
        _ source: PageSource, _ tree: TreeState, to key: KeyBytes, path: Path
    ) throws(DatabaseError) -> PagePosition {
        var reference = tree.root
        let leafStep = tree.depth - 1
        for step in 0..<leafStep {
            let page = try source.page(reference, level: leafStep - step)
            let child = page.searchBranch(key)
            guard child >= 0 else { throw source.broken(page) }
            path[step] = PathStep(reference: reference, page: page.base, index: child)
            reference = page.child(child)
        }
        let leaf = try source.page(reference, level: 0)
        let position = leaf.searchLeaf(key)
        guard position.index >= 0 else { throw source.broken(leaf) }
        path[leafStep] = PathStep(reference: reference, page: leaf.base, index: position.index)
        return position
    }

    /// Which end of a tree.
    enum End {
        case first
        case last
    }

    /// Fills a path from `step` down with the way to the first or last entry below it.
    static func descend(
        _ source: PageSource, _ tree: TreeState, to end: End, path: Path, from step: Int,
        reference start: PageReference
    ) throws(DatabaseError) {
        var reference = start
        let leafStep = tree.depth - 1
        for step in step...leafStep {
            let page = try source.page(reference, level: leafStep - step)
            guard page.slotsAreInside, step == leafStep || page.count > 0 else {
                throw source.broken(page)
            }
            let index = end == .first ? 0 : page.count - 1
            path[step] = PathStep(reference: reference, page: page.base, index: index)
            if step < leafStep { reference = page.child(index) }
        }
    }

    /// Moves a path to the next leaf's first entry, or the leaf before's last.
    ///
    /// - Returns: false at the end of the tree; the path is unchanged then.
    static func moveToNeighbor(
        _ source: PageSource, _ tree: TreeState, forward: Bool, path: Path
    ) throws(DatabaseError) -> Bool {
        var step = tree.depth - 2
        while step >= 0 {
            let page = Page(path[step].page, size: source.pageSize)
            let index = path[step].index + (forward ? 1 : -1)
            if index >= 0 && index < page.count {
                guard page.slotsAreInside else { throw source.broken(page) }
                let child = page.child(index)
                // Descend before the path changes, so that an error leaves it as it was.
                _ = try source.page(child, level: tree.depth - 2 - step)
                path[step].index = index
                try descend(
                    source, tree, to: forward ? .first : .last, path: path, from: step + 1,
                    reference: child)
                return true
            }
            step -= 1
        }
        return false
    }
}
