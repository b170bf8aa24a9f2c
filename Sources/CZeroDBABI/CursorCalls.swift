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
        let bytes = try Results.bytes(value.map { UnsafePointer($0) }, "value", "zdb_cursor_put")
        try Results.checkFlags(
            flags, allowed: ZDB_CURRENT | ZDB_NOOVERWRITE | ZDB_APPEND, "zdb_cursor_put")
        if flags == ZDB_CURRENT {
            try cursor.pointee.replaceCurrent(bytes)
            return ZDB_OK
        }
        guard flags & ZDB_CURRENT == 0 else {
            throw DatabaseError(
                .incompatible,
                "zdb_cursor_put: ZDB_CURRENT replaces the value under the cursor and goes with no "
                    + "other flag")
        }
        let key = try Results.bytes(key, "key", "zdb_cursor_put")
        let mode = try putMode(flags, "zdb_cursor_put")
        if let existing = try cursor.pointee.put(key, bytes, mode: mode) {
            Results.store(existing, in: value)
            return ZDB_KEYEXIST
        }
        return ZDB_OK
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
