import Glibc

/// Memory that is too much to be taken for granted, at a page of the operating system's.
///
/// - Parameter purpose: for the message, as "copy the environment".
/// - Returns: memory that `free()` gives back.
/// - Throws: ENOMEM.
func allocateBuffer(
    _ count: Int, to purpose: @autoclosure () -> String
) throws(DatabaseError) -> UnsafeMutableRawBufferPointer {
    var memory: UnsafeMutableRawPointer?
    guard posix_memalign(&memory, 4096, count) == 0, let memory else {
        throw DatabaseError(systemError: ENOMEM, "allocate \(count) bytes to \(purpose())")
    }
    return UnsafeMutableRawBufferPointer(start: memory, count: count)
}
