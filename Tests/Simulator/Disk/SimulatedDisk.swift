import Glibc
import Synchronization

@testable import ZeroDB

/// The disk of a simulated machine: files, names, and the journal of all that happened to them,
/// from which `DiskImage` tells what a power cut leaves.
///
/// Programs use it through a `SimulatedProcess`. Any number of threads may.
final class SimulatedDisk: @unchecked Sendable {
    /// A file that has, or had, a name.
    final class File {
        let inode: Int
        let memory: SimulatedMemory
        /// For `lock.zdb`, which no journal follows.
        let volatile: VolatileMemory?

        init(inode: Int, memory: SimulatedMemory, volatile: VolatileMemory? = nil) {
            self.inode = inode
            self.memory = memory
            self.volatile = volatile
        }
    }

    private struct LockedByte: Hashable {
        var inode: Int
        var byte: UInt64
    }

    private static let devices = Atomic<UInt64>(1 << 32)

    /// By which its files are told from another disk's.
    let device = devices.add(1, ordering: .relaxed).newValue
    private let mutex = Mutex()
    private let changed = Condition()
    // All below under `mutex`.
    private var files: [String: File]
    private var directories: Set<String>
    private var nextInode: Int
    private var events: [DiskEvent] = []
    private var isRecording: Bool
    private var locks: [LockedByte: [Int: LockMode]] = [:]
    private var nextHandle = 0
    private var deadProcesses: Set<Int> = []
    private var interference = Interference()

    /// Nanoseconds since 1970; stands still unless the program says otherwise.
    private let clock = Atomic<UInt64>(1_800_000_000_000_000_000)

    /// Run in the middle of every flush of a file, by the thread that flushes, with its name.
    var duringFlush: (@Sendable (String) -> Void)?

    /// Run when a flush has failed, before the thread that made it learns that.
    var afterFailedFlush: (@Sendable () -> Void)?

    /// Run before a lock is waited for that its holder has alone, by the thread that wants it, with
    /// the locked byte.
    var beforeLock: (@Sendable (UInt64) -> Void)?

    /// - Parameters:
    ///   - files: by path.
    ///   - directories: paths; that of the root is "".
    init(files: [String: File] = [:], directories: Set<String> = [], isRecording: Bool) {
        self.files = files
        self.directories = directories.union([""])
        nextInode = (files.values.map(\.inode).max() ?? 0) + 1
        self.isRecording = isRecording
    }

    private func locked<Result, Failure: Error>(
        _ body: () throws(Failure) -> Result
    ) throws(Failure) -> Result {
        mutex.lock()
        defer { mutex.unlock() }
        return try body()
    }

    // MARK: For tests

    var journal: [DiskEvent] { locked { events } }
    var eventCount: Int { locked { events.count } }
    /// Calls since the disk was last armed.
    var callCount: Int { locked { interference.calls } }
    var failureCount: Int { locked { interference.failures } }

    var now: UInt64 { clock.load(ordering: .relaxed) }

    func advanceClock(milliseconds: Int) {
        clock.add(UInt64(milliseconds) * 1_000_000, ordering: .relaxed)
    }

    func stopRecording() { locked { isRecording = false } }

    func note(_ note: ProgramNote) { locked { record(.note(note)) } }

    /// Makes a call to come fail or kill its process.
    func arm(_ trap: Trap?) { locked { interference = Interference(trap) } }

    /// Ends a process at once: what it wrote stays, its locks go, its calls have no effect.
    func kill(_ process: Int) { locked { end(process) } }

    func isDead(_ process: Int) -> Bool { locked { deadProcesses.contains(process) } }

    /// The files as programs see them now; lock files apart.
    var contents: [String: File] { locked { files.filter { $0.value.volatile == nil } } }
    var directoryPaths: Set<String> { locked { directories } }

    /// The bytes of a lock file.
    func volatileBytes(_ path: String) -> [UInt8]? { locked { files[path]?.volatile?.bytes } }

    // MARK: Calls

    private func record(_ event: DiskEvent) {
        if isRecording { events.append(event) }
    }

    private func end(_ process: Int) {
        deadProcesses.insert(process)
        for key in locks.keys {
            locks[key] = locks[key]?.filter { $0.key % SimulatedProcess.countMax != process }
        }
        for file in files.values { file.volatile?.detach(process) }
        changed.broadcast()
    }

    private func checkAlive(_ process: Int) throws(DatabaseError) {
        guard !deadProcesses.contains(process) else {
            throw DatabaseError(systemError: ESHUTDOWN, "do anything: the process is dead")
        }
    }

    /// Begins a call of the seam, unless its process is dead or the call kills it.
    ///
    /// - Returns: the trap that hits it, if one does.
    private func enter(_ kind: SeamCall, _ process: Int) throws(DatabaseError) -> Trap? {
        try checkAlive(process)
        let hit = interference.hit(kind)
        if case .killBefore = hit?.effect {
            end(process)
            try checkAlive(process)
        }
        return hit
    }

    private func injected(_ error: Int32, _ kind: SeamCall, _ name: String) -> DatabaseError {
        DatabaseError(systemError: error, "\(kind.rawValue) \(name) (injected)")
    }

    /// Runs a call of the seam, unless its process is dead, the call kills it or is to fail.
    ///
    /// - Parameters:
    ///   - onFault: what the call does all the same when it is made to fail.
    private func call<Result>(
        _ kind: SeamCall, _ process: Int, _ name: String, onFault: (Trap) -> Void = { _ in },
        _ body: () throws(DatabaseError) -> Result
    ) throws(DatabaseError) -> Result {
        mutex.lock()
        defer { mutex.unlock() }
        let hit = try enter(kind, process)
        if let hit, case .fail(let error) = hit.effect {
            onFault(hit)
            throw injected(error, kind, name)
        }
        let result = try body()
        if case .killAfter = hit?.effect { end(process) }
        return result
    }

    // MARK: Names

    func open(
        _ path: String, create: Bool, process: Int
    ) throws(DatabaseError) -> (File, handle: Int) {
        try call(.open, process, path) { () throws(DatabaseError) in
            nextHandle += 1
            let handle = nextHandle * SimulatedProcess.countMax + process
            if let known = files[path] { return (known, handle) }
            guard create, directories.contains(parent(of: path)) else {
                throw DatabaseError(systemError: ENOENT, "open \(path)")
            }
            let isVolatile = path.hasSuffix("/lock.zdb")
            let new = File(
                inode: nextInode, memory: SimulatedMemory(),
                volatile: isVolatile ? VolatileMemory([]) : nil)
            nextInode += 1
            files[path] = new
            if !isVolatile { record(.named(.create(path, inode: new.inode))) }
            return (new, handle)
        }
    }

    func makeDirectory(_ path: String, process: Int) throws(DatabaseError) {
        try call(.makeDirectory, process, path) { () throws(DatabaseError) in
            guard directories.contains(parent(of: path)) else {
                throw DatabaseError(systemError: ENOENT, "make directory \(path)")
            }
            if directories.insert(path).inserted { record(.named(.makeDirectory(path))) }
        }
    }

    func rename(_ from: String, to: String, process: Int) throws(DatabaseError) {
        try call(.rename, process, from) { () throws(DatabaseError) in
            guard let file = files.removeValue(forKey: from) else {
                throw DatabaseError(systemError: ENOENT, "rename \(from) to \(to)")
            }
            files[to] = file
            record(.named(.rename(from: from, to: to, inode: file.inode)))
        }
    }

    func remove(_ path: String, process: Int) throws(DatabaseError) {
        try call(.remove, process, path) { () throws(DatabaseError) in
            guard let file = files.removeValue(forKey: path), file.volatile == nil else { return }
            record(.named(.remove(path, inode: file.inode)))
        }
    }

    func list(_ directory: String, process: Int) throws(DatabaseError) -> [String] {
        try call(.list, process, directory) { () throws(DatabaseError) in
            let paths = files.keys.filter { parent(of: $0) == directory }
            return paths.sorted().map { String($0.dropFirst(directory.count + 1)) }
        }
    }

    func flushDirectory(_ path: String, process: Int) throws(DatabaseError) {
        try call(.syncDirectory, process, path) { () throws(DatabaseError) in
            record(.directoryFlushed(path, began: events.count))
        }
    }

    // MARK: Files

    /// Calls that only look.
    func look<Result>(
        _ kind: SeamCall, _ name: String, process: Int,
        _ body: () throws(DatabaseError) -> Result
    ) throws(DatabaseError) -> Result {
        try call(kind, process, name, body)
    }

    func write(
        _ buffers: UnsafeBufferPointer<UnsafeRawBufferPointer>, at offset: Int, to file: File,
        _ name: String, process: Int
    ) throws(DatabaseError) {
        let count = buffers.reduce(0) { $0 + $1.count }
        // swift-format-ignore: OnlyOneTrailingClosureArgument
        try call(
            .write, process, name,
            onFault: { store(buffers, count * $0.storedPercent / 100, at: offset, in: file) }
        ) { () throws(DatabaseError) in
            store(buffers, count, at: offset, in: file)
        }
    }

    /// Stores the first bytes of buffers.
    private func store(
        _ buffers: UnsafeBufferPointer<UnsafeRawBufferPointer>, _ count: Int, at offset: Int,
        in file: File
    ) {
        guard count > 0 else { return }
        let sizeBefore = file.memory.size
        if offset + count > sizeBefore { file.memory.resize(to: offset + count) }
        var done = 0
        for buffer in buffers where done < count {
            let part = min(buffer.count, count - done)
            let target = file.memory.base + offset + done
            // Zeros behind the end are there without touching memory.
            if let start = buffer.baseAddress,
                offset + done < sizeBefore || !isZero(start, part)
            {
                memcpy(target, start, part)
            }
            done += part
        }
        if isRecording {
            let write = SectorWrite(file.memory, offset..<(offset + count))
            record(.write(inode: file.inode, write))
        }
    }

    func truncate(_ file: File, to size: Int, _ name: String, process: Int) throws(DatabaseError) {
        try call(.truncate, process, name) { () throws(DatabaseError) in
            if let volatile = file.volatile {
                volatile.size = size
            } else {
                file.memory.resize(to: size)
                record(.truncate(inode: file.inode, size: size))
            }
        }
    }

    func flush(_ file: File, _ name: String, process: Int) throws(DatabaseError) {
        let (began, hit) = try locked { () throws(DatabaseError) in
            let hit = try enter(.sync, process)
            if case .killAfter = hit?.effect { end(process) }
            return (events.count, hit)
        }
        // Others go on while the medium works, also where it fails in the end.
        duringFlush?(name)
        var failure: DatabaseError?
        try locked { () throws(DatabaseError) in
            try checkAlive(process)
            if case .fail(let error) = hit?.effect {
                failure = injected(error, .sync, name)
                record(.flushFailed(inode: file.inode, began: began))
            } else {
                record(.flushed(inode: file.inode, began: began))
            }
        }
        if let failure {
            afterFailedFlush?()
            throw failure
        }
    }

    func unmap(_ file: File, _ address: UnsafeMutableRawPointer) {
        locked { _ = file.volatile?.unmap(address) }
    }

    // MARK: Locks

    func lock(
        _ file: File, byte: UInt64, _ mode: LockMode, wait: Bool, handle: Int, process: Int
    ) throws(DatabaseError) -> Bool {
        if wait, mode == .exclusive { beforeLock?(byte) }
        let key = LockedByte(inode: file.inode, byte: byte)
        func unlock() {
            locks[key]?[handle] = nil
            changed.broadcast()
        }
        // The kernel needs nothing to give back a lock that is held: it is gone, whatever the call says.
        let onFault: (Trap) -> Void = { _ in if mode == .unlocked { unlock() } }
        return try call(.lock, process, "lock.zdb", onFault: onFault) { () throws(DatabaseError) in
            if mode == .unlocked {
                unlock()
                return true
            }
            while isLocked(key, against: handle, mode) {
                guard wait else { return false }
                changed.wait(with: mutex)
                try checkAlive(process)
            }
            locks[key, default: [:]][handle] = mode
            return true
        }
    }

    func isLocked(
        _ file: File, byte: UInt64, handle: Int, process: Int
    ) throws(DatabaseError) -> Bool {
        try call(.isLocked, process, "lock.zdb") { () throws(DatabaseError) in
            isLocked(LockedByte(inode: file.inode, byte: byte), against: handle, .exclusive)
        }
    }

    /// Whether a process holds one of these locks exclusively.
    func isHeld(anyOf bytes: Set<UInt64>) -> Bool {
        locked {
            locks.contains { key, holders in
                bytes.contains(key.byte) && holders.values.contains(.exclusive)
            }
        }
    }

    private func isLocked(_ key: LockedByte, against handle: Int, _ mode: LockMode) -> Bool {
        (locks[key] ?? [:]).contains { holder, held in
            holder != handle && (mode == .exclusive || held == .exclusive)
        }
    }

    /// Closing gives the locks back, also in a process that is dying.
    func close(handle: Int) {
        locked {
            for key in locks.keys { locks[key]?[handle] = nil }
            changed.broadcast()
        }
    }
}
