import CZeroDBPlatform

/// Reading a tree. All functions take the tree by value: a reader's tree never changes.
enum TreeRead {
    /// Looks a key up.
    ///
    /// - Parameter wanted: as for `value`.
    /// - Returns: its value, nil if it is not there. Points into the map or a frame.
    /// - Complexity: one page a level; the last is the only one not usually in the cache.
    @inline(__always)
    static func get(
        _ source: PageSource, _ tree: borrowing TreeRecord, key: KeyBytes, wanted: Bool = true
    ) throws(DatabaseError) -> UnsafeRawBufferPointer? {
        var level = Int(tree.depth) - 1
        guard level >= 0 else { return nil }
        if source.mode == .full { try checkFences(source, tree, key: key) }
        var reference = tree.root
        let layout = tree.flags.branchLayout
        while level > 0 {
            let page = try source.page(reference, level: level, layout: layout)
            let child = page.searchBranch(key)
            guard child >= 0 else { throw source.badEntry(page) }
            reference = page.child(child)
            level -= 1
        }
        let leaf = try source.page(reference, level: 0)
        let position = leaf.searchLeaf(key)
        guard position.found else {
            if position.index < 0 { throw source.badEntry(leaf) }
            return nil
        }
        return try value(source, leaf, position.index, tree, wanted: wanted)
    }

    /// The value of a leaf's entry; the first, if it has several.
    ///
    /// - Parameter wanted: if not, one that has pages of its own is not read, and is empty.
    @inline(__always)
    static func value(
        _ source: PageSource, _ leaf: Page, _ index: Int, _ tree: borrowing TreeRecord,
        wanted: Bool = true
    ) throws(DatabaseError) -> UnsafeRawBufferPointer {
        guard let field = leaf.value(index) else { throw source.badEntry(leaf) }
        if field.kind == .inline {
            return UnsafeRawBufferPointer(start: field.bytes, count: field.count)
        }
        // Where damage is passed over, the entry is if its value is damaged.
        guard wanted || source.skipsDamage || field.kind == .inlineValues else {
            return UnsafeRawBufferPointer(start: nil, count: 0)
        }
        return try largeValue(source, leaf, field, tree)
    }

    @inline(never)
    private static func largeValue(
        _ source: PageSource, _ leaf: Page, _ field: Page.ValueField, _ tree: borrowing TreeRecord
    ) throws(DatabaseError) -> UnsafeRawBufferPointer {
        switch field.kind {
        case .inline: return UnsafeRawBufferPointer(start: field.bytes, count: field.count)
        case .overflow: return try source.overflow(OverflowPointer(at: field.bytes))
        case .inlineValues:
            let bytes = UnsafeRawBufferPointer(start: field.bytes, count: field.count)
            guard let duplicate = InlineValues(bytes)?.duplicate(0) else {
                throw source.badEntry(leaf)
            }
            return duplicate
        case .valueTree:
            return try firstDuplicate(source, ValueTree(at: field.bytes).state(in: copy tree))
        }
    }

    /// The first value of a key that has a tree of them.
    private static func firstDuplicate(
        _ source: PageSource, _ tree: TreeState
    ) throws(DatabaseError) -> UnsafeRawBufferPointer {
        var reference = tree.root
        for level in stride(from: tree.depth - 1, to: 0, by: -1) {
            reference = try source.page(reference, level: level, layout: tree.branchLayout).child(0)
        }
        let leaf = try source.page(reference, level: 0, layout: tree.leafLayout)
        try checkValueLeaf(source, tree, leaf)
        guard leaf.count > 0, let duplicate = leaf.duplicate(0) else { throw source.badEntry(leaf) }
        return duplicate
    }

    /// Fills a path with the way to a key.
    ///
    /// - Parameter forChange: whether an entry is to be put or deleted there.
    /// - Returns: where the key is or would be in the leaf.
    @inline(__always)
    static func descend(
        _ source: PageSource, _ tree: TreeState, to key: KeyBytes, path: Path,
        forChange: Bool = false
    ) throws(DatabaseError) -> PagePosition {
        var reference = tree.root
        let leafStep = tree.depth - 1
        guard leafStep >= 0 else { throw emptyTree }
        let branchLayout = tree.branchLayout
        for step in 0..<leafStep {
            let page = try source.page(reference, level: leafStep - step, layout: branchLayout)
            let child = page.searchBranch(key)
            guard child >= 0 else { throw source.badEntry(page) }
            path[step] = PathStep(reference: reference, page: page.base, index: child)
            reference = page.child(child)
        }
        let leaf = try source.page(reference, level: 0, layout: tree.leafLayout)
        if tree.isValueTree { try checkValueLeaf(source, tree, leaf) }
        let position =
            tree.isValueTree
            ? leaf.searchValueLeaf(key)
            : forChange ? searchForChange(leaf, key) : leaf.searchLeaf(key)
        guard position.index >= 0 else { throw source.badEntry(leaf) }
        path[leafStep] = PathStep(reference: reference, page: leaf.base, index: position.index)
        if source.mode == .full { try checkFences(source, tree, path: path) }
        return position
    }

    /// Searches a leaf for a put or a delete.
    ///
    /// Before it compares the key of an entry, it asks for the memory that comes next: a short value,
    /// which is hashed, or the end of the gap, where a new entry goes.
    @inline(__always)
    private static func searchForChange(_ leaf: Page, _ key: KeyBytes) -> PagePosition {
        let search = leaf.searchLeafHeads(key)
        // The line that the comparison needs is not asked for.
        let lines =
            leaf.base + (search.goesOn ? search.entryOffset + 64 : leaf.gapEnd - 192)
        for line in 0..<3 { zp_prefetch(lines + 64 * line) }
        return leaf.finish(search)
    }

    /// Whether a leaf of a tree of values holds values of the size that all have.
    @inline(never)
    static func checkValueLeaf(
        _ source: PageSource, _ tree: TreeState, _ leaf: Page
    ) throws(DatabaseError) {
        guard leaf.width == tree.valueWidth else {
            throw source.corrupted(
                leaf.number, "page",
                "its values have \(leaf.width) bytes, expected \(tree.valueWidth)")
        }
    }

    private static var emptyTree: DatabaseError {
        DatabaseError(
            .corrupted, "a tree of duplicates has an impossible depth; run zerodb-check")
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
        guard leafStep >= 0 else { throw emptyTree }
        for step in step...leafStep {
            let page = try source.page(
                reference, level: leafStep - step, layout: tree.layout(level: leafStep - step))
            guard page.slotsAreInBounds, step == leafStep || page.count > 0 else {
                throw source.badEntry(page)
            }
            if step == leafStep, tree.isValueTree { try checkValueLeaf(source, tree, page) }
            let index = end == .first ? 0 : page.count - 1
            path[step] = PathStep(reference: reference, page: page.base, index: index)
            if step < leafStep { reference = page.child(index) }
        }
        if source.mode == .full { try checkFences(source, tree, path: path) }
    }

    /// Moves a path by as many entries, to another leaf at most.
    ///
    /// - Parameter distance: 1, -1, or 0 to where the path leads already, which may be behind the
    ///   last entry of its leaf.
    /// - Returns: false at the end of the tree; the path is unchanged then.
    @inline(__always)
    static func step(
        _ source: PageSource, _ tree: TreeState, by distance: Int, path: Path
    ) throws(DatabaseError) -> Bool {
        let leafStep = tree.depth - 1
        let leaf = Page(path[leafStep].page, size: source.pageSize)
        let index = path[leafStep].index + distance
        if index >= 0, index < leaf.count {
            path[leafStep].index = index
            return true
        }
        return try moveToNeighbor(source, tree, forward: distance >= 0, path: path)
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
                guard page.slotsAreInBounds else { throw source.badEntry(page) }
                let child = page.child(index)
                // Descend before the path changes, so that an error leaves it as it was.
                let level = tree.depth - 2 - step
                _ = try source.page(child, level: level, layout: tree.layout(level: level))
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
