extension Environment {
    /// The transactions of which the log of the environment in a directory tells, the oldest first: also
    /// those that a checkpoint includes, as long as their segments have not been taken for new ones. Of an
    /// archive, all transactions that its files of the log have.
    ///
    /// Opens no environment, takes no lock and writes nothing. Programs may use the environment meanwhile,
    /// and it need not open. Damage is part of the answer: what cannot be read is a gap, and the summary says
    /// what is wrong.
    ///
    /// - Parameter onItem: called for each transaction and each gap, on the caller's thread; false ends
    ///   the reading.
    /// - Throws: `invalidFile`, `versionMismatch`, `unsupported`; a system error, ENOENT if there is no
    ///   environment, ENOMEM for a record that is larger than memory.
    /// - Complexity: reads the log twice.
    @discardableResult
    public static func history(
        path: String, onItem: (LogHistoryItem) -> Bool
    ) throws(DatabaseError) -> LogHistorySummary {
        try HistoryReading.run(PathBytes(path), PosixFileSystem(), onItem)
    }

    /// What one transaction did, by its record in the log.
    ///
    /// - Parameters:
    ///   - transaction: its id.
    ///   - path: the directory of the environment.
    ///   - onOperation: called for each operation in the order in which the transaction did them; false
    ///     ends the listing.
    /// - Throws: `notFound` if the log has no record of it, `corrupted` if damage may be the reason; as
    ///   `history(path:onItem:)`.
    /// - Complexity: reads the log three times.
    @discardableResult
    public static func operations(
        ofTransaction transaction: UInt64, path: String, onOperation: (LoggedOperation) -> Bool
    ) throws(DatabaseError) -> LoggedTransaction {
        try HistoryReading.operations(
            of: transaction, PathBytes(path), PosixFileSystem(), onOperation)
    }
}
