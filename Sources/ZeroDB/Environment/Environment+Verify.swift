extension Environment {
    /// Reads the newest snapshot and checks all that can be: checksums, structure, key order, counts,
    /// digests, that every page is reachable from exactly one place, both meta pages with their copies, and
    /// the log. Readers and the writer go on meanwhile; writers keep what it reads until it has ended.
    ///
    /// - Parameters:
    ///   - options: how much is looked at, and by how many threads.
    ///   - onProblem: called for each problem, on the thread of the caller.
    ///   - onProgress: called several times a second, on the thread of the caller; false ends the
    ///     verification.
    /// - Returns: what was found. Problems are no error.
    /// - Throws: what keeps the verification from beginning or from its end: ECANCELED if `onProgress`
    ///   returned false; `notFound` if there is no database of the name that is to be verified; `badHandle`,
    ///   `forked`, `busy`, `readersFull`, a system error.
    /// - Complexity: a read of all pages in use.
    @discardableResult
    public func verify(
        _ options: VerifyOptions = VerifyOptions(),
        onProblem: @escaping (VerifyProblem) -> Void = { _ in },
        onProgress: @escaping (VerifyProgress) -> Bool = { _ in true }
    ) throws(DatabaseError) -> VerifyReport {
        var report = VerifyReport()
        try verify(options, into: &report, onProblem: onProblem, onProgress: onProgress)
        return report
    }

    /// The same for callers that want the report of a verification that did not come to its end, too.
    package func verify(
        _ options: VerifyOptions, into report: inout VerifyReport,
        onProblem: @escaping (VerifyProblem) -> Void,
        onProgress: @escaping (VerifyProgress) -> Bool
    ) throws(DatabaseError) {
        var options = options
        if options.threads == 0, !store.options.usesThread { options.threads = 1 }
        let freeList = FreeList.allocate()
        defer { freeList.deallocate() }
        let claim = try beginRead(withFreeList: freeList)
        defer { Transactions.end(claim) }
        try claim.state.pointee.enter()
        let meta = claim.state.pointee.meta
        let monitor = VerifyMonitor(onProblem: onProblem, onProgress: onProgress)
        let verification = Verification(
            claim.state.pointee.source, meta, freeList, options: options, monitor: monitor,
            knowsFreeSpace: knowsFreeSpace)
        defer {
            report = verification.report
            report.problems = monitor.problems
        }
        try verifyMetaPages(monitor)
        if options.scope == .environment {
            var log = LogVerification(store, meta, monitor)
            try log.run()
            (verification.report.logRecords, verification.report.logBytes) = (
                log.records, log.bytes
            )
        }
        try verification.run()
        monitor.tellProgress(isLast: true)
        try monitor.checkCancelled()
    }

    /// Both meta pages and the free list of the newest, with all their copies.
    private func verifyMetaPages(_ monitor: VerifyMonitor) throws(DatabaseError) {
        do throws(DatabaseError) {
            for (page, problem) in try store.damagedMetaCopies() {
                monitor.report(
                    VerifyProblem(kind: .meta, place: .environment, page: page, message: problem))
            }
            let root = try store.loadMeta().meta
            try LogVerification.noteTimes(store, root, in: &monitor.times)
        } catch {
            guard error.code == .corrupted else { throw error }
            monitor.report(
                VerifyProblem(
                    kind: .meta, place: .environment, page: error.page, message: error.message))
        }
    }

    /// Whether there are free pages to look at: recovery mode loads none.
    var knowsFreeSpace: Bool { !store.options.recovery || !store.isFirst }

    /// Begins a read transaction on the newest commit whose free list is known.
    func beginRead(withFreeList freeList: FreeList) throws(DatabaseError)
        -> TransactionClaim
    {
        try Transactions.beginRead(store, withFreeList: freeList)
    }
}
