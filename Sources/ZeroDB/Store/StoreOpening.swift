import CZeroDBPlatform
import Glibc
import Synchronization

/// The steps of opening, so that a failure in the middle can undo those before it.
struct StoreOpening {
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
            try fileSystem.syncDirectory(Self.parent(of: path))
        }
        if isFirst, creates { try removeLeftovers() }
        let access: FileAccess = options.isReadOnly ? .readOnly : .readWrite
        let file = try fileSystem.open(dataPath, access: access, create: false, mode: 0)
        dataFile = file
        let identity = try file.identity()
        try register(identity)
        let loaded = try MetaPages.load(from: file)
        let meta = loaded.meta
        let freeList = FreeList.allocate()
        defer { freeList.deallocate() }
        // Only the first to open needs it. For others the page may be changing.
        if isFirst || lockFile == nil {
            try MetaPages.loadFreeList(into: freeList, of: loaded, from: file)
        }
        let (mapped, mapLength) = try mapData(file, meta: meta)
        let shared = try openShared(loaded, freeList, isFirst: isFirst)
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
        for entry in 0..<SharedState.Layout.processesMax
        where try lockFile.lock(
            byte: LockByte.firstProcess + UInt64(entry), .exclusive, wait: false)
        {
            return shared.registerProcess(entry: entry)
        }
        throw DatabaseError(
            .readersFull,
            "\(SharedState.Layout.processesMax) processes have the environment at \(path) open")
    }

    /// The directory that the environment's is in.
    static func parent(of path: String) -> String {
        var components = path.split(separator: "/", omittingEmptySubsequences: true)
        if !components.isEmpty { components.removeLast() }
        let joined = components.joined(separator: "/")
        if path.hasPrefix("/") { return "/" + joined }
        return joined.isEmpty ? "." : joined
    }

    /// Removes log files that a process was preparing when it died.
    private func removeLeftovers() throws(DatabaseError) {
        let directory = LogSegment.directory(of: path)
        for name in try fileSystem.list(directory)
        where name.hasPrefix(LogSegment.spareName + ".") {
            try fileSystem.remove(directory + "/" + name)
        }
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
    /// - Returns: whether no other process has the environment open, so that this one prepares
    ///   what all share, holding the lock alone.
    private mutating func openLockFile(creates: Bool) throws(DatabaseError) -> Bool {
        let file: any StorageFile
        do throws(DatabaseError) {
            file = try openWithoutChildren(creates: creates)
        } catch {
            let cannotWrite = [EACCES, EROFS, EPERM].contains(error.systemError)
            if options.isReadOnly && cannotWrite { return true }
            throw error
        }
        lockFile = file
        if let kind = try file.networkFileSystem() {
            throw DatabaseError(
                .unsupported,
                "\(path) is on a network file system (\(kind)), where neither file locks nor shared "
                    + "memory can be trusted; use a local disk")
        }
        while true {
            if try file.lock(byte: LockByte.open, .exclusive, wait: false) { return true }
            _ = try file.lock(byte: LockByte.open, .shared, wait: true)
            if try file.isLocked(byte: LockByte.live) { return false }
            // The process that was setting it up died: another has to begin again.
            _ = try file.lock(byte: LockByte.open, .unlocked, wait: false)
            sched_yield()
        }
    }

    /// Opens `lock.zdb` so that no child has its descriptor: not one that another thread forks
    /// meanwhile either.
    private func openWithoutChildren(creates: Bool) throws(DatabaseError) -> any StorageFile {
        while true {
            let forks = zp_forks()
            // A reader too writes in the reader table, if it can.
            let file = try fileSystem.open(
                path + "/lock.zdb", access: .readWrite,
                create: creates || options.isReadOnly, mode: options.fileMode)
            do throws(DatabaseError) {
                try file.abandonInChild()
            } catch {
                file.close()
                throw error
            }
            if zp_forks() == forks { return file }
            file.close()
        }
    }

    private mutating func register(_ identity: FileIdentity) throws(DatabaseError) {
        guard OpenIdentities.shared.withLock({ $0.insert(identity) }) else {
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
        _ loaded: MetaPages.Loaded, _ freeList: FreeList, isFirst: Bool
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
            return setUp(address, readers: readersInitial, loaded, freeList)
        }
        if isFirst {
            let isClean = try hasCleanMark(lockFile, of: meta)
            let size = UInt64(SharedState.byteCount(readers: readersInitial))
            if try lockFile.size() != size { try lockFile.truncate(to: size) }
            let length = SharedState.byteCount(readers: options.maxReaders)
            let address = try lockFile.map(length: length, writable: true)
            sharedMap = (address, length)
            let shared = setUp(address, readers: readersInitial, loaded, freeList)
            shared.isRootConfirmed = isClean
            return shared
        }
        let header = UnsafeMutableRawBufferPointer.allocate(byteCount: 16, alignment: 8)
        defer { header.deallocate() }
        guard let start = header.baseAddress, try lockFile.read(into: header, at: 0) == 16,
            let readersMax = SharedState.readersMax(in: start),
            EnvironmentOptions.maxReadersRange.contains(readersMax)
        else {
            throw DatabaseError(
                .versionMismatch,
                "\(path)/lock.zdb has another layout than this library's: the environment is "
                    + "open in a program with another version; close it there first")
        }
        let length = SharedState.byteCount(readers: readersMax)
        let address = try lockFile.map(length: length, writable: true)
        sharedMap = (address, length)
        let shared = SharedState(base: address, readersMax: readersMax)
        guard shared.belongs(to: meta.environmentID) else {
            throw DatabaseError(
                .busy,
                "\(path)/data.zdb was replaced while other programs have it open; close it "
                    + "there first")
        }
        return shared
    }

    /// Whether the last to close left a mark in `lock.zdb` that this state is on disk.
    private func hasCleanMark(
        _ lockFile: any StorageFile, of meta: Meta
    ) throws(DatabaseError) -> Bool {
        let size = SharedState.Layout.clean + 8
        let bytes = UnsafeMutableRawBufferPointer.allocate(byteCount: size, alignment: 8)
        defer { bytes.deallocate() }
        guard let start = bytes.baseAddress, try lockFile.read(into: bytes, at: 0) == size else {
            return false
        }
        return start.littleEndian(SharedState.Layout.clean) == meta.transaction + 1
            && SharedState.belongs(start, to: meta.environmentID)
    }

    private func setUp(
        _ address: UnsafeMutableRawPointer, readers: Int, _ loaded: MetaPages.Loaded,
        _ freeList: FreeList
    ) -> SharedState {
        let meta = loaded.meta
        let shared = SharedState(base: address, readersMax: options.maxReaders)
        shared.initialize(environmentID: meta.environmentID, readers: readers)
        shared.publishTip(meta, freeList)
        shared.raiseVisible(to: meta.transaction)
        shared.checkpoint = meta.transaction
        shared.checkpointLogEnd = meta.logEnd
        shared.checkpointPinnedTotal = meta.pinnedTotal
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
        if let registered { OpenIdentities.shared.withLock { $0.remove(registered) } }
        dataFile?.close()
        lockFile?.close()
    }
}
