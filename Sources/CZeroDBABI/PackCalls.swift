// Names and documentation are those of zerodb.h.
// swift-format-ignore-file: AlwaysUseLowerCamelCase, AllPublicDeclarationsHaveDocumentation

import CZeroDB
import CZeroDBPlatform
import Glibc
import ZeroDB

private func packStep(_ op: zdb_cursor_op) throws(DatabaseError) -> CursorState.PackStep {
    switch op {
    case ZDB_NEXT: return .next
    case ZDB_PREV: return .previous
    case ZDB_NEXT_DUP: return .nextValue
    case ZDB_PREV_DUP: return .previousValue
    case ZDB_NEXT_NODUP: return .nextKey
    case ZDB_PREV_NODUP: return .previousKey
    default:
        throw DatabaseError(
            .badArgument,
            "\(by: "zdb_cursor_read")operation \(op.rawValue) does not go from one entry to the "
                + "next")
    }
}

private func noRoom() -> Int32 {
    Results.note(ENOBUFS, "the buffer has no room for that; `used` says how much it takes")
}

@_cdecl("zdb_cursor_read") @implementation
public func zdb_cursor_read(
    _ cursor: OpaquePointer?, _ op: zdb_cursor_op, _ flags: UInt32,
    _ until: UnsafePointer<zdb_val>?, _ limit: Int, _ buffer: UnsafeMutableRawPointer?,
    _ size: Int, _ count: UnsafeMutablePointer<Int>?, _ used: UnsafeMutablePointer<Int>?
) -> Int32 {
    count?.pointee = 0
    used?.pointee = 0
    return Handles.withCursor(cursor) { cursor throws(DatabaseError) in
        guard let count else { throw Results.null("count", "zdb_cursor_read") }
        try Results.checkFlags(
            flags, allowed: ZDB_PACK_KEYS | ZDB_PACK_VALUES | ZDB_PACK_CURRENT, "zdb_cursor_read")
        guard flags & (ZDB_PACK_KEYS | ZDB_PACK_VALUES) != 0, limit != 0 else {
            throw DatabaseError(
                .badArgument,
                "\(by: "zdb_cursor_read")nothing to be read is asked for")
        }
        let packing = CursorState.Packing(
            step: try packStep(op), hasKeys: flags & ZDB_PACK_KEYS != 0,
            hasValues: flags & ZDB_PACK_VALUES != 0, fromCurrent: flags & ZDB_PACK_CURRENT != 0,
            until: until == nil ? nil : try Results.bytes(until, "until", "zdb_cursor_read"),
            limit: limit < 0 ? Int.max : limit)
        guard var writer = PackedList.Writer(buffer, size: size) else {
            throw DatabaseError(
                .badArgument,
                "\(by: "zdb_cursor_read")a buffer of \(size) bytes has no room for any list")
        }
        let needed = try cursor.pointee.pack(packing, &writer)
        guard needed == 0 else {
            used?.pointee = PackedList.headSize + needed
            return noRoom()
        }
        writer.finish()
        count.pointee = writer.count
        used?.pointee = writer.used
        return writer.count > 0
            ? ZDB_OK : Results.note(ZDB_NOT_FOUND, "the database has no more entries")
    }
}

@_cdecl("zdb_get_packed") @implementation
public func zdb_get_packed(
    _ txn: OpaquePointer?, _ db: zdb_db, _ flags: UInt32, _ keys: UnsafeRawPointer?,
    _ keys_size: Int, _ buffer: UnsafeMutableRawPointer?, _ size: Int,
    _ used: UnsafeMutablePointer<Int>?
) -> Int32 {
    used?.pointee = 0
    return Handles.withTransaction(txn) { state throws(DatabaseError) in
        guard let keys else { throw Results.null("keys", "zdb_get_packed") }
        guard let used else { throw Results.null("used", "zdb_get_packed") }
        try Results.checkFlags(flags, allowed: ZDB_PACK_KEYS, "zdb_get_packed")
        var reader = try PackedList.Reader(
            UnsafeRawBufferPointer(start: keys, count: max(keys_size, 0)))
        let needed = try getPacked(
            state, Int(db), &reader, hasKeys: flags & ZDB_PACK_KEYS != 0, buffer, size)
        used.pointee = needed
        return needed <= size ? ZDB_OK : noRoom()
    }
}

/// Looks the keys up in groups and packs what there is, as long as there is room.
///
/// - Returns: the bytes that all take.
private func getPacked(
    _ state: UnsafeMutablePointer<TransactionState>, _ database: Int,
    _ reader: inout PackedList.Reader, hasKeys: Bool, _ buffer: UnsafeMutableRawPointer?,
    _ size: Int
) throws(DatabaseError) -> Int {
    let groupSize = 256
    let empty = zp_bytes(data: nil, size: 0)
    var keys = [zp_bytes](repeating: empty, count: groupSize)
    var values = keys
    var writer = PackedList.Writer(buffer, size: size)
    var needed = PackedList.headSize
    var left = reader.count
    while left > 0 {
        let group = min(left, groupSize)
        for index in 0..<group {
            let key = try reader.string()
            keys[index] = zp_bytes(data: key.baseAddress, size: key.count)
        }
        _ = try Operations(state).getMany(database, keys: keys, values: &values, count: group)
        for index in 0..<group {
            let value = UnsafeRawBufferPointer(
                start: values[index].data, count: values[index].size)
            let isThere = values[index].data != nil
            let key = UnsafeRawBufferPointer(start: keys[index].data, count: keys[index].size)
            let bytes =
                isThere
                ? PackedList.headSize + value.count
                    + (hasKeys ? PackedList.entryHeadSize + PackedList.headSize + key.count : 0)
                : (hasKeys ? 0 : 1)
            needed += bytes
            guard needed <= size else { continue }
            if isThere {
                if hasKeys {
                    writer?.putEntryHead()
                    writer?.putString(key)
                }
                writer?.putString(value)
                writer?.endElement()
            } else if !hasKeys {
                writer?.putNothing()
                writer?.endElement()
            }
        }
        left -= group
    }
    writer?.finish()
    return needed
}

@_cdecl("zdb_put_packed") @implementation
public func zdb_put_packed(
    _ txn: OpaquePointer?, _ db: zdb_db, _ entries: UnsafeRawPointer?, _ size: Int,
    _ flags: UInt32, _ added: UnsafeMutablePointer<Int>?
) -> Int32 {
    added?.pointee = 0
    return Handles.withTransaction(txn) { state throws(DatabaseError) in
        guard let entries else { throw Results.null("entries", "zdb_put_packed") }
        let mode = try putMode(
            flags, "zdb_put_packed",
            hasDuplicates: { () throws(DatabaseError) in
                try Operations(state).hasDuplicates(Int(db))
            })
        let bytes = UnsafeRawBufferPointer(start: entries, count: max(size, 0))
        // All of it is checked before the first is put.
        var check = try PackedList.Reader(bytes)
        for _ in 0..<check.count {
            try check.entryHead()
            _ = try check.string()
            _ = try check.string()
        }
        var reader = try PackedList.Reader(bytes)
        var count = 0
        for _ in 0..<reader.count {
            try reader.entryHead()
            let key = try reader.string()
            let value = try reader.string()
            if try Operations(state).put(Int(db), key, value, mode: mode) == nil { count += 1 }
            added?.pointee = count
        }
        return ZDB_OK
    }
}

@_cdecl("zdb_get_bytes") @implementation
public func zdb_get_bytes(
    _ txn: OpaquePointer?, _ db: zdb_db, _ key: UnsafeRawPointer?, _ key_size: Int,
    _ buffer: UnsafeMutableRawPointer?, _ size: Int, _ used: UnsafeMutablePointer<Int>?
) -> Int32 {
    Handles.withTransaction(txn) { state throws(DatabaseError) in
        guard let used else { throw Results.null("used", "zdb_get_bytes") }
        guard key_size >= 0, key != nil || key_size == 0 else {
            throw Results.null("key", "zdb_get_bytes")
        }
        let key = UnsafeRawBufferPointer(start: key, count: key_size)
        guard let found = try ZeroDB.get(state, Int(db), key) else { return Results.noKey() }
        used.pointee = found.count
        if let start = found.baseAddress, found.count <= size, let buffer {
            memcpy(buffer, start, found.count)
        }
        return ZDB_OK
    }
}

@_cdecl("zdb_put_bytes") @implementation
public func zdb_put_bytes(
    _ txn: OpaquePointer?, _ db: zdb_db, _ key: UnsafeRawPointer?, _ key_size: Int,
    _ value: UnsafeRawPointer?, _ value_size: Int, _ flags: UInt32
) -> Int32 {
    var key = zdb_val(data: key, size: key_size)
    var value = zdb_val(data: value, size: value_size)
    guard flags & ZDB_RESERVE == 0 else {
        return Results.fail(
            .badArgument,
            "\(by: "zdb_put_bytes")\(c: "ZDB_RESERVE") is for \(c: "zdb_put")")
    }
    return zdb_put(txn, db, &key, &value, flags)
}
