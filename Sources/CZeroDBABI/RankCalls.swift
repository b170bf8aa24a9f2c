// Names and documentation are those of zerodb.h.
// swift-format-ignore-file: AlwaysUseLowerCamelCase, AllPublicDeclarationsHaveDocumentation

import CZeroDB
import ZeroDB

/// The end of a range, nil if it has none.
func rangeEnd(
    _ end: UnsafePointer<zdb_val>?, _ name: StaticString, _ function: StaticString
) throws(DatabaseError) -> UnsafeRawBufferPointer? {
    guard end != nil else { return nil }
    return try Results.bytes(end, "\(name)", function)
}

@_cdecl("zdb_dcmp") @implementation
public func zdb_dcmp(
    _ txn: OpaquePointer?, _ db: zdb_db, _ left: UnsafePointer<zdb_val>?,
    _ right: UnsafePointer<zdb_val>?, _ order: UnsafeMutablePointer<Int32>?
) -> Int32 {
    Handles.withTransaction(txn) { state throws(DatabaseError) in
        guard let order else { throw Results.null("order", "zdb_dcmp") }
        let result = try Operations(state).compareValues(
            Int(db), try Results.bytes(left, "left", "zdb_dcmp"),
            try Results.bytes(right, "right", "zdb_dcmp"))
        order.pointee = Int32(result.signum())
        return ZDB_OK
    }
}

@_cdecl("zdb_rank") @implementation
public func zdb_rank(
    _ txn: OpaquePointer?, _ db: zdb_db, _ key: UnsafePointer<zdb_val>?,
    _ rank: UnsafeMutablePointer<UInt64>?
) -> Int32 {
    Handles.withTransaction(txn) { state throws(DatabaseError) in
        guard let rank else { throw Results.null("rank", "zdb_rank") }
        let key = try Results.bytes(key, "key", "zdb_rank")
        let result = try Operations(state).rank(Int(db), key)
        rank.pointee = result.rank
        return result.found ? ZDB_OK : ZDB_NOT_FOUND
    }
}

@_cdecl("zdb_split_range") @implementation
public func zdb_split_range(
    _ txn: OpaquePointer?, _ db: zdb_db, _ from: UnsafePointer<zdb_val>?,
    _ to: UnsafePointer<zdb_val>?, _ parts: UInt32, _ onPart: zdb_split_fn?,
    _ context: UnsafeMutableRawPointer?
) -> Int32 {
    Handles.withTransaction(txn) { state throws(DatabaseError) in
        guard let onPart else { throw Results.null("on_part", "zdb_split_range") }
        guard parts > 0, parts <= 1 << 20 else {
            throw DatabaseError(
                .badArgument, "zdb_split_range: parts is \(parts); it must be from 1 to 1048576")
        }
        var result = ZDB_OK
        try Operations(state).splitRange(
            Int(db), from: try rangeEnd(from, "from", "zdb_split_range"),
            to: try rangeEnd(to, "to", "zdb_split_range"), parts: Int(parts)
        ) { key in
            var value = zdb_val(data: key.baseAddress, size: key.count)
            result = onPart(context, &value)
            return result == ZDB_OK
        }
        return result
    }
}

@_cdecl("zdb_cursor_rank") @implementation
public func zdb_cursor_rank(
    _ cursor: OpaquePointer?, _ rank: UnsafeMutablePointer<UInt64>?
) -> Int32 {
    Handles.withCursor(cursor) { cursor throws(DatabaseError) in
        guard let rank else { throw Results.null("rank", "zdb_cursor_rank") }
        rank.pointee = try cursor.pointee.rank()
        return ZDB_OK
    }
}

@_cdecl("zdb_cursor_set_rank") @implementation
public func zdb_cursor_set_rank(
    _ cursor: OpaquePointer?, _ rank: UInt64, _ key: UnsafeMutablePointer<zdb_val>?,
    _ value: UnsafeMutablePointer<zdb_val>?
) -> Int32 {
    Handles.withCursor(cursor) { cursor throws(DatabaseError) in
        guard let entry = try cursor.pointee.seek(rank: rank) else { return ZDB_NOT_FOUND }
        Results.store(entry.key, in: key)
        Results.store(entry.value, in: value)
        return ZDB_OK
    }
}
