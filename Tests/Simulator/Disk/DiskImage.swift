@testable import ZeroDB

/// What the medium holds at a point of a journal: what has been flushed, and the writes since,
/// each of which a power cut may keep or lose.
///
/// Names follow the same rule, as POSIX leaves it: a change of a directory is durable when the
/// directory has been flushed since. Only changes of one file keep their order, and a rename is
/// one change.
final class DiskImage {
    enum Change {
        case write(SectorWrite)
        case truncate(Int)
    }

    struct PendingChange {
        /// The number of the event.
        var event: Int
        var change: Change
    }

    struct PendingName {
        var event: Int
        var change: NameChange
    }

    final class File {
        let durable: DurableBytes
        var pending: [PendingChange] = []

        init(_ durable: DurableBytes) { self.durable = durable }
    }

    /// Events that have been applied.
    private(set) var position = 0
    private(set) var files: [Int: File] = [:]
    private(set) var names: [String: Int] = [:]
    private(set) var directories: Set<String>
    private(set) var pendingNames: [PendingName] = []
    /// What some power cuts leave in `lock.zdb`.
    let staleLock: [UInt8]?
    let lockPath: String

    /// A new disk, empty but for directories.
    init(directories: Set<String>, lockPath: String, staleLock: [UInt8]?) {
        self.directories = directories
        self.lockPath = lockPath
        self.staleLock = staleLock
    }

    /// A disk whose present contents are all durable.
    init(_ disk: SimulatedDisk, lockPath: String, staleLock: [UInt8]?) {
        self.lockPath = lockPath
        self.staleLock = staleLock
        directories = disk.directoryPaths
        for (path, file) in disk.contents {
            names[path] = file.inode
            files[file.inode] = File(DurableBytes(file.memory.bytes))
        }
    }

    var hasPending: Bool {
        !pendingNames.isEmpty || files.values.contains { !$0.pending.isEmpty }
    }

    // MARK: Events

    func apply(_ event: DiskEvent) {
        switch event {
        case .write(let inode, let write):
            file(inode).pending.append(PendingChange(event: position, change: .write(write)))
        case .truncate(let inode, let size):
            file(inode).pending.append(PendingChange(event: position, change: .truncate(size)))
        case .flushed(let inode, let began): flush(file(inode), before: began)
        case .flushFailed(let inode, let began):
            // Any outcome will do; this one repeats.
            var random = SeededGenerator(seed: UInt64(position))
            flush(file(inode), before: began) { random.chance(50) }
        case .named(let change):
            pendingNames.append(PendingName(event: position, change: change))
        case .directoryFlushed(let path, let began):
            for pending in pendingNames where isCovered(pending, path, began) {
                apply(pending.change)
            }
            pendingNames.removeAll { isCovered($0, path, began) }
            dropUnreachable()
        case .note: break
        }
        position += 1
    }

    private func file(_ inode: Int) -> File {
        if let known = files[inode] { return known }
        let new = File(DurableBytes())
        files[inode] = new
        return new
    }

    /// - Parameter arrives: whether the next sector reaches the medium; all do if it is nil.
    private func flush(_ file: File, before event: Int, _ arrives: (() -> Bool)? = nil) {
        for pending in file.pending where pending.event < event {
            switch pending.change {
            case .truncate(let size):
                if arrives?() ?? true { file.durable.resize(to: size) }
            case .write(let write):
                guard let arrives else {
                    file.durable.apply(write)
                    continue
                }
                for sector in write.sectors where arrives() {
                    file.durable.apply(write, sector: sector)
                }
            }
        }
        file.pending.removeAll { $0.event < event }
    }

    private func isCovered(_ pending: PendingName, _ directory: String, _ began: Int) -> Bool {
        pending.event < began && pending.change.directory == directory
    }

    private func apply(_ change: NameChange) {
        Self.apply(change, to: &names, &directories)
    }

    static func apply(
        _ change: NameChange, to names: inout [String: Int], _ directories: inout Set<String>
    ) {
        switch change {
        case .create(let path, let inode): names[path] = inode
        case .rename(let from, let to, let inode):
            if names[from] == inode { names[from] = nil }
            names[to] = inode
        case .remove(let path, let inode):
            if names[path] == inode { names[path] = nil }
        case .makeDirectory(let path): directories.insert(path)
        }
    }

    /// Forgets files that no name leads to, nor can.
    private func dropUnreachable() {
        let reachable = Set(names.values).union(pendingNames.compactMap(\.change.inode))
        files = files.filter { reachable.contains($0.key) || !$0.value.pending.isEmpty }
    }

    // MARK: Power cuts

    /// A disk as a power cut at this point may leave it.
    func makeDisk(_ survival: inout Survival, isRecording: Bool) -> SimulatedDisk {
        var names = names
        var directories = directories
        for change in survival.choose(pendingNames) {
            Self.apply(change, to: &names, &directories)
        }
        // What is in a directory that was lost is lost.
        names = names.filter { directories.contains(parent(of: $0.key)) }
        var left: [String: SimulatedDisk.File] = [:]
        var known: [Int: SimulatedDisk.File] = [:]
        for (path, inode) in names.sorted(by: { $0.key < $1.key }) {
            if known[inode] == nil {
                let source = file(inode)
                let memory = SimulatedMemory(source.durable)
                survival.apply(source.pending, to: memory)
                known[inode] = SimulatedDisk.File(inode: inode, memory: memory)
            }
            left[path] = known[inode]
        }
        if let staleLock, directories.contains(parent(of: lockPath)), survival.keepsLock() {
            let inode = (names.values.max() ?? 0) + 1
            left[lockPath] = SimulatedDisk.File(
                inode: inode, memory: SimulatedMemory(), volatile: VolatileMemory(staleLock))
        }
        return SimulatedDisk(files: left, directories: directories, isRecording: isRecording)
    }
}
