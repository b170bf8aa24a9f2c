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
        while true {
            let claim = try Transactions.beginRead(store.state)
            if store.shared.copyFreeList(of: claim.state.pointee.id, to: freeList) {
                return claim
            }
            // Sixty commits between two lines: the next snapshot is newer.
            Transactions.end(claim)
        }
    }
}
