extension CursorState {
    /// Puts an entry with space for its value and stands on it.
    ///
    /// - Returns: as `Operations.reserve`; the cursor then stands on the existing entry.
    package mutating func reserve(
        _ target: KeyBytes, count: Int, mode: PutMode
    ) throws(DatabaseError) -> Operations.ReserveResult {
        return try withCopy(of: target) { target throws(DatabaseError) in
            let result = try Operations(transaction).reserve(
                database, target, count: count, mode: mode)
            _ = try seek(target, exact: true)
            return result
        }
    }

    /// Replaces the value of the entry under the cursor by space for another.
    package mutating func reserveCurrent(
        count: Int
    ) throws(DatabaseError) -> Operations.ReserveResult {
        let key = try current().key
        return try Operations(transaction).reserve(database, key, count: count, mode: .overwrite)
    }
}
