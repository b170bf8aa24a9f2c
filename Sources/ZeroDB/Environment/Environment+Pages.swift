extension Environment {
    /// Looks at one page of the newest snapshot: what is in it, whether checksum and place are right, and
    /// what refers to it.
    ///
    /// - Parameter number: of the page.
    /// - Throws: `notFound` if the file has no such page; `badHandle`, `forked`, `readersFull`, a system
    ///   error. Damage is part of the answer.
    /// - Complexity: reads all pages of trees, to find what refers to it.
    public func inspectPage(_ number: UInt64) throws(DatabaseError) -> InspectedPage {
        try withPages { subject throws(DatabaseError) in try PageInspection(subject, number).run() }
    }

    /// What each page of the newest snapshot is for.
    ///
    /// - Throws: `badHandle`, `forked`, `readersFull`, a system error. Damage is part of the answer.
    /// - Complexity: reads all pages of trees, and the first one of each large value; memory of two bytes a
    ///   page.
    public func pageMap() throws(DatabaseError) -> PageMap {
        try withPages { subject throws(DatabaseError) in try PageMap(subject) }
    }

    private func withPages<Result>(
        _ body: (PageSubject) throws(DatabaseError) -> Result
    ) throws(DatabaseError) -> Result {
        let freeList = FreeList.allocate()
        let claim: TransactionClaim
        do throws(DatabaseError) {
            claim = try beginRead(withFreeList: freeList)
        } catch {
            freeList.deallocate()
            throw error
        }
        defer { Transactions.end(claim) }
        try claim.state.pointee.enter()
        let subject = try PageSubject(
            store, claim.state.pointee.source, claim.state.pointee.meta, freeList)
        return try body(subject)
    }

    /// Looks at one page of an environment that need not open: that of the state in the meta pages, before
    /// the log is replayed. Takes no lock and writes nothing.
    ///
    /// - Throws: `notFound` if the file has no such page; `busy` if a program wrote a newer state meanwhile;
    ///   `invalidFile`, `versionMismatch`, `unsupported`; `corrupted` if there is no whole meta record; a
    ///   system error.
    /// - Complexity: reads all pages of trees.
    public static func inspectPage(
        _ number: UInt64, path: String
    ) throws(DatabaseError) -> InspectedPage {
        let subject = try PageSubject(PathBytes(path), PosixFileSystem())
        return try PageInspection(subject, number).run()
    }

    /// What each page of an environment that need not open is for, in the state of the meta pages. Takes no
    /// lock and writes nothing.
    ///
    /// - Throws: as `inspectPage(_:path:)`.
    /// - Complexity: reads all pages of trees.
    public static func pageMap(path: String) throws(DatabaseError) -> PageMap {
        try PageMap(try PageSubject(PathBytes(path), PosixFileSystem()))
    }
}
