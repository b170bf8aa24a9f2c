// Names and documentation are those of zerodb.h.
// swift-format-ignore-file: AlwaysUseLowerCamelCase, AllPublicDeclarationsHaveDocumentation

import CZeroDB
import ZeroDB

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
        return result.found ? ZDB_OK : Results.noKey()
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
        guard let entry = try cursor.pointee.seek(rank: rank) else {
            return Results.note(ZDB_NOT_FOUND, "the database has no more entries than that rank")
        }
        Results.store(entry.key, in: key)
        Results.store(entry.value, in: value)
        return ZDB_OK
    }
}
