/// Reads what the files of a log tell of the transactions of an environment, from the oldest record that is
/// left on: those before the newest checkpoint too. Opens no environment, takes no lock and writes nothing.
///
/// Programs may write meanwhile. What they have not finished when it is come to is left out, and the library
/// may take segments away that no recovery needs.
struct LogHistory {
    private let directory: any StorageDirectory
    private let identity: LogIdentity
    /// The newest state in the meta pages, if one can be read.
    private let root: Meta?
    private(set) var summary = LogHistorySummary()
    /// The log is known to have been on disk up to here.
    private var flushed: UInt64 = 0

    // Where the chain of records is.
    private var previous: UInt64?
    private var last: UInt64?
    /// Set where it goes on behind something that is missing.
    private var missing: LogGap?
    /// Whether the receiver wants no more.
    private var isEnded = false

    /// Called for a record and its bytes; returns false to end.
    private typealias OnRecord = (LogRecord, UnsafeRawBufferPointer) throws(DatabaseError) -> Bool
    /// Called for transactions that are missing.
    private typealias OnGap = (LogGap) -> Bool

    /// - Parameters:
    ///   - directory: one that holds segments: the log's, or an archive.
    ///   - identity: of the environment.
    init(_ directory: any StorageDirectory, _ identity: LogIdentity, root: Meta?) {
        self.directory = directory
        self.identity = identity
        self.root = root
        summary.checkpoint = root?.transaction
    }

    /// Reads all.
    ///
    /// - Parameter onItem: returns false to end.
    mutating func run(_ onItem: (LogHistoryItem) -> Bool) throws(DatabaseError) {
        // What is known to be on disk, only later records say.
        try follow({ _, _ in true }, { _ in true })
        let flushed = self.flushed
        let root = root?.transaction
        try follow { record, content throws(DatabaseError) in
            let durability: LoggedTransaction.Durability
            if let root, record.transaction <= root {
                durability = .checkpointed
            } else {
                durability = record.end <= flushed ? .flushed : .written
            }
            return onItem(
                .transaction(LoggedTransaction(record, content, durability: durability)))
        } _: {
            onItem(.gap($0))
        }
    }

    /// Finds the record of a transaction.
    mutating func find(
        _ transaction: UInt64,
        _ body: (LogRecord, UnsafeRawBufferPointer) throws(DatabaseError) -> Void
    ) throws(DatabaseError) {
        try follow { record, content throws(DatabaseError) in
            guard record.transaction >= transaction else { return true }
            if record.transaction == transaction { try body(record, content) }
            return false
        } _: { _ in
            true
        }
    }

    // MARK: The chain

    /// Where the log is known to be whole: what is before is damaged if it does not check.
    private var knownEnd: UInt64 { root?.logEnd ?? 0 }

    private mutating func follow(
        _ onRecord: OnRecord, _ onGap: OnGap
    ) throws(DatabaseError) {
        let checkpoint = summary.checkpoint
        summary = LogHistorySummary()
        summary.checkpoint = checkpoint
        (previous, last, missing, isEnded) = (nil, nil, nil, false)
        let bases = try directory.list().compactMap { LogSegment.base(ofName: $0) }.sorted()
        var expected: UInt64?
        for base in bases {
            // A segment that a writer has prepared is behind the end of the log.
            if let expected, base != expected, base >= knownEnd, last != nil { break }
            guard let segment = try open(base) else { continue }
            summary.segments += 1
            if let problem = segment.problem { summary.problems.append(problem) }
            if let expected, base != expected, last != nil {
                lose("the segment \(LogSegment.name(base: expected)) is missing")
            }
            expected = segment.end
            guard try follow(segment, onRecord, onGap) else { break }
        }
        if !isEnded { finish(onGap) }
    }

    /// Opens a segment; notes why it cannot be.
    private mutating func open(_ base: UInt64) throws(DatabaseError) -> SegmentRecords? {
        do throws(DatabaseError) {
            return try SegmentRecords.open(base: base, in: directory, identity)
        } catch {
            guard error.code == .corrupted || error.code == .versionMismatch else { throw error }
            summary.problems.append(error.message)
            lose(error.message)
            return nil
        }
    }

    /// Follows the records of a segment.
    ///
    /// - Returns: whether to go on with the next one.
    private mutating func follow(
        _ segment: SegmentRecords, _ onRecord: OnRecord, _ onGap: OnGap
    ) throws(DatabaseError) -> Bool {
        var position = segment.base
        while segment.end - position >= UInt64(LogRecord.headerSize) {
            guard let (record, content) = try segment.record(at: position), isNext(record) else {
                guard let next = try resume(behind: position, segment) else {
                    // Behind the last checkpoint nothing comes after a record that does not check.
                    return position < knownEnd
                }
                position = next
                continue
            }
            if record.kind == .endOfSegment {
                previous = record.checksum
                return true
            }
            guard try pass(record, content, onRecord, onGap) else { return false }
            position = record.end
        }
        return true
    }

    /// Whether a record follows what has been read.
    private func isNext(_ record: LogRecord) -> Bool {
        let isLater = last.map { record.transaction > $0 } ?? true
        guard missing == nil, let previous else { return isLater }
        return isLater && record.previous == previous
    }

    /// Passes a record on.
    ///
    /// - Returns: whether to go on.
    private mutating func pass(
        _ record: LogRecord, _ content: UnsafeRawBufferPointer, _ onRecord: OnRecord, _ onGap: OnGap
    ) throws(DatabaseError) -> Bool {
        let first = last.map { $0 + 1 }
        if missing != nil || (first.map { $0 < record.transaction } ?? false) {
            var gap = missing ?? LogGap(first: nil, last: nil, reason: .unlogged, message: nil)
            gap.first = first
            gap.last = record.transaction - 1
            let isEmpty = first.map { $0 >= record.transaction } ?? false
            missing = nil
            guard isEmpty || onGap(gap) else {
                isEnded = true
                return false
            }
        }
        previous = record.checksum
        last = record.transaction
        summary.first = summary.first ?? record.transaction
        summary.last = record.transaction
        summary.transactions += 1
        summary.bytes += record.length
        flushed = max(flushed, record.flushed)
        isEnded = try !onRecord(record, content)
        return !isEnded
    }

    private mutating func lose(
        _ message: String?, _ reason: LogGap.Reason = .damaged
    ) {
        missing = missing ?? LogGap(first: nil, last: nil, reason: reason, message: message)
    }

    /// Looks for what comes after a record that does not check, before the log's known end.
    ///
    /// - Returns: the position of the next record that does, if there is one.
    private mutating func resume(
        behind position: UInt64, _ segment: SegmentRecords
    ) throws(DatabaseError) -> UInt64? {
        guard position < knownEnd else { return nil }
        guard try segment.isStill(in: directory) else {
            lose(nil, .recycled)
            return nil
        }
        let problem =
            "the log is damaged at position \(position), byte "
            + "\(position - segment.base + UInt64(LogSegment.headerSize)) of "
            + "\(LogSegment.name(base: segment.base)): the record there does not check"
        summary.problems.append(problem)
        lose(problem)
        return try segment.firstRecord(behind: position, before: knownEnd)
    }

    /// What comes after the last record, up to the checkpoint.
    private mutating func finish(_ onGap: OnGap) {
        guard let root, (last ?? 0) < root.transaction, summary.segments > 0 || missing != nil
        else { return }
        var gap = missing ?? LogGap(first: nil, last: nil, reason: .unlogged, message: nil)
        gap.first = last.map { $0 + 1 }
        gap.last = root.transaction
        missing = nil
        _ = onGap(gap)
    }
}
