import Glibc

/// What a replay over a repaired state passes over: operations that do not fit what is lost.
final class ReplayLeniency {
    /// Whether something is lost, so that digests cannot agree.
    var isLossy: Bool
    private(set) var skipped: UInt64 = 0
    /// The first operation that was passed over.
    private(set) var firstSkipped: String?
    /// The first transaction whose digest differs although nothing was known to be lost.
    private(set) var differs: UInt64?

    init(isLossy: Bool) { self.isLossy = isLossy }

    func skip(_ transaction: UInt64, _ error: DatabaseError) {
        skipped += 1
        firstSkipped = firstSkipped ?? "transaction \(transaction): \(error.message)"
    }

    func noteDifference(_ transaction: UInt64) {
        differs = differs ?? transaction
        isLossy = true
    }
}

/// The log of an environment that is being repaired.
enum RepairLog {
    enum Condition {
        /// Nothing is behind the state.
        case empty
        case hasRecords
        case damaged(String)
    }

    /// What is in the log behind a state.
    static func look(
        after meta: Meta, in directory: LogDirectory
    ) throws(DatabaseError) -> Condition {
        do throws(DatabaseError) {
            var reader = try LogReader(after: meta, in: directory)
            if try reader.next() != nil { return .hasRecords }
            return try reader.findProofOfDamage().map { .damaged($0) } ?? .empty
        } catch {
            guard error.code == .corrupted else { throw error }
            return .damaged(error.message)
        }
    }

    struct Outcome {
        var records: UInt64 = 0
        /// Where and how the log is damaged; nil if it came to its end.
        var damage: String?
    }

    /// Replays what is whole in the log.
    static func replay(_ store: Store, _ leniency: ReplayLeniency) throws(DatabaseError) -> Outcome
    {
        var outcome = Outcome()
        var reader: LogReader
        do throws(DatabaseError) {
            reader = try LogReader(after: try store.tipMeta(), in: store.logDirectory)
        } catch {
            return Outcome(damage: try damage(error))
        }
        var replay = ReplayBatches(store, leniency)
        do throws(DatabaseError) {
            while true {
                var next: (LogRecord, UnsafeRawBufferPointer)?
                do throws(DatabaseError) {
                    next = try reader.next()
                } catch {
                    outcome.damage = try damage(error)
                }
                guard let (record, bytes) = next else { break }
                try replay.apply(record, bytes, of: reader)
            }
            try replay.finish()
        } catch {
            replay.abort()
            throw error
        }
        outcome.records = replay.report.records
        if outcome.damage == nil { outcome.damage = try reader.findProofOfDamage() }
        return outcome
    }

    /// What an error says of damage of the log.
    private static func damage(_ error: DatabaseError) throws(DatabaseError) -> String {
        guard error.code == .corrupted else { throw error }
        return error.message
    }

    // MARK: Cutting off

    /// A transaction of the log that is not replayed.
    struct Lost {
        var transaction: UInt64
        var wallClock: UInt64
    }

    /// Bytes of a file that are looked through.
    private static let searchedMax: UInt64 = 256 << 20

    /// The transactions after one whose records can still be read, and the end of all segments.
    static func rest(
        of directory: LogDirectory, after transaction: UInt64, seed: UInt64
    ) throws(DatabaseError) -> (lost: [Lost], end: UInt64) {
        var lost: [Lost] = []
        var end: UInt64 = 0
        guard let opened = try directory.open() else { return ([], 0) }
        for base in try directory.bases() where base <= LogSegmentHeader.baseMax {
            let file = try opened.open(
                LogSegment.name(base: base), access: .readOnly, create: false, mode: 0)
            defer { file.close() }
            let start = UInt64(LogSegment.headerSize)
            let size = try file.size()
            end = max(end, base + (size > start ? size - start : 0))
            guard size > start else { continue }
            let length = Int(min(size - start, searchedMax))
            let bytes = UnsafeMutableRawBufferPointer.allocate(byteCount: length, alignment: 8)
            defer { bytes.deallocate() }
            let count = try file.read(into: bytes, at: start)
            let read = UnsafeRawBufferPointer(rebasing: bytes[..<count])
            lost += records(in: read, base: base, after: transaction, seed: seed)
        }
        return (lost.sorted { $0.transaction < $1.transaction }, end)
    }

    private static func records(
        in bytes: UnsafeRawBufferPointer, base: UInt64, after transaction: UInt64, seed: UInt64
    ) -> [Lost] {
        var found: [Lost] = []
        var offset = 0
        var summedLeft = UInt64(bytes.count) * 8
        while offset + LogRecord.headerSize <= bytes.count {
            let rest = UnsafeRawBufferPointer(rebasing: bytes[offset...])
            offset += 8
            guard let header = rest.baseAddress,
                header.littleEndian(8, as: UInt32.self) == LogRecord.magic,
                header.littleEndian(40, as: UInt64.self) > transaction,
                let length = LogRecord.length(at: rest, position: base + UInt64(offset - 8)),
                length <= summedLeft
            else { continue }
            summedLeft -= length
            guard
                let record = LogRecord(rest, position: base + UInt64(offset - 8), seed: seed),
                record.transaction < Format.idLimit
            else { continue }
            offset += Int(length) - 8
            guard record.kind == .transaction else { continue }
            found.append(Lost(transaction: record.transaction, wallClock: record.wallClock))
        }
        return found
    }
}
