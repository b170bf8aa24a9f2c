import CZeroDBPlatform
import Glibc
import Synchronization

/// A transaction that has been begun: its state and the handle that names it.
package struct TransactionClaim {
    package var state: UnsafeMutablePointer<TransactionState>
    package var handle: UInt64

    @inline(__always)
    package init(_ state: UnsafeMutablePointer<TransactionState>, _ handle: UInt64) {
        self.state = state
        self.handle = handle
    }
}

/// Beginning and ending transactions.
///
/// The read side touches only memory that no other thread writes (its transaction's slot and
/// its reader slot) and one word that commits write; it takes no lock, makes no system call,
/// and allocates only the first time a slot is used.
package enum Transactions {
    /// All transactions of the process, of all environments.
    @inline(__always)
    package static var table: HandleTable<TransactionState> {
        HandleTable(zp_handle_table_of(UInt64(ZP_TRANSACTIONS)))
    }

    /// Makes the table, before the first environment can be used.
    static func prepare() {
        table.make(kind: UInt64(ZP_TRANSACTIONS), capacity: Limits.transactionsMax)
    }

    /// What marks the slots of a store's transactions.
    @inline(__always)
    static func tag(of store: UnsafeMutablePointer<StoreState>) -> UInt {
        UInt(bitPattern: store)
    }

    /// Marks the slot of a transaction that begins, of which it is not yet known whether it may.
    static let beginning: UInt = 1

    /// Takes a slot for a transaction, as entered by this thread until it has begun.
    ///
    /// - Parameter environment: the handle that led to the store, or 0 if the caller keeps its
    ///   environment in memory.
    @inline(__always)
    static func claim(
        _ store: UnsafeMutablePointer<StoreState>, of environment: UInt64
    ) throws(DatabaseError) -> (TransactionClaim, Int) {
        let hint = zp_thread_slot_hints()
        guard let claim = table.claim(hint: Int(hint?.pointee.transaction ?? 0)) else {
            throw DatabaseError(
                .readersFull, limit: .transactions,
                "\(Limits.transactionsMax) transactions are open in this process; end some")
        }
        hint?.pointee.transaction = UInt32(truncatingIfNeeded: claim.index)
        // `beginClosing` leaves the phase `open`, then looks for tagged slots: either it sees this
        // one, and waits until its tag says more, or this sees the phase. The handle is looked at
        // again, because only then it is known that the state is still its store's.
        table.setTag(tag(of: store) | beginning, at: claim.index)
        if !store.pointee.isOpen
            || !isAlive(environment) || store.pointee.isForked
        {
            try waitToBegin(store, environment, claim.index)
        }
        let state: UnsafeMutablePointer<TransactionState>
        if let known = table.object(at: claim.index) {
            state = known
            state.pointee.begin(in: store)
        } else {
            state = .allocate(capacity: 1)
            state.initialize(to: TransactionState(store))
            table.setObject(state, at: claim.index)
        }
        table.confirmTag(tag(of: store), at: claim.index)
        return (TransactionClaim(state, claim.handle), claim.index)
    }

    /// Whether an environment's handle is alive; 0 stands for one that is.
    @inline(__always)
    private static func isAlive(_ environment: UInt64) -> Bool {
        environment == 0
            || zp_handle_is_alive(zp_handle_table_of(UInt64(ZP_ENVIRONMENTS)), environment)
    }

    /// Waits while a thread decides whether the environment can be closed.
    ///
    /// - Throws: `badHandle`, `forked`, `busy`: why no transaction can begin. The slot is given back.
    @inline(never)
    private static func waitToBegin(
        _ store: UnsafeMutablePointer<StoreState>, _ environment: UInt64, _ index: Int
    ) throws(DatabaseError) {
        while true {
            let error: DatabaseError?
            if !isAlive(environment) {
                error = DatabaseError(.badHandle, "the environment is closed")
            } else if store.pointee.isForked {
                error = DatabaseError.forked
            } else {
                switch store.pointee.phase {
                case .open: return
                case .deciding: error = nil
                case .draining:
                    error = DatabaseError(
                        .busy, "the environment is being closed; no transaction begins any more")
                case .closed:
                    // The thread that closes it reads what is archived last.
                    if store.pointee.archivingThread.load(ordering: .relaxed) == zp_thread_id() {
                        return
                    }
                    error = DatabaseError(.badHandle, "the environment is closed")
                }
            }
            table.setTag(0, at: index)
            if let error {
                table.release(index)
                throw error
            }
            sched_yield()
            table.setTag(tag(of: store) | beginning, at: index)
        }
    }

    /// Gives the slot of a transaction back that could not begin.
    @inline(never)
    private static func giveBack(_ claim: TransactionClaim, _ index: Int) {
        claim.state.pointee.leave()
        table.release(index)
    }

    /// Begins a read transaction on the newest commit.
    ///
    /// - Parameter environment: as for `claim`.
    /// - Throws: `readersFull`, `forked`, `badHandle`, `busy` if the environment is being closed.
    @inline(__always)
    package static func beginRead(
        _ store: UnsafeMutablePointer<StoreState>, of environment: UInt64 = 0
    ) throws(DatabaseError) -> TransactionClaim {
        let (claim, index) = try claim(store, of: environment)
        if let slot = store.pointee.shared.claimReader(store.pointee.process) {
            claim.state.pointee.readerSlot = slot
        } else {
            claim.state.pointee.readerSlot = try claimReaderSlowly(store, claim, index)
        }
        pin(claim.state)
        do throws(DatabaseError) {
            try claim.state.pointee.checkSnapshot()
        } catch {
            endUnread(claim)
            throw error
        }
        claim.state.pointee.leave()
        return claim
    }

    /// Ends a transaction whose snapshot cannot be read.
    @inline(never)
    private static func endUnread(_ claim: TransactionClaim) { end(claim) }

    @inline(never)
    private static func claimReaderSlowly(
        _ store: UnsafeMutablePointer<StoreState>, _ claim: TransactionClaim, _ index: Int
    ) throws(DatabaseError) -> Int {
        let before = zp_hold_cancellation()
        defer { zp_release_cancellation(before) }
        do throws(DatabaseError) {
            if let slot = try store.pointee.store.claimReaderSlowly() { return slot }
            throw readersFull(store.pointee.shared)
        } catch {
            store.pointee.store.reportRefusal(error)
            giveBack(claim, index)
            throw error
        }
    }

    @inline(never)
    static func readersFull(_ shared: SharedState) -> DatabaseError {
        DatabaseError(
            .readersFull, limit: .readers,
            "all \(shared.readersMax) reader slots (\(c: "max_readers")) are taken; end "
                + "read transactions, or close the environment in all programs and open it with a "
                + "larger \(c: "max_readers")")
    }

    /// Not inlined: on its own it keeps the transaction's address in a register, of which a copy of all
    /// that the snapshot is needs many.
    @inline(never)
    private static func pin(_ state: UnsafeMutablePointer<TransactionState>) {
        state.pointee.id = state.pointee.storeState.pointee.shared.pinNewest(
            slot: state.pointee.readerSlot, to: state.pointee.metaBytes)
        state.pointee.adoptSnapshot()
        state.pointee.status = .active
    }

    /// Begins the write transaction, after waiting for the one before it.
    ///
    /// - Parameters:
    ///   - environment: as for `claim`.
    ///   - wait: for how long it may; nil for what the environment's options say.
    /// - Throws: `readOnly`, `panic`, `busy` if this thread has one open, the wait comes to its end or
    ///   is in vain, or the environment is being closed; `forked`, `badHandle`, a system error.
    package static func beginWrite(
        _ storeState: UnsafeMutablePointer<StoreState>, of environment: UInt64 = 0,
        durability: Durability? = nil, wait: WriterWait? = nil
    ) throws(DatabaseError) -> TransactionClaim {
        let (claim, index) = try claim(storeState, of: environment)
        let store = storeState.pointee.store
        let asked = zp_ticks()
        do throws(DatabaseError) {
            try becomeWriter(store, wait ?? store.options.writerWait)
        } catch {
            store.reportRefusal(error)
            giveBack(claim, index)
            throw error
        }
        let state = claim.state
        state.pointee.began = zp_ticks()
        state.pointee.waited = zp_nanoseconds_between(asked, state.pointee.began)
        let chosen = durability ?? store.options.durability
        state.pointee.durability = chosen
        do throws(DatabaseError) {
            let tip = try store.checked(
                try store.shared.copyTipMeta(to: state.pointee.metaBytes))
            state.pointee.adoptSnapshot()
            state.pointee.id = tip.transaction + 1
            guard state.pointee.id < Format.idLimit else {
                throw DatabaseError(
                    .full, limit: .transactionIDs,
                    "transaction \(tip.transaction) was the last there can be")
            }
        } catch {
            store.unlockWriter()
            giveBack(claim, index)
            throw error
        }
        let write = WriterMemory.state(of: store)
        write.pointee.reset(
            state.pointee.meta, store: store,
            logLimit: store.logRecordLimit(chosen))
        state.pointee.write = write
        state.pointee.source.frames = write.pointee.workspace.pointee.frames
        state.pointee.status = .active
        state.pointee.leave()
        return claim
    }

    /// Takes the writer's lock for this thread.
    private static func becomeWriter(
        _ store: Store, _ wait: WriterWait
    ) throws(DatabaseError) {
        guard
            !store.options.isReadOnly || store.isReplayingInMemory.load(ordering: .relaxed)
        else {
            throw DatabaseError(
                .readOnly, "a write transaction in an environment that was opened for reading only")
        }
        let thread = zp_thread_id()
        guard store.writerThread.load(ordering: .relaxed) != thread else {
            throw DatabaseError(
                .busy,
                "this thread has a write transaction open in the environment already, and would "
                    + "wait for itself forever; commit or abort that one first")
        }
        try store.checkPoison()
        try store.makeRoom()
        try store.lockWriter(wait)
        do throws(DatabaseError) {
            try store.checkPoison()
            try store.keepTipNear()
        } catch {
            store.unlockWriter()
            throw error
        }
        store.writerThread.store(thread, ordering: .relaxed)
    }

    /// Ends a transaction without committing it. None may be nested in it.
    @inline(__always)
    package static func end(_ claim: TransactionClaim) {
        let state = claim.state
        let isCounted = state.pointee.status != .reset
        state.pointee.status = .ended
        if state.pointee.write != nil {
            if state.pointee.parent != nil {
                takeBack(state)
            } else if let done = releaseWriter(state, .writesAborted, ended: zp_ticks()) {
                state.pointee.store.report(done.done)
            }
        } else if state.pointee.readerSlot >= 0 {
            let shared = state.pointee.storeState.pointee.shared
            // One that was reset was counted then.
            if isCounted { noteRead(state, shared) }
            shared.releaseReader(state.pointee.readerSlot)
            state.pointee.readerSlot = -1
        }
        state.pointee.freeRetired()
        state.pointee.leave()
        table.release(HandleTable<TransactionState>.index(of: claim.handle))
    }

    /// Ends a transaction, unless this process inherited it through `fork()`: it is its parent's to end.
    static func letGo(_ claim: TransactionClaim) {
        guard !claim.state.pointee.storeState.pointee.isForked else { return }
        end(claim)
    }

    /// Lets the next writer begin.
    ///
    /// - Parameters:
    ///   - outcome: what the transaction counts as.
    ///   - ended, append: as for `noteWrite`.
    /// - Returns: what it did, if slow transactions are to be told of.
    private static func releaseWriter(
        _ state: UnsafeMutablePointer<TransactionState>, _ outcome: Counter, ended: UInt64,
        append: UInt64 = 0
    ) -> Watched? {
        let store = state.pointee.store
        let done = noteWrite(state, outcome, ended: ended, append: append)
        state.pointee.write?.pointee.workspace.pointee.frames.pointee.reset()
        state.pointee.write = nil
        store.unlockWriter()
        return done
    }

    /// Forgets a transaction that was entered, and ends it.
    ///
    /// - Throws: `badTransaction` if one is nested in it, and then nothing happens.
    package static func abort(_ claim: TransactionClaim) throws(DatabaseError) {
        try checkEnding(claim)
        end(claim)
    }

    /// Commits a transaction that was entered, and ends it, whatever the outcome. The next writer
    /// begins before this one's wait for the disk.
    ///
    /// - Throws: besides the commit's own errors `badTransaction` if one is nested in it, and then
    ///   nothing happens.
    package static func commit(_ claim: TransactionClaim) throws(DatabaseError) {
        try checkEnding(claim)
        // The transaction counts as open until all is done: the environment cannot be closed.
        defer { end(claim) }
        let state = claim.state
        guard let write = state.pointee.write else { return }
        try state.pointee.checkUsable()
        try Operations(state).takeInReservation()
        guard state.pointee.parent == nil else { return giveToParent(state) }
        let store = state.pointee.store
        // A flush may have failed since the transaction began (invariant 3).
        if write.pointee.workspace.pointee.isDirty { try store.checkPoison() }
        let isMaintenance = write.pointee.shrinking != nil
        let isChanged = write.pointee.workspace.pointee.isDirty
        let durability = state.pointee.durability
        let began = zp_ticks()
        var wait = try Commit.run(state)
        // Nobody waits to see what changes no content.
        if isMaintenance, case .show = wait { wait = .flushSoon }
        let meta = state.pointee.meta
        let pages = write.pointee.workspace.pointee.frames.pointee.dirtyPages
        state.pointee.status = .ended
        let appended = zp_ticks()
        let append = zp_nanoseconds_between(began, appended)
        let done = releaseWriter(
            state, isChanged ? .commits(durability) : .commitsEmpty, ended: appended,
            append: append)
        defer {
            if let done { report(done, append, flush: zp_nanoseconds_spent(appended), store) }
        }
        let hasWaited = try store.finish(wait, meta, pages: pages)
        guard isChanged, !isMaintenance else { return }
        store.shared.note(
            .commitFlush, nanoseconds: hasWaited ? zp_nanoseconds_spent(appended) : 0)
    }

    /// Leaves a transaction that cannot be ended.
    private static func checkEnding(_ claim: TransactionClaim) throws(DatabaseError) {
        do throws(DatabaseError) {
            try claim.state.pointee.checkChildless()
        } catch {
            claim.state.pointee.leave()
            throw error
        }
    }

    /// Lets go of a read transaction's snapshot and keeps the rest for `renew`.
    package static func reset(
        _ state: UnsafeMutablePointer<TransactionState>
    ) throws(DatabaseError) {
        guard state.pointee.write == nil else {
            throw DatabaseError(
                .incompatible, "a write transaction cannot be reset; commit or abort it")
        }
        guard state.pointee.status == .active else { return }
        state.pointee.status = .reset
        let shared = state.pointee.storeState.pointee.shared
        noteRead(state, shared)
        shared.unpin(slot: state.pointee.readerSlot)
    }

    /// Gives a read transaction that was reset the newest snapshot.
    package static func renew(
        _ state: UnsafeMutablePointer<TransactionState>
    ) throws(DatabaseError) {
        guard state.pointee.write == nil, state.pointee.status == .reset else {
            throw DatabaseError(
                .badTransaction, "only a read transaction that was reset can be renewed")
        }
        state.pointee.snapshots &+= 1
        pin(state)
        do throws(DatabaseError) {
            try state.pointee.checkSnapshot()
        } catch {
            try reset(state)
            throw error
        }
    }
}
