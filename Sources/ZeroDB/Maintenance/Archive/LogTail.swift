import Glibc

/// Records of the log that are on stable storage and follow one another, as they are archived.
struct LogTail {
    /// Records of one segment, one behind the other.
    struct Piece {
        var segment: UInt64
        var capacity: UInt64
        var position: UInt64
        var bytes: [UInt8]
    }

    private(set) var pieces: [Piece] = []
    /// Where they begin and end.
    let start: LogPlace
    private(set) var end: LogPlace
    /// The newest transaction; that in front of them, if there are none.
    private(set) var transaction: UInt64
    private(set) var transactions: UInt64 = 0
    private(set) var wallClockFirst: UInt64 = 0
    private(set) var wallClock: UInt64 = 0
    private(set) var digest = ContentDigest()
    private(set) var byteCount = 0
    /// Why nothing follows that should; nil if all that is on stable storage has been read.
    private(set) var gap: String?

    /// Reads records from a place on.
    ///
    /// - Parameters:
    ///   - place: behind the record of `transaction`.
    ///   - flushed: the position up to which the log is on stable storage.
    ///   - bytesMax: reading ends behind the record that exceeds it.
    ///   - last: the transaction behind which it ends at the latest.
    init(
        behind place: LogPlace, _ transaction: UInt64, flushed: UInt64,
        in log: LogDirectory, _ identity: LogIdentity, bytesMax: Int, upTo last: UInt64 = .max
    ) throws(DatabaseError) {
        start = place
        end = place
        self.transaction = transaction
        guard flushed > place.position else { return }
        guard let directory = try log.open(),
            var records = try Self.segment(at: &end, in: directory, identity)
        else {
            gap = "the log from position \(place.position) on has been removed"
            return
        }
        while byteCount < bytesMax, end.position < flushed, self.transaction < last {
            if records.end - end.position < UInt64(LogRecord.headerSize) {
                guard try go(to: records.end, in: directory, identity, &records) else {
                    noteMissing(records.end, flushed)
                    return
                }
                continue
            }
            guard let (record, bytes) = try records.record(at: end.position),
                record.previous == end.previous, record.transaction == self.transaction + 1
            else {
                gap =
                    "the record of transaction \(self.transaction + 1) is not at position "
                    + "\(end.position) of the log"
                return
            }
            guard record.end <= flushed || record.kind == .endOfSegment else { return }
            if record.kind == .endOfSegment {
                // Only with the record behind it: its segment may not be there yet.
                var next = end
                next.previous = record.checksum
                let before = end
                append(bytes, of: records)
                end = next
                guard try go(to: records.end, in: directory, identity, &records) else {
                    end = before
                    takeBack(bytes.count)
                    noteMissing(records.end, flushed)
                    return
                }
                continue
            }
            append(bytes, of: records)
            end.position = record.end
            end.previous = record.checksum
            self.transaction = record.transaction
            transactions += 1
            if transactions == 1 { wallClockFirst = record.wallClock }
            wallClock = record.wallClock
            digest = record.digest
        }
    }

    /// The segment in which the log goes on.
    private static func segment(
        at place: inout LogPlace, in directory: any StorageDirectory, _ identity: LogIdentity
    ) throws(DatabaseError) -> SegmentRecords? {
        if place.position > 0,
            let found = try SegmentRecords.open(base: place.segment, in: directory, identity),
            place.position >= found.base, place.position <= found.end
        {
            return found
        }
        // Where the log goes on behind a copy of the data file alone, it is another: a restore could not
        // lead from one to the other.
        guard place.position == 0,
            let found = try SegmentRecords.open(
                base: LogSegment.firstBase, in: directory, identity)
        else { return nil }
        place.position = LogSegment.firstBase
        place.segment = LogSegment.firstBase
        return found
    }

    /// - Returns: false if the next segment is not there yet.
    private mutating func go(
        to base: UInt64, in directory: any StorageDirectory, _ identity: LogIdentity,
        _ records: inout SegmentRecords
    ) throws(DatabaseError) -> Bool {
        guard let next = try SegmentRecords.open(base: base, in: directory, identity) else {
            return false
        }
        records = next
        end.position = base
        end.segment = base
        return true
    }

    /// A segment is there before anything in it is on stable storage.
    private mutating func noteMissing(_ base: UInt64, _ flushed: UInt64) {
        guard flushed > base else { return }
        gap = "the log's segment \(LogSegment.name(base: base)) has been removed"
    }

    private mutating func append(_ bytes: UnsafeRawBufferPointer, of records: SegmentRecords) {
        byteCount += bytes.count
        if let last = pieces.last, last.segment == records.base, last.bytes.count < 1 << 20 {
            pieces[pieces.count - 1].bytes.append(contentsOf: bytes)
        } else {
            pieces.append(
                Piece(
                    segment: records.base, capacity: records.end - records.base,
                    position: end.position, bytes: Array(bytes)))
        }
    }

    private mutating func takeBack(_ count: Int) {
        byteCount -= count
        guard let last = pieces.indices.last else { return }
        pieces[last].bytes.removeLast(count)
        if pieces[last].bytes.isEmpty { pieces.removeLast() }
    }
}
