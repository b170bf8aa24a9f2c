/// What changing trees needs besides the trees: the pages that the write transaction has changed,
/// those it has given up, its limits, and memory for what is on its way into a page. One of these
/// serves all write transactions of a store, one after the other.
struct TreeWorkspace {
    var frames: UnsafeMutablePointer<FrameTable>
    let scratch: PageScratch
    /// Separators on their way up; a split at one level hands one to the level above.
    let separators: (UnsafeMutableRawPointer, UnsafeMutableRawPointer)
    /// Room for one overflow pointer on its way into a leaf.
    let overflowPointer: UnsafeMutableRawPointer
    let path: Path
    /// The value tree being changed, and the way down in it.
    var valueTree = TreeState()
    let valuePath: Path
    /// The key of a value: its bytes, reversed where values are ordered so.
    let valueKey: UnsafeMutableRawPointer
    /// Room for the values of a key on their way into a leaf.
    let valuesBuffer: UnsafeMutableRawPointer
    /// Room for a `ValueTree` on its way into a leaf.
    let valueTreeRecord: UnsafeMutableRawPointer
    /// What the pair that was put last has added to its database's digest.
    var lastAdded = ContentDigest()
    /// Pages of the snapshot that this transaction no longer reaches.
    var freed: [FreedRun] = []
    /// Headers of pages that the transaction may still read only to learn who wrote them.
    var birthReadsLeft = 0
    private static let birthReadsMax = 4096
    /// Who needs which states.
    private let shared: SharedState
    /// Pages the transaction may dirty, 0 for no bound.
    var pagesMax: UInt64 = 0
    /// Pages it could get numbers for, at most.
    var spacePages: UInt64 = 0
    /// Levels that a tree may have. Tests lower it: trees of that depth have billions of pages.
    var depthMax = Format.depthMax
    /// Whether the limits hold: not while commit does its own bookkeeping.
    var isLimited = true
    /// Whether anything was changed.
    var isDirty = false
    /// How many writers have used the path: one for each operation on a tree.
    var pathUses: UInt64 = 0
    /// The last of them that has put an entry into a leaf with room for it, so that its path is as it was.
    var insertedBy: UInt64 = 0
    /// The last of them that has found the path leading to the end of a tree, and a key to come behind it.
    var foundBehindEndBy: UInt64 = 0
    /// Where the path leads, if it is to the end of a tree.
    var end = TreeEnd()
    /// Leaves that entries in the order of their keys have filled.
    var leavesFilledInOrder = 0
    /// Pages split and merged that are not counted yet.
    var splits: UInt64 = 0
    var merges: UInt64 = 0

    init(_ store: Store) {
        shared = store.shared
        let pageSize = store.pageSize
        frames = .allocate(capacity: 1)
        let memoryMax = store.options.maxTransactionMemory
        frames.initialize(
            to: FrameTable(
                pageSize: pageSize, memoryMax: memoryMax == 0 ? .max : memoryMax,
                spill: SpillFile(in: store.logDirectory.environment, sizeMax: store.mapLength)))
        scratch = PageScratch(pageSize: pageSize)
        let keySize = Format.keyBufferSize(pageSize: pageSize)
        separators = (
            .allocate(byteCount: keySize, alignment: 8), .allocate(byteCount: keySize, alignment: 8)
        )
        overflowPointer = .allocate(byteCount: OverflowPointer.size, alignment: 8)
        path = .allocate(capacity: Format.depthMax + 1)
        valuePath = .allocate(capacity: Format.depthMax + 1)
        valueKey = .allocate(byteCount: keySize, alignment: 8)
        valuesBuffer = .allocate(byteCount: 2 * pageSize, alignment: 8)
        valueTreeRecord = .allocate(byteCount: ValueTree.size, alignment: 8)
    }

    mutating func deallocate() {
        frames.pointee.deallocate()
        frames.deinitialize(count: 1)
        frames.deallocate()
        scratch.deallocate()
        separators.0.deallocate()
        separators.1.deallocate()
        overflowPointer.deallocate()
        path.deallocate()
        valuePath.deallocate()
        valueKey.deallocate()
        valuesBuffer.deallocate()
        valueTreeRecord.deallocate()
    }

    /// The states that are needed now.
    func horizon() -> Horizon { shared.horizon() }

    /// Gives up pages of the snapshot.
    ///
    /// - Parameter birth: the transaction that wrote them, or one before it; 0 if that is not known.
    mutating func free(_ run: PageRun, birth: UInt64) {
        freed.append(FreedRun(pages: run, birth: birth))
    }

    /// Ready for the next transaction.
    ///
    /// - Parameters:
    ///   - pagesMax: pages it may dirty, 0 for no bound.
    ///   - spacePages: pages it could get numbers for, at most.
    mutating func reset(pagesMax: UInt64, spacePages: UInt64) {
        frames.pointee.reset()
        freed.removeAll(keepingCapacity: freed.count < 4096)
        birthReadsLeft = Self.birthReadsMax
        self.pagesMax = pagesMax
        self.spacePages = spacePages
        isLimited = true
        isDirty = false
        end = TreeEnd()
        leavesFilledInOrder = 0
    }
}

/// That a path leads to the last entry of a tree, for the next writer to put another one behind it. Any
/// other use of the path, and any change of the tree, makes it void.
struct TreeEnd {
    var tree: UnsafeMutablePointer<TreeState>?
    var changes: UInt64 = 0
    /// The writer that may make use of it.
    var user: UInt64 = 0
}
