/// The entries of a range, one after another, in place: nothing is copied. As an entry must not
/// outlive its place, this is no `Sequence`; `next()` is called in a `while let`, or a body is
/// given to `forEach`.
public struct Entries: ~Copyable, ~Escapable {
    private var cursor: Cursor
    private let range: KeyRange
    private let isReversed: Bool
    private let reversesKeys: Bool
    private var isAtEnd = false
    private var hasBegun = false

    @_lifetime(copy cursor)
    init(_ cursor: consuming Cursor, _ range: KeyRange, reversed: Bool, reversesKeys: Bool) {
        self.cursor = cursor
        self.range = range
        isReversed = reversed
        self.reversesKeys = reversesKeys
    }

    /// The next entry, valid until the next call; nil at the end of the range.
    ///
    /// - Throws: `badTransaction`, `corrupted`.
    /// - Complexity: O(1), except for a step to another page; the first call O(log n).
    @_lifetime(&self)
    public mutating func next() throws(DatabaseError) -> Cursor.Entry? {
        guard !isAtEnd else { return nil }
        let state = cursor.state
        var found = try hasBegun ? state.pointee.move(isReversed ? .previous : .next) : begin()
        hasBegun = true
        if let entry = found, !isInside(entry.key) { found = nil }
        isAtEnd = found == nil
        return cursor.entry(found)
    }

    /// Gives a body each entry that is left.
    ///
    /// - Throws: as `next()`, and what the body throws.
    public consuming func forEach(_ body: (borrowing Cursor.Entry) throws -> Void) throws {
        while let entry = try next() { try body(entry) }
    }

    private mutating func begin() throws(DatabaseError) -> CursorState.Entry? {
        let state = cursor.state
        if !isReversed {
            guard let from = range.from else { return try state.pointee.move(.first) }
            return try from.withBytes { from throws(DatabaseError) in
                try state.pointee.seek(from, exact: false)
            }
        }
        guard let to = range.to else { return try state.pointee.move(.last) }
        let after = try to.withBytes { to throws(DatabaseError) in
            try state.pointee.seek(to, exact: false)
        }
        return try after == nil ? state.pointee.move(.last) : state.pointee.move(.previous)
    }

    /// Whether a key is not behind the end that the entries go to.
    private func isInside(_ key: UnsafeRawBufferPointer) -> Bool {
        guard let end = isReversed ? range.from : range.to else { return true }
        let order = end.withUnsafeBytes {
            KeyOrder.compare(key, $0, reversed: reversesKeys)
        }
        return isReversed ? order >= 0 : order < 0
    }
}

extension Transaction where Self: ~Copyable {
    /// The entries of a range of keys, in their order or from the last to the first. In a database
    /// with duplicates these are pairs: reversed, they begin with the last value of the last key.
    ///
    /// They live no longer than the transaction, and in a write transaction until its next change.
    ///
    /// - Throws: `badDatabase`, `badTransaction`; `badValueSize` for an end that can be no key.
    @_lifetime(borrow self)
    public func entries(
        _ range: KeyRange = .all, in database: Database = .main, reversed: Bool = false
    ) throws(DatabaseError) -> Entries {
        let operations = access.operations
        let record = try operations.record(database.handle)
        // Ends that are only compared with keys must be such as the database could hold, too.
        try range.withEnds { from, to throws(DatabaseError) in
            if let from { try operations.checkKey(from, record) }
            if let to { try operations.checkKey(to, record) }
        }
        return Entries(
            try cursor(in: database), range, reversed: reversed,
            reversesKeys: record.flags.reversesKeys)
    }
}
