/// The pages that no transaction needs, as the writer takes them and gives them back. Their entries
/// are described in `FreeTreeEntry`.
///
/// A page written by transaction `b` and freed by `t` belongs to the snapshots from `b` to before
/// `t`. It becomes available when no reader's and no durable snapshot is among those (invariant 1),
/// and only in proportion to the pages that are wanted, so that a commit's work does not grow with
/// the number of free pages.
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
    /// Young entries that one commit makes old. What a checkpoint leaves behind is spread over the
    /// commits after it, however much that is.
    private static let madeOldMax = 1024
    /// Young entries with pages that a reader needs, which a commit passes by.
    private static let passedMax = 64
    /// Transactions for which a young entry waits for a reader.
    private static let longRead: UInt64 = 1000
    private static let runSize = FreeTreeEntry.runSize
    private static let birthSize = FreeTreeEntry.birthSize
    /// Where the value begins in `buffer`, behind the key.
    static let valueOffset = 16

    /// - Parameter meta: the state being made; its counts and page count are kept up to date.
    init(writer: TreeWriter, meta: UnsafeMutablePointer<Meta>, store: Store) {
        self.writer = writer
        self.meta = meta
        self.store = store
        buffer = .allocate(
            byteCount: Self.valueOffset + Self.birthSize + Self.runsPerEntry * Self.runSize,
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

    private func pendingKey(
        _ transaction: UInt64, _ sequence: UInt32, isYoung: Bool
    ) -> KeyBytes {
        FreeTreeEntry.storePendingKey(transaction, sequence, isYoung: isYoung, to: buffer)
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

    // MARK: Pending

    /// Records runs that this transaction freed, or a commit before it.
    ///
    /// - Parameter birth: the oldest writer of young pages; nil for pages that the durable root
    ///   may need, which have been counted as pinned.
    mutating func recordPending(
        _ runs: ArraySlice<PageRun>, birth: UInt64?
    ) throws(DatabaseError) {
        guard !runs.isEmpty else { return }
        let start = buffer + (Self.valueOffset + (birth == nil ? 0 : Self.birthSize))
        var count = 0
        for run in runs {
            var rest = run
            while rest.count > 0 {
                let length = min(rest.count, PageRun.wordCountMax)
                start.storeLittleEndian(
                    PageRun(start: rest.start, count: length).word, at: count * Self.runSize)
                rest = PageRun(start: rest.start + length, count: rest.count - length)
                meta.pointee.pendingPages += length
                if birth != nil { meta.pointee.youngPages += length }
                count += 1
                if count == Self.runsPerEntry {
                    try putPending(writer.transaction, count, birth: birth)
                    count = 0
                }
            }
        }
        if count > 0 { try putPending(writer.transaction, count, birth: birth) }
    }

    /// Puts an entry whose runs are in the buffer.
    private mutating func putPending(
        _ transaction: UInt64, _ count: Int, birth: UInt64?
    ) throws(DatabaseError) {
        let key = pendingKey(transaction, sequence, isYoung: birth != nil)
        sequence += 1
        var size = count * Self.runSize
        if let birth {
            (buffer + Self.valueOffset).storeLittleEndian(birth, at: 0)
            size += Self.birthSize
        }
        _ = try writer.put(
            key, UnsafeRawBufferPointer(start: buffer + Self.valueOffset, count: size),
            mode: .overwrite)
    }

    /// Moves pending runs to available space until `wanted` pages are there.
    mutating func mature(_ horizon: Horizon, wanted: UInt64) throws(DatabaseError) {
        var released: [PageRun] = []
        var madeOld = 0
        for isYoung in [true, false] {
            var passed = 0
            var next: (transaction: UInt64, sequence: UInt32) = (0, 0)
            while meta.pointee.availablePages < wanted {
                guard
                    case .pending(let transaction, let sequence, let birth, let runs) =
                        try entry(
                            atOrAfter: pendingKey(next.transaction, next.sequence, isYoung: isYoung)
                        ),
                    (birth != nil) == isYoung, transaction <= horizon.visible
                else { break }
                if horizon.allows(transaction: transaction, birth: birth) {
                    try release(transaction, sequence, isYoung: isYoung, runs)
                    released += runs
                } else if let birth, horizon.isRead(transaction: transaction, birth: birth),
                    transaction > horizon.visible - min(horizon.visible, Self.longRead)
                {
                    // Its reader will soon have ended. Those behind it may not be needed by any.
                    guard passed < Self.passedMax else { break }
                    passed += 1
                    next = (transaction, sequence &+ 1)
                } else if isYoung, madeOld < Self.madeOldMax {
                    madeOld += 1
                    // A checkpoint has come between the writing and the freeing of these pages, or
                    // somebody reads a state between them for long: they wait like all others, and
                    // hold up none behind them.
                    try makeOld(transaction, sequence, runs)
                } else {
                    break
                }
            }
        }
        try insert(released)
    }

    /// Makes runs available that the free list had.
    func release(_ runs: [PageRun]) throws(DatabaseError) {
        try insert(runs)
        for run in runs { meta.pointee.availablePages += run.count }
    }

    /// Removes a pending entry whose runs are about to become available.
    private mutating func release(
        _ transaction: UInt64, _ sequence: UInt32, isYoung: Bool, _ runs: [PageRun]
    ) throws(DatabaseError) {
        try delete(pendingKey(transaction, sequence, isYoung: isYoung))
        for run in runs {
            try countPending(run, isYoung: isYoung)
            meta.pointee.pendingPages -= run.count
            meta.pointee.availablePages += run.count
        }
    }

    private mutating func makeOld(
        _ transaction: UInt64, _ sequence: UInt32, _ runs: [PageRun]
    ) throws(DatabaseError) {
        try delete(pendingKey(transaction, sequence, isYoung: true))
        let start = buffer + Self.valueOffset
        for (index, run) in runs.enumerated() {
            try countPending(run, isYoung: true)
            meta.pointee.pinnedTotal &+= run.count
            start.storeLittleEndian(run.word, at: index * Self.runSize)
        }
        // The sequence is the one of the young entry: a transaction numbers both together.
        let key = pendingKey(transaction, sequence, isYoung: false)
        _ = try writer.put(
            key, UnsafeRawBufferPointer(start: start, count: runs.count * Self.runSize),
            mode: .overwrite)
    }

    /// Removes an entry that has been found. A tree out of order may find one and yet not have its key:
    /// then the next search would find it again, and again.
    func delete(_ key: KeyBytes) throws(DatabaseError) {
        guard try writer.delete(key) else {
            throw DatabaseError(
                .corrupted, "corrupted free tree: its keys are out of order; run zerodb-check")
        }
    }

    /// Checks and takes back the counts of pending pages.
    private func countPending(_ run: PageRun, isYoung: Bool) throws(DatabaseError) {
        guard meta.pointee.pendingPages >= run.count,
            !isYoung || meta.pointee.youngPages >= run.count
        else { throw impossible(run, "are more than the meta page counts") }
        if isYoung { meta.pointee.youngPages -= run.count }
    }
}
