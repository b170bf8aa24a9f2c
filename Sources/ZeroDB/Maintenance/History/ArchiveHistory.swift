/// The history that an archive has: all transactions of which its files of the log tell, whatever their
/// history.
enum ArchiveHistory {
    /// Whether a directory is an archive.
    static func isArchive(
        _ path: PathBytes, _ fileSystem: any FileSystem
    ) throws(DatabaseError) -> Bool {
        let directory = try fileSystem.openDirectory(path, create: nil)
        defer { directory.close() }
        return try directory.list().contains(ArchiveState.indexName)
    }

    /// - Throws: `corrupted` if a file is missing; a system error.
    static func run(
        _ path: PathBytes, _ fileSystem: any FileSystem, _ onItem: (LogHistoryItem) -> Bool
    ) throws(DatabaseError) -> LogHistorySummary {
        var summary = LogHistorySummary()
        try read(path, fileSystem, &summary) { record, content in
            onItem(.transaction(LoggedTransaction(record, content, durability: .archived)))
        } _: { gap in
            onItem(.gap(gap))
        }
        return summary
    }

    /// - Throws: `notFound`; as `run`.
    static func operations(
        of transaction: UInt64, _ path: PathBytes, _ fileSystem: any FileSystem,
        _ onOperation: (LoggedOperation) -> Bool
    ) throws(DatabaseError) -> LoggedTransaction {
        var summary = LogHistorySummary()
        var found: LoggedTransaction?
        var operations: [LoggedOperation] = []
        // That of the newest history, if several have it.
        try read(path, fileSystem, &summary) { record, content in
            guard record.transaction == transaction else { return true }
            found = LoggedTransaction(record, content, durability: .archived)
            operations = []
            var recorded = RecordedOperations(content)
            while let operation = try? recorded.nextCopy() { operations.append(operation) }
            return true
        } _: { _ in
            true
        }
        guard let found else {
            throw DatabaseError(
                .notFound, "the archive \(path) has no record of transaction \(transaction)")
        }
        for operation in operations where !onOperation(operation) { break }
        return found
    }

    private static func read(
        _ path: PathBytes, _ fileSystem: any FileSystem, _ summary: inout LogHistorySummary,
        _ onRecord: (LogRecord, UnsafeRawBufferPointer) -> Bool, _ onGap: (LogGap) -> Bool
    ) throws(DatabaseError) {
        let listing = try ArchiveListing(
            ArchiveDirectory(path, creates: false, fileSystem))
        var last: (transaction: UInt64, history: UInt64)?
        for entry in listing.entries where entry.header.kind == .log {
            if let last, last.history == entry.header.history,
                last.transaction < entry.header.from
            {
                let gap = LogGap(
                    first: last.transaction + 1, last: entry.header.from, reason: .unlogged,
                    message: nil)
                guard onGap(gap) else { return }
            }
            var goesOn = true
            do throws(DatabaseError) {
                let reader = try ArchiveReader(entry.header.name, in: listing.directory.directory)
                try ArchivedRecords.read(reader) { item in
                    guard item.record.kind == .transaction else { return true }
                    summary.first = summary.first ?? item.record.transaction
                    summary.last = item.record.transaction
                    summary.transactions += 1
                    summary.bytes += item.record.length
                    goesOn = onRecord(item.record, item.bytes)
                    return goesOn
                }
            } catch {
                guard error.code == .corrupted else { throw error }
                summary.problems.append(error.message)
            }
            guard goesOn else { return }
            summary.segments += 1
            last = (entry.header.to, entry.header.history)
        }
    }
}
