/// Bytes that a key or a value can be made of: arrays and slices of bytes, strings (their
/// UTF-8), and raw buffers.
public protocol ByteSource {
    /// Runs a body with the bytes, which are valid until it returns.
    func withBytes<Result, Failure: Error>(
        _ body: (UnsafeRawBufferPointer) throws(Failure) -> Result
    ) throws(Failure) -> Result
}

/// Runs a body with the bytes of two at once, such as a key and its value.
@inline(__always)
func withBytes<Result>(
    _ first: some ByteSource, _ second: some ByteSource,
    _ body: (UnsafeRawBufferPointer, UnsafeRawBufferPointer) throws(DatabaseError) -> Result
) throws(DatabaseError) -> Result {
    try first.withBytes { first throws(DatabaseError) in
        try second.withBytes { second throws(DatabaseError) in try body(first, second) }
    }
}

extension ByteSource where Self: Collection, Element == UInt8 {
    /// Runs a body with the collection's own storage where it is in one piece, otherwise with a copy.
    @inlinable
    public func withBytes<Result, Failure: Error>(
        _ body: (UnsafeRawBufferPointer) throws(Failure) -> Result
    ) throws(Failure) -> Result {
        // `withContiguousStorageIfAvailable` rethrows any error: carry the typed one out.
        let contiguous = withContiguousStorageIfAvailable {
            bytes -> Swift.Result<Result, Failure> in
            do throws(Failure) {
                return .success(try body(UnsafeRawBufferPointer(bytes)))
            } catch {
                return .failure(error)
            }
        }
        if let contiguous { return try contiguous.get() }
        return try Array(self).withBytes(body)
    }
}

extension Array: ByteSource where Element == UInt8 {}
extension ArraySlice: ByteSource where Element == UInt8 {}
extension ContiguousArray: ByteSource where Element == UInt8 {}
extension Substring.UTF8View: ByteSource {}
extension String.UTF8View: ByteSource {}

extension String: ByteSource {
    /// Runs a body with the string's UTF-8.
    @inlinable
    public func withBytes<Result, Failure: Error>(
        _ body: (UnsafeRawBufferPointer) throws(Failure) -> Result
    ) throws(Failure) -> Result {
        try utf8.withBytes(body)
    }
}

extension UnsafeRawBufferPointer: ByteSource {
    /// Runs a body with the buffer itself.
    @inlinable
    public func withBytes<Result, Failure: Error>(
        _ body: (UnsafeRawBufferPointer) throws(Failure) -> Result
    ) throws(Failure) -> Result {
        try body(self)
    }
}
