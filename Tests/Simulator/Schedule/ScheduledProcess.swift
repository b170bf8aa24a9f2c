@testable import ZeroDB

/// A simulated process that makes its calls in an order that a schedule chooses.
final class ScheduledProcess: PathFileSystem {
    private let base: SimulatedProcess
    fileprivate let schedule: ProcessSchedule
    let number: Int

    init(_ number: Int, on disk: SimulatedDisk, _ schedule: ProcessSchedule) {
        base = SimulatedProcess(disk, number: number)
        self.schedule = schedule
        self.number = number
    }

    var simulatedProcess: UInt64 { base.simulatedProcess }

    func now() -> UInt64 { base.now() }

    func hasDirectory(_ path: String) -> Bool { base.hasDirectory(path) }

    fileprivate func before(_ call: SeamCall, _ name: String, _ place: UInt64 = 0) {
        schedule.beforeCall(number, call, name, place)
    }

    func open(_ path: String, access: FileAccess, create: Bool, mode: UInt32)
        throws(DatabaseError) -> any StorageFile
    {
        before(.open, path)
        let file = try base.open(path, access: access, create: create, mode: mode)
        return ScheduledFile(file, self)
    }

    func makeDirectory(_ path: String, mode: UInt32) throws(DatabaseError) {
        before(.makeDirectory, path)
        try base.makeDirectory(path, mode: mode)
    }

    func rename(_ from: String, to: String) throws(DatabaseError) {
        before(.rename, from)
        try base.rename(from, to: to)
    }

    func remove(_ path: String) throws(DatabaseError) {
        before(.remove, path)
        try base.remove(path)
    }

    func list(_ directory: String) throws(DatabaseError) -> [String] {
        before(.list, directory)
        return try base.list(directory)
    }

    func syncDirectory(_ path: String) throws(DatabaseError) {
        before(.syncDirectory, path)
        try base.syncDirectory(path)
    }
}

private final class ScheduledFile: StorageFile {
    private let base: any StorageFile
    private let process: ScheduledProcess

    init(_ base: any StorageFile, _ process: ScheduledProcess) {
        self.base = base
        self.process = process
    }

    deinit { base.close() }

    var name: String { base.name }

    func size() throws(DatabaseError) -> UInt64 {
        process.before(.size, name)
        return try base.size()
    }

    func identity() throws(DatabaseError) -> FileIdentity {
        process.before(.identity, name)
        return try base.identity()
    }

    func write(_ buffers: UnsafeBufferPointer<UnsafeRawBufferPointer>, at offset: UInt64)
        throws(DatabaseError)
    {
        process.before(.write, name, offset)
        try base.write(buffers, at: offset)
    }

    func read(into buffer: UnsafeMutableRawBufferPointer, at offset: UInt64)
        throws(DatabaseError) -> Int
    {
        process.before(.read, name, offset)
        return try base.read(into: buffer, at: offset)
    }

    func sync() throws(DatabaseError) {
        process.before(.sync, name)
        try base.sync()
    }

    func truncate(to size: UInt64) throws(DatabaseError) {
        process.before(.truncate, name)
        try base.truncate(to: size)
    }

    func map(length: Int, writable: Bool) throws(DatabaseError) -> UnsafeMutableRawPointer {
        process.before(.map, name)
        return try base.map(length: length, writable: writable)
    }

    func unmap(_ address: UnsafeMutableRawPointer, length: Int) {
        base.unmap(address, length: length)
    }

    /// Waits by letting the others step.
    func lock(byte: UInt64, _ mode: LockMode, wait: Bool) throws(DatabaseError) -> Bool {
        while true {
            process.before(.lock, name, byte << 2 | UInt64(mode.rawValue))
            if try base.lock(byte: byte, mode, wait: false) { return true }
            guard wait else { return false }
            process.schedule.waitForOthers(process.number)
        }
    }

    func isLocked(byte: UInt64) throws(DatabaseError) -> Bool {
        process.before(.isLocked, name, byte)
        return try base.isLocked(byte: byte)
    }

    func abandonInChild() throws(DatabaseError) { try base.abandonInChild() }

    func close() { base.close() }
}
