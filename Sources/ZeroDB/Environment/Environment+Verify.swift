extension Environment {
    /// Reads every page of the newest snapshot and checks all that can be: checksums, structure,
    /// key order, counts, and that every page is reachable from exactly one place. Readers and
    /// the writer go on meanwhile.
    ///
    /// - Parameter onProblem: called for each problem with the page, if it concerns one, and what
    ///   is wrong.
    /// - Throws: what keeps the verification from beginning; problems are in the report.
    public func verify(
        onProblem: @escaping (UInt64?, String) -> Void = { _, _ in }
    ) throws(DatabaseError) -> VerifyReport {
        let freeList = FreeList.allocate()
        defer { freeList.deallocate() }
        let claim = try beginRead(withFreeList: freeList)
        defer { Transactions.end(claim) }
        try claim.state.pointee.enter()
        var verifier = Verifier(claim.state, freeList, onProblem: onProblem)
        for (page, problem) in try MetaPages.damagedCopies(
            in: store.dataFile, pageSize: store.pageSize)
        {
            verifier.problem(page, problem)
        }
        for (page, problem) in try MetaPages.damagedFreeLists(in: store.dataFile) {
            verifier.problem(page, problem)
        }
        verifier.run()
        return verifier.report
    }

    /// Begins a read transaction on the newest commit whose free list is known.
    private func beginRead(withFreeList freeList: FreeList) throws(DatabaseError)
        -> TransactionClaim
    {
        for _ in 0..<SharedState.copiesMax {
            let claim = try Transactions.beginRead(store.state)
            do throws(DatabaseError) {
                let meta = claim.state.pointee.meta
                guard meta.isPlausible else {
                    throw SharedState.damaged(
                        "the record of transaction \(meta.transaction) does not check")
                }
                if try store.shared.copyFreeList(of: meta, to: freeList) { return claim }
            } catch {
                Transactions.end(claim)
                throw error
            }
            // Sixty commits between two lines: the next snapshot is newer.
            Transactions.end(claim)
        }
        throw SharedState.damaged("its newest transaction is \(store.shared.tip)")
    }
}
