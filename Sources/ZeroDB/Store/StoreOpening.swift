import CZeroDBPlatform
import Glibc
import Synchronization

/// The steps of opening, so that a failure in the middle can undo those before it.
struct StoreOpening {
    let path: PathBytes
    let options: EnvironmentOptions
    let fileSystem: any FileSystem
    var parts: Parts?

    var directory: (any StorageDirectory)?
    var dataFile: (any StorageFile)?
    var lockFile: (any StorageFile)?
    private var registered: FileIdentity?
    private var map: (UnsafeMutableRawPointer, Int)?
    var verifiedMap: (UnsafeMutableRawPointer, Int)?
    var sharedMap: (UnsafeMutableRawPointer, Int)?
    private var shared: SharedState?
    /// Whether the last to close has left word that there is nothing in the log after the newest meta page.
    private var isLogEndKnown = false
    /// Whether this process has made `lock.zdb`.
    private var hasMadeLockFile = false

    struct Parts {
        var directory: any StorageDirectory
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
        var isLogEndKnown = false
    }

    init(path: PathBytes, options: EnvironmentOptions, fileSystem: any FileSystem) {
        self.path = path
        self.options = options
        self.fileSystem = fileSystem
    }

    static let dataName = "data.zdb"
    static let lockName = "lock.zdb"

    mutating func run() throws(DatabaseError) {
        do throws(DatabaseError) {
            try open()
        } catch {
            throw explained(error)
        }
    }

    private mutating func open() throws(DatabaseError) {
        guard !path.bytes.isEmpty, !path.bytes.contains(0) else {
            throw DatabaseError(
                .badArgument, path.bytes.isEmpty ? "the path is empty" : "the path has a zero byte")
        }
        if options.recovery { return try runRecovery() }
        let creates = options.createsIfMissing && !options.isReadOnly
        // Here the path counts, and nowhere after: it may come to mean another directory.
        let directory = try fileSystem.openDirectory(
            path, create: creates ? options.directoryMode : nil)
        self.directory = directory
        if !creates {
            // Before a lock file is left in a directory that is no environment.
            try openData(directory, .readOnly).close()
        }
        let isFirst = try openLockFile(directory, creates: creates)
        guard isFirst || options.root == nil else {
            throw DatabaseError(
                .busy, "programs have the environment at \(path) open; close it there first")
        }
        if isFirst, creates, try !dataFileExists(directory) {
            try refuseOthers(in: directory)
            try MetaPages.create(
                Self.dataName, in: directory, pageSize: options.pageSize, mode: options.fileMode)
            try directory.syncParent()
        }
        let access: FileAccess = options.isReadOnly ? .readOnly : .readWrite
        let file = try openWithoutChildren { () throws(DatabaseError) in
            try openData(directory, access)
        }
        dataFile = file
        try lockData(file, isFirst: isFirst)
        if isFirst { try giveLockFileAccess(like: file, directory) }
        let identity = try file.identity()
        try register(identity)
        let loaded: MetaPages.Loaded
        if let root = options.root {
            loaded = try root(file, directory)
        } else {
            loaded = try MetaPages.load(from: file)
        }
        let meta = loaded.meta
        if !options.isReadOnly { try checkWritable(meta.features) }
        let freeList = FreeList.allocate()
        defer { freeList.deallocate() }
        // Only the first to open needs it. For others the page may be changing.
        if isFirst || lockFile == nil, options.root == nil {
            try MetaPages.loadFreeList(into: freeList, of: loaded, from: file)
        }
        let (mapped, mapLength) = try mapData(file, meta: meta)
        let shared = try openShared(
            loaded, freeList, identity, try directory.identity(), isFirst: isFirst)
        guard let verifiedMap, let sharedMap else { return }
        parts = Parts(
            directory: directory, dataFile: file, lockFile: lockFile, identity: identity,
            meta: meta,
            map: mapped, mapLength: mapLength,
            verified: verifiedMap.0.assumingMemoryBound(to: Atomic<UInt8>.self),
            shared: shared, sharedLength: sharedMap.1, process: try registerProcess(shared),
            isFirst: isFirst, isLogEndKnown: isLogEndKnown)
    }

    /// Opens the data file.
    ///
    /// On an overlay of file systems, as containers have them, a file that is opened for reading only may
    /// be a layer's, and another file take its place when it is first opened for writing. So it is opened
    /// for writing there in any case.
    ///
    /// - Throws: EACCES for a reader on an overlay that may not write.
    func openData(
        _ directory: any StorageDirectory, _ access: FileAccess
    ) throws(DatabaseError) -> any StorageFile {
        let file = try directory.open(Self.dataName, access: access, create: false, mode: 0)
        guard access == .readOnly, file.isOnOverlay() else { return file }
        file.close()
        do throws(DatabaseError) {
            return try directory.open(
                Self.dataName, access: .readWrite, create: false, mode: 0)
        } catch {
            throw DatabaseError(
                systemError: error.systemError == 0 ? EACCES : error.systemError,
                "open \(path)/\(Self.dataName), which is on an overlay of file systems: there it must "
                    + "be opened for writing even to read, so that all see the same file")
        }
    }

    /// Notes on the data file itself that it is open: `lock.zdb` may be removed, and then another process
    /// would make a new one and think itself the first.
    ///
    /// - Throws: `busy` if others have it open that this process does not see.
    func lockData(_ file: any StorageFile, isFirst: Bool) throws(DatabaseError) {
        var isFree = true
        if isFirst {
            isFree =
                options.isReadOnly
                ? try !file.isLocked(byte: LockByte.data)
                : try file.lock(byte: LockByte.data, .exclusive, wait: false)
        }
        guard isFree, try file.lock(byte: LockByte.data, .shared, wait: false) else {
            throw DatabaseError(
                .busy,
                "other programs have \(path)/\(Self.dataName) open through another "
                    + "\(Self.lockName), which was removed or replaced, or on a medium that they "
                    + "cannot write to; close it there first")
        }
    }

    /// - Throws: `versionMismatch` if the environment uses features that this library does not know and
    ///   without which it must not write.
    func checkWritable(_ features: Meta.Features) throws(DatabaseError) {
        let unknown = features.toWrite & ~Meta.Features.known.toWrite
        guard unknown != 0 else { return }
        throw DatabaseError(
            .versionMismatch,
            "\(path)/\(Self.dataName) uses \(Meta.Features.describe(unknown)) of those without which it "
                + "cannot be written, which this library does not know; open it for reading only, or use "
                + "a newer library")
    }

    /// Takes an entry in the table of processes, locked until this process dies.
    func registerProcess(
        _ shared: SharedState
    ) throws(DatabaseError) -> SharedState.Owner {
        guard let lockFile else { return shared.registerProcess(entry: 0) }
        for entry in 0..<SharedState.Layout.processesMax
        where try lockFile.lock(
            byte: LockByte.firstProcess + UInt64(entry), .exclusive, wait: false)
        {
            return shared.registerProcess(entry: entry)
        }
        shared.count(Limit.processes)
        throw DatabaseError(
            .readersFull, limit: .processes,
            "\(SharedState.Layout.processesMax) processes have the environment at \(path) open")
    }

    private func dataFileExists(_ directory: any StorageDirectory) throws(DatabaseError) -> Bool {
        do throws(DatabaseError) {
            try directory.open(Self.dataName, access: .readOnly, create: false, mode: 0).close()
            return true
        } catch {
            if error.systemError == ENOENT { return false }
            throw error
        }
    }

    /// Opens and locks `lock.zdb`.
    ///
    /// - Returns: whether no other process has the environment open, so that this one prepares
    ///   what all share, holding the lock alone.
    private mutating func openLockFile(
        _ directory: any StorageDirectory, creates: Bool
    ) throws(DatabaseError) -> Bool {
        let file: any StorageFile
        do throws(DatabaseError) {
            file = try makeOrOpenLockFile(directory, creates: creates)
        } catch {
            // Nobody can write to a read-only medium. A reader that only lacks the right to write would
            // not be seen by those who have it.
            if options.isReadOnly, error.systemError == EROFS { return true }
            guard options.isReadOnly, [EACCES, EPERM].contains(error.systemError) else {
                throw error
            }
            throw DatabaseError(
                systemError: error.systemError,
                "open \(path)/\(Self.lockName) for writing: a reader must enter itself in it, so that "
                    + "writers keep what it reads; give this user write permission for that file")
        }
        lockFile = file
        if let kind = try file.networkFileSystem() {
            throw DatabaseError(
                .unsupported,
                "\(path) is on a network file system (\(kind)), where neither file locks nor shared "
                    + "memory can be trusted; use a local disk")
        }
        var isFirst = false
        try waitForOthers { () throws(DatabaseError) in
            isFirst = try file.lock(byte: LockByte.open, .exclusive, wait: false)
            if isFirst { return true }
            return try joins(file)
        }
        guard isFirst else { return false }
        try checkLockFile(file, directory)
        try noteOpening(file)
        return true
    }

    /// Nanoseconds for which an opening waits at least for others that are about to open or to close.
    private static let othersDelay: UInt64 = 1_000_000_000

    /// Tries again while others are between two steps of opening or closing.
    ///
    /// - Throws: `busy` if they do not go on: one may be stopped.
    func waitForOthers(_ succeeds: () throws(DatabaseError) -> Bool) throws(DatabaseError) {
        let end = max(
            options.writerWait.end, SystemCall.monotonicNanoseconds() + Self.othersDelay)
        guard try ProcessLocks.retry(until: end, succeeds) else {
            throw DatabaseError(
                .busy,
                "another process has begun to open or to close the environment at \(path), and has "
                    + "not come to its end; try again, or end it")
        }
    }

    /// Locks `lock.zdb` as one of those that have the environment open.
    ///
    /// - Returns: false if nobody uses the shared state: a process that was setting it up has died, and
    ///   another has to begin again, or one that opens it too has not come that far.
    func joins(_ file: any StorageFile) throws(DatabaseError) -> Bool {
        try waitForOpening(file)
        if try file.isLocked(byte: LockByte.live) { return true }
        _ = try file.lock(byte: LockByte.open, .unlocked, wait: false)
        return false
    }

    private mutating func makeOrOpenLockFile(
        _ directory: any StorageDirectory, creates: Bool
    ) throws(DatabaseError) -> any StorageFile {
        do throws(DatabaseError) {
            // Not to be created if it is there: in a directory with the sticky bit the kernel refuses that
            // for a file of another user's.
            return try openLock(directory, create: false)
        } catch {
            // A copy of the data file is an environment, of which only this is missing.
            guard error.systemError == ENOENT,
                creates || options.isReadOnly || options.root != nil
                    || (try? dataFileExists(directory)) == true
            else { throw error }
        }
        // Nothing is left in a directory whose data file is something else.
        if options.root == nil, try !dataFileExists(directory) {
            try refuseOthers(in: directory)
        } else if options.root == nil {
            let data = try openData(directory, .readOnly)
            defer { data.close() }
            _ = try MetaPages.load(from: data)
        }
        hasMadeLockFile = true
        return try openLock(directory, create: true)
    }

    func openLock(
        _ directory: any StorageDirectory, create: Bool
    ) throws(DatabaseError) -> any StorageFile {
        // A reader too writes in the reader table.
        try openWithoutChildren { () throws(DatabaseError) in
            try directory.open(
                Self.lockName, access: .readWrite, create: create, mode: options.fileMode)
        }
    }

    /// Makes sure that `lock.zdb`, which this process is to write anew, is none of another program's. The
    /// library's own begins with its magic number, or with zeros if it never was set up; what a stray
    /// pointer has left of it has its size.
    private func checkLockFile(
        _ file: any StorageFile, _ directory: any StorageDirectory
    ) throws(DatabaseError) {
        let magic = try word(of: file, at: SharedState.Layout.magicOffset)
        if magic == 0 || magic == SharedState.Layout.magic { return }
        let isLarge = try file.size() >= UInt64(SharedState.Layout.readerSlots)
        let isOurs = isLarge ? try dataFileExists(directory) : false
        guard isOurs else {
            throw DatabaseError(
                .invalidFile,
                "\(path)/\(Self.lockName) is not a lock file of ZeroDB's; move it away")
        }
    }

    /// A word of `lock.zdb`, with zeros where that is too short.
    private func word(of file: any StorageFile, at offset: Int) throws(DatabaseError) -> UInt64 {
        let bytes = UnsafeMutableRawBufferPointer.allocate(byteCount: 8, alignment: 8)
        defer { bytes.deallocate() }
        bytes.initializeMemory(as: UInt8.self, repeating: 0)
        _ = try file.read(into: bytes, at: UInt64(offset))
        return bytes.load(as: UInt64.self)
    }

    /// Names this process to those that wait until the environment is set up.
    private func noteOpening(_ file: any StorageFile) throws(DatabaseError) {
        let bytes = UnsafeMutableRawBufferPointer.allocate(byteCount: 8, alignment: 8)
        defer { bytes.deallocate() }
        bytes.storeBytes(of: UInt64(UInt32(bitPattern: getpid())), as: UInt64.self)
        try file.write(
            UnsafeRawBufferPointer(bytes), at: UInt64(SharedState.Layout.openingProcessID))
    }

    /// Waits until the process that prepares the environment, and perhaps replays the log, has finished.
    ///
    /// - Throws: `busy` if it does not in the time that the options give it.
    func waitForOpening(_ file: any StorageFile) throws(DatabaseError) {
        let wait = options.writerWait
        if wait == .forever {
            _ = try file.lock(byte: LockByte.open, .shared, wait: true)
            return
        }
        let isOpen = try ProcessLocks.retry(until: wait.end) { () throws(DatabaseError) in
            try file.lock(byte: LockByte.open, .shared, wait: false)
        }
        guard isOpen else {
            let id = try word(of: file, at: SharedState.Layout.openingProcessID)
            throw DatabaseError(
                .busy,
                "\(ProcessLocks.describe(process: Int32(truncatingIfNeeded: id))) is opening the "
                    + "environment at \(path), perhaps replaying its log, and has not come to its end; "
                    + "try again, or end it")
        }
    }

    /// Gives `lock.zdb` the access that `data.zdb` has: it may have been made by this process, as another
    /// user than the one that made the environment.
    ///
    /// - Throws: EACCES if it would keep that user out; then it is not left there.
    private func giveLockFileAccess(
        like dataFile: any StorageFile, _ directory: any StorageDirectory
    ) throws(DatabaseError) {
        do throws(DatabaseError) {
            try lockFile?.takeAccess(of: dataFile)
        } catch {
            if hasMadeLockFile { try? directory.remove(Self.lockName) }
            throw error
        }
    }

    mutating func register(_ identity: FileIdentity) throws(DatabaseError) {
        guard
            OpenIdentities.shared.withLock({ $0.insert(identity, in: fileSystem.simulatedProcess) })
        else {
            throw DatabaseError(
                .busy,
                "this process has the environment at \(path) open already; share that handle "
                    + "between threads, or close it first")
        }
        registered = identity
    }

    /// Bytes of the data file that a process can read at least, whatever its `max_size`.
    private static let readableMin: UInt64 = 1 << 30

    /// Maps the data file at the full length it may ever reach, so that no pointer moves when
    /// it grows. Where so much address space is not to be had, as much as there is.
    mutating func mapData(
        _ file: any StorageFile, meta: Meta
    ) throws(DatabaseError) -> (UnsafeMutableRawPointer, Int) {
        let pageSize = UInt64(meta.pageSize)
        let needed = max(meta.pageCount * pageSize, Limits.maxSizeMin)
        // A smaller max_size than the data has bounds growth; it cannot unmap what is there. What other
        // processes may add with a larger one can be read as far as it is mapped.
        let own = max(options.maxSize / pageSize * pageSize, needed)
        var length = max(own, max(Self.readableMin, needed / pageSize * 4 * pageSize))
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
                guard [ENOMEM, EINVAL].contains(error.systemError),
                    length > own || length / 2 >= needed
                else { throw error }
                length = length > own ? own : length / 2 / pageSize * pageSize
            }
        }
    }

    mutating func openShared(
        _ loaded: MetaPages.Loaded, _ freeList: FreeList, _ identity: FileIdentity,
        _ directory: FileIdentity, isFirst: Bool
    ) throws(DatabaseError) -> SharedState {
        let meta = loaded.meta
        // The map is as long as the table may ever get; the file grows.
        let readersInitial = min(options.maxReaders, SharedState.readersInitial)
        guard let lockFile else {
            // Nothing can be written here: a reader table of this process's own.
            let length = SharedState.byteCount(readers: options.maxReaders)
            let address = mmap(
                nil, length, PROT_READ | PROT_WRITE,
                MAP_PRIVATE | Int32(MAP_ANONYMOUS) | Int32(MAP_NORESERVE), -1, 0)
            guard let address, address != MAP_FAILED else {
                throw DatabaseError(systemError: errno, "reserve a reader table")
            }
            sharedMap = (address, length)
            return setUp(
                address, readers: readersInitial, loaded, freeList, identity, directory)
        }
        if isFirst {
            let left = try leftovers(lockFile, of: meta, identity)
            let size = UInt64(SharedState.byteCount(readers: readersInitial))
            let sizeBefore = try lockFile.size()
            if sizeBefore != size { try lockFile.truncate(to: size) }
            // A store to a page that the full disk has no room for would end the process.
            try lockFile.allocate(from: 0, to: size)
            let length = SharedState.byteCount(readers: options.maxReaders)
            let address = try lockFile.map(length: length, writable: true)
            sharedMap = (address, length)
            let shared = setUp(
                address, readers: readersInitial, loaded, freeList, identity, directory)
            shared.isRootConfirmed = left.isClean
            isLogEndKnown = left.isClean && left.boot != 0 && left.boot == fileSystem.boot
            // A reader leaves the mark to the next process.
            if left.isClean, options.isReadOnly {
                shared.markClean(meta.transaction, boot: left.boot)
            }
            if !left.hasMetrics, sizeBefore > SharedState.Layout.metrics { shared.clearMetrics() }
            return shared
        }
        let header = UnsafeMutableRawBufferPointer.allocate(byteCount: 16, alignment: 8)
        defer { header.deallocate() }
        guard let start = header.baseAddress, try lockFile.read(into: header, at: 0) == 16,
            let readersMax = SharedState.readersMax(in: start),
            Limits.readersRange.contains(readersMax)
        else {
            throw DatabaseError(
                .versionMismatch,
                "\(path)/lock.zdb has another layout than this library's: the environment is "
                    + "open in a program with another version; close it there first")
        }
        let length = SharedState.byteCount(readers: readersMax)
        let address = try lockFile.map(length: length, writable: true)
        sharedMap = (address, length)
        let shared = SharedState(base: address, readersMax: readersMax, file: lockFile)
        self.shared = shared
        guard shared.belongs(to: meta.environmentID), shared.dataFile == identity else {
            throw DatabaseError(
                .busy,
                "\(path)/data.zdb was replaced while other programs have it open; close it "
                    + "there first")
        }
        guard shared.directory == directory else {
            throw DatabaseError(
                .busy,
                "\(path)/data.zdb is a hard link to the data file of an environment that other "
                    + "programs have open in another directory, where its log is; open it there, or "
                    + "make a copy when it is closed")
        }
        return shared
    }

    /// What counts of an old `lock.zdb`.
    ///
    /// - Returns: whether the last to close left a mark there that this state is on disk, and in which start
    ///   of the machine; whether there are metrics of this environment.
    private func leftovers(
        _ lockFile: any StorageFile, of meta: Meta, _ identity: FileIdentity
    ) throws(DatabaseError) -> (isClean: Bool, boot: UInt64, hasMetrics: Bool) {
        let size = SharedState.Layout.clean + 8
        let bytes = UnsafeMutableRawBufferPointer.allocate(byteCount: size, alignment: 8)
        defer { bytes.deallocate() }
        guard let start = bytes.baseAddress, try lockFile.read(into: bytes, at: 0) == size,
            SharedState.belongs(start, to: meta.environmentID)
        else { return (false, 0, false) }
        // A copy, which has the mark too, may not be on disk.
        let isClean =
            start.littleEndian(SharedState.Layout.clean) == meta.transaction + 1
            && SharedState.dataFile(start) == identity
        let hasThisLayout = SharedState.hasThisLayout(start)
        return (
            isClean, hasThisLayout ? start.littleEndian(SharedState.Layout.cleanBoot) : 0,
            hasThisLayout
        )
    }

    private mutating func setUp(
        _ address: UnsafeMutableRawPointer, readers: Int, _ loaded: MetaPages.Loaded,
        _ freeList: FreeList, _ identity: FileIdentity, _ directory: FileIdentity
    ) -> SharedState {
        let meta = loaded.meta
        let shared = SharedState(
            base: address, readersMax: options.maxReaders, file: lockFile)
        self.shared = shared
        shared.initialize(
            environmentID: meta.environmentID, dataFile: identity, directory: directory,
            readers: readers)
        shared[SharedState.Layout.openingProcessID] = UInt64(UInt32(bitPattern: getpid()))
        shared.publishTip(meta, freeList)
        shared.raiseVisible(to: meta.transaction)
        shared.checkpoint = meta.transaction
        shared.checkpointLogEnd = meta.logEnd
        shared.checkpointPinnedTotal = meta.pinnedTotal
        shared.metaPage = loaded.page
        // No state before this one is needed any more.
        shared.lowered = meta.transaction
        shared.raiseFlushed(to: meta.logEnd)
        return shared
    }

    mutating func undo() {
        shared?.deallocate()
        if let sharedMap {
            if let lockFile {
                lockFile.unmap(sharedMap.0, length: sharedMap.1)
            } else {
                munmap(sharedMap.0, sharedMap.1)
            }
        }
        if let verifiedMap { munmap(verifiedMap.0, verifiedMap.1) }
        if let map { dataFile?.unmap(map.0, length: map.1) }
        if let registered {
            OpenIdentities.shared.withLock {
                $0.remove(registered, in: fileSystem.simulatedProcess)
            }
        }
        dataFile?.close()
        lockFile?.close()
        directory?.close()
    }
}
