import Glibc
import Synchronization
import Testing

@testable import Simulator
@testable import ZeroDB

/// How long relaxed commits may stay off the disk.
@Suite("The delay of relaxed commits")
struct RelaxedDelayTests {
    @Test("Relaxed commits are flushed during a long checkpoint")
    func flushesDuringCheckpoint() throws {
        let held = HeldFlushes(file: "data.zdb")
        let fileSystem = HoldingFileSystem(MemoryFileSystem(), held)
        var options = EnvironmentOptions()
        options.maxSize = 64 << 20
        options.logSize = 1 << 20
        options.durability = .relaxed
        let environment = try Environment(path: "env", options: options, fileSystem: fileSystem)
        defer { try? environment.close() }
        try environment.write { try $0.put(Array("first".utf8), []) }
        held.hold()
        defer { held.letGo() }
        // Beyond the size of the log that calls for a checkpoint, not twice beyond it.
        for number in UInt8(0)..<12 {
            let value = Array(repeating: number, count: 100_000)
            try environment.write { try $0.put([number], value) }
        }
        try #require(held.waitUntilHeld(), "no checkpoint is being made")
        let checkpoint = environment.store.shared.checkpoint
        for number in UInt8(0)..<3 {
            try environment.write { try $0.put([number], []) }
            let end = try environment.store.visibleMeta().logEnd
            #expect(
                held.waitForFlush { environment.store.shared.flushed >= end },
                "relaxed commit \(number) waits for the checkpoint")
        }
        #expect(environment.store.shared.checkpoint == checkpoint)
    }
}

/// Flushes of one file that last until a test lets them go, and a count of all others.
private final class HeldFlushes: @unchecked Sendable {
    private let file: String
    private let mutex = Mutex()
    private let changed = Condition()
    // Under `mutex`.
    private var isHolding = false
    private var heldCount = 0

    /// Passes only if something is wrong.
    private static let secondsMax: UInt64 = 20

    init(file: String) {
        self.file = file
    }

    private func locked<Result>(_ body: () -> Result) -> Result {
        mutex.lock()
        defer { mutex.unlock() }
        return body()
    }

    func hold() { locked { isHolding = true } }

    func letGo() {
        locked {
            isHolding = false
            changed.broadcast()
        }
    }

    /// - Returns: whether a flush of the file is held.
    func waitUntilHeld() -> Bool { wait { heldCount > 0 } }

    /// Waits for flushes of other files until a condition holds.
    func waitForFlush(_ condition: () -> Bool) -> Bool { wait(condition) }

    private func wait(_ condition: () -> Bool) -> Bool {
        let end = SystemCall.monotonicNanoseconds() + Self.secondsMax * 1_000_000_000
        return locked {
            while !condition() {
                // Now and then without being told: what a flush does shows after it.
                let now = SystemCall.monotonicNanoseconds()
                guard now < end else { return false }
                changed.wait(with: mutex, until: now + 5_000_000)
            }
            return true
        }
    }

    func beforeFlush(of name: String) {
        guard name == file else { return }
        locked {
            guard isHolding else { return }
            heldCount += 1
            changed.broadcast()
            while isHolding { changed.wait(with: mutex) }
            heldCount -= 1
        }
    }
}

/// A file system in which flushes of a file can be held.
private struct HoldingFileSystem: PathFileSystem {
    private let base: any PathFileSystem
    private let held: HeldFlushes

    init(_ base: any PathFileSystem, _ held: HeldFlushes) {
        self.base = base
        self.held = held
    }

    func open(_ path: String, access: FileAccess, create: Bool, mode: UInt32)
        throws(DatabaseError) -> any StorageFile
    {
        HoldingFile(try base.open(path, access: access, create: create, mode: mode), held)
    }

    func makeDirectory(_ path: String, mode: UInt32) throws(DatabaseError) {
        try base.makeDirectory(path, mode: mode)
    }

    func rename(_ from: String, to: String) throws(DatabaseError) {
        try base.rename(from, to: to)
    }

    func remove(_ path: String) throws(DatabaseError) { try base.remove(path) }

    func hasDirectory(_ path: String) -> Bool { base.hasDirectory(path) }

    func list(_ directory: String) throws(DatabaseError) -> [String] { try base.list(directory) }

    func syncDirectory(_ path: String) throws(DatabaseError) { try base.syncDirectory(path) }
}

private final class HoldingFile: StorageFile {
    private let base: any StorageFile
    private let held: HeldFlushes

    init(_ base: any StorageFile, _ held: HeldFlushes) {
        self.base = base
        self.held = held
    }

    var name: String { base.name }

    func size() throws(DatabaseError) -> UInt64 { try base.size() }

    func identity() throws(DatabaseError) -> FileIdentity { try base.identity() }

    func write(_ buffers: UnsafeBufferPointer<UnsafeRawBufferPointer>, at offset: UInt64)
        throws(DatabaseError)
    { try base.write(buffers, at: offset) }

    func read(into buffer: UnsafeMutableRawBufferPointer, at offset: UInt64)
        throws(DatabaseError) -> Int
    { try base.read(into: buffer, at: offset) }

    func sync() throws(DatabaseError) {
        held.beforeFlush(of: name)
        try base.sync()
    }

    func truncate(to size: UInt64) throws(DatabaseError) { try base.truncate(to: size) }

    func map(length: Int, writable: Bool) throws(DatabaseError) -> UnsafeMutableRawPointer {
        try base.map(length: length, writable: writable)
    }

    func unmap(_ address: UnsafeMutableRawPointer, length: Int) {
        base.unmap(address, length: length)
    }

    func lock(byte: UInt64, _ mode: LockMode, wait: Bool) throws(DatabaseError) -> Bool {
        try base.lock(byte: byte, mode, wait: wait)
    }

    func isLocked(byte: UInt64) throws(DatabaseError) -> Bool { try base.isLocked(byte: byte) }

    func abandonInChild() throws(DatabaseError) { try base.abandonInChild() }

    func close() { base.close() }
}
