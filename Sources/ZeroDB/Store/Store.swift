import CZeroDBPlatform
import Glibc
import Synchronization

/// The files and the shared memory of an environment that is open, and what the processes that have
/// it open agree on: the data file and its map, the log, the newest commits, checkpoints, readers, the
/// writer's lock, and the poison after a flush that failed. It knows nothing of trees.
///
/// Transactions do not retain it, so that nothing that a read does counts a reference: an environment
/// keeps its store in memory as long as a transaction may use it. Safe for all threads.
package final class Store: @unchecked Sendable {
    /// The directory.
    let path: String
    /// The directory's log, and the directory.
    let logDirectory: LogDirectory
    let options: EnvironmentOptions
    let fileSystem: any FileSystem
    let dataFile: any StorageFile
    /// nil if the environment is on a medium where nothing can be written.
    let lockFile: (any StorageFile)?
    private let identity: FileIdentity

    /// What transactions begin with.
    package let state: UnsafeMutablePointer<StoreState>
    private let sharedLength: Int
    let mapLength: Int
    let pageSize: Int
    /// Whether this process opened it first, and so has to recover it.
    let isFirst: Bool
    /// Whether the last writer to close had left nothing to replay.
    let wasClean: Bool
    /// Whether it is known that nothing was written to its log afterwards.
    let isLogEndKnown: Bool

    let log: Log
    let locks: ProcessLocks
    private let fetcher: PageFetcher
    private let handles = Locked<[[UInt8]: Int]>([:])

    private let isOpen = Atomic<Bool>(true)
    /// Held while a checkpoint is made.
    let checkpointMutex = Mutex()
    /// Threads that hold or wait for the checkpoint's lock, or wait for the library's threads to end.
    let checkpointsAwaited = Atomic<Int>(0)
    /// Held while this process makes the reader table larger.
    let readersMutex = Mutex()
    /// Held by the write transaction of this process; any thread may give it back.
    let writerSemaphore = Semaphore(1)
    /// The thread whose write transaction is open, 0 if none.
    let writerThread = Atomic<UInt64>(0)
    /// Whether the writer holds the lock in memory only. Its own, while it writes.
    let writesAlone = Atomic<Bool>(false)
    /// Whether the process is among the writers that `shared` counts.
    private let isCountedWriter = Atomic<Bool>(false)
    /// When the first relaxed commit was made that no thread will flush; 0 if there is none.
    let relaxedSince = Locked<UInt64>(0)

    /// A failure in the background, until a call of the host's has said that writing is over.
    let untoldFailure = Locked<DatabaseError?>(nil)
    /// Whether a call of the host's has said that writing is over.
    private let isPoisonTold = Atomic<Bool>(false)
    /// The newest commit of this process that did not wait for the disk. Under the writer's lock.
    var newestUnawaited: UInt64 = 0
    /// Whether the log is being replayed in memory, in an environment that is opened for reading only.
    let isReplayingInMemory = Atomic<Bool>(false)
    /// Pages that recovery mode has said it passes over.
    private let skippedPages = Locked<Set<UInt64>>([])
    /// Whether read transactions were ended that their threads may still look at.
    let keepsMap = Atomic<Bool>(false)

    /// The library's own threads, if it may have any. Made before the store is handed out.
    private(set) var backgroundTasks: BackgroundTasks?
    /// Does a step of making the file shorter; nil if that is not wanted. Returns the nanoseconds until the
    /// next step, nil after the last. Set before the store is handed out.
    var compactInBackground: (@Sendable () -> UInt64?)?
    /// Whether the environment has been recovered: what a recovery replays is not logged again.
    let hasStarted = Atomic<Bool>(false)
    /// Archives what is in the log; nil if the environment is not archived by this process. Returns the
    /// nanoseconds until that is to be done again. Set when the store has started.
    var archiveInBackground: (@Sendable () -> UInt64?)?
    /// The same for the last time, when no transaction of the program's is open any more.
    var archiveLast: (@Sendable () -> Void)?
    /// Threads that are closing the environment: nothing is archived in the background meanwhile.
    let archivingPauses = Atomic<Int>(0)
    /// Held while something is archived in the background.
    let archiveLock = Mutex()
    /// Threads that are closing the environment: no step begins meanwhile.
    let compactionPauses = Atomic<Int>(0)
    /// Held during a step.
    let compactionLock = Mutex()
    /// Before this time, by the monotonic clock, no compaction begins by itself.
    let compactionDue = Atomic<UInt64>(0)
    /// Bytes of the data file for which the disk has room. The writer's own.
    var keptEnd: UInt64 = 0
    /// How often the file had been cut off when that was so. The writer's own.
    var keptTruncations: UInt64 = 0
    /// What the layer of transactions keeps from one write transaction to the next. Only the holder of
    /// the writer's lock uses it, and the last to let go of the store.
    var writerMemory: AnyObject?

    // MARK: Open

    /// Opens the files of an environment and joins the processes that have it open. The first of them
    /// recovers what is there and then calls `start()`; the others call that at once.
    init(
        path: PathBytes, options: EnvironmentOptions, fileSystem: any FileSystem
    ) throws(DatabaseError) {
        var opening = StoreOpening(path: path, options: options, fileSystem: fileSystem)
        do throws(DatabaseError) {
            try opening.run()
        } catch {
            opening.undo()
            throw error
        }
        guard let parts = opening.parts else {
            throw DatabaseError(.badArgument, "the environment at \(path) did not open")
        }
        self.path = path.description
        logDirectory = LogDirectory(in: parts.directory)
        self.options = options
        self.fileSystem = fileSystem
        dataFile = parts.dataFile
        lockFile = parts.lockFile
        identity = parts.identity
        sharedLength = parts.sharedLength
        mapLength = parts.mapLength
        pageSize = Int(parts.meta.pageSize)
        let place = StoreState.place()
        state = place.state
        isFirst = parts.isFirst
        wasClean = parts.shared.isRootConfirmed
        isLogEndKnown = parts.isLogEndKnown
        locks = ProcessLocks(
            file: parts.lockFile, shared: parts.shared, wait: options.writerWait,
            processID: parts.process.processID, path: path.description)
        log = Log(
            in: logDirectory, dataFile: parts.dataFile, seed: parts.meta.checksumSeed,
            locks: locks, capacityMax: options.logSize / 4)
        fetcher = PageFetcher(
            parts.dataFile, parts.map, pageShift: pageSize.trailingZeroBitCount, place.pending)
        let source = PageSource(
            map: parts.map, pageSize: pageSize, pageShift: pageSize.trailingZeroBitCount,
            seed: parts.meta.checksumSeed, mode: options.checksumMode,
            skipsDamage: options.recovery, verified: parts.verified,
            pageCount: 0, fetcher: fetcher, frames: nil)
        StoreState.make(
            in: place, of: self, source: source, shared: parts.shared, process: parts.process,
            pagesMax: min(
                UInt64(parts.mapLength / pageSize),
                max(options.maxSize / UInt64(pageSize), parts.meta.pageCount)),
            pagesInFile: parts.meta.pageCount)
        // A repair leaves what is there as it is, until it has come to its end.
        guard !options.isReadOnly, options.root == nil else { return }
        do throws(DatabaseError) {
            try confirmRoot()
            if isFirst {
                try log.removeLeftovers(parts.meta)
                // Before a recovery, whose checkpoint removes log.
                adoptArchiveMark()
            }
        } catch {
            release()
            throw error
        }
        shared.clearCleanMark()
    }

    /// Lets other processes in, and the library's threads begin.
    func start() throws(DatabaseError) {
        hasStarted.store(true, ordering: .relaxed)
        if let lockFile {
            _ = try lockFile.lock(byte: LockByte.live, .shared, wait: true)
            // A process that closes as the last one writes first.
            if !options.isReadOnly { try locks.share(.closing) }
            if isFirst {
                shared.markReady()
                _ = try lockFile.lock(byte: LockByte.open, .shared, wait: true)
            }
        }
        guard !options.isReadOnly else { return }
        shared.countWriter()
        isCountedWriter.store(true, ordering: .relaxed)
        if options.usesThread { backgroundTasks = BackgroundTasks(self) }
    }

    deinit { if !keepsMap.load(ordering: .relaxed) { StoreState.recycle(state) } }

    // MARK: Close

    /// Leaves an environment that nobody else has open for writing with an empty log, so that the next
    /// process to open it has nothing to replay. No transaction is open any more.
    ///
    /// - Throws: what kept it from writing; it is closed all the same.
    func close() throws(DatabaseError) {
        guard isOpen.load(ordering: .acquiring), !isForked else { return release() }
        if let backgroundTasks {
            // The host let go of its environment in a call from one of these threads.
            if backgroundTasks.doAfterTask({ try? self.close() }) { return }
            // For the one under way not to take its time.
            checkpointsAwaited.add(1, ordering: .relaxed)
            backgroundTasks.stop()
            checkpointsAwaited.subtract(1, ordering: .relaxed)
        }
        defer { release() }
        if shared.poison == 0 {
            state.pointee.archivingThread.store(zp_thread_id(), ordering: .relaxed)
            archiveLast?()
            state.pointee.archivingThread.store(0, ordering: .relaxed)
        }
        try closeLog()
    }

    private func closeLog() throws(DatabaseError) {
        guard !options.isReadOnly else { return }
        guard shared.poison == 0 else {
            if let failure = untoldFailure.withLock({ $0 }) { throw failure }
            // Another process has found the disk failing, and no call of this one has said so.
            guard newestUnawaited > shared.checkpoint, !isPoisonTold.load(ordering: .relaxed)
            else { return }
            try checkPoison()
            return
        }
        // Failures leave the log, which holds what was committed. The own share goes first: of
        // two processes that close at once, one then finds that there is no other.
        locks.giveBack(.closing)
        let isLast = (try? locks.take(.closing, .never)) != nil
        if isLast {
            try makeCheckpoint(holding: shared.tip)
            cutOffTail()
            if shared.checkpoint == shared.tip, shared.poison == 0 {
                shared.markClean(shared.checkpoint, boot: fileSystem.boot)
            }
        } else {
            // A relaxed commit behind one that is not logged is on disk with a checkpoint only, for which
            // no thread is there any more.
            try sync()
        }
    }

    /// Gives files and maps back, once. A child that inherited the store shares its descriptors' locks
    /// with its parent: it only lets go of what is its own.
    func release() {
        guard isOpen.exchange(false, ordering: .sequentiallyConsistent) else { return }
        log.endFlushAtExit()
        if isCountedWriter.load(ordering: .relaxed), !isForked { shared.discountWriter() }
        if !isForked { state.pointee.pending.move(to: shared) }
        if let lockFile {
            // A child has no map of the files, and may have others there.
            if !isForked { lockFile.unmap(shared.base, length: sharedLength) }
        } else {
            munmap(shared.base, sharedLength)
        }
        shared.deallocate()
        writerMemory = nil
        compactInBackground = nil
        archiveInBackground = nil
        archiveLast = nil
        if keepsMap.load(ordering: .relaxed), !isForked {
            blankMap()
            // A thread that is still reading may fetch pages.
            _ = Unmanaged.passRetained(fetcher)
        } else {
            if !isForked { dataFile.unmap(source.map, length: mapLength) }
            munmap(UnsafeMutableRawPointer(source.verified), mapLength / pageSize)
            databases.deallocate()
        }
        log.close()
        dataFile.close()
        lockFile?.close()
        logDirectory.environment.close()
        // An environment inherited through fork() is its parent's to take off the list.
        if !isForked {
            OpenIdentities.shared.withLock { $0.remove(identity, in: fileSystem.simulatedProcess) }
        }
    }

    /// Leaves zeros where values may be that read transactions were given before they were ended:
    /// whoever still looks at them finds nothing, but does not crash (invariant 4). This memory is
    /// never given back.
    private func blankMap() {
        let bytes = min(mapLength, (try? dataFile.size()).map { Int($0) } ?? mapLength)
        let used =
            (bytes + SystemCall.memoryPageSize - 1) / SystemCall.memoryPageSize
            * SystemCall.memoryPageSize
        mmap(
            source.map, used, PROT_READ,
            MAP_PRIVATE | MAP_FIXED | Int32(MAP_ANONYMOUS) | Int32(MAP_NORESERVE), -1, 0)
        if used < mapLength { dataFile.unmap(source.map + used, length: mapLength - used) }
    }

    // MARK: State

    var source: PageSource { state.pointee.source }
    var shared: SharedState { state.pointee.shared }
    var process: SharedState.Owner { state.pointee.process }
    var databases: DatabaseNames { state.pointee.databases }
    /// Pages that fit in `max_size`.
    var pagesMax: UInt64 { state.pointee.pagesMax }
    /// Whether this process inherited the store through `fork()`.
    var isForked: Bool { state.pointee.isForked }

    /// - Throws: `badHandle`, `forked`.
    func checkOpen() throws(DatabaseError) {
        guard isOpen.load(ordering: .acquiring), !state.pointee.isClosed else {
            throw DatabaseError(.badHandle, "the environment at \(path) has been closed")
        }
        if isForked { throw DatabaseError.forked }
    }

    /// Begins a call that uses files or maps and is not part of a transaction: the store is not closed
    /// before `leave()`.
    ///
    /// - Throws: `badHandle`, `forked`.
    func enter() throws(DatabaseError) {
        // `beginClosing` marks the store as closed, then waits for the calls it sees: either it sees
        // this one, or this sees the mark.
        state.pointee.calls.add(1, ordering: .sequentiallyConsistent)
        do throws(DatabaseError) {
            try checkOpen()
        } catch {
            leave()
            throw error
        }
    }

    func leave() { state.pointee.calls.subtract(1, ordering: .sequentiallyConsistent) }

    /// Whether `close` or `release` has not been called yet.
    var hasFiles: Bool { isOpen.load(ordering: .acquiring) }

    /// Notes a failure after which what is on disk is unknown (invariant 3).
    func poison(_ error: DatabaseError) -> DatabaseError {
        shared.poison = error.systemError == 0 ? EIO : error.systemError
        // A failure in the background is kept as untold.
        isPoisonTold.store(true, ordering: .relaxed)
        report(
            .error,
            "\(error.markedMessage); the environment at \(path) refuses to write from now on")
        return DatabaseError(
            .panic,
            "\(error.markedMessage); what of the last transaction is on disk is unknown, so the "
                + "environment at \(path) refuses to write until all programs that write have "
                + "closed "
                + "it and it is opened again")
    }

    func checkPoison() throws(DatabaseError) {
        let error = shared.poison
        guard error == 0 else {
            isPoisonTold.store(true, ordering: .relaxed)
            untoldFailure.withLock { $0 = nil }
            throw DatabaseError(
                .panic,
                "an earlier flush or meta page write failed (\(SystemCall.describe(error))); the "
                    + "environment at \(path) refuses to write until all programs that write have "
                    + "closed it and it is opened again")
        }
    }

    /// Tells the host program.
    func report(_ level: Event.Level, _ message: @autoclosure () -> String) {
        guard let onEvent = options.onEvent, level >= options.eventLevel else { return }
        onEvent(Event(level: level, message: message()))
    }

    /// Tells the host program of an error that comes of a limit.
    func reportRefusal(_ error: DatabaseError) {
        if error.limit != nil { report(.debug, error.markedMessage) }
    }

    /// Lets this process write pages from a number on in memory of its own, in recovery mode.
    ///
    /// - Throws: `unsupported`, `busy`, a system error.
    func beginMemory(behind pages: UInt64) throws(DatabaseError) {
        guard let scratch = dataFile as? ScratchFile else {
            throw DatabaseError(.unsupported, "\(dataFile.name) cannot be changed in memory")
        }
        try scratch.begin(source.map, from: Int(pages) << source.pageShift, length: mapLength)
    }

    /// Tells the host program what recovery mode passes over, once for each page.
    func reportSkipped(_ range: SkippedRange, _ message: @autoclosure () -> String) {
        guard let onEvent = options.onEvent, options.eventLevel <= .warning,
            skippedPages.withLock({ $0.insert(range.page).inserted })
        else { return }
        onEvent(Event(level: .warning, message: message(), skipped: range))
    }

    /// The newest commit's state that readers see.
    ///
    /// - Throws: `corrupted` if shared memory has none.
    func visibleMeta() throws(DatabaseError) -> Meta { try checked(try shared.visibleMeta()) }

    /// The state that the next writer starts from.
    ///
    /// - Throws: `corrupted` if shared memory has none.
    func tipMeta() throws(DatabaseError) -> Meta { try checked(try shared.tipMeta()) }

    /// A record from shared memory, if it is of this environment and of a file as long as this one.
    func checked(_ meta: Meta) throws(DatabaseError) -> Meta {
        guard Int(meta.pageSize) == pageSize, meta.checksumSeed == source.seed else {
            throw SharedState.damaged("it has the record of another environment")
        }
        try state.pointee.checkPages(meta.pageCount)
        return meta
    }

    // MARK: Databases

    /// The handle of a name, given to it now if it never had one.
    func databaseHandle(_ name: KeyBytes) throws(DatabaseError) -> Int {
        let key = Array(name)
        let handle: Int? = handles.withLock { handles in
            if let known = handles[key] { return known }
            let new = databases.add(name)
            handles[key] = new
            return new
        }
        guard let handle else {
            throw DatabaseError(
                systemError: ENOMEM, limit: .databases,
                "remember the names of more databases in \(path)")
        }
        return handle
    }
}
