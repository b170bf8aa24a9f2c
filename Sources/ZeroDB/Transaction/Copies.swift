/// Runs a body with copies of a key and a value: those given may lie in a page that the body changes,
/// or in a cursor's own memory.
func withCopies<Result>(
    of key: UnsafeRawBufferPointer, _ value: UnsafeRawBufferPointer,
    _ body: (UnsafeRawBufferPointer, UnsafeRawBufferPointer) throws(DatabaseError) -> Result
) throws(DatabaseError) -> Result {
    let copy = UnsafeMutableRawBufferPointer.allocate(
        byteCount: key.count + value.count + 1, alignment: 1)
    defer { copy.deallocate() }
    let valueCopy = UnsafeMutableRawBufferPointer(
        rebasing: copy[key.count..<(key.count + value.count)])
    copy.copyMemory(from: key)
    valueCopy.copyMemory(from: value)
    return try body(
        UnsafeRawBufferPointer(rebasing: copy[..<key.count]), UnsafeRawBufferPointer(valueCopy))
}

/// Runs a body with a copy of a key.
func withCopy<Result>(
    of key: UnsafeRawBufferPointer,
    _ body: (UnsafeRawBufferPointer) throws(DatabaseError) -> Result
) throws(DatabaseError) -> Result {
    try withCopies(of: key, UnsafeRawBufferPointer(start: nil, count: 0)) {
        key, _ throws(DatabaseError) in try body(key)
    }
}
