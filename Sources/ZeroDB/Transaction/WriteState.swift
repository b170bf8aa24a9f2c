/// What a write transaction has besides a snapshot. One of these serves all write transactions of a
/// store, one after the other.
struct WriteState {
    /// What changing trees needs.
    let workspace: UnsafeMutablePointer<TreeWorkspace>
    var catalog = TreeState()
    var free = TreeState()
    /// The transaction's log record.
    var log = LogBuffer()
    /// Free pages at hand: the snapshot's, then the commit's.
    let freeList = FreeList.allocate()
    /// The transaction that has left `freeList` as it is, if none has changed it since; else 0.
    var freeListOwner: UInt64 = 0
    /// A value that the caller is filling, to be taken in then.
    var reservation: Reservation?
    /// Room for its key.
    let reservedKey: UnsafeMutableRawPointer
    /// What the transaction does to make the file shorter; nil for a program's own.
    var shrinking: Shrinking?
    /// The error after which the transaction can only be aborted.
    var failure: DatabaseError?
    /// Operations that are not counted yet.
    var puts: UInt64 = 0
    var deletes: UInt64 = 0
    var rangesDeleted: UInt64 = 0
    /// Whether it has been committed and has changed something.
    var isPublished = false
    /// Bytes of its record in the log; 0 if it has none.
    var loggedBytes: UInt64 = 0
    /// Whether it replays what was counted when it was committed first.
    var isReplay = false
    /// What the transactions that are nested return to when they are taken back, outermost first.
    var savepoints: [Savepoint] = []

    init(_ store: Store) {
        workspace = .allocate(capacity: 1)
        workspace.initialize(to: TreeWorkspace(store))
        reservedKey = .allocate(
            byteCount: Format.keyBufferSize(pageSize: store.pageSize), alignment: 8)
    }

    mutating func deallocate() {
        workspace.pointee.deallocate()
        workspace.deinitialize(count: 1)
        workspace.deallocate()
        log.deallocate()
        reservedKey.deallocate()
        freeList.deallocate()
    }

    /// Ready for the next transaction.
    ///
    /// - Parameters:
    ///   - meta: the state it starts from.
    ///   - logLimit: bytes its log record may have; 0 to log nothing.
    mutating func reset(_ meta: Meta, store: Store, logLimit: Int) {
        let pagesMax = store.pagesMax
        let unused = pagesMax > meta.pageCount ? pagesMax - meta.pageCount : 0
        workspace.pointee.reset(
            pagesMax: store.options.maxTransactionPages, spacePages: unused + meta.freePages)
        log.begin(limit: logLimit)
        reservation = nil
        catalog = TreeState()
        catalog.keepsDigest = false
        catalog.record = meta.catalog
        catalog.status = .present
        free = TreeState()
        free.keepsDigest = false
        free.record = meta.free
        free.status = .present
        failure = nil
        shrinking = nil
        isReplay = false
        isPublished = false
        savepoints.removeAll()
    }
}

/// What a transaction of the library's own does so that the file can be cut off. It changes no content.
struct Shrinking {
    /// It takes free pages below this one only, and none by making the file longer.
    var limit = PageReference.numberLimit
    /// Pages that it makes available at most, of those that wait and need not any more.
    var maturedMax: UInt64 = 0
    /// The number of pages that the state is to have at least; nil to cut no pages off.
    var pageCountMin: UInt64?
    /// Pages to be cut off at least, or none are.
    var cutMin: UInt64 = 1
    /// Takes what the commit has done.
    var progress: Progress?

    final class Progress {
        /// Pages that it made available.
        var maturedPages: UInt64 = 0
    }
}

/// Keeps a store's write state from one write transaction to the next.
final class WriterMemory {
    let state: UnsafeMutablePointer<WriteState>

    private init(_ store: Store) {
        state = .allocate(capacity: 1)
        state.initialize(to: WriteState(store))
    }

    deinit {
        state.pointee.deallocate()
        state.deinitialize(count: 1)
        state.deallocate()
    }

    /// A store's write state. With the writer's lock.
    static func state(of store: Store) -> UnsafeMutablePointer<WriteState> {
        assert(store.writerSemaphore.isHeld)
        if let known = store.writerMemory as? WriterMemory { return known.state }
        let made = WriterMemory(store)
        store.writerMemory = made
        return made.state
    }
}
