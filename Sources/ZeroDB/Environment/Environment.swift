import CZeroDBPlatform

/// An environment: a directory that holds any number of ordered databases, open.
///
/// Safe for all threads, `close()` included: what another thread calls then either ends first or throws
/// `badHandle`. One process opens one path once. Closed by `close()`, or when the last reference to it
/// goes.
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
        let options = options.resolved()
        let error = zp_watch_forks()
        guard error == 0 else { throw DatabaseError(systemError: error, "watch for forks") }
        Transactions.prepare()
        let store = try Store(path: path, options: options, fileSystem: fileSystem)
        if !options.isReadOnly, options.usesThread, options.autoCompactPercent > 0 {
            store.compactInBackground = Compaction.inBackground(store)
        }
        do throws(DatabaseError) {
            recoveryReport = try Self.recover(store)
            if !store.isFirst { Healing.run(store) }
            try store.start()
        } catch {
            store.release()
            throw error
        }
        do throws(DatabaseError) {
            try Archiving.begin(store)
        } catch {
            try? store.close()
            throw error
        }
        self.store = store
    }

    private static func recover(_ store: Store) throws(DatabaseError) -> RecoveryReport {
        if store.options.recovery { return try Recovery.runInMemory(store) }
        guard store.isFirst else { return RecoveryReport() }
        let report = try Recovery.run(store)
        if report.records > 0 {
            store.shared.count(.recoveries)
            store.shared.count(.transactionsRecovered, report.records)
            store.shared.note(.recovery, nanoseconds: report.nanoseconds)
        }
        return report
    }

    // MARK: Close

    /// Closes the environment. Waits for what other threads call of it.
    ///
    /// - Throws: `busy` if a transaction is still open, and then nothing is closed; `forked` in
    ///   a child that inherited it; `panic` or a system error if the last flush or checkpoint, or one
    ///   in the background that no call has told of, failed: the environment is closed all the same.
    public func close() throws(DatabaseError) {
        if case .closed(let failure?) = try closeOnce() { throw failure }
    }

    /// Closes the environment when its transactions have ended, for which it waits. No transaction
    /// begins from now on, unless this throws `busy`.
    ///
    /// - Parameter milliseconds: for how long it waits at most.
    /// - Throws: as `close()`.
    public func close(waiting milliseconds: UInt32) throws(DatabaseError) {
        let closing = try closeOnce(.milliseconds(milliseconds))
        if case .closed(let failure?) = closing { throw failure }
    }

    /// What came of closing.
    package enum Closing {
        case closedBefore
        /// It is closed, but what should have been written last could not be.
        case closed(DatabaseError?)
    }

    /// - Parameter endsOthers: whether to end transactions that are open.
    package func closeOnce(
        _ wait: WriterWait = .never, endsOthers: Bool = false
    ) throws(DatabaseError) -> Closing {
        guard store.hasFiles else { return .closedBefore }
        if store.isForked { throw DatabaseError.forked }
        store.pauseCompaction()
        store.pauseArchiving()
        do throws(DatabaseError) {
            guard try Transactions.beginClosing(store, wait, endsOthers: endsOthers) else {
                return .closedBefore
            }
        } catch {
            store.resumeCompaction()
            store.resumeArchiving()
            throw error
        }
        do throws(DatabaseError) {
            try store.close()
            return .closed(nil)
        } catch {
            return .closed(error)
        }
    }

    deinit { try? store.close() }

    /// Runs a body during which another thread cannot close the environment, and counts the error that it
    /// ends with.
    ///
    /// - Throws: `badHandle`, `forked`.
    func whileOpen<Result>(
        _ body: () throws(DatabaseError) -> Result
    ) throws(DatabaseError) -> Result {
        try store.enter()
        defer { store.leave() }
        do throws(DatabaseError) {
            return try body()
        } catch {
            countError(error, in: store.state)
            throw error
        }
    }

    // MARK: Durability

    /// Makes everything that is committed durable, and the log empty.
    ///
    /// - Throws: `readOnly`, `panic`, `badHandle`, `forked`.
    public func checkpoint() throws(DatabaseError) {
        try whileOpen { () throws(DatabaseError) in
            guard !store.options.isReadOnly else {
                throw DatabaseError(
                    .readOnly, "a checkpoint of an environment that was opened for reading only")
            }
            try store.checkPoison()
            try store.makeCheckpoint(holding: store.shared.tip)
            store.cutOffTail()
        }
    }

    /// Waits until every commit is on disk, whatever its durability.
    ///
    /// - Throws: `panic`, `badHandle`, `forked`.
    public func sync() throws(DatabaseError) {
        try whileOpen { () throws(DatabaseError) in
            if store.options.isReadOnly { return }
            try store.checkPoison()
            try store.sync()
        }
    }
}

extension Environment: CustomStringConvertible {
    /// The path, and whether the environment is closed or only read.
    public var description: String {
        let isOpen = store.state.pointee.isOpen
        let state = !isOpen ? ", closed" : store.options.isReadOnly ? ", for reading only" : ""
        return "Environment(\(path)\(state))"
    }
}
