// Databases made with `DatabaseFlags.counted`, which know how many entries come before a key.

extension Transaction where Self: ~Copyable {
    /// The entries before a key, whether it is there or not.
    ///
    /// - Throws: `incompatible` if the database is not counted; `badValueSize`.
    /// - Complexity: O(log n).
    public func rank(
        of key: some ByteSource, in database: Database = .main
    ) throws(DatabaseError) -> UInt64 {
        try key.withBytes { key throws(DatabaseError) in
            try access.operations.rank(database.handle, key).rank
        }
    }

    /// Divides a range into parts with equal numbers of entries, for parallel work. Keys with
    /// several values are not divided; where there are fewer keys than parts, there are fewer parts.
    ///
    /// Parts are ranges of keys, and keep their meaning in other transactions: each thread can read
    /// its own in a read transaction of its own.
    ///
    /// - Returns: the parts, in order, at least one. Together they are the range.
    /// - Throws: `incompatible` if the database is not counted; `badValueSize`.
    /// - Complexity: O(parts × log n).
    public func split(
        _ range: KeyRange = .all, into parts: Int, in database: Database = .main
    ) throws(DatabaseError) -> [KeyRange] {
        var keys: [[UInt8]] = []
        try range.withEnds { from, to throws(DatabaseError) in
            try access.operations.splitRange(
                database.handle, from: from, to: to, parts: max(1, parts)
            ) { key in
                keys.append(Array(key))
                return true
            }
        }
        let starts = [range.from] + keys.map { Optional($0) }
        let ends = keys.map { Optional($0) } + [range.to]
        return zip(starts, ends).map { KeyRange(from: $0, to: $1) }
    }
}

extension Cursor {
    /// The entries before the current one.
    ///
    /// - Throws: `incompatible` if the database is not counted; `badCursor` on no entry.
    /// - Complexity: O(log n).
    public mutating func rank() throws(DatabaseError) -> UInt64 { try state.pointee.rank() }

    /// Moves to the entry before which there are so many others; nil if there are not so many, and
    /// then the cursor is nowhere.
    ///
    /// - Throws: `incompatible` if the database is not counted.
    /// - Complexity: O(log n).
    @_lifetime(&self)
    public mutating func seek(toRank rank: UInt64) throws(DatabaseError) -> Entry? {
        entry(try state.pointee.seek(rank: rank))
    }
}
