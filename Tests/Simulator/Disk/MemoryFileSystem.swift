import Glibc
import Synchronization

@testable import ZeroDB

/// Files in memory: fast, and open to a test that wants to change or copy their bytes.
///
/// Maps are the files' own memory. What lies past a file's end may not be touched, as with real
/// files: an access there ends the process.
final class MemoryFileSystem: PathFileSystem {
    private let files = Locked<[String: MemoryContents]>([:])
    /// What the clock shows; nil for the time that it is.
    let clock = Locked<UInt64?>(nil)
    /// Which start of the machine it is; nil for the one that it is.
    let start = Locked<UInt64?>(nil)

    var boot: UInt64 { start.withLock { $0 } ?? SystemCall.boot }

    func now() -> UInt64 { clock.withLock { $0 } ?? SystemCall.wallClockNanoseconds() }

    /// The bytes of a file; nil if there is none.
    func contents(_ path: String) -> MemoryContents? { files.withLock { $0[path] } }

    func setContents(_ path: String, _ contents: MemoryContents) {
        files.withLock { $0[path] = contents }
    }

    /// Files with the same bytes, as another process would find them if this one died now.
    func copy() -> MemoryFileSystem {
        let copy = MemoryFileSystem()
        for (path, contents) in files.withLock({ $0 }) {
            copy.setContents(path, MemoryContents(contents.bytes))
        }
        return copy
    }

    func open(_ path: String, access: FileAccess, create: Bool, mode: UInt32)
        throws(DatabaseError) -> any StorageFile
    {
        let contents = files.withLock { files -> MemoryContents? in
            if let known = files[path] { return known }
            guard create else { return nil }
            let new = MemoryContents()
            files[path] = new
            return new
        }
        guard let contents else { throw DatabaseError(systemError: ENOENT, "open \(path)") }
        let name = path.split(separator: "/").last.map(String.init) ?? path
        return MemoryFile(name: name, contents: contents)
    }

    func makeDirectory(_ path: String, mode: UInt32) throws(DatabaseError) {}

    func rename(_ from: String, to: String) throws(DatabaseError) {
        files.withLock { $0[to] = $0.removeValue(forKey: from) }
    }

    func remove(_ path: String) throws(DatabaseError) {
        files.withLock { _ = $0.removeValue(forKey: path) }
    }

    func list(_ directory: String) throws(DatabaseError) -> [String] {
        let start = directory + "/"
        return files.withLock { files in
            files.keys.filter { $0.hasPrefix(start) }.map { String($0.dropFirst(start.count)) }
                .filter { !$0.contains("/") }
        }
    }

    func syncDirectory(_ path: String) throws(DatabaseError) {}

    func hasDirectory(_ path: String) -> Bool {
        files.withLock { files in files.keys.contains { $0.hasPrefix(path + "/") } }
    }
}

/// A file's bytes, in memory that never moves.
final class MemoryContents: @unchecked Sendable {
    let base: UnsafeMutableRawPointer
    let inode: UInt64
    private let lengthNow = Atomic<Int>(0)

    /// Address space of one file; no map of it may be longer.
    static let capacity = 1 << 30
    private static let inodes = Atomic<UInt64>(1)

    init() {
        inode = Self.inodes.add(1, ordering: .relaxed).newValue
        guard
            let memory = mmap(
                nil, Self.capacity, PROT_NONE,
                MAP_PRIVATE | Int32(MAP_ANONYMOUS) | Int32(MAP_NORESERVE), -1, 0),
            memory != MAP_FAILED
        else { fatalError("no address space for a file in memory") }
        base = memory
    }

    convenience init(_ bytes: [UInt8]) {
        self.init()
        count = bytes.count
        copy(bytes)
    }

    deinit { munmap(base, Self.capacity) }

    /// Bytes in the file. What it gains is zero.
    var count: Int {
        get { lengthNow.load(ordering: .acquiring) }
        set {
            let old = count
            precondition(newValue <= Self.capacity, "a file in memory has grown too large")
            let oldEnd = Self.roundUp(old)
            let newEnd = Self.roundUp(newValue)
            if newEnd > oldEnd {
                mprotect(base + oldEnd, newEnd - oldEnd, PROT_READ | PROT_WRITE)
            } else if newEnd < oldEnd {
                madvise(base + newEnd, oldEnd - newEnd, MADV_DONTNEED)
                mprotect(base + newEnd, oldEnd - newEnd, PROT_NONE)
            }
            if newValue < old { memset(base + newValue, 0, min(newEnd, old) - newValue) }
            lengthNow.store(newValue, ordering: .releasing)
        }
    }

    /// Bytes that may be touched.
    var mappedCount: Int { Self.roundUp(count) }

    private static func roundUp(_ count: Int) -> Int { (count + 4095) / 4096 * 4096 }

    var bytes: [UInt8] { Array(UnsafeRawBufferPointer(start: base, count: count)) }

    /// Makes the bytes those of an image.
    func restore(_ image: [UInt8]) {
        count = image.count
        copy(image)
    }

    private func copy(_ bytes: [UInt8]) {
        bytes.withUnsafeBytes {
            UnsafeMutableRawBufferPointer(start: base, count: bytes.count).copyMemory(from: $0)
        }
    }

    subscript(offset: Int) -> UInt8 {
        get { base.load(fromByteOffset: offset, as: UInt8.self) }
        set { base.storeBytes(of: newValue, toByteOffset: offset, as: UInt8.self) }
    }
}

final class MemoryFile: StorageFile {
    let name: String
    private let contents: MemoryContents

    init(name: String, contents: MemoryContents) {
        self.name = name
        self.contents = contents
    }

    func size() throws(DatabaseError) -> UInt64 { UInt64(contents.count) }

    func identity() throws(DatabaseError) -> FileIdentity {
        // No device has this number.
        FileIdentity(device: UInt64.max, inode: contents.inode)
    }

    func write(_ buffers: UnsafeBufferPointer<UnsafeRawBufferPointer>, at offset: UInt64)
        throws(DatabaseError)
    {
        var position = Int(offset)
        for buffer in buffers {
            contents.count = max(contents.count, position + buffer.count)
            if let start = buffer.baseAddress {
                memcpy(contents.base + position, start, buffer.count)
            }
            position += buffer.count
        }
    }

    func read(into buffer: UnsafeMutableRawBufferPointer, at offset: UInt64)
        throws(DatabaseError) -> Int
    {
        let available = max(0, contents.count - Int(offset))
        let count = min(buffer.count, available)
        guard count > 0 else { return 0 }
        buffer.copyMemory(
            from: UnsafeRawBufferPointer(start: contents.base + Int(offset), count: count))
        return count
    }

    func sync() throws(DatabaseError) {}

    func truncate(to size: UInt64) throws(DatabaseError) { contents.count = Int(size) }

    func map(length: Int, writable: Bool) throws(DatabaseError) -> UnsafeMutableRawPointer {
        guard length <= MemoryContents.capacity else {
            throw DatabaseError(systemError: ENOMEM, "map \(length) bytes of \(name)")
        }
        return contents.base
    }

    func unmap(_ address: UnsafeMutableRawPointer, length: Int) {}

    func touch(_ map: UnsafeMutableRawPointer, at offset: Int) -> Bool {
        offset < contents.mappedCount
    }

    func lock(byte: UInt64, _ mode: LockMode, wait: Bool) throws(DatabaseError) -> Bool { true }

    func isLocked(byte: UInt64) throws(DatabaseError) -> Bool { false }

    func abandonInChild() throws(DatabaseError) {}

    func close() {}
}
