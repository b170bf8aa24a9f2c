/// Keys against the separators that lead to them, which mode `full` compares at every descent. A page that
/// checks may still not be the one that belongs there, as where a branch was written back from a backup.
extension TreeRead {
    /// Checks that the keys of each page of a path are between the separators that lead to it.
    ///
    /// - Throws: `corrupted`.
    @inline(never)
    static func checkFences(
        _ source: PageSource, _ tree: TreeState, path: Path
    ) throws(DatabaseError) {
        guard tree.depth > 1 else { return }
        let size = Format.keyBufferSize(pageSize: source.pageSize)
        let memory = UnsafeMutableRawPointer.allocate(byteCount: 3 * size, alignment: 8)
        defer { memory.deallocate() }
        var low: KeyBytes?
        var high: KeyBytes?
        for step in 1..<tree.depth {
            let parent = Page(path[step - 1].page, size: source.pageSize)
            let index = path[step - 1].index
            if index > 0 { low = try key(source, parent, index, memory) }
            if index + 1 < parent.count { high = try key(source, parent, index + 1, memory + size) }
            let page = Page(path[step].page, size: source.pageSize)
            let first = page.isLeaf ? 0 : 1
            guard first < page.count else { continue }
            if let low {
                let key = try key(source, page, first, memory + 2 * size)
                guard KeyOrder.compare(low, key, reversed: false) <= 0 else {
                    throw misplacedKeys(source, page, "before")
                }
            }
            if let high {
                let key = try key(source, page, page.count - 1, memory + 2 * size)
                guard KeyOrder.compare(key, high, reversed: false) < 0 else {
                    throw misplacedKeys(source, page, "behind")
                }
            }
        }
    }

    /// Checks the way to a key, for a lookup that keeps no path.
    ///
    /// - Throws: `corrupted`.
    @inline(never)
    static func checkFences(
        _ source: PageSource, _ tree: borrowing TreeRecord, key: KeyBytes
    ) throws(DatabaseError) {
        guard tree.depth > 1 else { return }
        var state = TreeState()
        state.record = copy tree
        let path = Path.allocate(capacity: Format.depthMax + 1)
        defer { path.deallocate() }
        // It checks them.
        _ = try descend(source, state, to: key, path: path)
    }

    private static func key(
        _ source: PageSource, _ page: Page, _ index: Int, _ buffer: UnsafeMutableRawPointer
    ) throws(DatabaseError) -> KeyBytes {
        let length = page.copyKey(index, to: buffer)
        guard length >= 0 else { throw source.badEntry(page) }
        return KeyBytes(start: buffer, count: length)
    }

    private static func misplacedKeys(
        _ source: PageSource, _ page: Page, _ side: StaticString
    ) -> DatabaseError {
        source.corrupted(
            page.number, "page",
            "it has keys \(side) those that the separators above it leave to it: another page, or "
                + "another version of it, belongs there", damage: .order)
    }
}
