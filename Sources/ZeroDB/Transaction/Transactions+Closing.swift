import Glibc

/// Closing an environment beside threads that use it.
extension Transactions {
    /// Lets no transaction begin any more, if none is open, and waits for the calls of other threads.
    ///
    /// - Parameters:
    ///   - wait: for how long to wait for open transactions to end.
    ///   - endsOthers: whether to end those that no thread is inside.
    /// - Returns: false if the store is closed already.
    /// - Throws: `busy` if a transaction is open in the end or another thread is closing the store,
    ///   and then transactions may begin again.
    static func beginClosing(
        _ store: Store, _ wait: WriterWait, endsOthers: Bool
    ) throws(DatabaseError) -> Bool {
        let state = store.state
        let end = wait.end
        // Without a wait threads that want to begin a transaction meanwhile are none the wiser.
        let phase = wait == .never && !endsOthers ? StoreState.Phase.deciding : .draining
        guard try leaveOpen(store, for: phase) else { return false }
        var delay: UInt32 = 100
        while true {
            if endsOthers { endAll(store) }
            let open = openCount(state)
            if open == 0 { break }
            guard SystemCall.monotonicNanoseconds() < end else {
                state.pointee.setPhase(.open)
                throw busy(store, open)
            }
            usleep(delay)
            delay = min(delay * 2, 3200)
        }
        state.pointee.setPhase(.closed)
        state.pointee.waitForCalls()
        return true
    }

    /// - Returns: false if the store is closed already.
    private static func leaveOpen(
        _ store: Store, for phase: StoreState.Phase
    ) throws(DatabaseError) -> Bool {
        while true {
            if store.state.pointee.leaveOpen(for: phase) { return true }
            switch store.state.pointee.phase {
            case .open, .deciding: sched_yield()
            case .draining:
                throw DatabaseError(
                    .busy, "another thread is closing the environment at \(store.path)")
            case .closed: return false
            }
        }
    }

    /// Ends the transactions of a store that no thread is inside, nested ones before their parents.
    private static func endAll(_ store: Store) {
        let tag = tag(of: store.state)
        var hasEnded = true
        while hasEnded {
            hasEnded = false
            for index in 0..<table.count {
                // In this order: a tag is of the handle that the slot has while it has the tag.
                guard let handle = table.handle(at: index), table.tag(at: index) == tag,
                    let state = table.object(at: index), state.pointee.tryEnter()
                else { continue }
                guard table.resolve(handle) == state, state.pointee.status != .nesting else {
                    state.pointee.leave()
                    continue
                }
                // Calls that only read enter no read transaction: a thread may be inside one.
                if !state.pointee.isWrite { store.keepsMap.store(true, ordering: .relaxed) }
                end(TransactionClaim(state, handle))
                hasEnded = true
            }
        }
    }

    private static func busy(_ store: Store, _ open: Int) -> DatabaseError {
        DatabaseError(
            .busy,
            "the environment at \(store.path) has \(open) open transaction\(open == 1 ? "" : "s"); "
                + "commit or abort \(open == 1 ? "it" : "them") before closing")
    }

    /// How many transactions a store has. Waits for threads that are about to learn whether theirs
    /// begin.
    private static func openCount(_ state: UnsafeMutablePointer<StoreState>) -> Int {
        let tag = tag(of: state)
        for index in 0..<table.count {
            while table.tag(at: index) == tag | beginning { sched_yield() }
        }
        return table.count(tagged: tag)
    }
}
