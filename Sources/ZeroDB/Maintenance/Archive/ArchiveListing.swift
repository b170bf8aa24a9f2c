import Glibc

/// The files of an archive, each known to follow the one before it. Their contents have not been read.
package struct ArchiveListing {
    /// A file.
    package struct Entry {
        let header: ArchiveFileHeader
        let checksum: UInt64
        let bytes: UInt64
    }

    let directory: ArchiveDirectory
    let index: ArchiveState
    /// By their numbers, without gaps.
    let entries: [Entry]

    /// - Throws: `corrupted` if a file is missing, is one too many, or does not follow the one before it.
    init(_ directory: ArchiveDirectory) throws(DatabaseError) {
        self.directory = directory
        guard let index = try directory.loadIndex() else {
            guard try directory.files().isEmpty else { throw directory.missingIndex() }
            throw DatabaseError(
                systemError: ENOENT,
                "find an archive in \(directory.path), which has no files of one")
        }
        self.index = index
        // Those in front of the first were on their way out when a prune was ended.
        let names = try directory.files().filter { $0.number >= index.first }
        var entries: [Entry] = []
        var wanted = (number: index.last, checksum: index.checksum)
        while wanted.number >= max(index.first, 1) {
            let entry = try Self.entry(wanted.number, wanted.checksum, names, index, directory)
            entries.append(entry)
            wanted = (wanted.number - 1, entry.header.previousFile)
        }
        entries.reverse()
        var reached = index
        while let reader = try ArchiveReader.next(behind: reached, names, in: directory.directory) {
            let entry = try Self.entry(of: reader)
            entries.append(entry)
            reached.add(entry.header, checksum: entry.checksum)
        }
        self.entries = entries
    }

    private static func entry(of reader: ArchiveReader) throws(DatabaseError) -> Entry {
        Entry(header: reader.header, checksum: try reader.lastChecksum(), bytes: reader.size)
    }

    /// The file of a number with a checksum.
    private static func entry(
        _ number: UInt64, _ checksum: UInt64, _ names: [ArchiveFileName], _ index: ArchiveState,
        _ directory: ArchiveDirectory
    ) throws(DatabaseError) -> Entry {
        var problem: DatabaseError?
        // A file that was on its way when its writer was killed may have the same number.
        for name in names where name.number == number {
            do throws(DatabaseError) {
                let reader = try ArchiveReader(name, in: directory.directory)
                guard reader.header.archiveID == index.archiveID,
                    reader.header.environmentID == index.environmentID
                else { throw reader.damaged("it is of another archive") }
                let entry = try entry(of: reader)
                guard entry.checksum == checksum else {
                    throw reader.damaged(
                        "it is not the file that "
                            + (number == index.last
                                ? ArchiveState.indexName : "file \(number + 1)") + " follows")
                }
                return entry
            } catch {
                problem = error
            }
        }
        if let problem { throw problem }
        throw missing(number, upTo: number, in: directory)
    }

    private static func missing(
        _ first: UInt64, upTo last: UInt64, in directory: ArchiveDirectory
    ) -> DatabaseError {
        DatabaseError(
            .corrupted,
            "the archive \(directory.path) lacks "
                + (first == last ? "file \(first)" : "the files \(first) to \(last)")
                + "; put back what is missing")
    }

    /// The newest history.
    var history: UInt64 { entries.last?.header.history ?? 0 }

    /// The files as they are told of.
    package var files: [ArchivedFile] {
        entries.map { ArchivedFile($0.header, bytes: $0.bytes) }
    }

    /// What an archive has as a whole.
    package var summary: ArchiveSummary {
        var summary = ArchiveSummary()
        summary.environmentID = index.environmentID
        summary.archiveID = index.archiveID
        summary.files = UInt64(entries.count)
        summary.bytes = entries.reduce(0) { $0 + $1.bytes }
        summary.transaction = entries.map(\.header.to).max() ?? 0
        if let last = entries.last?.header {
            (summary.transaction, summary.wallClock) = entries.reduce(into: (0, 0)) {
                let header = $1.header
                guard header.history == last.history, header.to >= $0.0 else { return }
                $0 = (header.to, header.wallClock)
            }
        }
        summary.seen = index.seen
        summary.spans = (try? spans()) ?? []
        return summary
    }

    // MARK: What can be restored

    /// Transactions each of which can be restored.
    package struct Span: Sendable {
        package var history: UInt64
        package var first: UInt64
        package var last: UInt64
        /// When they were committed.
        package var wallClockFirst: UInt64
        package var wallClockLast: UInt64
    }

    /// All that can be restored, the oldest first.
    func spans() throws(DatabaseError) -> [Span] {
        var spans: [Span] = []
        for base in entries where base.header.kind != .log {
            var span = Span(
                history: base.header.history, first: base.header.to, last: base.header.to,
                wallClockFirst: base.header.wallClock, wallClockLast: base.header.wallClock)
            for log in logs(behind: base) {
                span.last = log.header.to
                span.wallClockLast = log.header.wallClock
            }
            if let last = spans.last, last.history == span.history, last.last >= span.first {
                if span.last > last.last {
                    spans[spans.count - 1].last = span.last
                    spans[spans.count - 1].wallClockLast = span.wallClockLast
                }
            } else {
                spans.append(span)
            }
        }
        return spans
    }

    /// The files of the log that lead on from a file of pages.
    func logs(behind base: Entry) -> [Entry] {
        var reached = base.header.to
        var logs: [Entry] = []
        for entry in entries
        where entry.header.kind == .log && entry.header.history == base.header.history {
            guard entry.header.from <= reached, entry.header.to > reached else { continue }
            logs.append(entry)
            reached = entry.header.to
        }
        return logs
    }

    /// A file of pages and those that it goes on from, the full one first.
    ///
    /// - Throws: `corrupted` if one of them is not there.
    func chain(to base: Entry) throws(DatabaseError) -> [Entry] {
        var chain = [base]
        while let first = chain.first, first.header.kind == .incremental {
            let parent = first.header.parent
            guard
                let entry = entries.first(where: { $0.header.number == parent.number }),
                entry.checksum == parent.checksum, entry.header.kind != .log,
                entry.header.to == first.header.from, entry.header.number < first.header.number
            else {
                throw DatabaseError(
                    .corrupted,
                    "the archive \(directory.path) lacks file \(parent.number), which \(first.header.name) "
                        + "goes on from")
            }
            chain.insert(entry, at: 0)
        }
        return chain
    }
}

/// What an archive has as a whole.
package struct ArchiveSummary: Sendable {
    package var environmentID: (UInt64, UInt64) = (0, 0)
    package var archiveID: (UInt64, UInt64) = (0, 0)
    package var files: UInt64 = 0
    package var bytes: UInt64 = 0
    /// The newest transaction of the newest history, and when it was committed.
    package var transaction: UInt64 = 0
    package var wallClock: UInt64 = 0
    /// All that was committed before this time is archived; 0 if the log is not archived.
    package var seen: UInt64 = 0
    package var spans: [ArchiveListing.Span] = []
}
