import Glibc

/// Zeros to copy from.
enum ZeroBytes {
    private static let keptCount = 64 << 10
    /// Never freed.
    private nonisolated(unsafe) static let kept: UnsafeRawPointer? = {
        calloc(1, keptCount).map { UnsafeRawPointer($0) }
    }()

    /// Runs a body with so many zeros. Many of them are the kernel's one page of zeros, mapped over
    /// and over: they take address space, no memory.
    ///
    /// - Throws: a system error if there is no room for them.
    static func withBytes<Result: ~Copyable>(
        _ count: Int, _ body: (UnsafeRawBufferPointer) throws(DatabaseError) -> Result
    ) throws(DatabaseError) -> Result {
        if count <= keptCount, let kept {
            return try body(UnsafeRawBufferPointer(start: kept, count: count))
        }
        let memory = mmap(
            nil, count, PROT_READ, MAP_PRIVATE | Int32(MAP_ANONYMOUS) | Int32(MAP_NORESERVE), -1,
            0)
        guard let memory, memory != MAP_FAILED else {
            throw DatabaseError(systemError: errno, "map \(count) zeros for a value")
        }
        defer { munmap(memory, count) }
        return try body(UnsafeRawBufferPointer(start: memory, count: count))
    }
}
