import CZeroDBPlatform
import Glibc
import Synchronization

/// An environment: a directory that holds any number of ordered databases, open.
///
/// Safe for all threads. One process opens one path once. Closed by `close()`, or when the last
/// reference to it goes.
public final class Environment: @unchecked Sendable {
    /// The directory.
    public let path: String
    let fileSystem: any FileSystem
    let dataFile: any StorageFile
    /// nil if the environment is on a medium where nothing can be written.
    private let lockFile: (any StorageFile)?
    private let lockMapLength: Int
    let identity: FileIdentity
    let options: EnvironmentOptions
    let pageSize: Int

    /// What transactions work with; nil once closed.
    private let stateStorage: UnsafeMutablePointer<EnvironmentState>
    private let isOpen = Atomic<Bool>(true)
    private let handles = Lock<[[UInt8]: Int]>([:])
    /// Held while a checkpoint is made.
    private let checkpointMutex: UnsafeMutablePointer<pthread_mutex_t>
    let log: Log
    /// The library's own threads, if it may have any.
    private(set) var backgroundTasks: BackgroundTasks?
    /// When the first relaxed commit was made that no thread will flush; 0 if there is none.
    let relaxedSince = Lock<UInt64>(0)
    private let readersGrowth = Lock(())
    /// What opening had to replay.
    let recovery = Lock(RecoveryReport())
    /// Held by the write transaction of this process; any thread may give it back.
    private let writerSemaphore: UnsafeMutablePointer<sem_t>

    // MARK: Open

    /// Opens the environment in a directory, creating it if it is not there.
    ///
    /// - Throws: `badArgument`, `busy` if this process has it open already, `invalidFile`,
    ///   `versionMismatch`, `corrupted`, or a system error.
    /// - Complexity: the same for a small and a huge environment.
    public convenience init(
        path: String, options: EnvironmentOptions = EnvironmentOptions()
    ) throws(DatabaseError) {
        try self.init(path: path, options: options, fileSystem: PosixFileSystem())
    }

    init(
        path: String, options: EnvironmentOptions, fileSystem: any FileSystem
    ) throws(DatabaseError) {
        try options.validate()
        Transactions.prepare()
        let forkWatch = zp_watch_forks()
        guard forkWatch == 0 else {
            throw DatabaseError(systemError: forkWatch, "watch for forks")
        }
        var opening = EnvironmentOpening(path: path, options: options, fileSystem: fileSystem)
        do throws(DatabaseError) {
            try opening.run()
        } catch {
            opening.undo()
            throw error
        }
        guard let parts = opening.parts else {
            throw DatabaseError(.badArgument, "the environment at \(path) did not open")
        }
        self.path = path
        self.fileSystem = fileSystem
        self.options = options
        dataFile = parts.dataFile
        lockFile = parts.lockFile
        lockMapLength = parts.sharedLength
        identity = parts.identity
        pageSize = Int(parts.meta.pageSize)
        writerSemaphore = .allocate(capacity: 1)
        sem_init(writerSemaphore, 0, 1)
        checkpointMutex = .allocate(capacity: 1)
        pthread_mutex_init(checkpointMutex, nil)
        log = Log(
            path: path, fileSystem: fileSystem, fileMode: options.fileMode,
            seed: parts.meta.checksumSeed, lockFile: parts.lockFile,
            capacityMax: options.logSize / 4)
        stateStorage = .allocate(capacity: 1)
        let source = PageSource(
            map: parts.map, pageSize: pageSize, pageShift: pageSize.trailingZeroBitCount,
            seed: parts.meta.checksumSeed, mode: options.checksumMode, verified: parts.verified,
            pageCount: 0, frames: nil)
        stateStorage.initialize(
            to: EnvironmentState(
                source: source, shared: parts.shared, mapLength: parts.mapLength,
                pagesMax: UInt64(parts.mapLength / pageSize),
                transactionPagesMax: options.maxTransactionPages,
                isReadOnly: options.isReadOnly, process: parts.process,
                owner: Unmanaged.passUnretained(self)))
        let wasClean = parts.shared.isRootConfirmed
        do throws(DatabaseError) {
            if !options.isReadOnly {
                try confirmRoot()
                state.pointee.shared.markClean(nil)
            }
            if parts.isFirst { try recover(wasClean: wasClean) }
            if let lockFile {
                _ = try lockFile.lock(byte: LockByte.live, .shared, wait: true)
                if !options.isReadOnly {
                    _ = try lockFile.lock(byte: LockByte.writable, .shared, wait: true)
                }
                if parts.isFirst {
                    state.pointee.shared.markReady()
                    _ = try lockFile.lock(byte: LockByte.open, .shared, wait: true)
                }
            }
        } catch {
            release()
            throw error
        }
        guard !options.isReadOnly else { return }
        state.pointee.shared.countWriter()
        state.pointee.isCountedWriter = true
        if options.usesThread { backgroundTasks = BackgroundTasks(self) }
    }

    // MARK: Close

    /// Closes the environment.
    ///
    /// - Throws: `busy` if a transaction is still open, and then nothing is closed; `forked` in
    ///   a child that inherited it.
    public func close() throws(DatabaseError) {
        guard isOpen.load(ordering: .acquiring) else { return }
        try checkFork()
        state.pointee.isClosing.store(true, ordering: .sequentiallyConsistent)
        let open = Transactions.count(in: state)
        guard open == 0 else {
            state.pointee.isClosing.store(false, ordering: .sequentiallyConsistent)
            throw DatabaseError(
                .busy,
                "the environment at \(path) has \(open) open transaction\(open == 1 ? "" : "s"); "
                    + "commit or abort \(open == 1 ? "it" : "them") before closing")
        }
        closeLog()
        release()
    }

    /// Leaves an environment that nobody else has open for writing with an empty log, so that the next to
    /// open it has nothing to replay.
    private func closeLog() {
        backgroundTasks?.stop()
        let shared = state.pointee.shared
        guard !options.isReadOnly, shared.poison == 0 else { return }
        // Failures leave the log, which holds what was committed. The own share goes first: of
        // two who close at once, one then finds that there is no other.
        _ = try? lockFile?.lock(byte: LockByte.writable, .unlocked, wait: false)
        let isLast =
            (try? lockFile?.lock(byte: LockByte.writable, .exclusive, wait: false)) ?? false
        if isLast {
            try? makeCheckpoint(holding: shared.tip)
            if shared.checkpoint == shared.tip, shared.poison == 0 {
                shared.markClean(shared.checkpoint)
            }
        } else if shared.unlogged <= shared.checkpoint {
            try? flushLog()
        }
    }

    private func release() {
        guard isOpen.exchange(false, ordering: .sequentiallyConsistent) else { return }
        let state = state
        if state.pointee.isCountedWriter,
            state.pointee.forkGeneration == zp_fork_generation()
        {
            state.pointee.shared.discountWriter()
        }
        if let lockFile {
            lockFile.unmap(state.pointee.shared.base, length: lockMapLength)
        } else {
            munmap(state.pointee.shared.base, lockMapLength)
        }
        dataFile.unmap(state.pointee.source.map, length: state.pointee.mapLength)
        munmap(
            UnsafeMutableRawPointer(state.pointee.source.verified),
            state.pointee.mapLength / pageSize)
        state.pointee.deallocate()
        log.close()
        dataFile.close()
        lockFile?.close()
        // An environment inherited through fork() is its parent's to take off the list.
        if state.pointee.forkGeneration == zp_fork_generation() {
            OpenIdentities.shared.withLock { $0.remove(identity) }
        }
    }

    deinit {
        // A child that inherited the environment shares its descriptors' locks with its parent:
        // it only lets go of what is its own.
        if isOpen.load(ordering: .acquiring), state.pointee.forkGeneration == zp_fork_generation() {
            closeLog()
        }
        release()
        pthread_mutex_destroy(checkpointMutex)
        checkpointMutex.deallocate()
        stateStorage.deinitialize(count: 1)
        stateStorage.deallocate()
        sem_destroy(writerSemaphore)
        writerSemaphore.deallocate()
    }

    /// What transactions work with. Only while the environment is open.
    package var state: UnsafeMutablePointer<EnvironmentState> { stateStorage }

    package func checkOpen() throws(DatabaseError) {
        guard isOpen.load(ordering: .acquiring) else {
            throw DatabaseError(.badHandle, "the environment at \(path) has been closed")
        }
        try checkFork()
    }

    private func checkFork() throws(DatabaseError) {
        guard state.pointee.forkGeneration == zp_fork_generation() else {
            throw Self.forkedError
        }
    }

    package static var forkedError: DatabaseError {
        DatabaseError(
            .forked,
            "the handle was inherited through fork(): a child process must open the environment "
                + "itself")
    }

    // MARK: The writer's lock

    /// Waits for the writer before this one, in this process and in others. Either lock may be
    /// given back by another thread, and the kernel drops the file's lock if its holder dies. It is
    /// asked for that only if another process may write.
    func lockWriter() throws(DatabaseError) {
        while sem_wait(writerSemaphore) != 0 {
            guard errno == EINTR else {
                throw DatabaseError(systemError: errno, "wait for the writer of \(path)")
            }
        }
        state.pointee.writesAlone = state.pointee.shared.beginAlone(state.pointee.process)
        if state.pointee.writesAlone { return }
        do throws(DatabaseError) {
            _ = try lockFile?.lock(byte: LockByte.writer, .exclusive, wait: true)
        } catch {
            unlockWriter()
            throw error
        }
        // One that was alone until this process came ends its transaction first.
        while state.pointee.shared.hasLoneWriter(isLocked: isAlive) { usleep(100) }
    }

    func unlockWriter() {
        state.pointee.writerThread.store(0, ordering: .relaxed)
        if state.pointee.writesAlone {
            state.pointee.writesAlone = false
            state.pointee.shared.endAlone()
        } else {
            // An unlock of a lock that is held does not fail.
            _ = try? lockFile?.lock(byte: LockByte.writer, .unlocked, wait: false)
        }
        sem_post(writerSemaphore)
    }

    /// Whether the process of an entry lives. Where the kernel cannot be asked, it is taken to.
    func isAlive(entry: Int) -> Bool {
        // Of its own locks the kernel does not tell.
        if entry == state.pointee.process.entry { return true }
        return (try? lockFile?.isLocked(byte: LockByte.firstProcess + UInt64(entry))) ?? true
    }

    func lockCheckpoint() throws(DatabaseError) {
        pthread_mutex_lock(checkpointMutex)
        do throws(DatabaseError) {
            _ = try lockFile?.lock(byte: LockByte.checkpoint, .exclusive, wait: true)
        } catch {
            pthread_mutex_unlock(checkpointMutex)
            throw error
        }
    }

    func unlockCheckpoint() {
        _ = try? lockFile?.lock(byte: LockByte.checkpoint, .unlocked, wait: false)
        pthread_mutex_unlock(checkpointMutex)
    }

    /// A reader slot for this process: a free one, one of a dead process's, or a new one.
    ///
    /// - Returns: nil if the table has reached its largest size.
    func claimReaderSlowly() -> Int? {
        let shared = state.pointee.shared
        let process = state.pointee.process
        if reapReaders() > 0, let slot = shared.claimReader(process) { return slot }
        while true {
            let known = shared.readers
            guard known < shared.readersMax, growReaders(beyond: known) else { return nil }
            if let slot = shared.claimReader(process) { return slot }
        }
    }

    /// Doubles the reader table, unless somebody else has.
    private func growReaders(beyond known: Int) -> Bool {
        let shared = state.pointee.shared
        return readersGrowth.withLock { _ in
            do throws(DatabaseError) {
                _ = try lockFile?.lock(byte: LockByte.readers, .exclusive, wait: true)
                defer { _ = try? lockFile?.lock(byte: LockByte.readers, .unlocked, wait: false) }
                guard shared.readers == known else { return true }
                let readers = min(known * 2, shared.readersMax)
                try lockFile?.truncate(to: UInt64(SharedState.byteCount(readers: readers)))
                shared.growReaders(to: readers)
                return true
            } catch {
                return false
            }
        }
    }

    /// Frees the reader slots of processes that have died.
    ///
    /// - Returns: how many there were.
    @discardableResult
    func reapReaders() -> Int {
        guard lockFile != nil else { return 0 }
        return state.pointee.shared.reapReaders(
            reaper: state.pointee.process, isLocked: isAlive)
    }

    /// Notes a failure after which what is on disk is unknown (invariant 3).
    func poison(_ error: DatabaseError) -> DatabaseError {
        state.pointee.shared.poison = error.systemError == 0 ? EIO : error.systemError
        report(.error, "\(error.message); the environment at \(path) refuses to write from now on")
        return DatabaseError(
            .panic,
            "\(error.message); what of the last transaction is on disk is unknown, so the "
                + "environment at \(path) refuses to write until all programs have closed it and "
                + "it is opened again")
    }

    func checkPoison() throws(DatabaseError) {
        let error = state.pointee.shared.poison
        guard error == 0 else {
            throw DatabaseError(
                .panic,
                "an earlier flush or meta page write failed (\(SystemCall.describe(error))); the "
                    + "environment at \(path) refuses to write until all programs have closed it "
                    + "and it is opened again")
        }
    }

    // MARK: Databases

    /// The handle of a name, given to it now if it never had one.
    func databaseHandle(_ name: KeyBytes) throws(DatabaseError) -> Int {
        let key = Array(name)
        let handle: Int? = handles.withLock { handles in
            if let known = handles[key] { return known }
            let new = state.pointee.databases.add(name)
            handles[key] = new
            return new
        }
        guard let handle else {
            throw DatabaseError(
                systemError: ENOMEM, "remember the names of more databases in \(path)")
        }
        return handle
    }
}
