/// Verifies the log from the newest checkpoint to a snapshot: that every record checks, that they form a
/// chain without a gap, and that it leads to the snapshot and its digest.
struct LogVerification {
    private let store: Store
    private let snapshot: Meta
    private let monitor: VerifyMonitor
    /// Records that were found in their places.
    private(set) var records: UInt64 = 0
    /// Bytes of them.
    private(set) var bytes: UInt64 = 0

    init(_ store: Store, _ snapshot: Meta, _ monitor: VerifyMonitor) {
        self.store = store
        self.snapshot = snapshot
        self.monitor = monitor
    }

    /// - Throws: what keeps it from reading the log.
    mutating func run() throws(DatabaseError) {
        // A checkpoint that another thread makes meanwhile takes the log before it away. It began before
        // the snapshot or holds it: so this ends.
        while true {
            let root = try store.loadMeta().meta
            guard root.transaction < snapshot.loggedTransaction else { return }
            guard let problem = try follow(root) else { return }
            guard try store.loadMeta().meta.transaction == root.transaction else { continue }
            monitor.report(
                VerifyProblem(kind: .log, place: .log, page: nil, message: problem))
            return
        }
    }

    /// Follows the log from a state to the snapshot.
    ///
    /// - Returns: what is wrong, in words.
    private mutating func follow(_ root: Meta) throws(DatabaseError) -> String? {
        (records, bytes) = (0, 0)
        do throws(DatabaseError) {
            var reader = try LogReader(after: root, in: store.logDirectory)
            var last = root.transaction
            while last < snapshot.loggedTransaction {
                guard let (record, content) = try reader.next() else {
                    let why = try reader.findProofOfDamage() ?? "the record there does not check"
                    return
                        "the log of \(store.path) is damaged at position \(reader.position): \(why); "
                        + "transactions \(last + 1) to \(snapshot.loggedTransaction) would not survive a "
                        + "crash: make a checkpoint, as closing the environment does"
                }
                last = record.transaction
                records += 1
                bytes += record.length
                monitor.times.add(record.transaction, record.wallClock)
                if let problem = Self.problem(of: record, content) { return problem }
                if last == snapshot.transaction, record.digest != snapshot.digest {
                    return
                        "the log record of transaction \(last) at position \(record.position) has the "
                        + "digest \(record.digest), but the snapshot has \(snapshot.digest)"
                }
            }
            let end = (reader.position, reader.previous)
            guard end == (snapshot.logEnd, snapshot.logChecksum) else {
                return
                    "the log of transaction \(last) ends at position \(end.0), but the snapshot says "
                    + "\(snapshot.logEnd)"
            }
            return nil
        } catch {
            guard error.code == .corrupted else { throw error }
            return error.message
        }
    }

    /// What is wrong with the operations of a record.
    private static func problem(of record: LogRecord, _ content: UnsafeRawBufferPointer) -> String?
    {
        var reader = LogOperationReader(content)
        do throws(LogOperationReader.Malformed) {
            while try reader.next() != nil {}
            return nil
        } catch {
            return "the log record of transaction \(record.transaction) at position "
                + "\(record.position) has a good checksum but its operations make no sense"
        }
    }

    /// Notes when the transactions were committed that the log has from before the checkpoint on, in the
    /// segment where it goes on.
    static func noteTimes(
        _ store: Store, _ root: Meta, in times: inout TransactionTimes
    ) throws(DatabaseError) {
        // Last, so that the ids stay in a row.
        defer { times.add(root.transaction, root.wallClock) }
        guard root.logEnd > 0,
            let segment = try LogSegment.open(
                base: root.logSegment, in: store.logDirectory, meta: root, access: .readOnly)
        else { return }
        defer { segment.file.close() }
        guard root.logEnd >= segment.base, root.logEnd <= segment.end else { return }
        let length = Int(root.logEnd - segment.base)
        let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: length, alignment: 8)
        defer { buffer.deallocate() }
        let count = try segment.file.read(into: buffer, at: UInt64(LogSegment.headerSize))
        let found = UnsafeRawBufferPointer(rebasing: buffer[..<count])
        var offset = 0
        while offset < found.count {
            let rest = UnsafeRawBufferPointer(rebasing: found[offset...])
            guard
                let record = LogRecord(
                    rest, position: segment.base + UInt64(offset), seed: root.checksumSeed)
            else { return }
            if record.kind == .transaction { times.add(record.transaction, record.wallClock) }
            offset += Int(record.length)
        }
    }
}
