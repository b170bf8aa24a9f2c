import CZeroDBPlatform
import Glibc

/// Where a write transaction stood when one was nested in it: what the nested one changes besides
/// frames and its own tree records.
struct Savepoint {
    private let freed: Int
    private let isDirty: Bool
    private let catalog: TreeState
    private let free: TreeState
    private let log: LogBuffer.Mark

    init(_ write: borrowing WriteState) {
        freed = write.workspace.pointee.freed.count
        isDirty = write.workspace.pointee.isDirty
        catalog = write.catalog
        free = write.free
        log = write.log.mark
    }

    func restore(_ write: inout WriteState) {
        write.workspace.pointee.freed.removeLast(write.workspace.pointee.freed.count - freed)
        write.workspace.pointee.isDirty = isDirty
        write.catalog = catalog
        write.free = free
        write.log.cut(at: log)
        write.reservation = nil
    }
}

/// Nested transactions.
///
/// All transactions that are nested in one another share the write state; each has tree records of
/// its own, which begin as its parent's. It copies the pages of outer transactions before it changes
/// them (`FrameTable`), so that taking it back is to forget its frames and records. Its commit is to
/// hand both to its parent. In between the parent is `nesting`: all it has stays as it is, the paths
/// of its cursors included.
extension Transactions {
    /// How deep transactions can be nested in an outermost one.
    package static let nestingMax = Limits.nestingMax

    /// Begins a transaction nested in a write transaction, which waits until it has ended.
    ///
    /// - Throws: `incompatible` if the parent only reads or is of another environment;
    ///   `badTransaction` if it cannot be used; `full` if it is nested `nestingMax` deep; `busy` if
    ///   another thread is in the parent.
    package static func beginNested(
        in parent: UnsafeMutablePointer<TransactionState>,
        _ store: UnsafeMutablePointer<StoreState>
    ) throws(DatabaseError) -> TransactionClaim {
        try parent.pointee.enter()
        defer { parent.pointee.leave() }
        guard parent.pointee.storeState == store else {
            throw DatabaseError(
                .incompatible, "the parent is a transaction of another environment")
        }
        guard let write = parent.pointee.write else {
            throw DatabaseError(
                .incompatible, "a transaction can be nested in a write transaction only")
        }
        try parent.pointee.checkUsable()
        guard write.pointee.savepoints.count < nestingMax else {
            throw DatabaseError(
                .full, limit: .nesting,
                "the transaction is nested \(nestingMax) deep already; commit or abort it first")
        }
        // What the parent's caller has filled is the parent's, whatever becomes of the nested one.
        try Operations(parent).takeInReservation()
        let (claim, _) = try claim(store, of: 0)
        claim.state.pointee.beginNested(in: parent)
        claim.state.pointee.began = zp_ticks()
        write.pointee.savepoints.append(Savepoint(write.pointee))
        write.pointee.workspace.pointee.frames.pointee.beginLevel()
        write.pointee.workspace.pointee.end = TreeEnd()
        parent.pointee.status = .nesting
        claim.state.pointee.leave()
        return claim
    }

    /// Commits a nested transaction: its changes are its parent's.
    static func giveToParent(_ state: UnsafeMutablePointer<TransactionState>) {
        leaveParent(state) { parent, write in
            assert(write.pointee.reservation == nil)
            parent.pointee.adoptTrees(of: state)
            state.pointee.storeState.pointee.shared.countAlone(.nestedCommitted)
            write.pointee.savepoints.removeLast()
            write.pointee.workspace.pointee.frames.pointee.joinLevel()
        }
    }

    /// Aborts a nested transaction: its parent is as it was when it began.
    static func takeBack(_ state: UnsafeMutablePointer<TransactionState>) {
        leaveParent(state) { _, write in
            write.pointee.reservation = nil
            write.pointee.savepoints.removeLast().restore(&write.pointee)
            state.pointee.storeState.pointee.shared.countAlone(.nestedAborted)
            write.pointee.workspace.pointee.frames.pointee.dropLevel()
        }
    }

    private static func leaveParent(
        _ state: UnsafeMutablePointer<TransactionState>,
        _ end: (UnsafeMutablePointer<TransactionState>, UnsafeMutablePointer<WriteState>) -> Void
    ) {
        guard let parent = state.pointee.parent, let write = state.pointee.write else { return }
        // A thread that calls the parent by mistake is sent away at once.
        while !parent.pointee.tryEnter() { sched_yield() }
        end(parent, write)
        write.pointee.workspace.pointee.end = TreeEnd()
        parent.pointee.reads.add(state.pointee.reads)
        state.pointee.reads = ReadCounts()
        state.pointee.parent = nil
        state.pointee.write = nil
        parent.pointee.status = .active
        parent.pointee.leave()
    }
}

extension TransactionState {
    /// Takes over all that a parent sees and writes with.
    mutating func beginNested(in parent: UnsafeMutablePointer<TransactionState>) {
        self.parent = parent
        write = parent.pointee.write
        source = parent.pointee.source
        meta = parent.pointee.meta
        id = parent.pointee.id
        durability = parent.pointee.durability
        forgetTrees()
        adoptTrees(of: parent)
        status = .active
    }
}
