/// An environment: a directory that holds any number of ordered databases, open.
///
/// Safe for all threads. One process opens one path once. Closed by `close()`, or when the last
/// reference to it goes.
public final class Environment: Sendable {
    /// The path of the directory, as it was given; for a path that is no text, with replacement
    /// characters.
    public var path: String { store.path }
    /// What transactions work with.
    package let store: Store
    /// What opening had to replay.
    public let recoveryReport: RecoveryReport

    // MARK: Open

    /// Opens the environment in a directory, creating it if it is not there.
    ///
    /// - Throws: `badArgument`, `busy` if this process has it open already, `invalidFile`,
    ///   `versionMismatch`, `corrupted`, or a system error.
    /// - Complexity: the same for a small and a huge environment.
    public convenience init(
        path: String, options: EnvironmentOptions = EnvironmentOptions()
    ) throws(DatabaseError) {
        try self.init(pathBytes: Array(path.utf8), options: options)
    }

    /// Opens the environment in a directory whose path need not be text.
    ///
    /// - Parameter pathBytes: the path, without a zero at its end.
    /// - Throws: as `init(path:options:)`.
    public convenience init(
        pathBytes: [UInt8], options: EnvironmentOptions = EnvironmentOptions()
    ) throws(DatabaseError) {
        try self.init(
            path: PathBytes(pathBytes), options: options, fileSystem: PosixFileSystem())
    }

    convenience init(
        path: String, options: EnvironmentOptions, fileSystem: any FileSystem
    ) throws(DatabaseError) {
        try self.init(path: PathBytes(path), options: options, fileSystem: fileSystem)
    }

    init(
        path: PathBytes, options: EnvironmentOptions, fileSystem: any FileSystem
    ) throws(DatabaseError) {
        try options.validate()
        Transactions.prepare()
        let store = try Store(path: path, options: options, fileSystem: fileSystem)
        do throws(DatabaseError) {
            recoveryReport = store.isFirst ? try Recovery.run(store) : RecoveryReport()
            try store.start()
        } catch {
            store.release()
            throw error
        }
        self.store = store
    }

    // MARK: Close

    /// Closes the environment.
    ///
    /// - Throws: `busy` if a transaction is still open, and then nothing is closed; `forked` in
    ///   a child that inherited it.
    public func close() throws(DatabaseError) {
        guard store.hasFiles else { return }
        if store.isForked { throw DatabaseError.forked }
        try Transactions.beginClosing(store)
        store.close()
    }

    deinit { store.close() }

    package func checkOpen() throws(DatabaseError) { try store.checkOpen() }

    // MARK: Durability

    /// Makes everything that is committed durable, and the log empty.
    ///
    /// - Throws: `readOnly`, `panic`, `badHandle`, `forked`.
    public func checkpoint() throws(DatabaseError) {
        try checkOpen()
        guard !store.options.isReadOnly else {
            throw DatabaseError(
                .readOnly, "a checkpoint of an environment that was opened for reading only")
        }
        try store.checkPoison()
        try store.makeCheckpoint(holding: store.shared.tip)
    }

    /// Waits until every commit is on disk, whatever its durability.
    ///
    /// - Throws: `panic`, `badHandle`, `forked`.
    public func sync() throws(DatabaseError) {
        try checkOpen()
        if store.options.isReadOnly { return }
        try store.checkPoison()
        try store.sync()
    }
}
