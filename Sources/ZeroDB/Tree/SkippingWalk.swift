/// Finding entries behind pages that cannot be read, as recovery mode does: such a page is passed over, with
/// all that hangs below it.
struct SkippingWalk {
    /// The entry that is looked for, from the side that the walk comes from.
    enum Bound {
        /// Whatever comes first.
        case any
        /// The entry with a key, or the next one. Forward only.
        case at(KeyBytes)
        /// The next one after a key.
        case beyond(KeyBytes)
    }

    let source: PageSource
    let tree: TreeState
    /// Receives the way to the entry.
    let path: Path
    let forward: Bool
    /// Called with the error of a page that is passed over and its step in the path; the steps above it are
    /// the way there.
    let onDamage: (DatabaseError, Int) -> Void
    private var pagesLeft: UInt64 = 0

    init(
        _ source: PageSource, _ tree: TreeState, path: Path, forward: Bool,
        onDamage: @escaping (DatabaseError, Int) -> Void
    ) {
        self.source = source
        self.tree = tree
        self.path = path
        self.forward = forward
        self.onDamage = onDamage
    }

    /// Whether an error says that a page cannot be read: there may be others that can.
    static func isDamage(_ error: DatabaseError) -> Bool {
        error.page != nil && (error.code == .corrupted || error.code == .system)
    }

    /// Fills the path with the way to an entry.
    ///
    /// - Returns: false if there is none that can be read, and then the path is in pieces.
    /// - Throws: `corrupted` if a damaged tree leads to more pages than there are.
    mutating func find(_ bound: Bound) throws(DatabaseError) -> Bool {
        guard tree.depth > 0 else { return false }
        pagesLeft = TreeRead.leavesMax(source)
        return try find(bound, tree.root, step: 0)
    }

    /// The steps are those of a path, of which there are 32 at most.
    private mutating func find(
        _ bound: Bound, _ reference: PageReference, step: Int
    ) throws(DatabaseError) -> Bool {
        try TreeRead.countLeaf(&pagesLeft, source, reference)
        let leafStep = tree.depth - 1
        let page: Page
        let position: Int
        do throws(DatabaseError) {
            page = try load(reference, level: leafStep - step)
            position = try start(bound, in: page)
        } catch {
            guard Self.isDamage(error) else { throw error }
            onDamage(error, step)
            return false
        }
        guard step < leafStep else {
            path[step] = PathStep(reference: reference, page: page.base, index: position)
            return position >= 0 && position < page.count
        }
        var child = position
        var childBound = bound
        while child >= 0, child < page.count {
            path[step] = PathStep(reference: reference, page: page.base, index: child)
            if try find(childBound, page.child(child), step: step + 1) { return true }
            childBound = .any
            child += forward ? 1 : -1
        }
        return false
    }

    private func load(_ reference: PageReference, level: Int) throws(DatabaseError) -> Page {
        let page = try source.page(reference, level: level, layout: tree.layout(level: level))
        guard page.slotsAreInBounds else { throw source.badEntry(page) }
        if level == 0, tree.isValueTree { try TreeRead.checkValueLeaf(source, tree, page) }
        return page
    }

    /// The child or entry to begin at.
    private func start(_ bound: Bound, in page: Page) throws(DatabaseError) -> Int {
        let key: KeyBytes
        switch bound {
        case .any: return forward ? 0 : page.count - 1
        case .at(let wanted), .beyond(let wanted): key = wanted
        }
        guard page.isLeaf else {
            let child = page.searchBranch(key)
            guard child >= 0 else { throw source.badEntry(page) }
            return child
        }
        let position = tree.isValueTree ? page.searchValueLeaf(key) : page.searchLeaf(key)
        guard position.index >= 0 else { throw source.badEntry(page) }
        if case .at = bound { return position.index }
        if forward { return position.found ? position.index + 1 : position.index }
        return position.index - 1
    }

    /// The keys that a step of the path may have below it, as the tree holds them: from the first to before
    /// the second, nil where the tree ends.
    static func fences(_ path: Path, above step: Int, pageSize: Int) -> ([UInt8]?, [UInt8]?) {
        var low: [UInt8]?
        var high: [UInt8]?
        for above in stride(from: step - 1, through: 0, by: -1) {
            let page = Page(path[above].page, size: pageSize)
            let index = path[above].index
            if low == nil, index > 0 { low = key(page, index) }
            if high == nil, index + 1 < page.count { high = key(page, index + 1) }
        }
        return (low, high)
    }

    private static func key(_ page: Page, _ index: Int) -> [UInt8]? {
        withUnsafeTemporaryAllocation(
            byteCount: Format.keyBufferSize(pageSize: page.size), alignment: 8
        ) { buffer in
            guard let start = buffer.baseAddress else { return nil }
            let length = page.copyKey(index, to: start)
            return length < 0 ? nil : Array(UnsafeRawBufferPointer(start: start, count: length))
        }
    }
}
