// The names are those of zerodb.h.
// swift-format-ignore-file: AlwaysUseLowerCamelCase

import CZeroDB
import CZeroDBPlatform
import ZeroDB

@_cdecl("zdb_cursor_open") @implementation
public func zdb_cursor_open(
    _ txn: OpaquePointer?, _ db: zdb_db, _ cursor: UnsafeMutablePointer<OpaquePointer?>?
) -> Int32 {
    cursor?.pointee = nil
    return Handles.withTransactionAlone(txn) { state throws(DatabaseError) in
        guard let cursor else { throw Results.null("cursor", "zdb_cursor_open") }
        // Opened or not, the database must be there.
        _ = try Operations(state).statistics(Int(db))
        let hint = zp_thread_slot_hints()
        guard let claim = Handles.cursors.claim(hint: Int(hint?.pointee.cursor ?? 0)) else {
            throw DatabaseError(.busy, "1048576 cursors are open in this process; close some")
        }
        hint?.pointee.cursor = UInt32(truncatingIfNeeded: claim.index)
        let object: UnsafeMutablePointer<CursorState>
        if let known = Handles.cursors.object(at: claim.index) {
            object = known
        } else {
            object = .allocate(capacity: 1)
            object.initialize(to: CursorState(transaction: state))
            Handles.cursors.setObject(object, at: claim.index)
        }
        object.pointee.begin(state, handle: Handles.number(txn), database: Int(db))
        cursor.pointee = Handles.pointer(claim.handle)
        return ZDB_OK
    }
}

@_cdecl("zdb_cursor_close") @implementation
public func zdb_cursor_close(_ cursor: OpaquePointer?) -> Int32 {
    guard let cursor else { return ZDB_OK }
    guard let object = Handles.cursors.resolve(Handles.number(cursor)) else {
        return Results.fail(.badHandle, "the cursor handle is closed or was never one")
    }
    guard object.pointee.forkGeneration == zp_fork_generation() else {
        return Results.fail(Environment.forkedError)
    }
    Handles.cursors.release(HandleTable<CursorState>.index(of: Handles.number(cursor)))
    return ZDB_OK
}

@_cdecl("zdb_cursor_get") @implementation
public func zdb_cursor_get(
    _ cursor: OpaquePointer?, _ key: UnsafeMutablePointer<zdb_val>?,
    _ value: UnsafeMutablePointer<zdb_val>?, _ op: zdb_cursor_op
) -> Int32 {
    Handles.withCursor(cursor) { cursor throws(DatabaseError) in
        let entry: CursorState.Entry?
        switch op {
        case ZDB_NEXT: entry = try cursor.pointee.move(.next)
        case ZDB_PREV: entry = try cursor.pointee.move(.previous)
        case ZDB_FIRST: entry = try cursor.pointee.move(.first)
        case ZDB_LAST: entry = try cursor.pointee.move(.last)
        case ZDB_GET_CURRENT: entry = try cursor.pointee.move(.current)
        case ZDB_SET, ZDB_SET_KEY, ZDB_SET_RANGE:
            let target = try Results.bytes(
                key.map { UnsafePointer($0) }, "key", "zdb_cursor_get")
            entry = try cursor.pointee.seek(target, exact: op != ZDB_SET_RANGE)
        default:
            throw DatabaseError(
                .badArgument, "zdb_cursor_get: operation \(op.rawValue) is not one of this version")
        }
        guard let entry else { return ZDB_NOT_FOUND }
        if op != ZDB_SET { Results.store(entry.key, in: key) }
        Results.store(entry.value, in: value)
        return ZDB_OK
    }
}

@_cdecl("zdb_cursor_put") @implementation
public func zdb_cursor_put(
    _ cursor: OpaquePointer?, _ key: UnsafePointer<zdb_val>?,
    _ value: UnsafeMutablePointer<zdb_val>?, _ flags: UInt32
) -> Int32 {
    Handles.withCursor(cursor) { cursor throws(DatabaseError) in
        try Results.checkFlags(
            flags, allowed: ZDB_CURRENT | ZDB_NOOVERWRITE | ZDB_APPEND | ZDB_RESERVE,
            "zdb_cursor_put")
        let others = flags & ~ZDB_RESERVE
        let isReserving = flags & ZDB_RESERVE != 0
        guard others & ZDB_CURRENT == 0 || others == ZDB_CURRENT else {
            throw DatabaseError(
                .incompatible,
                "zdb_cursor_put: ZDB_CURRENT replaces the value under the cursor and goes with no "
                    + "other flag than ZDB_RESERVE")
        }
        if isReserving {
            let count = try reservedCount(value, "zdb_cursor_put")
            if others == ZDB_CURRENT {
                return store(try cursor.pointee.reserveCurrent(count: count), in: value)
            }
            let key = try Results.bytes(key, "key", "zdb_cursor_put")
            let mode = try putMode(others, "zdb_cursor_put")
            return store(try cursor.pointee.reserve(key, count: count, mode: mode), in: value)
        }
        let bytes = try Results.bytes(value.map { UnsafePointer($0) }, "value", "zdb_cursor_put")
        if others == ZDB_CURRENT {
            try cursor.pointee.replaceCurrent(bytes)
            return ZDB_OK
        }
        let key = try Results.bytes(key, "key", "zdb_cursor_put")
        let mode = try putMode(others, "zdb_cursor_put")
        if let existing = try cursor.pointee.put(key, bytes, mode: mode) {
            Results.store(existing, in: value)
            return ZDB_KEYEXIST
        }
        return ZDB_OK
    }
}

@_cdecl("zdb_cursor_renew") @implementation
public func zdb_cursor_renew(_ txn: OpaquePointer?, _ cursor: OpaquePointer?) -> Int32 {
    Handles.withTransactionAlone(txn) { state throws(DatabaseError) in
        let object = try Handles.cursor(cursor)
        guard object.pointee.environment == state.pointee.environment else {
            throw DatabaseError(
                .incompatible,
                "zdb_cursor_renew: the cursor is of another environment than the transaction")
        }
        // The database must be there for this transaction too.
        _ = try Operations(state).statistics(object.pointee.database)
        object.pointee.begin(
            state, handle: Handles.number(txn), database: object.pointee.database)
        return ZDB_OK
    }
}

@_cdecl("zdb_cursor_txn") @implementation
public func zdb_cursor_txn(_ cursor: OpaquePointer?) -> OpaquePointer? {
    do throws(DatabaseError) {
        let handle = try Handles.cursor(cursor).pointee.transactionHandle
        let txn = Handles.pointer(handle)
        _ = try Handles.transaction(txn)
        return txn
    } catch {
        _ = Results.fail(error)
        return nil
    }
}

@_cdecl("zdb_cursor_db") @implementation
public func zdb_cursor_db(_ cursor: OpaquePointer?) -> zdb_db {
    do throws(DatabaseError) {
        return zdb_db(try Handles.cursor(cursor).pointee.database)
    } catch {
        _ = Results.fail(error)
        return zdb_db.max
    }
}

@_cdecl("zdb_cursor_del") @implementation
public func zdb_cursor_del(_ cursor: OpaquePointer?, _ flags: UInt32) -> Int32 {
    Handles.withCursor(cursor) { cursor throws(DatabaseError) in
        try Results.checkFlags(flags, allowed: 0, "zdb_cursor_del")
        try cursor.pointee.delete()
        return ZDB_OK
    }
}
