// Names and documentation are those of zerodb.h.
// swift-format-ignore-file: AlwaysUseLowerCamelCase, AllPublicDeclarationsHaveDocumentation

import CZeroDB
import CZeroDBPlatform
import Glibc
import ZeroDB

private func packStep(
    _ op: zdb_cursor_op, _ function: StaticString
) throws(DatabaseError) -> CursorState.PackStep {
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
            "\(by: function)operation \(op.rawValue) does not go from one entry to the next")
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
            flags,
            allowed: ZDB_PACK_KEYS | ZDB_PACK_VALUES | ZDB_PACK_CURRENT | ZDB_PACK_FLAT,
            "zdb_cursor_read")
        let packing = try requestedPacking("zdb_cursor_read", op, flags, until, limit)
        return try pack("zdb_cursor_read", packing, buffer, size, count, used) {
            writer throws(DatabaseError) in
            try cursor.pointee.pack(packing, &writer)
        }
    }
}

@_cdecl("zdb_cursor_read_from") @implementation
public func zdb_cursor_read_from(
    _ cursor: OpaquePointer?, _ key: UnsafeRawPointer?, _ key_size: Int, _ op: zdb_cursor_op,
    _ flags: UInt32, _ until: UnsafePointer<zdb_val>?, _ limit: Int,
    _ buffer: UnsafeMutableRawPointer?, _ size: Int, _ count: UnsafeMutablePointer<Int>?,
    _ used: UnsafeMutablePointer<Int>?
) -> Int32 {
    count?.pointee = 0
    used?.pointee = 0
    return Handles.withCursor(cursor) { cursor throws(DatabaseError) in
        let key = try Results.bytes(key, key_size, "key", "zdb_cursor_read_from")
        try Results.checkFlags(
            flags, allowed: ZDB_PACK_KEYS | ZDB_PACK_VALUES | ZDB_PACK_FLAT,
            "zdb_cursor_read_from")
        let packing = try requestedPacking("zdb_cursor_read_from", op, flags, until, limit)
        return try pack("zdb_cursor_read_from", packing, buffer, size, count, used) {
            writer throws(DatabaseError) in
            try cursor.pointee.pack(packing, fromKey: key, &writer)
        }
    }
}

@inline(__always)
private func requestedPacking(
    _ function: StaticString, _ op: zdb_cursor_op, _ flags: UInt32,
    _ until: UnsafePointer<zdb_val>?,
    _ limit: Int
) throws(DatabaseError) -> CursorState.Packing {
    guard flags & (ZDB_PACK_KEYS | ZDB_PACK_VALUES) != 0, limit != 0 else {
        throw DatabaseError(.badArgument, "\(by: function)nothing to be read is asked for")
    }
    return CursorState.Packing(
        step: try packStep(op, function), hasKeys: flags & ZDB_PACK_KEYS != 0,
        hasValues: flags & ZDB_PACK_VALUES != 0, isFlat: flags & ZDB_PACK_FLAT != 0,
        fromCurrent: flags & ZDB_PACK_CURRENT != 0,
        until: until == nil ? nil : try Results.bytes(until, "until", function),
        limit: limit < 0 ? Int.max : limit)
}

@inline(__always)
private func pack(
    _ function: StaticString, _ packing: CursorState.Packing, _ buffer: UnsafeMutableRawPointer?,
    _ size: Int, _ count: UnsafeMutablePointer<Int>?, _ used: UnsafeMutablePointer<Int>?,
    _ body: (inout PackedList.Writer) throws(DatabaseError) -> Int
) throws(DatabaseError) -> Int32 {
    guard var writer = PackedList.Writer(buffer, size: size) else {
        throw DatabaseError(
            .badArgument,
            "\(by: function)a buffer of \(UInt(bitPattern: size)) bytes has no room for any list")
    }
    let needed = try body(&writer)
    guard needed == 0 else {
        used?.pointee = PackedList.headSize + needed
        return noRoom()
    }
    writer.finish(strings: packing.stringsEach)
    count?.pointee = writer.count
    used?.pointee = writer.used
    return writer.count > 0
        ? ZDB_OK : Results.note(ZDB_NOT_FOUND, "the database has no more entries")
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

@_cdecl("zdb_get_fixed") @implementation
public func zdb_get_fixed(
    _ txn: OpaquePointer?, _ db: zdb_db, _ keys: UnsafeRawPointer?, _ keys_size: Int,
    _ value_size: Int, _ buffer: UnsafeMutableRawPointer?, _ size: Int,
    _ used: UnsafeMutablePointer<Int>?
) -> Int32 {
    used?.pointee = 0
    return Handles.withTransaction(txn) { state throws(DatabaseError) in
        guard let keys else { throw Results.null("keys", "zdb_get_fixed") }
        guard let used else { throw Results.null("used", "zdb_get_fixed") }
        var reader = try PackedList.Reader(
            UnsafeRawBufferPointer(start: keys, count: max(keys_size, 0)))
        used.pointee = try Operations(state).copyFixedValues(
            Int(db), ofKeysIn: &reader, valueSize: value_size,
            to: UnsafeMutableRawBufferPointer(
                start: buffer, count: buffer == nil ? 0 : max(size, 0)))
        return used.pointee <= size ? ZDB_OK : noRoom()
    }
}

/// Entries whose places are asked for before the first of them is put.
private let putGroup = 32

/// Asks for the memory of the places where the next entries of a list will be put.
private func prefetch(
    _ state: UnsafeMutablePointer<TransactionState>, _ database: Int,
    _ reader: inout PackedList.Reader, count: Int
) throws(DatabaseError) {
    let empty = zp_bytes(data: nil, size: 0)
    try withUnsafeTemporaryAllocation(of: zp_bytes.self, capacity: putGroup) {
        keys -> Result<Void, DatabaseError> in
        keys.initialize(repeating: empty)
        do throws(DatabaseError) {
            for index in 0..<count {
                let key = try reader.entry().key
                keys[index] = zp_bytes(data: key.baseAddress, size: key.count)
            }
        } catch {
            return .failure(error)
        }
        if let start = keys.baseAddress {
            Operations(state).prefetchPlaces(database, keys: start, count: count)
        }
        return .success(())
    }.get()
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
        var reader = try PackedList.Reader(bytes)
        try reader.checkEntries()
        var ahead = reader
        var count = 0
        for index in 0..<reader.count {
            if index % putGroup == 0 {
                try prefetch(state, Int(db), &ahead, count: min(putGroup, reader.count - index))
            }
            let (key, value) = try reader.entry()
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
        let key = try Results.bytes(key, key_size, "key", "zdb_get_bytes")
        guard let found = try ZeroDB.get(state, Int(db), key, wanted: true) else {
            return Results.noKey()
        }
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
