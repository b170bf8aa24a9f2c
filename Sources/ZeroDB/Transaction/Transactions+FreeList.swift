extension Transactions {
    /// Begins a read transaction on the newest commit whose free list is known.
    static func beginRead(
        _ store: Store, withFreeList freeList: FreeList
    ) throws(DatabaseError) -> TransactionClaim {
        for _ in 0..<SharedState.copiesMax {
            let claim = try beginRead(store.state)
            do throws(DatabaseError) {
                let meta = claim.state.pointee.meta
                guard meta.isPlausible else {
                    throw SharedState.damaged(
                        "the record of transaction \(meta.transaction) does not check")
                }
                if try store.shared.copyFreeList(of: meta, to: freeList) { return claim }
            } catch {
                end(claim)
                throw error
            }
            // Sixty commits between two lines: the next snapshot is newer.
            end(claim)
        }
        throw SharedState.damaged("its newest transaction is \(store.shared.tip)")
    }
}
