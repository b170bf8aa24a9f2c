/// A database of an environment: the main one or a named one. Valid for all transactions of the
/// environment it was opened in.
public struct Database: Sendable, Hashable {
    let handle: Int

    /// The main database, always there.
    public static let main = Database(handle: 0)
}

/// What read and write transactions have in common: reading.
///
/// Values are handed out as spans into the map; the compiler does not let them outlive the
/// transaction, nor, in a write transaction, its next change.
public protocol Transaction: ~Copyable {
    /// The engine's side of the transaction.
    var access: TransactionAccess { get }
}

/// The engine's side of a transaction, opaque.
public struct TransactionAccess {
    let claim: TransactionClaim

    var operations: Operations { Operations(claim.state) }

    /// Does something and counts the error that it ends with.
    @inline(__always) @discardableResult
    func calling<Result>(
        _ body: (Operations) throws(DatabaseError) -> Result
    ) throws(DatabaseError) -> Result {
        do throws(DatabaseError) {
            return try body(Operations(claim.state))
        } catch {
            countError(error, in: claim.state.pointee.storeState)
            throw error
        }
    }
}

/// Does something and counts the error that it ends with in an environment.
@inline(__always)
func counting<Result>(
    _ store: UnsafeMutablePointer<StoreState>,
    _ body: (UnsafeMutablePointer<StoreState>) throws(DatabaseError) -> Result
) throws(DatabaseError) -> Result {
    do throws(DatabaseError) {
        return try body(store)
    } catch {
        countError(error, in: store)
        throw error
    }
}

extension Transaction where Self: ~Copyable {
    /// The snapshot's transaction id; for a writer the id its commit will have.
    public var id: UInt64 { access.claim.state.pointee.id }

    /// The value of a key, in place: no copy is made.
    ///
    /// - Returns: nil if the key is not there.
    /// - Throws: `badValueSize`, `badDatabase`, `badTransaction`, `corrupted`.
    /// - Complexity: one page a level of the tree.
    @_lifetime(borrow self)
    public func value(
        for key: some ByteSource, in database: Database = .main
    ) throws(DatabaseError) -> RawSpan? {
        let bytes = try key.withBytes { key throws(DatabaseError) in
            try access.calling { operations throws(DatabaseError) in
                try operations.get(database.handle, key)
            }
        }
        guard let bytes else { return nil }
        return unsafe _overrideLifetime(RawSpan(_unsafeBytes: bytes), borrowing: self)
    }

    /// A copy of the value of a key.
    ///
    /// - Returns: nil if the key is not there.
    /// - Throws: as `value(for:in:)`.
    public func get(
        _ key: some ByteSource, in database: Database = .main
    ) throws(DatabaseError) -> [UInt8]? {
        try key.withBytes { key throws(DatabaseError) in
            try access.calling { operations throws(DatabaseError) in
                try operations.get(database.handle, key)
            }.map { Array($0) }
        }
    }

    /// Whether a key is there.
    ///
    /// - Throws: as `value(for:in:)`.
    public func contains(
        _ key: some ByteSource, in database: Database = .main
    ) throws(DatabaseError) -> Bool {
        try key.withBytes { key throws(DatabaseError) in
            try access.calling { operations throws(DatabaseError) in
                try operations.get(database.handle, key)
            } != nil
        }
    }

    /// Counts of a database: entries, pages, depth.
    ///
    /// - Throws: `badDatabase`, `badTransaction`.
    /// - Complexity: O(1).
    public func statistics(
        of database: Database = .main
    ) throws(DatabaseError) -> DatabaseStatistics {
        try access.calling { operations throws(DatabaseError) in
            try operations.statistics(database.handle)
        }
    }

    /// A cursor on no entry yet. It lives no longer than the transaction, and in a write
    /// transaction until its next change.
    ///
    /// - Throws: `badDatabase`, `badTransaction`.
    @_lifetime(borrow self)
    public func cursor(in database: Database = .main) throws(DatabaseError) -> Cursor {
        _ = try access.calling { operations throws(DatabaseError) in
            try operations.statistics(database.handle)
        }
        return Cursor(access.claim, database, keeping: self)
    }
}

/// A snapshot of an environment: the newest commit at its beginning, unchanged while it lives.
///
/// Used by one thread at a time. Beginning and ending one takes no lock and makes no system call.
/// While it lives, the space that its snapshot uses is not reused: end it soon where others write.
public struct ReadTransaction: ~Copyable, Transaction {
    /// The engine's side of the transaction.
    public let access: TransactionAccess
    /// Retained: the environment stays in memory as long as the transaction.
    private let environment: Unmanaged<Environment>

    init(_ environment: Environment) throws(DatabaseError) {
        let claim = try counting(environment.store.state) { store throws(DatabaseError) in
            try Transactions.beginRead(store)
        }
        access = TransactionAccess(claim: claim)
        self.environment = Unmanaged.passRetained(environment)
    }

    deinit {
        Transactions.letGo(access.claim)
        environment.release()
    }
}

/// The write transaction of an environment. There is one at a time, in all processes together.
///
/// Used by one thread at a time. It sees its own changes; others see them when it has committed.
/// After an error that breaks it (`transactionFull`, `full`, `corrupted`, a lack of memory) all it
/// can do is abort.
public struct WriteTransaction: ~Copyable, Transaction {
    /// The engine's side of the transaction.
    public let access: TransactionAccess
    /// Retained: the environment stays in memory as long as the transaction.
    private let environment: Unmanaged<Environment>

    init(_ environment: Environment, _ durability: Durability?) throws(DatabaseError) {
        let claim = try counting(environment.store.state) { store throws(DatabaseError) in
            try Transactions.beginWrite(store, durability: durability)
        }
        access = TransactionAccess(claim: claim)
        self.environment = Unmanaged.passRetained(environment)
    }

    private init(nestedIn parent: borrowing WriteTransaction) throws(DatabaseError) {
        let state = parent.access.claim.state
        let claim = try counting(state.pointee.storeState) { store throws(DatabaseError) in
            try Transactions.beginNested(in: state, store)
        }
        access = TransactionAccess(claim: claim)
        environment = parent.environment.retain()
    }

    deinit {
        Transactions.letGo(access.claim)
        environment.release()
    }

    /// Runs a body in a transaction nested in this one. It sees what this one has done and adds to
    /// it if the body returns; if the body throws, what it did is taken back.
    ///
    /// - Throws: what the body throws; `full` at more than 64 levels; `badTransaction` if an
    ///   earlier error broke this transaction. One that breaks the nested transaction leaves this
    ///   one as it was.
    /// - Complexity: a copy of each page of this transaction that the nested one changes.
    @discardableResult
    public mutating func nested<Result: ~Copyable>(
        _ body: (inout WriteTransaction) throws -> Result
    ) throws -> Result {
        var transaction = try WriteTransaction(nestedIn: self)
        let result = try body(&transaction)
        try transaction.commit()
        return result
    }

    /// Commits. The changes are on disk when this returns; those of a nested transaction are its
    /// parent's.
    ///
    /// - Throws: `badTransaction` if an earlier error broke the transaction; `full`; `panic`; `forked`;
    ///   a system error. The transaction has not happened then, except after `panic`: whether it has is
    ///   known when the environment is opened again.
    /// - Complexity: with full durability one flush of the log, shared with the other threads
    ///   that commit at the time.
    public consuming func commit() throws(DatabaseError) {
        let claim = access.claim
        let environment = environment
        discard self
        defer { environment.release() }
        // Its pages and the log are its parent's, and so is the writer's lock.
        if claim.state.pointee.storeState.pointee.isForked { throw DatabaseError.forked }
        try counting(claim.state.pointee.storeState) { _ throws(DatabaseError) in
            try Transactions.commit(claim)
        }
    }

    /// Ends the transaction and forgets all its changes, as going out of scope does.
    public consuming func abort() {}

    /// Puts a key and its value, in place of an older value; in a database with duplicates beside
    /// the key's other values.
    ///
    /// - Throws: `badValueSize`, `badDatabase`, `badTransaction`. After `transactionFull`, `full`,
    ///   `corrupted` or a lack of memory the transaction can only be aborted.
    public mutating func put(
        _ key: some ByteSource, _ value: some ByteSource, in database: Database = .main
    ) throws(DatabaseError) {
        _ = try put(key, value, in: database, mode: .overwrite)
    }

    /// Puts a key that is not there yet.
    ///
    /// - Returns: false if the key is there, and then nothing has changed.
    /// - Throws: as `put(_:_:in:)`.
    @discardableResult
    public mutating func insert(
        _ key: some ByteSource, _ value: some ByteSource, in database: Database = .main
    ) throws(DatabaseError) -> Bool {
        try put(key, value, in: database, mode: .noOverwrite)
    }

    /// Puts a key that is after all others. Skips the search for its place.
    ///
    /// - Throws: `notSorted` if it is not, and then nothing has changed; otherwise as
    ///   `put(_:_:in:)`.
    public mutating func append(
        _ key: some ByteSource, _ value: some ByteSource, in database: Database = .main
    ) throws(DatabaseError) {
        _ = try put(key, value, in: database, mode: .append)
    }

    mutating func put(
        _ key: some ByteSource, _ value: some ByteSource, in database: Database,
        mode: PutMode
    ) throws(DatabaseError) -> Bool {
        try withBytes(key, value) { key, value throws(DatabaseError) in
            try access.calling { operations throws(DatabaseError) in
                try operations.put(database.handle, key, value, mode: mode)
            } == nil
        }
    }

    /// Deletes a key, with all its values.
    ///
    /// - Returns: whether it was there.
    /// - Throws: as `put(_:_:in:)`.
    @discardableResult
    public mutating func delete(
        _ key: some ByteSource, in database: Database = .main
    ) throws(DatabaseError) -> Bool {
        try key.withBytes { key throws(DatabaseError) in
            try access.calling { operations throws(DatabaseError) in
                try operations.delete(database.handle, key)
            }
        }
    }
}

extension Environment {
    /// Begins a read transaction, which ends when it goes out of scope. It sees the newest commit.
    ///
    /// - Throws: `readersFull`; `full` if another process has let the environment grow beyond what
    ///   this one has mapped; `badHandle` if it has been closed; `forked`.
    public func beginRead() throws(DatabaseError) -> ReadTransaction { try ReadTransaction(self) }

    /// Begins the write transaction, after waiting for the one before it. If it goes out of scope
    /// without `commit()`, its changes are forgotten.
    ///
    /// - Parameter durability: what its commit waits for; the environment's if nil.
    /// - Throws: `busy` if this thread has a write transaction in the environment already, as it
    ///   would wait for itself; `readOnly`; `panic`; as `beginRead()`; a system error.
    public func beginWrite(
        durability: Durability? = nil
    ) throws(DatabaseError) -> WriteTransaction {
        try WriteTransaction(self, durability)
    }

    /// Runs a body in a read transaction that throws errors of the library only, as a closure says that
    /// begins with `transaction throws(DatabaseError) in`. So does this then.
    ///
    /// - Throws: what the body throws; as `beginRead()`.
    public func read<Result: ~Copyable>(
        _ body: (borrowing ReadTransaction) throws(DatabaseError) -> Result
    ) throws(DatabaseError) -> Result {
        let transaction = try beginRead()
        do throws(DatabaseError) {
            return try body(transaction)
        } catch {
            count(error)
            throw error
        }
    }

    /// Runs a body in a read transaction.
    ///
    /// What points into the transaction cannot be its result. A body of one expression that has such a value
    /// is taken for one that returns nothing, and the compiler says that the constant is "inferred to have
    /// type '()'": return a copy, as `get` makes one.
    ///
    /// - Throws: what the body throws; as `beginRead()`.
    public func read<Result: ~Copyable>(
        _ body: (borrowing ReadTransaction) throws -> Result
    ) throws -> Result {
        let transaction = try beginRead()
        do {
            return try body(transaction)
        } catch {
            count(error)
            throw error
        }
    }

    /// Runs a body in a write transaction that throws errors of the library only, as a closure says that
    /// begins with `transaction throws(DatabaseError) in`. So does this then. Commits if the body returns; if
    /// it throws, nothing has changed.
    ///
    /// - Throws: what the body throws; as `beginWrite(durability:)` and
    ///   ``WriteTransaction/commit()``.
    @discardableResult
    public func write<Result: ~Copyable>(
        _ body: (inout WriteTransaction) throws(DatabaseError) -> Result
    ) throws(DatabaseError) -> Result {
        var transaction = try beginWrite()
        let result: Result
        do throws(DatabaseError) {
            result = try body(&transaction)
        } catch {
            count(error)
            throw error
        }
        try transaction.commit()
        return result
    }

    /// Runs a body in a write transaction, and commits if it returns; if it throws, nothing has
    /// changed.
    ///
    /// - Throws: what the body throws; as `beginWrite(durability:)` and
    ///   ``WriteTransaction/commit()``.
    @discardableResult
    public func write<Result: ~Copyable>(
        _ body: (inout WriteTransaction) throws -> Result
    ) throws -> Result {
        var transaction = try beginWrite()
        let result: Result
        do {
            result = try body(&transaction)
        } catch {
            count(error)
            throw error
        }
        try transaction.commit()
        return result
    }

    /// Counts an error that a body has thrown, unless it has been counted.
    private func count(_ error: DatabaseError) { countError(error, in: store.state) }

    /// Counts an error of the library's that a body has thrown, unless it has been counted.
    private func count(_ error: any Error) {
        if let error = error as? DatabaseError { countError(error, in: store.state) }
    }
}
