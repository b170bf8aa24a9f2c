import Glibc

/// Reads all files of an archive and judges them, without restoring anything.
///
/// Each file is what was written, byte for byte, and follows the one before it. The records of the log have
/// their checksums and form a chain, through all files between two gaps; what the headers say is what the
/// contents say. Pages were judged when they were written.
package struct ArchiveVerification {
    private let listing: ArchiveListing
    /// Where the file of the log before ended.
    private var end: (history: UInt64, transaction: UInt64, place: LogPlace)?
    package private(set) var files: UInt64 = 0
    package private(set) var bytes: UInt64 = 0

    package init(_ listing: ArchiveListing) { self.listing = listing }

    /// - Parameters:
    ///   - onProblem: called for each damaged file.
    ///   - onProgress: bytes read and bytes there are; returns false to end.
    /// - Returns: how many files are damaged.
    package mutating func run(
        _ onProblem: (DatabaseError) -> Void, _ onProgress: (UInt64, UInt64) -> Bool
    ) throws(DatabaseError) -> UInt64 {
        let total = listing.entries.reduce(0) { $0 + $1.bytes }
        var problems: UInt64 = 0
        for entry in listing.entries {
            do throws(DatabaseError) {
                try judge(entry)
            } catch {
                guard error.code == .corrupted else { throw error }
                problems += 1
                onProblem(error)
                end = nil
            }
            files += 1
            bytes += entry.bytes
            guard onProgress(bytes, total) else {
                throw DatabaseError(systemError: ECANCELED, "verify the archive to its end")
            }
        }
        return problems
    }

    /// Reads a file and compares it with what its header and the archive say.
    mutating func judge(_ entry: ArchiveListing.Entry) throws(DatabaseError) {
        let reader = try ArchiveReader(entry.header.name, in: listing.directory.directory)
        if reader.header.kind == .log {
            try judgeLog(reader)
        } else {
            _ = try listing.chain(to: entry)
            try judgePages(reader)
        }
        guard reader.checksum == entry.checksum else { throw reader.damaged("it has changed") }
    }

    private func judgePages(_ reader: ArchiveReader) throws(DatabaseError) {
        let header = reader.header
        let pageSize = Int(header.pageSize)
        var hasMeta = false
        while let block = try reader.next() {
            switch block.kind {
            case .pages where !hasMeta:
                try reader.checkPages(block)
            case .meta where !hasMeta:
                hasMeta = true
                guard block.content.count == pageSize * Int(Format.metaPageCount),
                    let start = block.content.baseAddress,
                    let meta = try? Meta(at: start, page: 0),
                    meta.transaction == header.to, meta.digest == header.digest
                else { throw reader.damaged("its meta pages are of another state") }
            default: throw reader.damaged("a file of pages has something else in it")
            }
        }
        guard hasMeta else { throw reader.damaged("it has no meta pages") }
    }

    private mutating func judgeLog(_ reader: ArchiveReader) throws(DatabaseError) {
        let header = reader.header
        if let end, end.history == header.history, end.transaction == header.from,
            end.place != header.log
        {
            throw reader.damaged("its records do not go on from the file before")
        }
        var place = header.log
        var (transaction, digest) = (header.from, ContentDigest())
        try ArchivedRecords.read(reader) { item throws(DatabaseError) in
            let record = item.record
            guard record.previous == place.previous, record.transaction == transaction + 1 else {
                throw reader.damaged(
                    "the record of transaction \(record.transaction) does not follow transaction "
                        + "\(transaction)")
            }
            place.previous = record.checksum
            guard record.kind == .transaction else {
                place.segment = item.segment + item.capacity
                place.position = place.segment
                return true
            }
            place.position = record.end
            place.segment = item.segment
            transaction = record.transaction
            digest = record.digest
            return true
        }
        guard transaction == header.to, digest == header.digest, place == header.logEnd else {
            throw reader.damaged("its records end with transaction \(transaction)")
        }
        end = (header.history, transaction, place)
    }
}

/// Removes the oldest files of an archive.
package enum ArchivePrune {
    /// Removes all files in front of a full copy that is kept.
    ///
    /// - Parameters:
    ///   - copies: how many full copies are kept at least, with all that follows them; not less than 1.
    ///   - time: what can be restored to a time from this one on still can; nil to keep by `copies` only.
    ///   - isTrial: whether nothing is to be removed.
    /// - Returns: what is removed.
    /// - Throws: `corrupted` if the copy that is to be the oldest cannot be read whole: nothing is removed
    ///   then; `busy`.
    package static func run(
        _ path: String, copies: Int, from time: UInt64?, isTrial: Bool
    ) throws(DatabaseError) -> [ArchivedFile] {
        let directory = try ArchiveDirectory(
            PathBytes(path), creates: false, PosixFileSystem())
        try directory.lock()
        defer { directory.unlock() }
        let listing = try ArchiveListing(directory)
        let full = listing.entries.filter { $0.header.kind == .full }
        var allowed = full.dropLast(max(copies, 1) - 1)
        if let time {
            // One of another history says nothing of what its time was.
            allowed = allowed.prefix { $0.header.wallClock <= time }
        }
        guard let oldest = allowed.last else { return [] }
        var verification = ArchiveVerification(listing)
        try verification.judge(oldest)
        let needless = listing.entries.prefix { $0.header.number < oldest.header.number }
        let removed = needless.map { ArchivedFile($0.header, bytes: $0.bytes) }
        guard !isTrial else { return removed }
        if var index = try directory.loadIndex(nil, atLeast: 0), index.first < oldest.header.number
        {
            index.first = oldest.header.number
            try directory.keep(&index)
        }
        try directory.removeUnfinishedCopy()
        for name in try directory.files() where name.number < oldest.header.number {
            try directory.directory.remove(name.description)
        }
        try directory.directory.sync()
        return removed
    }
}
