import Glibc

/// Closing an environment beside threads that use it.
extension Transactions {
    /// Lets no transaction begin any more, if none is open, and waits for the calls of other threads.
    ///
    /// - Returns: false if the store is closed already.
    /// - Throws: `busy` if a transaction is open or another thread is closing the store, and then
    ///   nothing has changed.
    static func beginClosing(_ store: Store) throws(DatabaseError) -> Bool {
        let state = store.state
        while true {
            let (exchanged, phase) = state.pointee.phase.compareExchange(
                expected: .open, desired: .deciding, ordering: .sequentiallyConsistent)
            if exchanged { break }
            switch phase {
            case .open, .deciding: sched_yield()
            case .draining:
                throw DatabaseError(
                    .busy, "another thread is closing the environment at \(store.path)")
            case .closed: return false
            }
        }
        let open = openCount(state)
        guard open == 0 else {
            state.pointee.phase.store(.open, ordering: .sequentiallyConsistent)
            throw busy(store, open)
        }
        state.pointee.phase.store(.closed, ordering: .sequentiallyConsistent)
        state.pointee.waitForCalls()
        return true
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
        var count = 0
        for index in 0..<table.count {
            while table.tag(at: index) == tag | beginning { sched_yield() }
            if table.tag(at: index) == tag { count += 1 }
        }
        return count
    }
}
