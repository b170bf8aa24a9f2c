/// What opening had to replay.
public struct RecoveryReport: Sendable, Equatable {
    /// Log records, one a transaction.
    public var records: UInt64 = 0
    /// Bytes of them.
    public var bytes: UInt64 = 0
    /// How long it took.
    public var nanoseconds: UInt64 = 0
}

/// Replaying the log after the newest meta page. Only the first opener does, alone.
enum Recovery {
    /// Dirty pages after which a replay writes what it has: 256 MiB of 4 KiB pages.
    static let replayBytesMax = 256 << 20

    /// Replays the log.
    ///
    /// - Throws: `recoveryNeeded` in an environment opened for reading only; `corrupted` for a
    ///   record or segment that was damaged or lost after it had been on disk; `versionMismatch`
    ///   for a segment of another version.
    static func run(_ store: Store) throws(DatabaseError) -> RecoveryReport {
        let path = store.path
        let began = store.fileSystem.now()
        let meta = try store.tipMeta()
        var reader = try LogReader(after: meta, in: store.logDirectory)
        var replay = ReplayBatches(store)
        do throws(DatabaseError) {
            while let (record, bytes) = try reader.next() {
                guard !store.options.isReadOnly else {
                    throw DatabaseError(
                        .recoveryNeeded,
                        "the environment at \(path) was not closed cleanly and its log holds "
                            + "transactions to replay; open it once for writing")
                }
                try replay.apply(record, bytes, of: reader)
            }
            try replay.finish()
        } catch {
            replay.abort()
            throw error
        }
        var report = replay.report
        if let proof = try reader.findProofOfDamage(
            isEndKnown: store.isLogEndKnown && report.records == 0)
        {
            throw DatabaseError(
                .corrupted,
                "the log of \(path) is damaged at position \(reader.position): \(proof); restore "
                    + "what is damaged or missing, or run zerodb-check")
        }
        guard report.records > 0 else {
            // A record behind the end of a log that was closed cleanly has been reported before.
            if reader.hasTail, !store.wasClean {
                store.report(
                    .warning,
                    "recovery of \(path): nothing to replay; \(tailWarning(reader.position))")
            }
            return report
        }
        try store.makeCheckpoint(holding: store.shared.tip)
        report.nanoseconds = store.fileSystem.now() &- began
        store.report(
            reader.hasTail ? .warning : .information,
            "recovery of \(path): replayed \(report.records) transactions, \(report.bytes) bytes "
                + "of "
                + "log from position \(meta.logEnd) to \(reader.position), in "
                + "\(report.nanoseconds / 1_000_000) ms; transaction "
                + "\(store.shared.tip) is the newest"
                + (reader.hasTail ? "; \(tailWarning(reader.position))" : ""))
        return report
    }

    private static func tailWarning(_ position: UInt64) -> String {
        "a record at position \(position) that does not check was cut off: it did not reach the "
            + "disk "
            + "before the power went, or is damaged, and nothing behind it tells which"
    }
}

/// A log being replayed, in as many write transactions as keep its pages within bounds.
struct ReplayBatches {
    private let store: Store
    private let leniency: ReplayLeniency?
    private var replay: Replay?
    private var begun = RecoveryReport()
    /// What the finished transactions have of it.
    private(set) var report = RecoveryReport()

    /// - Parameter leniency: what may be passed over, in a repair.
    init(_ store: Store, _ leniency: ReplayLeniency? = nil) {
        self.store = store
        self.leniency = leniency
    }

    /// Applies the record that a reader has come to.
    mutating func apply(
        _ record: LogRecord, _ bytes: UnsafeRawBufferPointer, of reader: borrowing LogReader
    ) throws(DatabaseError) {
        if replay == nil {
            replay = try Replay(store)
            replay?.leniency = leniency
        }
        try replay?.apply(record, bytes)
        replay?.end = (reader.position, reader.previous, reader.segmentBase)
        begun.records += 1
        begun.bytes += record.length
        if let replay, replay.dirtyBytes > Recovery.replayBytesMax { try finish() }
    }

    /// Makes what was applied the tip.
    mutating func finish() throws(DatabaseError) {
        guard let last = replay else { return }
        replay = nil
        try last.finish()
        report.records += begun.records
        report.bytes += begun.bytes
        begun = RecoveryReport()
    }

    /// Leaves out what is not finished.
    mutating func abort() {
        replay?.abort()
        replay = nil
    }
}

/// Log records being applied in one write transaction: many records together, as only the state
/// after the last counts.
struct Replay {
    private let store: Store
    private let claim: TransactionClaim
    /// What may be passed over, in a repair.
    var leniency: ReplayLeniency?
    /// Where the log goes on after the records applied.
    var end: (position: UInt64, checksum: UInt64, segment: UInt64) = (0, 0, 0)
    private var last = LogRecord(
        kind: .transaction, length: 0, position: 0, previous: 0, transaction: 0, wallClock: 0,
        flushed: 0, digest: ContentDigest())
    /// Of the environment after the records applied.
    private var digest: ContentDigest
    /// What the main database adds to it.
    private var mainPart: ContentDigest
    /// What the databases with names add to it that were changed, by handle.
    private var parts: [Int: ContentDigest] = [:]
    /// This record's numbers of databases with names.
    private var databases: [Int: Int] = [:]
    private var names: [Int: [UInt8]] = [:]
    /// The handles of the databases with names that this record may have changed.
    private var changed: Set<Int> = []

    init(_ store: Store) throws(DatabaseError) {
        self.store = store
        claim = try Transactions.beginWrite(store.state, durability: Durability.none)
        claim.state.pointee.write?.pointee.workspace.pointee.pagesMax = 0
        claim.state.pointee.write?.pointee.isReplay = true
        let meta = claim.state.pointee.meta
        digest = meta.digest
        mainPart = ContentDigest(ofMain: meta.main)
    }

    var dirtyBytes: Int {
        let pages =
            claim.state.pointee.write?.pointee.workspace.pointee.frames.pointee.dirtyPages ?? 0
        return Int(pages) * store.pageSize
    }

    mutating func apply(
        _ record: LogRecord, _ bytes: UnsafeRawBufferPointer
    ) throws(DatabaseError) {
        last = record
        claim.state.pointee.id = record.transaction
        if !names.isEmpty {
            databases.removeAll(keepingCapacity: true)
            names.removeAll(keepingCapacity: true)
            changed.removeAll(keepingCapacity: true)
        }
        var reader = LogOperationReader(bytes)
        let operations = Operations(claim.state)
        while let operation = try next(&reader) {
            do throws(DatabaseError) {
                try apply(operation, operations)
            } catch {
                guard let leniency, Self.isMisuse(error) else { throw inLog(error) }
                leniency.skip(record.transaction, error)
            }
        }
        try checkDigest()
    }

    /// Compares what the records applied have led to with what the last of them says.
    private mutating func checkDigest() throws(DatabaseError) {
        let store = store
        let main = ContentDigest(ofMain: claim.state.pointee.trees[0].record)
        digest -= mainPart
        digest += main
        mainPart = main
        for handle in changed {
            let name = store.databases.name(handle)
            let tree = claim.state.pointee.trees[handle]
            let now =
                name.flatMap {
                    tree.status == .present ? ContentDigest(ofDatabase: $0, tree.record) : nil
                } ?? ContentDigest()
            let before: ContentDigest
            if let known = parts[handle] {
                before = known
            } else if let name {
                // The catalog changes with the commit only.
                before = try claim.state.pointee.digest(ofDatabaseInCatalog: name)
            } else {
                before = ContentDigest()
            }
            digest -= before
            digest += now
            parts[handle] = now
        }
        guard digest == last.digest || !store.options.comparesDigests else {
            if let leniency {
                if !leniency.isLossy { leniency.noteDifference(last.transaction) }
                return
            }
            throw DatabaseError(
                .corrupted,
                "the log record of transaction \(last.transaction) at position \(last.position) "
                    + "leads to "
                    + "content with the digest \(digest), but says \(last.digest): what it was "
                    + "applied to "
                    + "is not what the transaction changed; restore the environment from a "
                    + "backup, or "
                    + "run zerodb-check")
        }
    }

    /// What an operation's failure says about the log: what no program's call could have done was not
    /// written by one.
    private func inLog(_ error: DatabaseError) -> DatabaseError {
        Self.isMisuse(error) ? malformed(": \(error.markedMessage)") : error
    }

    private static func isMisuse(_ error: DatabaseError) -> Bool {
        let codes: [DatabaseError.Code] = [
            .badArgument, .badValueSize, .badDatabase, .incompatible, .notFound, .keyExists,
        ]
        return codes.contains(error.code)
    }

    private mutating func apply(
        _ operation: LogOperationReader.Operation, _ operations: Operations
    ) throws(DatabaseError) {
        switch operation {
        case .put(let number, let key, let value):
            _ = try operations.put(try handle(number), key, value, mode: .overwrite)
        case .delete(let number, let key):
            _ = try operations.delete(try handle(number), key)
        case .deletePair(let number, let key, let value):
            _ = try operations.delete(try handle(number), key, value: value)
        case .name(let number, let name):
            guard number > 0 else { throw malformed() }
            names[number] = Array(name)
            databases[number] = nil
        case .create(let number, let flags):
            try create(number, flags)
        case .clear(let number):
            _ = try operations.clear(try handle(number))
        case .drop(let number):
            try operations.drop(try handle(number))
        case .rename(let number, let name):
            changed.insert(try operations.rename(try handle(number), to: name))
        case .deleteRange(let number, let from, let to):
            _ = try operations.deleteRange(try handle(number), from: from, to: to)
        }
    }

    private func next(
        _ reader: inout LogOperationReader
    ) throws(DatabaseError) -> LogOperationReader.Operation? {
        do throws(LogOperationReader.Malformed) {
            return try reader.next()
        } catch {
            throw malformed()
        }
    }

    private func malformed(_ why: String = "") -> DatabaseError {
        DatabaseError(
            .corrupted,
            "the log record of transaction \(last.transaction) at position \(last.position) has a "
                + "good checksum but its operations make no sense\(why); run zerodb-check")
    }

    /// The handle of a database of this record. It stands for the name, as the number does; 0 is the
    /// main database.
    private mutating func handle(_ number: Int) throws(DatabaseError) -> Int {
        guard number > 0 else { return 0 }
        if let known = databases[number] {
            changed.insert(known)
            return known
        }
        guard let name = names[number] else { throw malformed() }
        let claim = claim
        let handle = try name.withBytes { name throws(DatabaseError) in
            try Operations(claim.state).openDatabase(name, create: false)
        }
        databases[number] = handle
        changed.insert(handle)
        return handle
    }

    private mutating func create(
        _ number: Int, _ flags: DatabaseFlags
    ) throws(DatabaseError) {
        guard flags.isConsistent else { throw malformed() }
        let operations = Operations(claim.state)
        guard number > 0 else {
            _ = try operations.openMain(flags: flags, create: true)
            return
        }
        guard let name = names[number] else { throw malformed() }
        let handle = try name.withBytes { name throws(DatabaseError) in
            try operations.openDatabase(name, flags: flags, create: true)
        }
        databases[number] = handle
        changed.insert(handle)
    }

    /// Makes what was applied the tip.
    func finish() throws(DatabaseError) {
        defer { Transactions.end(claim) }
        claim.state.pointee.id = last.transaction
        claim.state.pointee.meta.logEnd = end.position
        claim.state.pointee.meta.logChecksum = end.checksum
        claim.state.pointee.meta.logSegment = end.segment
        claim.state.pointee.meta.loggedTransaction = last.transaction
        // A record without effect must still move the transaction id on.
        claim.state.pointee.write?.pointee.workspace.pointee.isDirty = true
        _ = try Commit.run(claim.state, wallClock: last.wallClock)
    }

    func abort() { Transactions.end(claim) }
}
