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
    private let identity: FileIdentity
    let options: EnvironmentOptions
    let pageSize: Int

    /// What transactions work with; nil once closed.
    private let stateStorage: UnsafeMutablePointer<EnvironmentState>
    private let isOpen = Atomic<Bool>(true)
    private let handles = Mutex<[[UInt8]: Int]>([:])
    /// Held while a checkpoint is made.
    private let checkpointMutex: UnsafeMutablePointer<pthread_mutex_t>
    let log: Log
    /// The library's own thread, if it may have one.
    private(set) var worker: Worker?
    /// When the first relaxed commit was made that no thread will flush; 0 if there is none.
    let relaxedSince = Mutex<UInt64>(0)
    /// What opening had to replay.
    let recovery = Mutex(RecoveryReport())
    /// Held by the write transaction of this process; any thread may give it back.
    private let writerSemaphore: UnsafeMutablePointer<sem_t>

    /// The environments this process has open. What a forked child inherits does not count.
    private struct OpenIdentities {
        var identities: Set<FileIdentity> = []
        var forkGeneration: UInt32 = 0

        mutating func insert(_ identity: FileIdentity) -> Bool {
            if forkGeneration != zp_fork_generation() {
                identities = []
                forkGeneration = zp_fork_generation()
            }
            return identities.insert(identity).inserted
        }

        mutating func remove(_ identity: FileIdentity) {
            if forkGeneration == zp_fork_generation() { identities.remove(identity) }
        }
    }
    private static let openIdentities = Mutex(OpenIdentities())

    /// Bytes of `lock.zdb` that are locked, not written.
    private enum LockByte {
        /// Shared by all who have the environment open; exclusive while one sets it up.
        static let open: UInt64 = 0
        /// Exclusive while a write transaction is open.
        static let writer: UInt64 = 1
        /// Shared by all who use the shared state as it is; nobody holds it while it is set up.
        static let live: UInt64 = 2
        /// Exclusive while a checkpoint is made.
        static let checkpoint: UInt64 = 3
        /// Exclusive, one for each process that has the environment open.
        static let firstProcess: UInt64 = 4096
    }

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
        let forkWatch = zp_watch_forks()
        guard forkWatch == 0 else {
            throw DatabaseError(systemError: forkWatch, "watch for forks")
        }
        var opening = Opening(path: path, options: options, fileSystem: fileSystem)
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
            seed: parts.meta.checksumSeed)
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
        do throws(DatabaseError) {
            if parts.isFirst { try recover() }
            if let lockFile {
                _ = try lockFile.lock(byte: LockByte.live, .shared, wait: true)
                if parts.isFirst {
                    state.pointee.shared.markReady()
                    _ = try lockFile.lock(byte: LockByte.open, .shared, wait: true)
                }
            }
        } catch {
            release()
            throw error
        }
        if options.usesThread && !options.isReadOnly { worker = Worker(self) }
    }

    /// The steps of opening, so that a failure in the middle can undo those before it.
    private struct Opening {
        let path: String
        let options: EnvironmentOptions
        let fileSystem: any FileSystem
        var parts: Parts?

        private var dataFile: (any StorageFile)?
        private var lockFile: (any StorageFile)?
        private var registered: FileIdentity?
        private var map: (UnsafeMutableRawPointer, Int)?
        private var verifiedMap: (UnsafeMutableRawPointer, Int)?
        private var sharedMap: (UnsafeMutableRawPointer, Int)?

        struct Parts {
            var dataFile: any StorageFile
            var lockFile: (any StorageFile)?
            var identity: FileIdentity
            var meta: Meta
            var map: UnsafeMutableRawPointer
            var mapLength: Int
            var verified: UnsafeMutablePointer<Atomic<UInt8>>
            var shared: SharedState
            var sharedLength: Int
            var process: SharedState.Owner
            var isFirst: Bool
        }

        init(path: String, options: EnvironmentOptions, fileSystem: any FileSystem) {
            self.path = path
            self.options = options
            self.fileSystem = fileSystem
        }

        private var dataPath: String { path + "/data.zdb" }

        mutating func run() throws(DatabaseError) {
            guard !path.isEmpty else { throw DatabaseError(.badArgument, "the path is empty") }
            let creates = options.createsIfMissing && !options.isReadOnly
            if creates {
                try fileSystem.makeDirectory(path, mode: options.directoryMode)
            } else {
                // Before a lock file is left in a directory that is no environment.
                try fileSystem.open(dataPath, access: .readOnly, create: false, mode: 0).close()
            }
            let isFirst = try openLockFile(creates: creates)
            if isFirst, creates, try !dataFileExists() {
                try MetaPages.create(
                    dataPath, in: path, pageSize: options.pageSize, mode: options.fileMode,
                    fileSystem: fileSystem)
            }
            let access: FileAccess = options.isReadOnly ? .readOnly : .readWrite
            let file = try fileSystem.open(dataPath, access: access, create: false, mode: 0)
            dataFile = file
            let identity = try file.identity()
            try register(identity)
            let loaded = try MetaPages.load(from: file)
            let meta = loaded.meta
            let (mapped, mapLength) = try mapData(file, meta: meta)
            let shared = try openShared(loaded, isFirst: isFirst)
            guard let verifiedMap, let sharedMap else { return }
            parts = Parts(
                dataFile: file, lockFile: lockFile, identity: identity, meta: meta, map: mapped,
                mapLength: mapLength,
                verified: verifiedMap.0.assumingMemoryBound(to: Atomic<UInt8>.self),
                shared: shared, sharedLength: sharedMap.1, process: try registerProcess(shared),
                isFirst: isFirst)
        }

        /// Takes an entry in the table of processes, locked until this process dies.
        private func registerProcess(
            _ shared: SharedState
        ) throws(DatabaseError) -> SharedState.Owner {
            guard let lockFile else { return shared.registerProcess(entry: 0) }
            for entry in 0..<SharedState.processesMax
            where try lockFile.lock(
                byte: LockByte.firstProcess + UInt64(entry), .exclusive, wait: false)
            {
                return shared.registerProcess(entry: entry)
            }
            throw DatabaseError(
                .readersFull,
                "\(SharedState.processesMax) processes have the environment at \(path) open")
        }

        private func dataFileExists() throws(DatabaseError) -> Bool {
            do throws(DatabaseError) {
                let file = try fileSystem.open(
                    dataPath, access: .readOnly, create: false, mode: 0)
                file.close()
                return true
            } catch {
                if error.systemError == ENOENT { return false }
                throw error
            }
        }

        /// Opens and locks `lock.zdb`.
        ///
        /// - Returns: whether nobody else has the environment open, and so this process sets up
        ///   what all share, holding the lock alone.
        private mutating func openLockFile(creates: Bool) throws(DatabaseError) -> Bool {
            let file: any StorageFile
            do throws(DatabaseError) {
                // A reader too writes in the reader table, if it can.
                file = try fileSystem.open(
                    path + "/lock.zdb", access: .readWrite,
                    create: creates || options.isReadOnly, mode: options.fileMode)
            } catch {
                let cannotWrite = [EACCES, EROFS, EPERM].contains(error.systemError)
                if options.isReadOnly && cannotWrite { return true }
                throw error
            }
            lockFile = file
            try file.abandonInChild()
            while true {
                if try file.lock(byte: LockByte.open, .exclusive, wait: false) { return true }
                _ = try file.lock(byte: LockByte.open, .shared, wait: true)
                if try file.isLocked(byte: LockByte.live) { return false }
                // Whoever was setting it up died: somebody has to begin again.
                _ = try file.lock(byte: LockByte.open, .unlocked, wait: false)
                sched_yield()
            }
        }

        private mutating func register(_ identity: FileIdentity) throws(DatabaseError) {
            let isNew = openIdentities.withLock { $0.insert(identity) }
            guard isNew else {
                throw DatabaseError(
                    .busy,
                    "this process has the environment at \(path) open already; share that handle "
                        + "between threads, or close it first")
            }
            registered = identity
        }

        /// Maps the data file at the full length it may ever reach, so that no pointer moves when
        /// it grows. Where so much address space is not to be had, as much as there is.
        private mutating func mapData(
            _ file: any StorageFile, meta: Meta
        ) throws(DatabaseError) -> (UnsafeMutableRawPointer, Int) {
            let pageSize = UInt64(meta.pageSize)
            let needed = max(meta.pageCount * pageSize, Format.maxSizeMin)
            // A smaller max_size than the data has bounds growth; it cannot unmap what is there.
            var length = max(options.maxSize / pageSize * pageSize, needed)
            while true {
                do throws(DatabaseError) {
                    let address = try file.map(length: Int(length), writable: false)
                    map = (address, Int(length))
                    let bytes = Int(length / pageSize)
                    guard
                        let verified = mmap(
                            nil, bytes, PROT_READ | PROT_WRITE,
                            MAP_PRIVATE | Int32(MAP_ANONYMOUS) | Int32(MAP_NORESERVE), -1, 0),
                        verified != MAP_FAILED
                    else {
                        throw DatabaseError(
                            systemError: errno, "reserve \(bytes) bytes for page states")
                    }
                    verifiedMap = (verified, bytes)
                    return (address, Int(length))
                } catch {
                    if let map { file.unmap(map.0, length: map.1) }
                    map = nil
                    // ENOMEM from the kernel, EINVAL from emulators with less address space.
                    guard [ENOMEM, EINVAL].contains(error.systemError), length / 2 >= needed
                    else { throw error }
                    length = length / 2 / pageSize * pageSize
                }
            }
        }

        private mutating func openShared(
            _ loaded: MetaPages.Loaded, isFirst: Bool
        ) throws(DatabaseError) -> SharedState {
            let meta = loaded.meta
            let page = SystemCall.memoryPageSize
            guard let lockFile else {
                // Nothing can be written here: a reader table of this process's own.
                let length = SharedState.byteCount(readersMax: options.maxReaders)
                let address = mmap(
                    nil, length, PROT_READ | PROT_WRITE,
                    MAP_PRIVATE | Int32(MAP_ANONYMOUS), -1, 0)
                guard let address, address != MAP_FAILED else {
                    throw DatabaseError(systemError: errno, "reserve a reader table")
                }
                sharedMap = (address, length)
                return setUp(address, readersMax: options.maxReaders, loaded)
            }
            if isFirst {
                let length = SharedState.byteCount(readersMax: options.maxReaders)
                let rounded = (length + page - 1) / page * page
                if try lockFile.size() != UInt64(rounded) {
                    try lockFile.truncate(to: UInt64(rounded))
                }
                let address = try lockFile.map(length: rounded, writable: true)
                sharedMap = (address, rounded)
                return setUp(address, readersMax: options.maxReaders, loaded)
            }
            let size = Int(try lockFile.size())
            guard size >= page else {
                throw DatabaseError(.busy, "\(path)/lock.zdb was never set up; open again")
            }
            let address = try lockFile.map(length: size, writable: true)
            sharedMap = (address, size)
            guard let readersMax = SharedState.readersMax(in: address),
                SharedState.byteCount(readersMax: readersMax) <= size
            else {
                throw DatabaseError(
                    .versionMismatch,
                    "\(path)/lock.zdb has another layout than this library's: the environment is "
                        + "open in a program with another version; close it there first")
            }
            let shared = SharedState(base: address, readersMax: readersMax)
            guard shared.belongs(to: meta.environmentID) else {
                throw DatabaseError(
                    .busy,
                    "\(path)/data.zdb was replaced while other programs have it open; close it "
                        + "there first")
            }
            return shared
        }

        private func setUp(
            _ address: UnsafeMutableRawPointer, readersMax: Int, _ loaded: MetaPages.Loaded
        ) -> SharedState {
            let meta = loaded.meta
            let shared = SharedState(base: address, readersMax: readersMax)
            shared.initialize(environmentID: meta.environmentID)
            shared.publishTip(meta)
            shared.raiseVisible(to: meta.transaction)
            shared.checkpoint = meta.transaction
            shared.checkpointLogEnd = meta.logEnd
            shared.metaPage = loaded.page
            shared.raiseFlushed(to: meta.logEnd)
            return shared
        }

        mutating func undo() {
            if let sharedMap {
                if let lockFile {
                    lockFile.unmap(sharedMap.0, length: sharedMap.1)
                } else {
                    munmap(sharedMap.0, sharedMap.1)
                }
            }
            if let verifiedMap { munmap(verifiedMap.0, verifiedMap.1) }
            if let map { dataFile?.unmap(map.0, length: map.1) }
            if let registered { openIdentities.withLock { $0.remove(registered) } }
            dataFile?.close()
            lockFile?.close()
        }
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

    /// Leaves an environment that nobody else has open with an empty log, so that the next to
    /// open it has nothing to replay.
    private func closeLog() {
        worker?.stop()
        let shared = state.pointee.shared
        guard !options.isReadOnly, shared.poison == 0, shared.tip > shared.checkpoint else {
            return
        }
        // Failures leave the log, which holds what was committed.
        let isLast = (try? lockFile?.lock(byte: LockByte.open, .exclusive, wait: false)) ?? false
        if isLast {
            try? makeCheckpoint(holding: shared.tip)
        } else if shared.unlogged <= shared.checkpoint {
            try? flushLog()
        }
    }

    private func release() {
        guard isOpen.exchange(false, ordering: .sequentiallyConsistent) else { return }
        let state = state
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
            Self.openIdentities.withLock { $0.remove(identity) }
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
    /// given back by another thread, and the kernel drops the file's lock if its holder dies.
    func lockWriter() throws(DatabaseError) {
        while sem_wait(writerSemaphore) != 0 {
            guard errno == EINTR else {
                throw DatabaseError(systemError: errno, "wait for the writer of \(path)")
            }
        }
        do throws(DatabaseError) {
            _ = try lockFile?.lock(byte: LockByte.writer, .exclusive, wait: true)
        } catch {
            unlockWriter()
            throw error
        }
    }

    func unlockWriter() {
        state.pointee.writerThread.store(0, ordering: .relaxed)
        // An unlock of a lock that is held does not fail.
        _ = try? lockFile?.lock(byte: LockByte.writer, .unlocked, wait: false)
        sem_post(writerSemaphore)
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

    /// Frees the reader slots of processes that have died.
    func reapReaders() {
        guard let lockFile else { return }
        state.pointee.shared.reapReaders(reaper: state.pointee.process) { entry in
            // Where the kernel cannot be asked, a reader is taken to live.
            let byte = LockByte.firstProcess + UInt64(entry)
            return (try? lockFile.isLocked(byte: byte)) ?? true
        }
    }

    /// Notes a failure after which what is on disk is unknown (invariant 3).
    func poison(_ error: DatabaseError) -> DatabaseError {
        state.pointee.shared.poison = error.systemError == 0 ? EIO : error.systemError
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
