import Glibc
import Synchronization

@testable import ZeroDB

/// A call of the seam.
enum SeamCall: String, CaseIterable, Sendable {
    case open
    case makeDirectory
    case rename
    case remove
    case list
    case syncDirectory
    case size
    case identity
    case write
    case read
    case sync
    case truncate
    case map
    case lock
    case isLocked
    case abandonInChild
}

/// Which calls of the seam fail, and how.
struct Fault: Sendable {
    enum Extent: Sendable {
        /// Only the call itself.
        case once
        /// It and every later call of its kind: a full or dead disk.
        case fromThenOn
    }

    /// The calls that count; nil for all.
    var call: SeamCall?
    /// Counted from 1.
    var number: Int
    var error: Int32
    var extent = Extent.once
    /// A write that fails has stored half of its bytes before.
    var tearsWrites = true
}

/// What a faulty file system does and has seen.
final class FaultPlan: Sendable {
    struct State {
        var fault: Fault?
        var matching = 0
        /// The kind of call that failed first.
        var failed: SeamCall?
        var failures = 0
        var calls: [SeamCall: Int] = [:]
        var openFiles = 0
        var maps = 0
        var lost: Range<UInt64> = 0..<0
        var dataWrites: [Range<UInt64>] = []
    }

    private let state = Locked(State())

    /// Forgets all that was seen, and arms a fault.
    func arm(_ fault: Fault?) {
        state.withLock {
            $0.fault = fault
            $0.matching = 0
            $0.failed = nil
            $0.failures = 0
            $0.calls = [:]
            $0.dataWrites = []
        }
    }

    /// Lets calls succeed from now on; what was seen stays known.
    func disarm() { state.withLock { $0.fault = nil } }

    /// Lets these bytes of the data file be unreadable from now on, as bad sectors are.
    func lose(_ bytes: Range<UInt64>) { state.withLock { $0.lost = bytes } }

    /// Whether a part of a file has bytes that cannot be read.
    fileprivate func hasLost(_ name: String, _ offset: UInt64, _ length: Int) -> Bool {
        name == "data.zdb"
            && state.withLock { $0.lost.overlaps(offset..<offset + UInt64(length)) }
    }

    var failed: SeamCall? { state.withLock { $0.failed } }
    var failures: Int { state.withLock { $0.failures } }
    var callCount: Int { state.withLock { $0.calls.values.reduce(0, +) } }
    var openFiles: Int { state.withLock { $0.openFiles } }
    var maps: Int { state.withLock { $0.maps } }

    func count(_ call: SeamCall) -> Int { state.withLock { $0.calls[call] ?? 0 } }

    /// The bytes of each write call to the data file, in the order of the calls.
    var dataWrites: [Range<UInt64>] { state.withLock { $0.dataWrites } }

    fileprivate func noteWrite(_ name: String, _ offset: UInt64, _ count: Int) {
        guard name == "data.zdb" else { return }
        state.withLock { $0.dataWrites.append(offset..<offset + UInt64(count)) }
    }

    fileprivate func note(openFiles: Int = 0, maps: Int = 0) {
        state.withLock {
            $0.openFiles += openFiles
            $0.maps += maps
        }
    }

    /// Counts a call.
    ///
    /// - Returns: the fault that hits it, if one does.
    fileprivate func hit(_ call: SeamCall) -> Fault? {
        state.withLock { state in
            state.calls[call, default: 0] += 1
            guard let fault = state.fault else { return nil }
            let goesOn = fault.extent == .fromThenOn && state.failed == call
            if !goesOn {
                guard fault.call == nil || fault.call == call else { return nil }
                state.matching += 1
                guard state.matching == fault.number else { return nil }
            }
            state.failed = state.failed ?? call
            state.failures += 1
            return fault
        }
    }

    fileprivate func check(_ call: SeamCall, _ name: String) throws(DatabaseError) {
        if let fault = hit(call) {
            throw DatabaseError(systemError: fault.error, "\(call.rawValue) \(name) (injected)")
        }
    }
}

/// A file system whose calls fail when a plan says so.
final class FaultyFileSystem: PathFileSystem {
    let plan = FaultPlan()
    private let base: any PathFileSystem

    init(_ base: any PathFileSystem) { self.base = base }

    var boot: UInt64 { base.boot }

    func hasDirectory(_ path: String) -> Bool { base.hasDirectory(path) }

    func open(_ path: String, access: FileAccess, create: Bool, mode: UInt32)
        throws(DatabaseError) -> any StorageFile
    {
        try plan.check(.open, path)
        let file = try base.open(path, access: access, create: create, mode: mode)
        plan.note(openFiles: 1)
        return FaultyFile(file, plan)
    }

    func makeDirectory(_ path: String, mode: UInt32) throws(DatabaseError) {
        try plan.check(.makeDirectory, path)
        try base.makeDirectory(path, mode: mode)
    }

    func rename(_ from: String, to: String) throws(DatabaseError) {
        try plan.check(.rename, from)
        try base.rename(from, to: to)
    }

    func remove(_ path: String) throws(DatabaseError) {
        try plan.check(.remove, path)
        try base.remove(path)
    }

    func list(_ directory: String) throws(DatabaseError) -> [String] {
        try plan.check(.list, directory)
        return try base.list(directory)
    }

    func syncDirectory(_ path: String) throws(DatabaseError) {
        try plan.check(.syncDirectory, path)
        try base.syncDirectory(path)
    }
}

private final class FaultyFile: StorageFile {
    private let base: any StorageFile
    private let plan: FaultPlan
    private let isClosed = Atomic<Bool>(false)

    init(_ base: any StorageFile, _ plan: FaultPlan) {
        self.base = base
        self.plan = plan
    }

    var name: String { base.name }

    func size() throws(DatabaseError) -> UInt64 {
        try plan.check(.size, name)
        return try base.size()
    }

    func identity() throws(DatabaseError) -> FileIdentity {
        try plan.check(.identity, name)
        return try base.identity()
    }

    func write(_ buffers: UnsafeBufferPointer<UnsafeRawBufferPointer>, at offset: UInt64)
        throws(DatabaseError)
    {
        guard let fault = plan.hit(.write) else {
            try base.write(buffers, at: offset)
            plan.noteWrite(name, offset, buffers.reduce(0) { $0 + $1.count })
            return
        }
        if fault.tearsWrites { try writeHalf(buffers, at: offset) }
        throw DatabaseError(
            systemError: fault.error, "write at offset \(offset) of \(name) (injected)")
    }

    private func writeHalf(
        _ buffers: UnsafeBufferPointer<UnsafeRawBufferPointer>, at offset: UInt64
    ) throws(DatabaseError) {
        var left = buffers.reduce(0) { $0 + $1.count } / 2
        var position = offset
        for buffer in buffers where left > 0 {
            let part = UnsafeRawBufferPointer(rebasing: buffer.prefix(left))
            try base.write(part, at: position)
            position += UInt64(part.count)
            left -= part.count
        }
    }

    func read(into buffer: UnsafeMutableRawBufferPointer, at offset: UInt64)
        throws(DatabaseError) -> Int
    {
        try plan.check(.read, name)
        if plan.hasLost(name, offset, buffer.count) {
            throw DatabaseError(systemError: EIO, "read at offset \(offset) of \(name) (injected)")
        }
        return try base.read(into: buffer, at: offset)
    }

    func sync() throws(DatabaseError) {
        try plan.check(.sync, name)
        try base.sync()
    }

    func truncate(to size: UInt64) throws(DatabaseError) {
        try plan.check(.truncate, name)
        try base.truncate(to: size)
    }

    func map(length: Int, writable: Bool) throws(DatabaseError) -> UnsafeMutableRawPointer {
        try plan.check(.map, name)
        let address = try base.map(length: length, writable: writable)
        plan.note(maps: 1)
        return address
    }

    func unmap(_ address: UnsafeMutableRawPointer, length: Int) {
        plan.note(maps: -1)
        base.unmap(address, length: length)
    }

    func touch(_ map: UnsafeMutableRawPointer, at offset: Int) -> Bool {
        let unit = SystemCall.memoryPageSize
        return !plan.hasLost(name, UInt64(offset / unit * unit), unit)
            && base.touch(map, at: offset)
    }

    func findResident(
        _ map: UnsafeMutableRawPointer, from offset: Int, length: Int,
        _ residency: UnsafeMutablePointer<UInt8>
    ) -> Bool {
        let unit = SystemCall.memoryPageSize
        for part in 0..<((length + unit - 1) / unit) {
            residency[part] = plan.hasLost(name, UInt64(offset + part * unit), unit) ? 0 : 1
        }
        return true
    }

    func lock(byte: UInt64, _ mode: LockMode, wait: Bool) throws(DatabaseError) -> Bool {
        try plan.check(.lock, name)
        return try base.lock(byte: byte, mode, wait: wait)
    }

    func isLocked(byte: UInt64) throws(DatabaseError) -> Bool {
        try plan.check(.isLocked, name)
        return try base.isLocked(byte: byte)
    }

    func abandonInChild() throws(DatabaseError) {
        try plan.check(.abandonInChild, name)
        try base.abandonInChild()
    }

    func close() {
        guard !isClosed.exchange(true, ordering: .relaxed) else { return }
        plan.note(openFiles: -1)
        base.close()
    }

    deinit { close() }
}
