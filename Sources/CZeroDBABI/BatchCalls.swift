// Names and documentation are those of zerodb.h.
// swift-format-ignore-file: AlwaysUseLowerCamelCase, AllPublicDeclarationsHaveDocumentation

import CZeroDB
import CZeroDBPlatform
import ZeroDB

/// An array of zdb_val as the engine has it: the two structures are laid out alike.
private func engineBytes(_ values: UnsafePointer<zdb_val>) -> UnsafePointer<zp_bytes> {
    UnsafeRawPointer(values).assumingMemoryBound(to: zp_bytes.self)
}

private func engineBytes(
    _ values: UnsafeMutablePointer<zdb_val>
) -> UnsafeMutablePointer<zp_bytes> {
    UnsafeMutableRawPointer(values).assumingMemoryBound(to: zp_bytes.self)
}

@_cdecl("zdb_get_many") @implementation
public func zdb_get_many(
    _ txn: OpaquePointer?, _ db: zdb_db, _ keys: UnsafePointer<zdb_val>?,
    _ values: UnsafeMutablePointer<zdb_val>?, _ count: Int, _ found: UnsafeMutablePointer<Int>?
) -> Int32 {
    Handles.withTransaction(txn) { state throws(DatabaseError) in
        guard let keys else { throw Results.null("keys", "zdb_get_many") }
        guard let values else { throw Results.null("values", "zdb_get_many") }
        guard count >= 0 else {
            throw DatabaseError(
                .badArgument, "\(by: "zdb_get_many")\(UInt(bitPattern: count)) keys are too many")
        }
        let there = try Operations(state).getMany(
            Int(db), keys: engineBytes(keys), values: engineBytes(values), count: count)
        found?.pointee = there
        return ZDB_OK
    }
}

@_cdecl("zdb_cursor_next_many") @implementation
public func zdb_cursor_next_many(
    _ cursor: OpaquePointer?, _ keys: UnsafeMutablePointer<zdb_val>?,
    _ values: UnsafeMutablePointer<zdb_val>?, _ capacity: Int, _ count: UnsafeMutablePointer<Int>?
) -> Int32 {
    readMany("zdb_cursor_next_many", forward: true, cursor, keys, values, capacity, count)
}

@_cdecl("zdb_cursor_prev_many") @implementation
public func zdb_cursor_prev_many(
    _ cursor: OpaquePointer?, _ keys: UnsafeMutablePointer<zdb_val>?,
    _ values: UnsafeMutablePointer<zdb_val>?, _ capacity: Int, _ count: UnsafeMutablePointer<Int>?
) -> Int32 {
    readMany("zdb_cursor_prev_many", forward: false, cursor, keys, values, capacity, count)
}

@inline(__always)
private func readMany(
    _ function: StaticString, forward: Bool, _ cursor: OpaquePointer?,
    _ keys: UnsafeMutablePointer<zdb_val>?, _ values: UnsafeMutablePointer<zdb_val>?,
    _ capacity: Int, _ count: UnsafeMutablePointer<Int>?
) -> Int32 {
    count?.pointee = 0
    return Handles.withCursor(cursor) { cursor throws(DatabaseError) in
        guard let count else { throw Results.null("count", function) }
        guard capacity != 0 else {
            throw DatabaseError(
                .badArgument,
                "\(by: function)a capacity of 0; there must be room for at least one entry")
        }
        // A size_t beyond all arrays arrives as a negative number.
        count.pointee = try cursor.pointee.readMany(
            forward: forward, keys: keys.map(engineBytes), values: values.map(engineBytes),
            capacity: capacity < 0 ? Int.max : capacity)
        return count.pointee > 0
            ? ZDB_OK : Results.note(ZDB_NOT_FOUND, "the database has no more entries")
    }
}
