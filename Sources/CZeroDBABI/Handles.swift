// Names and documentation are those of zerodb.h.
// swift-format-ignore-file: AlwaysUseLowerCamelCase, AllPublicDeclarationsHaveDocumentation

import CZeroDB
import CZeroDBPlatform
import Synchronization
import ZeroDB

/// What an environment's handle names.
struct EnvironmentHandle: ~Copyable {
    /// nil while the slot is free. Only for a thread that counts among the calls of `state`, after it
    /// has seen that the handle is alive.
    var environment: Environment?
    /// The address of what its transactions begin with: memory that is never given back, so that a
    /// thread that comes too late can look at it.
    private let address = Atomic<UInt>(0)

    /// For a slot that is used for the first time. Any state will do until `open`.
    init() {}

    mutating func open(_ environment: Environment) {
        self.environment = environment
        address.store(UInt(bitPattern: environment.store.state), ordering: .releasing)
    }

    @inline(__always)
    var state: UnsafeMutablePointer<StoreState>? {
        UnsafeMutablePointer(bitPattern: address.load(ordering: .acquiring))
    }
}

/// From C's opaque pointers to the objects they name, and back. No pointer is ever followed
/// that is not one of the library's own.
enum Handles {
    @inline(__always)
    static var environments: HandleTable<EnvironmentHandle> {
        HandleTable(zp_handle_table_of(UInt64(ZP_ENVIRONMENTS)))
    }

    @inline(__always)
    static var cursors: HandleTable<CursorState> {
        HandleTable(zp_handle_table_of(UInt64(ZP_CURSORS)))
    }

    /// Makes the tables, before the first environment is opened.
    static func prepare() {
        environments.make(kind: UInt64(ZP_ENVIRONMENTS), capacity: Limits.environmentsMax)
        cursors.make(kind: UInt64(ZP_CURSORS), capacity: Limits.cursorsMax)
    }

    @inline(__always)
    static func number(_ pointer: OpaquePointer?) -> UInt64 {
        UInt64(UInt(bitPattern: pointer))
    }

    @inline(__always)
    static func pointer(_ handle: UInt64) -> OpaquePointer? {
        OpaquePointer(bitPattern: UInt(handle))
    }

    /// Moves a cursor of a read transaction to the next value of its key or to the entry beside it, if
    /// that is no farther than some loads.
    ///
    /// - Parameter op: `ZDB_NEXT`, `ZDB_PREV` or `ZDB_NEXT_DUP`.
    /// - Returns: false if it is, and then nothing has changed.
    @inline(__always)
    static func moveAtHand(
        _ pointer: OpaquePointer?, _ key: UnsafeMutablePointer<zdb_val>?,
        _ value: UnsafeMutablePointer<zdb_val>?, _ op: zdb_cursor_op
    ) -> Bool {
        guard let cursor = ZeroDB.cursor(of: number(pointer)),
            let transaction = ZeroDB.transaction(of: cursor.pointee.transactionHandle),
            transaction.pointee.forkGeneration == zp_fork_generation()
        else { return false }
        // In write transactions cursors have no runs.
        guard cursor.pointee.run.isEmpty else {
            guard op != ZDB_PREV, let next = nextValueAtHand(cursor, transaction) else {
                return false
            }
            let run = cursor.pointee.run
            key?.pointee = zdb_val(data: run.key, size: run.keyLength)
            value?.pointee = zdb_val(data: next.start, size: next.count)
            return true
        }
        guard op != ZDB_NEXT_DUP, !transaction.pointee.isWrite,
            let entry = neighborAtHand(cursor, forward: op == ZDB_NEXT)
        else { return false }
        Results.store(entry.key, in: key)
        Results.store(entry.value, in: value)
        return true
    }

    private static var endedTransaction: DatabaseError {
        DatabaseError(.badCursor, "the cursor's transaction has ended; close the cursor")
    }

    @inline(never)
    private static func bad(_ kind: String, _ pointer: OpaquePointer?) -> DatabaseError {
        DatabaseError(
            .badHandle,
            pointer == nil
                ? "the \(kind) handle is NULL"
                : "the \(kind) handle is closed or was never one (0x"
                    + "\(String(UInt(bitPattern: pointer), radix: 16)))")
    }

    /// The state of an environment's store, for `Transactions`, which looks at the handle again.
    @inline(__always)
    static func storeState(
        _ pointer: OpaquePointer?
    ) throws(DatabaseError) -> UnsafeMutablePointer<StoreState> {
        guard let state = environments.resolve(number(pointer))?.pointee.state else {
            throw bad("environment", pointer)
        }
        return state
    }

    /// An environment, which stays in memory as long as the caller has it. Another thread may close
    /// it: its functions see to that.
    static func environment(_ pointer: OpaquePointer?) throws(DatabaseError) -> Environment {
        let state = try storeState(pointer)
        // `close` makes the handle dead, then waits for the calls it sees, and then lets the
        // environment go: either it sees this one, or this sees that the handle is dead.
        state.pointee.calls.add(1, ordering: .sequentiallyConsistent)
        defer { state.pointee.calls.subtract(1, ordering: .sequentiallyConsistent) }
        guard let object = environments.resolve(number(pointer)), object.pointee.state == state
        else { throw bad("environment", pointer) }
        if state.pointee.isForked { throw DatabaseError.forked }
        guard let environment = object.pointee.environment else {
            throw bad("environment", pointer)
        }
        return environment
    }

    /// A handle for an environment.
    static func open(_ environment: Environment) throws(DatabaseError) -> OpaquePointer? {
        guard let claim = environments.claim(hint: 0) else {
            let error = DatabaseError(
                .busy, limit: .environments,
                "\(Limits.environmentsMax) environments are open in this process; close some")
            countError(error, in: environment.store.state)
            throw error
        }
        let object: UnsafeMutablePointer<EnvironmentHandle>
        if let known = environments.object(at: claim.index) {
            object = known
        } else {
            object = .allocate(capacity: 1)
            object.initialize(to: EnvironmentHandle())
            environments.setObject(object, at: claim.index)
        }
        object.pointee.open(environment)
        return Handles.pointer(claim.handle)
    }

    /// Makes the handle of an environment that this thread has closed dead, and those of its cursors.
    static func close(_ pointer: OpaquePointer?) {
        let index = HandleTable<EnvironmentHandle>.index(of: number(pointer))
        guard let object = environments.object(at: index), let state = object.pointee.state else {
            return
        }
        let tag = UInt(bitPattern: state)
        for index in 0..<cursors.count {
            // In this order: a tag is of the handle that the slot has while it has the tag.
            guard let handle = cursors.handle(at: index), cursors.tag(at: index) == tag else {
                continue
            }
            cursors.release(handle: handle)
        }
        environments.invalidate(index)
        state.pointee.waitForCalls()
        object.pointee.environment = nil
        environments.release(index)
    }

    /// The handle of a transaction's environment.
    static func environment(
        of transaction: UnsafeMutablePointer<TransactionState>
    ) -> OpaquePointer? {
        for index in 0..<environments.count {
            guard let handle = environments.handle(at: index),
                environments.object(at: index)?.pointee.state == transaction.pointee.storeState
            else { continue }
            return pointer(handle)
        }
        return nil
    }

    @inline(__always)
    static func transaction(
        _ pointer: OpaquePointer?
    ) throws(DatabaseError) -> UnsafeMutablePointer<TransactionState> {
        guard let object = ZeroDB.transaction(of: number(pointer)) else {
            throw bad("transaction", pointer)
        }
        guard object.pointee.forkGeneration == zp_fork_generation() else {
            throw DatabaseError.forked
        }
        return object
    }

    /// A cursor, whether its transaction has ended or not.
    static func cursor(
        _ pointer: OpaquePointer?
    ) throws(DatabaseError) -> UnsafeMutablePointer<CursorState> {
        guard let object = cursors.resolve(number(pointer)) else { throw bad("cursor", pointer) }
        guard object.pointee.forkGeneration == zp_fork_generation() else {
            throw DatabaseError.forked
        }
        return object
    }

    /// A transaction that this thread is alone in until it leaves. The handle is looked at again: another
    /// thread may have ended the transaction, and the slot may be of the next.
    @inline(__always)
    static func enter(
        _ pointer: OpaquePointer?, _ state: UnsafeMutablePointer<TransactionState>
    ) throws(DatabaseError) {
        try state.pointee.enter()
        guard zp_handle_is_alive(zp_handle_table_of(UInt64(ZP_TRANSACTIONS)), number(pointer))
        else {
            state.pointee.leave()
            throw bad("transaction", pointer)
        }
        state.pointee.noteUser()
    }

    /// Runs a body in a transaction. A write transaction admits one thread at a time.
    @inline(__always)
    static func withTransaction(
        _ pointer: OpaquePointer?,
        _ body: (UnsafeMutablePointer<TransactionState>) throws(DatabaseError) -> Int32
    ) -> Int32 {
        var known: UnsafeMutablePointer<TransactionState>?
        do throws(DatabaseError) {
            let state = try transaction(pointer)
            known = state
            guard state.pointee.isWrite else { return try body(state) }
            try enter(pointer, state)
            defer { state.pointee.leave() }
            return try body(state)
        } catch {
            return Results.fail(error, in: known)
        }
    }

    /// Runs a body in a transaction and alone in it, for calls that change what the transaction
    /// itself is.
    @inline(__always)
    static func withTransactionAlone(
        _ pointer: OpaquePointer?,
        _ body: (UnsafeMutablePointer<TransactionState>) throws(DatabaseError) -> Int32
    ) -> Int32 {
        var known: UnsafeMutablePointer<TransactionState>?
        do throws(DatabaseError) {
            let state = try transaction(pointer)
            known = state
            try enter(pointer, state)
            defer { state.pointee.leave() }
            try state.pointee.checkChildless()
            return try body(state)
        } catch {
            return Results.fail(error, in: known)
        }
    }

    /// Runs a body with a cursor whose transaction is alive.
    @inline(__always)
    static func withCursor(
        _ pointer: OpaquePointer?,
        _ body: (UnsafeMutablePointer<CursorState>) throws(DatabaseError) -> Int32
    ) -> Int32 {
        var known: UnsafeMutablePointer<TransactionState>?
        do throws(DatabaseError) {
            guard let cursor = ZeroDB.cursor(of: number(pointer)) else {
                throw bad("cursor", pointer)
            }
            guard let state = ZeroDB.transaction(of: cursor.pointee.transactionHandle) else {
                throw endedTransaction
            }
            known = state
            guard state.pointee.forkGeneration == zp_fork_generation() else {
                throw DatabaseError.forked
            }
            guard state.pointee.isWrite else { return try body(cursor) }
            try state.pointee.enter()
            guard ZeroDB.transaction(of: cursor.pointee.transactionHandle) == state else {
                state.pointee.leave()
                throw endedTransaction
            }
            state.pointee.noteUser()
            defer { state.pointee.leave() }
            return try body(cursor)
        } catch {
            return Results.fail(error, in: known)
        }
    }
}
