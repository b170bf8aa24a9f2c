/// What programs are doing with an environment, as shared memory has it.
public struct EnvironmentActivity: Sendable {
    /// The newest commit.
    public var tip: UInt64
    /// The newest commit that new readers see.
    public var visible: UInt64
    /// The commit that the newest meta page on disk holds.
    public var checkpoint: UInt64
    /// Whether every commit up to `visible` is on disk, in the data file or in the log.
    public var isDurable: Bool
    /// Where the log ends.
    public var logEnd: UInt64
    /// Where the log is known to be on disk up to.
    public var logFlushed: UInt64
    /// Files of the log.
    public var logSegments: Int
    /// The errno of a flush that failed, after which nothing can be written; 0.
    public var failedFlush: Int32
    /// The process that has the write transaction open, as it knows its id; nil if there is none.
    public var writerProcessID: Int32?
    /// Bits of the features that the environment has, as docs/FORMAT.md numbers them: those needed to read
    /// it, those needed to write it, and others.
    public var features: (toRead: UInt64, toWrite: UInt64, optional: UInt64)
}

extension Environment {
    /// What the pages of the newest snapshot are for, and which states keep free pages.
    ///
    /// - Parameters:
    ///   - name: of the only database to look at, empty for the main one; nil for all.
    ///   - leavesMax: leaves of a database that are looked at to tell how full they are.
    /// - Throws: `notFound` if there is no database of that name; `badHandle`, `forked`, `readersFull`, a
    ///   system error. Damage is part of the answer.
    /// - Complexity: reads the catalog, the tree of free pages, and for each database some leaves and the
    ///   branches above them.
    public func spaceUse(
        ofDatabase name: [UInt8]? = nil, leavesMax: UInt64 = 256
    ) throws(DatabaseError) -> SpaceUse {
        let freeList = FreeList.allocate()
        defer { freeList.deallocate() }
        let shared = store.shared
        // Before this one's own reader.
        let snapshots = try readers().compactMap(\.snapshot)
        let durable = Set([shared.checkpoint, shared.checkpointing].filter { $0 > 0 })
        let claim = try beginRead(withFreeList: freeList)
        defer { Transactions.end(claim) }
        try claim.state.pointee.enter()
        var survey = SpaceSurvey(
            claim.state.pointee.source, claim.state.pointee.meta,
            leavesMax: min(max(1, leavesMax), 1 << 32))
        let use = survey.run(database: name, freeList, states: snapshots, durable: durable)
        if let name, use.databases.isEmpty {
            throw DatabaseError(
                .notFound, "there is no database \"\(String(decoding: name, as: UTF8.self))\"")
        }
        return use
    }

    /// What programs are doing with the environment.
    ///
    /// - Throws: `badHandle`, `forked`, a system error.
    public func activity() throws(DatabaseError) -> EnvironmentActivity {
        try whileOpen { () throws(DatabaseError) in
            let shared = store.shared
            let checkpoint = shared.checkpoint
            let flushed = shared.flushed
            let meta = try store.visibleMeta()
            let isLogged = shared.unlogged <= checkpoint && flushed >= meta.logEnd
            let features = meta.features
            return EnvironmentActivity(
                tip: shared.tip, visible: meta.transaction, checkpoint: checkpoint,
                isDurable: checkpoint >= meta.transaction || isLogged, logEnd: meta.logEnd,
                logFlushed: flushed, logSegments: try store.logDirectory.bases().count,
                failedFlush: shared.poison,
                writerProcessID: shared.writerProcessID == 0 ? nil : shared.writerProcessID,
                features: (features.toRead, features.toWrite, features.optional))
        }
    }
}
