extension CursorState {
    /// Puts an entry with space for its value and stands on it.
    ///
    /// - Returns: as `Operations.reserve`; the cursor then stands on the existing entry.
    package mutating func reserve(
        _ target: KeyBytes, count: Int, mode: Operations.PutMode
    ) throws(DatabaseError) -> Operations.ReserveResult {
        // The key may lie in a page that the put moves.
        let copy = UnsafeMutableRawBufferPointer.allocate(byteCount: target.count, alignment: 1)
        defer { copy.deallocate() }
        copy.copyMemory(from: target)
        let result = try Operations(transaction).reserve(
            database, KeyBytes(copy), count: count, mode: mode)
        _ = try seek(KeyBytes(copy), exact: true)
        return result
    }

    /// Replaces the value of the entry under the cursor by space for another.
    package mutating func reserveCurrent(
        count: Int
    ) throws(DatabaseError) -> Operations.ReserveResult {
        let key = try current().key
        return try Operations(transaction).reserve(database, key, count: count, mode: .overwrite)
    }
}
