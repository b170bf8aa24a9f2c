// Databases made with `DatabaseFlags.duplicates`, whose keys have several values in order. An entry
// is a pair of key and value there; `put` adds one, `value(for:in:)` gives a key's first value.

extension WriteTransaction {
    /// Adds a value to those of a key. As `put(_:_:in:)` there, but tells whether it was new.
    ///
    /// - Returns: false if the key has it already, and then nothing has changed.
    /// - Throws: `incompatible` without duplicates; `badValueSize`; otherwise as `put(_:_:in:)`.
    @discardableResult
    public mutating func insertPair(
        _ key: some ByteSource, _ value: some ByteSource, in database: Database = .main
    ) throws(DatabaseError) -> Bool {
        try access.calling { operations throws(DatabaseError) in
            try operations.checkDuplicates(database.handle)
        }
        return try put(key, value, in: database, mode: .noDuplicate)
    }

    /// Adds a value that is after all others of its key.
    ///
    /// - Throws: `notSorted` if it is not; otherwise as `insertPair(_:_:in:)`.
    public mutating func appendPair(
        _ key: some ByteSource, _ value: some ByteSource, in database: Database = .main
    ) throws(DatabaseError) {
        try access.calling { operations throws(DatabaseError) in
            try operations.checkDuplicates(database.handle)
        }
        _ = try put(key, value, in: database, mode: .appendValue)
    }

    /// Deletes one value of a key.
    ///
    /// - Returns: whether it was there.
    /// - Throws: `incompatible` without duplicates; otherwise as `delete(_:in:)`.
    @discardableResult
    public mutating func deletePair(
        _ key: some ByteSource, _ value: some ByteSource, in database: Database = .main
    ) throws(DatabaseError) -> Bool {
        try access.calling { operations throws(DatabaseError) in
            try operations.checkDuplicates(database.handle)
        }
        return try withBytes(key, value) { key, value throws(DatabaseError) in
            try access.calling { operations throws(DatabaseError) in
                try operations.delete(database.handle, key, value: value)
            }
        }
    }
}

extension Transaction where Self: ~Copyable {
    /// Copies of all values of a key, in their order; none if it is not there. Without duplicates
    /// that is one at most.
    ///
    /// - Throws: `badValueSize`, `badDatabase`, `badTransaction`, `corrupted`.
    /// - Complexity: O(log n), and the copies.
    public func values(
        for key: some ByteSource, in database: Database = .main
    ) throws(DatabaseError) -> [[UInt8]] {
        var values: [[UInt8]] = []
        var cursor = try cursor(in: database)
        if let first = try cursor.seek(to: key) {
            values.append(first.value.withUnsafeBytes { Array($0) })
        } else {
            return []
        }
        guard try flags(of: database).contains(.duplicates) else { return values }
        while let next = try cursor.nextValue() {
            values.append(next.value.withUnsafeBytes { Array($0) })
        }
        return values
    }

    /// Orders two values of a key as a database does.
    ///
    /// - Returns: a number below, equal to or above 0.
    /// - Throws: `incompatible` without duplicates; `badValueSize` as `compareKeys(_:_:in:)`, for
    ///   values; `badDatabase`, `badTransaction`.
    public func compareValues(
        _ left: some ByteSource, _ right: some ByteSource, in database: Database = .main
    ) throws(DatabaseError) -> Int {
        try withBytes(left, right) { left, right throws(DatabaseError) in
            try access.calling { operations throws(DatabaseError) in
                try operations.compareValues(database.handle, left, right)
            }
        }
    }
}

extension Cursor {
    /// Moves to the first value of the current key.
    ///
    /// - Throws: `incompatible` without duplicates; `badCursor` on no entry.
    @_lifetime(&self)
    public mutating func firstValue() throws(DatabaseError) -> Entry? {
        entry(try state.pointee.move(.firstValue))
    }

    /// Moves to the last value of the current key.
    ///
    /// - Throws: `incompatible` without duplicates; `badCursor` on no entry.
    @_lifetime(&self)
    public mutating func lastValue() throws(DatabaseError) -> Entry? {
        entry(try state.pointee.move(.lastValue))
    }

    /// Moves to the next value of the current key; nil after the last, where the cursor stays.
    ///
    /// - Throws: `incompatible` without duplicates; `badCursor` on no entry.
    @_lifetime(&self)
    public mutating func nextValue() throws(DatabaseError) -> Entry? {
        entry(try state.pointee.move(.nextValue))
    }

    /// Moves to the value before, of the current key; nil before the first, where the cursor stays.
    ///
    /// - Throws: `incompatible` without duplicates; `badCursor` on no entry.
    @_lifetime(&self)
    public mutating func previousValue() throws(DatabaseError) -> Entry? {
        entry(try state.pointee.move(.previousValue))
    }

    /// Moves to the first value of the next key, of the first if the cursor is nowhere; nil after
    /// the last key. Without duplicates as `next()`.
    @_lifetime(&self)
    public mutating func nextKey() throws(DatabaseError) -> Entry? {
        entry(try state.pointee.move(.nextKey))
    }

    /// Moves to the last value of the key before, of the last if the cursor is nowhere; nil before
    /// the first key. Without duplicates as `previous()`.
    @_lifetime(&self)
    public mutating func previousKey() throws(DatabaseError) -> Entry? {
        entry(try state.pointee.move(.previousKey))
    }

    /// Moves to exactly this key and value; nil if they are not there, and then the cursor is
    /// nowhere.
    ///
    /// - Throws: `incompatible` without duplicates; `badValueSize`.
    /// - Complexity: O(log n).
    @_lifetime(&self)
    public mutating func seek(
        to key: some ByteSource, value: some ByteSource
    ) throws(DatabaseError) -> Entry? {
        entry(try seekPair(key, value, exact: true))
    }

    /// Moves to exactly this key, and its first value at or after this one; nil if there is none,
    /// and then the cursor is nowhere.
    ///
    /// - Throws: `incompatible` without duplicates; `badValueSize`.
    /// - Complexity: O(log n).
    @_lifetime(&self)
    public mutating func seek(
        to key: some ByteSource, valueAtOrAfter value: some ByteSource
    ) throws(DatabaseError) -> Entry? {
        entry(try seekPair(key, value, exact: false))
    }

    private mutating func seekPair(
        _ key: some ByteSource, _ value: some ByteSource, exact: Bool
    ) throws(DatabaseError) -> CursorState.Entry? {
        try withBytes(key, value) { key, value throws(DatabaseError) in
            try state.pointee.seek(key, value: value, exact: exact)
        }
    }

    /// How many values the current key has.
    ///
    /// - Throws: `incompatible` without duplicates; `badCursor` on no entry.
    /// - Complexity: O(1).
    public mutating func valueCount() throws(DatabaseError) -> UInt64 {
        try state.pointee.count()
    }
}
