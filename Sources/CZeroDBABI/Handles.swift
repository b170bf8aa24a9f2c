// Names and documentation are those of zerodb.h.
// swift-format-ignore-file: AlwaysUseLowerCamelCase, AllPublicDeclarationsHaveDocumentation

import CZeroDB
import CZeroDBPlatform
import ZeroDB

/// What an environment's handle names. The environment stays in memory, closed, until its slot
/// is used again: a thread that comes too late finds it closed, not gone.
struct EnvironmentHandle {
    var environment: Environment
    /// What its transactions begin with, reached without counting a reference.
    var state: UnsafeMutablePointer<StoreState>

    init(_ environment: Environment) {
        self.environment = environment
        state = environment.store.state
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
        environments.make(kind: UInt64(ZP_ENVIRONMENTS), capacity: 1 << 12)
        cursors.make(kind: UInt64(ZP_CURSORS), capacity: 1 << 20)
    }

    @inline(__always)
    static func number(_ pointer: OpaquePointer?) -> UInt64 {
        UInt64(UInt(bitPattern: pointer))
    }

    @inline(__always)
    static func pointer(_ handle: UInt64) -> OpaquePointer? {
        OpaquePointer(bitPattern: UInt(handle))
    }

    /// Moves a cursor to the next value of its key, if that takes a load or two.
    ///
    /// - Returns: false if it does not, and then nothing has changed.
    @inline(__always)
    static func moveAtHand(
        _ pointer: OpaquePointer?, _ key: UnsafeMutablePointer<zdb_val>?,
        _ value: UnsafeMutablePointer<zdb_val>?
    ) -> Bool {
        guard let cursor = ZeroDB.cursor(of: number(pointer)), !cursor.pointee.run.isEmpty,
            let transaction = ZeroDB.transaction(of: cursor.pointee.transactionHandle),
            transaction.pointee.forkGeneration == zp_fork_generation(),
            let entry = nextValueAtHand(cursor, transaction)
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

    @inline(__always)
    static func environment(
        _ pointer: OpaquePointer?
    ) throws(DatabaseError) -> UnsafeMutablePointer<EnvironmentHandle> {
        guard let object = environments.resolve(number(pointer)) else {
            throw bad("environment", pointer)
        }
        guard object.pointee.state.pointee.forkGeneration == zp_fork_generation() else {
            throw DatabaseError.forked
        }
        return object
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

    /// Runs a body in a transaction. A write transaction admits one thread at a time.
    @inline(__always)
    static func withTransaction(
        _ pointer: OpaquePointer?,
        _ body: (UnsafeMutablePointer<TransactionState>) throws(DatabaseError) -> Int32
    ) -> Int32 {
        do throws(DatabaseError) {
            let state = try transaction(pointer)
            guard state.pointee.isWrite else { return try body(state) }
            try state.pointee.enter()
            defer { state.pointee.leave() }
            return try body(state)
        } catch {
            return Results.fail(error)
        }
    }

    /// Runs a body in a transaction and alone in it, for calls that change what the transaction
    /// itself is.
    @inline(__always)
    static func withTransactionAlone(
        _ pointer: OpaquePointer?,
        _ body: (UnsafeMutablePointer<TransactionState>) throws(DatabaseError) -> Int32
    ) -> Int32 {
        do throws(DatabaseError) {
            let state = try transaction(pointer)
            try state.pointee.enter()
            defer { state.pointee.leave() }
            try state.pointee.checkChildless()
            return try body(state)
        } catch {
            return Results.fail(error)
        }
    }

    /// Runs a body with a cursor whose transaction is alive.
    @inline(__always)
    static func withCursor(
        _ pointer: OpaquePointer?,
        _ body: (UnsafeMutablePointer<CursorState>) throws(DatabaseError) -> Int32
    ) -> Int32 {
        do throws(DatabaseError) {
            guard let cursor = ZeroDB.cursor(of: number(pointer)) else {
                throw bad("cursor", pointer)
            }
            guard let state = ZeroDB.transaction(of: cursor.pointee.transactionHandle) else {
                throw endedTransaction
            }
            guard state.pointee.forkGeneration == zp_fork_generation() else {
                throw DatabaseError.forked
            }
            guard state.pointee.isWrite else { return try body(cursor) }
            try state.pointee.enter()
            defer { state.pointee.leave() }
            return try body(cursor)
        } catch {
            return Results.fail(error)
        }
    }
}
