import CZeroDBPlatform

/// A position in a database of a transaction, which the compiler keeps inside that transaction.
public struct Cursor: ~Copyable, ~Escapable {
    let state: UnsafeMutablePointer<CursorState>

    @_lifetime(borrow owner)
    init<Owner: ~Copyable>(
        _ claim: TransactionClaim, _ database: Database, keeping owner: borrowing Owner
    ) {
        state = .allocate(capacity: 1)
        state.initialize(to: CursorState(transaction: claim.state))
        state.pointee.begin(claim.state, handle: claim.handle, database: database.handle)
    }

    deinit {
        state.pointee.deallocate()
        state.deinitialize(count: 1)
        state.deallocate()
    }

    /// An entry, in place: valid until the cursor moves.
    public struct Entry: ~Escapable {
        public let key: RawSpan
        public let value: RawSpan

        /// The caller bounds the lifetime.
        @_lifetime(immortal)
        init(_ entry: CursorState.Entry) {
            key = unsafe _overrideLifetime(RawSpan(_unsafeBytes: entry.key), copying: ())
            value = unsafe _overrideLifetime(RawSpan(_unsafeBytes: entry.value), copying: ())
        }
    }

    @_lifetime(&self)
    mutating func entry(_ entry: CursorState.Entry?) -> Entry? {
        guard let entry else { return nil }
        return unsafe _overrideLifetime(Entry(entry), mutating: &self)
    }

    /// Moves to the first entry; nil if the database is empty.
    @_lifetime(&self)
    public mutating func first() throws(DatabaseError) -> Entry? {
        entry(try state.pointee.move(.first))
    }

    /// Moves to the last entry; nil if the database is empty.
    @_lifetime(&self)
    public mutating func last() throws(DatabaseError) -> Entry? {
        entry(try state.pointee.move(.last))
    }

    /// Moves to the next entry, the first if the cursor is nowhere; nil at the end.
    @_lifetime(&self)
    public mutating func next() throws(DatabaseError) -> Entry? {
        entry(try state.pointee.move(.next))
    }

    /// Moves to the entry before, the last if the cursor is nowhere; nil at the beginning.
    @_lifetime(&self)
    public mutating func previous() throws(DatabaseError) -> Entry? {
        entry(try state.pointee.move(.previous))
    }

    /// The entry under the cursor.
    ///
    /// - Throws: `badCursor` if it is on none.
    @_lifetime(&self)
    public mutating func current() throws(DatabaseError) -> Entry? {
        entry(try state.pointee.move(.current))
    }

    mutating func nextMany(
        keys: UnsafeMutablePointer<zp_bytes>, values: UnsafeMutablePointer<zp_bytes>, capacity: Int
    ) throws(DatabaseError) -> Int {
        try state.pointee.nextMany(keys: keys, values: values, capacity: capacity)
    }

    /// Moves to exactly this key; nil if it is not there, and then the cursor is nowhere.
    @_lifetime(&self)
    public mutating func seek(to key: some ByteSource) throws(DatabaseError) -> Entry? {
        let found = try key.withBytes { key throws(DatabaseError) in
            try state.pointee.seek(key, exact: true)
        }
        return entry(found)
    }

    /// Moves to the first key at or after this one; nil if there is none.
    @_lifetime(&self)
    public mutating func seek(atOrAfter key: some ByteSource) throws(DatabaseError) -> Entry? {
        let found = try key.withBytes { key throws(DatabaseError) in
            try state.pointee.seek(key, exact: false)
        }
        return entry(found)
    }
}
