import CZeroDBPlatform

/// A position in a database of a transaction, which the compiler keeps inside that transaction.
///
/// What it hands out is valid until it moves: while an entry is in scope, the compiler lets no code
/// ask the cursor for anything else. In a write transaction it cannot outlive the next change: begin
/// another with `cursor(in:)` and `seek(to:)` where you were. Used by one thread at a time, like its
/// transaction.
///
/// All moves throw `badTransaction` if an earlier error broke the transaction, `badCursor` if one
/// lost the cursor's place (move to a key or an end then), and `corrupted`. Those that find nothing
/// return nil.
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
        /// The key: a copy that the cursor owns.
        public let key: RawSpan
        /// The value, in place: no copy is made.
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

    /// Moves to the next entry, the first if the cursor is nowhere; nil at the end, and then the
    /// cursor stays on the last.
    ///
    /// - Complexity: O(1), except for a step to another page.
    @_lifetime(&self)
    public mutating func next() throws(DatabaseError) -> Entry? {
        entry(try state.pointee.move(.next))
    }

    /// Moves to the entry before, the last if the cursor is nowhere; nil at the beginning, and then
    /// the cursor stays on the first.
    ///
    /// - Complexity: O(1), except for a step to another page.
    @_lifetime(&self)
    public mutating func previous() throws(DatabaseError) -> Entry? {
        entry(try state.pointee.move(.previous))
    }

    /// The entry under the cursor; never nil.
    ///
    /// - Throws: `badCursor` if it is on none.
    @_lifetime(&self)
    public mutating func current() throws(DatabaseError) -> Entry? {
        entry(try state.pointee.move(.current))
    }

    mutating func nextMany(
        keys: UnsafeMutablePointer<zp_bytes>, values: UnsafeMutablePointer<zp_bytes>, capacity: Int
    ) throws(DatabaseError) -> Int {
        try state.pointee.readMany(
            forward: true, keys: keys, values: values, capacity: capacity)
    }

    /// Moves to exactly this key; nil if it is not there, and then the cursor is nowhere.
    ///
    /// - Throws: `badValueSize` for what can be no key.
    /// - Complexity: O(log n).
    @_lifetime(&self)
    public mutating func seek(to key: some ByteSource) throws(DatabaseError) -> Entry? {
        let found = try key.withBytes { key throws(DatabaseError) in
            try state.pointee.seek(key, exact: true)
        }
        return entry(found)
    }

    /// Moves to the first key at or after this one; nil if there is none, and then the cursor is
    /// nowhere.
    ///
    /// - Throws: `badValueSize` for what can be no key.
    /// - Complexity: O(log n).
    @_lifetime(&self)
    public mutating func seek(atOrAfter key: some ByteSource) throws(DatabaseError) -> Entry? {
        let found = try key.withBytes { key throws(DatabaseError) in
            try state.pointee.seek(key, exact: false)
        }
        return entry(found)
    }
}
