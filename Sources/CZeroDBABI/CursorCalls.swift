// Names and documentation are those of zerodb.h.
// swift-format-ignore-file: AlwaysUseLowerCamelCase, AllPublicDeclarationsHaveDocumentation

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
            throw DatabaseError(
                .busy, limit: .cursors,
                "\(Limits.cursorsMax) cursors are open in this process; close some")
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
        Handles.cursors.setTag(UInt(bitPattern: state.pointee.storeState), at: claim.index)
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
        return Results.fail(DatabaseError.forked)
    }
    Handles.cursors.release(handle: Handles.number(cursor))
    return ZDB_OK
}

@_cdecl("zdb_cursor_get") @implementation
public func zdb_cursor_get(
    _ cursor: OpaquePointer?, _ key: UnsafeMutablePointer<zdb_val>?,
    _ value: UnsafeMutablePointer<zdb_val>?, _ op: zdb_cursor_op
) -> Int32 {
    if op == ZDB_NEXT || op == ZDB_PREV || op == ZDB_NEXT_DUP,
        Handles.moveAtHand(cursor, key, value, op)
    {
        return ZDB_OK
    }
    return Handles.withCursor(cursor) { cursor throws(DatabaseError) in
        cursor.pointee.wantsValues = value != nil
        defer { cursor.pointee.wantsValues = true }
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
        case ZDB_FIRST_DUP: entry = try cursor.pointee.move(.firstValue)
        case ZDB_LAST_DUP: entry = try cursor.pointee.move(.lastValue)
        case ZDB_NEXT_DUP: entry = try cursor.pointee.move(.nextValue)
        case ZDB_PREV_DUP: entry = try cursor.pointee.move(.previousValue)
        case ZDB_NEXT_NODUP: entry = try cursor.pointee.move(.nextKey)
        case ZDB_PREV_NODUP: entry = try cursor.pointee.move(.previousKey)
        case ZDB_GET_MULTIPLE: entry = try cursor.pointee.multiple(.fromCurrent)
        case ZDB_NEXT_MULTIPLE: entry = try cursor.pointee.multiple(.next)
        case ZDB_PREV_MULTIPLE: entry = try cursor.pointee.multiple(.previous)
        case ZDB_GET_BOTH, ZDB_GET_BOTH_RANGE:
            let target = try Results.bytes(
                key.map { UnsafePointer($0) }, "key", "zdb_cursor_get")
            let duplicate = try Results.bytes(
                value.map { UnsafePointer($0) }, "value", "zdb_cursor_get")
            entry = try cursor.pointee.seek(target, value: duplicate, exact: op == ZDB_GET_BOTH)
        default:
            throw DatabaseError(
                .badArgument, "\(by: "zdb_cursor_get")there is no operation \(op.rawValue)")
        }
        guard let entry else { return noEntry(op) }
        if op != ZDB_SET, op != ZDB_GET_BOTH, op != ZDB_GET_BOTH_RANGE {
            Results.store(entry.key, in: key)
        }
        Results.store(entry.value, in: value)
        return ZDB_OK
    }
}

/// Says what is not there.
@inline(never)
private func noEntry(_ op: zdb_cursor_op) -> Int32 {
    let text: StaticString =
        switch op {
        case ZDB_SET, ZDB_SET_KEY: "the database has no such key"
        case ZDB_SET_RANGE: "the database has no key at or after that one"
        case ZDB_GET_BOTH: "the database has no such pair of key and value"
        case ZDB_GET_BOTH_RANGE: "the key is not there, or has no value at or after that one"
        case ZDB_FIRST, ZDB_LAST: "the database is empty"
        case ZDB_NEXT_DUP, ZDB_PREV_DUP, ZDB_NEXT_MULTIPLE, ZDB_PREV_MULTIPLE:
            "the key has no more values in that direction"
        default: "the database has no more entries in that direction"
        }
    return Results.note(ZDB_NOT_FOUND, text)
}

@_cdecl("zdb_cursor_put") @implementation
public func zdb_cursor_put(
    _ cursor: OpaquePointer?, _ key: UnsafePointer<zdb_val>?,
    _ value: UnsafeMutablePointer<zdb_val>?, _ flags: UInt32
) -> Int32 {
    Handles.withCursor(cursor) { cursor throws(DatabaseError) in
        let mode = try putMode(
            flags, extra: ZDB_CURRENT | ZDB_MULTIPLE | ZDB_RESERVE, "zdb_cursor_put",
            hasDuplicates: { () throws(DatabaseError) in try cursor.pointee.hasDuplicates() })
        let others = flags & ~ZDB_RESERVE
        guard others & ZDB_CURRENT == 0 || others == ZDB_CURRENT else {
            throw DatabaseError(
                .incompatible,
                "\(by: "zdb_cursor_put")\(c: "ZDB_CURRENT") replaces the value under the cursor "
                    + "and goes with no "
                    + "other flag than \(c: "ZDB_RESERVE")")
        }
        if flags & ZDB_RESERVE != 0 {
            let count = try reservedCount(value, "zdb_cursor_put")
            if others == ZDB_CURRENT {
                return store(try cursor.pointee.reserveCurrent(count: count), in: value)
            }
            let key = try Results.bytes(key, "key", "zdb_cursor_put")
            return store(try cursor.pointee.reserve(key, count: count, mode: mode), in: value)
        }
        let bytes = try Results.bytes(value.map { UnsafePointer($0) }, "value", "zdb_cursor_put")
        if others == ZDB_CURRENT {
            try cursor.pointee.replaceCurrent(bytes)
            return ZDB_OK
        }
        let key = try Results.bytes(key, "key", "zdb_cursor_put")
        if flags & ZDB_MULTIPLE != 0 {
            return try putMultiple(cursor, key, value, mode)
        }
        if let existing = try cursor.pointee.put(key, bytes, mode: mode) {
            Results.store(existing, in: value)
            return Results.exists()
        }
        return ZDB_OK
    }
}

/// Puts values that lie one after the other, all of one key.
private func putMultiple(
    _ cursor: UnsafeMutablePointer<CursorState>, _ key: UnsafeRawBufferPointer,
    _ values: UnsafeMutablePointer<zdb_val>?, _ mode: PutMode
) throws(DatabaseError) -> Int32 {
    guard let values else { throw Results.null("value", "zdb_cursor_put") }
    guard try cursor.pointee.isFixedSize() else {
        throw DatabaseError(
            .incompatible,
            "\(by: "zdb_cursor_put")\(c: "ZDB_MULTIPLE") is for databases made with "
                + "\(c: "ZDB_DUPFIXED")")
    }
    let size = values[0].size
    let count = values[1].size
    guard size > 0, count >= 0, let data = values[0].data else {
        throw DatabaseError(
            .badValueSize,
            "\(by: "zdb_cursor_put")with \(c: "ZDB_MULTIPLE") value[0] is the array and the size "
                + "of one value, and "
                + "value[1].size their number")
    }
    values[1].size = 0
    for index in 0..<count {
        let value = UnsafeRawBufferPointer(start: data + index * size, count: size)
        // Demands on the key hold before the first value.
        let ofKey = mode == .noOverwrite || mode == .append
        let valueMode = ofKey && index > 0 ? .overwrite : mode
        if try cursor.pointee.put(key, value, mode: valueMode) != nil {
            return Results.exists()
        }
        values[1].size = index + 1
    }
    return ZDB_OK
}

@_cdecl("zdb_cursor_renew") @implementation
public func zdb_cursor_renew(_ txn: OpaquePointer?, _ cursor: OpaquePointer?) -> Int32 {
    Handles.withTransactionAlone(txn) { state throws(DatabaseError) in
        let object = try Handles.cursor(cursor)
        guard object.pointee.storeState == state.pointee.storeState else {
            throw DatabaseError(
                .incompatible,
                "\(by: "zdb_cursor_renew")the cursor is of another environment than the "
                    + "transaction")
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
        try Results.checkFlags(flags, allowed: ZDB_NODUPDATA, "zdb_cursor_del")
        if flags & ZDB_NODUPDATA != 0, try !cursor.pointee.hasDuplicates() {
            throw DatabaseError(
                .incompatible,
                "\(by: "zdb_cursor_del")\(c: "ZDB_NODUPDATA") is for databases made with "
                    + "\(c: "ZDB_DUPSORT")")
        }
        try cursor.pointee.delete(allValues: flags & ZDB_NODUPDATA != 0)
        return ZDB_OK
    }
}

@_cdecl("zdb_cursor_count") @implementation
public func zdb_cursor_count(
    _ cursor: OpaquePointer?, _ count: UnsafeMutablePointer<UInt64>?
) -> Int32 {
    Handles.withCursor(cursor) { cursor throws(DatabaseError) in
        guard let count else { throw Results.null("count", "zdb_cursor_count") }
        count.pointee = try cursor.pointee.count()
        return ZDB_OK
    }
}
