import Glibc
import Synchronization

@testable import ZeroDB

/// A simulated disk as one process sees it. Two processes of a disk share what real ones would:
/// files, locks, and the maps of `lock.zdb`.
final class SimulatedProcess: PathFileSystem {
    /// Processes of a disk.
    static let countMax = 4096
    private static let tokens = Atomic<UInt64>(0)

    let disk: SimulatedDisk
    let number: Int
    /// What one process opens it opens once, and all simulated ones are one real process.
    let simulatedProcess = tokens.add(1, ordering: .relaxed).newValue

    init(_ disk: SimulatedDisk, number: Int = 0) {
        self.disk = disk
        self.number = number
    }

    var isDead: Bool { disk.isDead(number) }

    func open(_ path: String, access: FileAccess, create: Bool, mode: UInt32)
        throws(DatabaseError) -> any StorageFile
    {
        let (file, handle) = try disk.open(path, create: create, process: number)
        let name = path.split(separator: "/").last.map(String.init) ?? path
        return SimulatedFile(
            file, name: name, disk: disk, handle: handle, process: number,
            identity: FileIdentity(device: disk.device, inode: UInt64(file.inode)))
    }

    func makeDirectory(_ path: String, mode: UInt32) throws(DatabaseError) {
        try disk.makeDirectory(path, process: number)
    }

    func rename(_ from: String, to: String) throws(DatabaseError) {
        try disk.rename(from, to: to, process: number)
    }

    func remove(_ path: String) throws(DatabaseError) { try disk.remove(path, process: number) }

    func list(_ directory: String) throws(DatabaseError) -> [String] {
        try disk.list(directory, process: number)
    }

    func now() -> UInt64 { disk.now }

    func hasDirectory(_ path: String) -> Bool { disk.directoryPaths.contains(path) }

    func syncDirectory(_ path: String) throws(DatabaseError) {
        try disk.flushDirectory(path, process: number)
    }
}

/// An open file of a simulated process.
final class SimulatedFile: StorageFile, @unchecked Sendable {
    let name: String
    private let file: SimulatedDisk.File
    private let disk: SimulatedDisk
    private let handle: Int
    private let process: Int
    private let fileIdentity: FileIdentity

    init(
        _ file: SimulatedDisk.File, name: String, disk: SimulatedDisk, handle: Int, process: Int,
        identity: FileIdentity
    ) {
        self.file = file
        self.name = name
        self.disk = disk
        self.handle = handle
        self.process = process
        fileIdentity = identity
    }

    func size() throws(DatabaseError) -> UInt64 {
        try disk.look(.size, name, process: process) { () throws(DatabaseError) in
            UInt64(file.volatile?.size ?? file.memory.size)
        }
    }

    func identity() throws(DatabaseError) -> FileIdentity {
        try disk.look(.identity, name, process: process) { () throws(DatabaseError) in
            fileIdentity
        }
    }

    func write(_ buffers: UnsafeBufferPointer<UnsafeRawBufferPointer>, at offset: UInt64)
        throws(DatabaseError)
    {
        try disk.write(buffers, at: Int(offset), to: file, name, process: process)
    }

    func read(into buffer: UnsafeMutableRawBufferPointer, at offset: UInt64)
        throws(DatabaseError) -> Int
    {
        try disk.look(.read, name, process: process) { () throws(DatabaseError) in
            if let volatile = file.volatile { return volatile.read(into: buffer, at: Int(offset)) }
            let count = min(buffer.count, max(0, file.memory.size - Int(offset)))
            if count > 0, let start = buffer.baseAddress {
                memcpy(start, file.memory.base + Int(offset), count)
            }
            return count
        }
    }

    func sync() throws(DatabaseError) { try disk.flush(file, name, process: process) }

    func truncate(to size: UInt64) throws(DatabaseError) {
        try disk.truncate(file, to: Int(size), name, process: process)
    }

    func map(length: Int, writable: Bool) throws(DatabaseError) -> UnsafeMutableRawPointer {
        try disk.look(.map, name, process: process) { () throws(DatabaseError) in
            if let volatile = file.volatile { return volatile.map(length, for: process) }
            guard length <= SimulatedMemory.capacity else {
                throw DatabaseError(systemError: ENOMEM, "map \(length) bytes of \(name)")
            }
            return file.memory.base
        }
    }

    func unmap(_ address: UnsafeMutableRawPointer, length: Int) {
        disk.unmap(file, address)
    }

    func lock(byte: UInt64, _ mode: LockMode, wait: Bool) throws(DatabaseError) -> Bool {
        try disk.lock(file, byte: byte, mode, wait: wait, handle: handle, process: process)
    }

    func isLocked(byte: UInt64) throws(DatabaseError) -> Bool {
        try disk.isLocked(file, byte: byte, handle: handle, process: process)
    }

    func abandonInChild() throws(DatabaseError) {}

    func close() { disk.close(handle: handle) }
}
