import Glibc
import Synchronization

/// The names behind database handles: handle `n` is entry `n`, 0 the main database. Entries are
/// added under a lock and never change, so that they are read without one.
struct DatabaseNames {
    private let entries: UnsafeMutablePointer<UnsafeMutableBufferPointer<UInt8>>?
    private let published: UnsafeMutablePointer<Atomic<Int>>
    private static let capacity = Limits.databaseHandlesMax + 1

    init() {
        published = .allocate(capacity: 1)
        published.initialize(to: Atomic(1))
        let bytes = Self.capacity * MemoryLayout<UnsafeMutableBufferPointer<UInt8>>.stride
        let memory = mmap(
            nil, bytes, PROT_READ | PROT_WRITE,
            MAP_PRIVATE | Int32(MAP_ANONYMOUS) | Int32(MAP_NORESERVE), -1, 0)
        entries =
            memory == MAP_FAILED
            ? nil : memory?.assumingMemoryBound(to: UnsafeMutableBufferPointer<UInt8>.self)
    }

    func deallocate() {
        for index in 1..<max(1, count) { entries?[index].deallocate() }
        if let entries {
            munmap(
                entries, Self.capacity * MemoryLayout<UnsafeMutableBufferPointer<UInt8>>.stride)
        }
        published.deinitialize(count: 1)
        published.deallocate()
    }

    /// Handles below this are known.
    @inline(__always)
    var count: Int { published.pointee.load(ordering: .acquiring) }

    /// The name of a named database's handle.
    func name(_ handle: Int) -> KeyBytes? {
        guard handle > 0, handle < count, let entries else { return nil }
        return KeyBytes(entries[handle])
    }

    /// The handle of a name that has none. With the store's lock of names.
    ///
    /// - Returns: nil if there is no room for more.
    func add(_ name: KeyBytes) -> Int? {
        let count = self.count
        guard let entries, count < Self.capacity else { return nil }
        let copy = UnsafeMutableBufferPointer<UInt8>.allocate(capacity: name.count)
        _ = copy.initialize(from: name)
        (entries + count).initialize(to: copy)
        published.pointee.store(count + 1, ordering: .releasing)
        return count
    }

    /// How messages call a database.
    func describe(_ handle: Int) -> String {
        guard handle != 0 else { return "the main database" }
        guard let name = name(handle) else { return "database handle \(handle)" }
        return "database \"\(String(decoding: name, as: UTF8.self))\""
    }
}
