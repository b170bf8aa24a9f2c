/// The pages that no transaction needs, as the writer takes them and gives them back. Their entries
/// are described in `FreeTreeEntry`.
///
/// A page written by transaction `b` and freed by `t` belongs to the states from `b` to before
/// `t`. It becomes available when no reader's and no durable state is among those (invariant 1),
/// and only in proportion to the pages that are wanted, so that a commit's work does not grow with
/// the number of free pages. Nor does it grow with what readers need: a pending entry is looked at when
/// the state that it waits for has gone, and then waits for another one if need be.
///
/// Available pages are kept as bitmaps because random overwrites leave them in runs of a page or
/// two, in every part of the file: as entries of their own, they would make a commit change more
/// pages of this tree than of the branches of its data.
struct FreeTree {
    let writer: TreeWriter
    let meta: UnsafeMutablePointer<Meta>
    let store: Store
    /// A key and a value on their way into the tree.
    let buffer: UnsafeMutableRawPointer
    private var sequence: UInt32 = 0
    /// Pages below this one are preferred; 0 if none are.
    private(set) var limit: UInt64 = 0
    /// Whether no others may be taken.
    private(set) var isStrict = false

    private static let runsPerEntry = FreeTreeEntry.runsMax
    /// Entries that one commit makes wait for another state. What the end of a reader or a checkpoint
    /// leaves behind is spread over the commits after it, however much that is.
    private static let movesMax = 1024
    /// States that are needed, whose entries a commit passes by.
    private static let passedMax = 256
    private static let runSize = FreeTreeEntry.runSize
    private static let rangeSize = FreeTreeEntry.rangeSize
    /// Where the value begins in `buffer`, behind the key.
    static let valueOffset = 24

    /// - Parameter meta: the state being made; its counts and page count are kept up to date.
    init(writer: TreeWriter, meta: UnsafeMutablePointer<Meta>, store: Store) {
        self.writer = writer
        self.meta = meta
        self.store = store
        buffer = .allocate(
            byteCount: Self.valueOffset + Self.rangeSize + Self.runsPerEntry * Self.runSize,
            alignment: 8)
    }

    func deallocate() { buffer.deallocate() }

    /// Has pages below one taken first, the lowest at that.
    ///
    /// - Parameter isStrict: whether no others may be.
    mutating func prefersLow(limit: UInt64, _ isStrict: Bool) {
        self.limit = limit
        self.isStrict = isStrict
    }

    var source: PageSource { writer.source }
    var path: Path { writer.path }
    var pagesMax: UInt64 { store.pagesMax }

    // MARK: Entries

    private func key(_ key: FreeTreeEntry.Key) -> KeyBytes {
        FreeTreeEntry.store(key, to: buffer)
    }

    func availableKey(_ region: UInt64) -> KeyBytes {
        FreeTreeEntry.storeAvailableKey(region, to: buffer)
    }

    /// The entry a path ends at.
    func entry(at path: Path) throws(DatabaseError) -> FreeTreeEntry {
        let step = path[writer.tree.pointee.depth - 1]
        let leaf = Page(step.page, size: source.pageSize)
        let keyBuffer = writer.workspace.pointee.scratch.firstKey
        let length = leaf.copyKey(step.index, to: keyBuffer)
        guard length > 0 else { throw source.badEntry(leaf) }
        // No entry is so long that its value would lie elsewhere.
        guard let field = leaf.value(step.index), field.kind == .inline,
            let entry = FreeTreeEntry(
                key: KeyBytes(start: keyBuffer, count: length),
                value: UnsafeRawBufferPointer(start: field.bytes, count: field.count)),
            entry.isPlausible(
                pageCount: meta.pointee.pageCount, transaction: writer.transaction)
        else {
            throw source.corrupted(
                step.reference.number, "page", "it holds an impossible entry of the free tree")
        }
        return entry
    }

    func entry(atOrAfter key: KeyBytes) throws(DatabaseError) -> FreeTreeEntry? {
        let tree = writer.tree.pointee
        guard tree.depth > 0 else { return nil }
        let position = try TreeRead.descend(source, tree, to: key, path: path)
        let leaf = Page(path[tree.depth - 1].page, size: source.pageSize)
        if position.index >= leaf.count {
            guard try TreeRead.moveToNeighbor(source, tree, forward: true, path: path) else {
                return nil
            }
        }
        return try entry(at: path)
    }

    func impossible(_ run: PageRun, _ problem: String) -> DatabaseError {
        DatabaseError(
            .corrupted, page: run.start,
            "corrupted free tree: pages \(run.start) to \(run.end &- 1) \(problem); run "
                + "zerodb-check")
    }

    // MARK: Freed

    /// Records runs that this transaction freed, or a commit before it.
    ///
    /// - Parameter range: the states that have some of them.
    mutating func recordFreed(
        _ runs: [PageRun], _ range: StateRange, _ horizon: Horizon
    ) throws(DatabaseError) {
        let holder = horizon.holder(of: range)
        var part: [PageRun] = []
        part.reserveCapacity(min(runs.count, Self.runsPerEntry))
        for run in runs {
            var rest = run
            while rest.count > 0 {
                let length = min(rest.count, PageRun.wordCountMax)
                part.append(PageRun(start: rest.start, count: length))
                rest = PageRun(start: rest.start + length, count: rest.count - length)
                if part.count == Self.runsPerEntry {
                    try putFreed(part, range, holder)
                    part.removeAll(keepingCapacity: true)
                }
            }
        }
        if !part.isEmpty { try putFreed(part, range, holder) }
    }

    /// Puts an entry of this transaction.
    private mutating func putFreed(
        _ runs: [PageRun], _ range: StateRange, _ holder: UInt64?
    ) throws(DatabaseError) {
        let key = key(
            FreeTreeEntry.Key(
                holder: holder, transaction: writer.transaction, sequence: sequence))
        sequence += 1
        let value = buffer + Self.valueOffset
        value.storeLittleEndian(range.birth, at: 0)
        value.storeLittleEndian(range.end, at: 8)
        for (index, run) in runs.enumerated() {
            value.storeLittleEndian(run.word, at: Self.rangeSize + index * Self.runSize)
            meta.pointee.pendingPages += run.count
            if holder == nil { meta.pointee.youngPages += run.count }
        }
        _ = try writer.put(
            key,
            UnsafeRawBufferPointer(
                start: value, count: Self.rangeSize + runs.count * Self.runSize),
            mode: .overwrite)
    }

    /// A search for freed pages that are not needed any more.
    private struct Search {
        let horizon: Horizon
        /// How many available pages there should be.
        let wanted: UInt64
        var movesLeft: Int
        var passesLeft: Int
        /// Pages that are free, counted as available but not yet in the regions.
        var released: [PageRun] = []

        init(_ horizon: Horizon, wanted: UInt64) {
            self.horizon = horizon
            self.wanted = wanted
            let isAll = wanted == .max
            movesLeft = isAll ? .max : FreeTree.movesMax
            passesLeft = isAll ? .max : FreeTree.passedMax
        }

        /// The state to begin with: where there are more needed ones than are passed, another one each time.
        func first(_ transaction: UInt64) -> UInt64 {
            let states = horizon.states
            guard states.count > passesLeft else { return 0 }
            return states[Int(truncatingIfNeeded: transaction % UInt64(states.count))]
        }
    }

    /// Moves freed pages that are not needed any more to available space until `wanted` pages are there.
    mutating func mature(_ horizon: Horizon, wanted: UInt64) throws(DatabaseError) {
        guard meta.pointee.availablePages < wanted else { return }
        var search = Search(horizon, wanted: wanted)
        try matureYoung(&search)
        let first = search.first(writer.transaction)
        try maturePending(from: first, to: .max, &search)
        try maturePending(from: 0, to: first, &search)
        try insert(search.released)
    }

    private mutating func matureYoung(_ search: inout Search) throws(DatabaseError) {
        let first = FreeTreeEntry.Key(holder: nil, transaction: 0, sequence: 0)
        while meta.pointee.availablePages < search.wanted, search.movesLeft > 0,
            case .freed(let entry) = try entry(atOrAfter: key(first)), entry.key.holder == nil,
            entry.key.transaction <= search.horizon.visible
        {
            // A checkpoint or a reader may need a state between the writing and the freeing.
            try moveOn(entry, &search)
        }
    }

    /// - Parameters:
    ///   - first: the first of the states whose entries are looked at.
    ///   - end: the state before which to end.
    private mutating func maturePending(
        from first: UInt64, to end: UInt64, _ search: inout Search
    ) throws(DatabaseError) {
        var next = FreeTreeEntry.Key(holder: first, transaction: 0, sequence: 0)
        while meta.pointee.availablePages < search.wanted, search.movesLeft > 0,
            search.passesLeft > 0, case .freed(let entry) = try entry(atOrAfter: key(next)),
            let holder = entry.key.holder, holder < end
        {
            if search.horizon.needs(state: holder) {
                // It needs all that wait for it.
                search.passesLeft -= 1
                next = FreeTreeEntry.Key(holder: holder + 1, transaction: 0, sequence: 0)
            } else if entry.range.end > search.horizon.visible {
                search.passesLeft -= 1
                next = entry.key
                next.sequence &+= 1
            } else {
                try moveOn(entry, &search)
            }
        }
    }

    /// Takes an entry out whose pages may be free, and makes it wait for another state if one needs them.
    private mutating func moveOn(
        _ entry: FreeTreeEntry.Freed, _ search: inout Search
    ) throws(DatabaseError) {
        let isYoung = entry.key.holder == nil
        try delete(key(entry.key))
        for run in entry.runs { try countFreed(run, isYoung: isYoung) }
        if search.horizon.allows(entry.range) {
            for run in entry.runs { meta.pointee.availablePages += run.count }
            search.released += entry.runs
            return
        }
        search.movesLeft -= 1
        if isYoung, search.horizon.isInRoot(entry.range) {
            for run in entry.runs { meta.pointee.pinnedTotal &+= run.count }
        }
        try putFreed(entry.runs, entry.range, search.horizon.holder(of: entry.range))
    }

    /// Makes runs available that the free list had.
    func release(_ runs: [PageRun]) throws(DatabaseError) {
        try insert(runs)
        for run in runs { meta.pointee.availablePages += run.count }
    }

    /// Removes an entry that has been found. A tree out of order may find one and yet not have its key:
    /// then the next search would find it again, and again.
    func delete(_ key: KeyBytes) throws(DatabaseError) {
        guard try writer.delete(key) else {
            throw DatabaseError(
                .corrupted, "corrupted free tree: its keys are out of order; run zerodb-check")
        }
    }

    /// Checks and takes back the counts of freed pages.
    private func countFreed(_ run: PageRun, isYoung: Bool) throws(DatabaseError) {
        guard meta.pointee.pendingPages >= run.count,
            !isYoung || meta.pointee.youngPages >= run.count
        else { throw impossible(run, "are more than the meta page counts") }
        meta.pointee.pendingPages -= run.count
        if isYoung { meta.pointee.youngPages -= run.count }
    }
}
