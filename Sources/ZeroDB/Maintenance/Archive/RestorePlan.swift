/// Which state of an archived environment is wanted.
public enum RestoreMoment: Sendable, Equatable {
    /// The newest.
    case latest
    /// That after a transaction.
    case transaction(UInt64)
    /// That after the newest transaction that had been committed at a time: nanoseconds since 1970.
    case time(UInt64)
}

/// What a restore is made of.
package struct RestorePlan {
    /// The transaction whose state is restored.
    package let transaction: UInt64
    /// When it was committed; nil if that is to be found in a file of the log.
    package let wallClock: UInt64?
    /// Files of pages, the full one first.
    let pages: [ArchiveListing.Entry]
    /// Files of the log.
    let logs: [ArchiveListing.Entry]

    /// The names of the files, in the order in which they are read.
    package var files: [String] { (pages + logs).map { $0.header.name.description } }
    /// Bytes of them.
    package var bytes: UInt64 { (pages + logs).reduce(0) { $0 + $1.bytes } }

    /// - Parameter history: nil for the newest.
    /// - Throws: `notFound` if the archive does not have the state; `corrupted`.
    init(
        _ listing: ArchiveListing, _ moment: RestoreMoment, history: UInt64?
    ) throws(DatabaseError) {
        let history = history ?? listing.history
        let entries = listing.entries.filter { $0.header.history == history }
        guard !entries.isEmpty else {
            throw DatabaseError(
                .notFound, "the archive \(listing.directory.path) has no history \(history)")
        }
        let wanted = try Self.transaction(moment, entries, listing)
        var best: (base: ArchiveListing.Entry, logs: [ArchiveListing.Entry])?
        for base in entries where base.header.kind != .log && base.header.to <= wanted {
            if let best, best.base.header.to > base.header.to { continue }
            let logs = listing.logs(behind: base)
            let needed = logs.prefix { $0.header.from < wanted }
            guard base.header.to == wanted || (needed.last?.header.to ?? 0) >= wanted else {
                continue
            }
            best = (base, base.header.to == wanted ? [] : Array(needed))
        }
        guard let best else { throw try Self.notThere(wanted, history, listing) }
        transaction = wanted
        pages = try listing.chain(to: best.base)
        logs = best.logs
        let last = best.logs.last ?? best.base
        wallClock = last.header.to == wanted ? last.header.wallClock : nil
    }

    private static func notThere(
        _ transaction: UInt64, _ history: UInt64, _ listing: ArchiveListing
    ) throws(DatabaseError) -> DatabaseError {
        let spans = try listing.spans().filter { $0.history == history }
        let below = spans.last { $0.last < transaction }
        let above = spans.first { $0.first > transaction }
        var near: [String] = []
        if let below { near.append("\(below.last) before it") }
        if let above { near.append("\(above.first) after it") }
        return DatabaseError(
            .notFound,
            "the archive \(listing.directory.path) cannot restore transaction \(transaction); the "
                + "nearest that it can are \(near.joined(separator: " and "))")
    }

    private static func transaction(
        _ moment: RestoreMoment, _ entries: [ArchiveListing.Entry], _ listing: ArchiveListing
    ) throws(DatabaseError) -> UInt64 {
        switch moment {
        case .transaction(let transaction): return transaction
        case .latest: return entries.map(\.header.to).max() ?? 0
        case .time(let time): return try transaction(at: time, entries, listing)
        }
    }

    /// The newest transaction that had been committed at a time, if it is certain that none followed it.
    private static func transaction(
        at time: UInt64, _ entries: [ArchiveListing.Entry], _ listing: ArchiveListing
    ) throws(DatabaseError) -> UInt64 {
        let path = listing.directory.path
        let history = entries.first?.header.history
        let spans = try listing.spans().filter { $0.history == history }
        guard let span = spans.last(where: { $0.wallClockFirst <= time }) else {
            throw DatabaseError(
                .notFound, "the archive \(path) has nothing that was committed so early")
        }
        if time >= span.wallClockLast {
            let next = spans.first { $0.first > span.last }
            let isNewest = next == nil && history == listing.history
            guard time == span.wallClockLast || isNewest && time <= listing.index.seen else {
                throw DatabaseError(
                    .notFound,
                    "the archive \(path) does not know the state at that time: transaction \(span.last) was "
                        + "committed before it, and "
                        + (next.map { "the next that it has is \($0.first)" }
                            ?? "it does not know what followed")
                        + "; ask for a transaction, or for the latest")
            }
            return span.last
        }
        var found = span.first
        for entry in entries
        where entry.header.wallClockFirst <= time && entry.header.to > found
            && entry.header.to <= span.last
        {
            let newest =
                entry.header.wallClock <= time
                ? entry.header.to
                : try ArchivedRecords.newest(before: time, in: entry, listing.directory.directory)
            found = max(found, newest ?? found)
        }
        return found
    }
}

/// The records of a file of the log in an archive.
enum ArchivedRecords {
    /// A record, and where it belongs.
    struct Item {
        var record: LogRecord
        /// Valid until the next.
        var bytes: UnsafeRawBufferPointer
        var segment: UInt64
        var capacity: UInt64
    }

    /// Reads all records of a file, marks included.
    ///
    /// - Parameter onRecord: returns false to end.
    /// - Throws: `corrupted`.
    static func read(
        _ reader: ArchiveReader, _ onRecord: (Item) throws(DatabaseError) -> Bool
    ) throws(DatabaseError) {
        let seed = LogIdentity(environmentID: reader.header.environmentID).seed
        while let block = try reader.next() {
            guard block.kind == .records, block.content.count >= 16,
                let start = block.content.baseAddress
            else { throw reader.damaged("a file of the log has something else in it") }
            let (segment, capacity): (UInt64, UInt64) = (
                start.littleEndian(0), start.littleEndian(8)
            )
            guard
                LogSegmentHeader(
                    environmentID: (0, 0), base: segment, capacity: capacity
                ).isPlausible, block.place >= segment,
                block.place - segment <= capacity
            else { throw reader.damaged("its records belong to no segment that can be") }
            var position = block.place
            var rest = UnsafeRawBufferPointer(rebasing: block.content[16...])
            while !rest.isEmpty {
                guard let record = LogRecord(rest, position: position, seed: seed),
                    record.end <= segment + capacity
                else {
                    throw reader.damaged("the record of position \(position) is damaged")
                }
                let bytes = UnsafeRawBufferPointer(rebasing: rest[..<Int(record.length)])
                let item = Item(
                    record: record, bytes: bytes, segment: segment, capacity: capacity)
                guard try onRecord(item) else { return }
                position = record.end
                rest = UnsafeRawBufferPointer(rebasing: rest[Int(record.length)...])
            }
        }
    }

    /// The newest transaction of a file that was committed before a time or at it.
    static func newest(
        before time: UInt64, in entry: ArchiveListing.Entry, _ directory: any StorageDirectory
    ) throws(DatabaseError) -> UInt64? {
        guard entry.header.kind == .log else { return nil }
        var newest: UInt64?
        try read(ArchiveReader(entry.header.name, in: directory)) { item in
            guard item.record.kind == .transaction else { return true }
            guard item.record.wallClock <= time else { return false }
            newest = item.record.transaction
            return true
        }
        return newest
    }
}
