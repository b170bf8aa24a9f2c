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
                .badArgument, "zdb_get_many: \(UInt(bitPattern: count)) keys are too many")
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
    count?.pointee = 0
    return Handles.withCursor(cursor) { cursor throws(DatabaseError) in
        guard let count else { throw Results.null("count", "zdb_cursor_next_many") }
        guard capacity != 0 else {
            throw DatabaseError(
                .badArgument,
                "zdb_cursor_next_many: a capacity of 0; there must be room for at least one entry")
        }
        // A size_t beyond all arrays arrives as a negative number.
        count.pointee = try cursor.pointee.nextMany(
            keys: keys.map(engineBytes), values: values.map(engineBytes),
            capacity: capacity < 0 ? Int.max : capacity)
        return count.pointee > 0 ? ZDB_OK : ZDB_NOT_FOUND
    }
}

// MARK: Ranges

/// An end of a range: nil if there is none.
private func rangeEnd(
    _ value: UnsafePointer<zdb_val>?, _ name: @autoclosure () -> String, _ function: StaticString
) throws(DatabaseError) -> UnsafeRawBufferPointer? {
    guard let value else { return nil }
    return try Results.bytes(value, name(), function)
}

@_cdecl("zdb_del_range") @implementation
public func zdb_del_range(
    _ txn: OpaquePointer?, _ db: zdb_db, _ from: UnsafePointer<zdb_val>?,
    _ to: UnsafePointer<zdb_val>?, _ deleted: UnsafeMutablePointer<UInt64>?
) -> Int32 {
    Handles.withTransaction(txn) { state throws(DatabaseError) in
        let from = try rangeEnd(from, "from", "zdb_del_range")
        let to = try rangeEnd(to, "to", "zdb_del_range")
        let count = try Operations(state).deleteRange(Int(db), from: from, to: to)
        deleted?.pointee = count
        return ZDB_OK
    }
}

@_cdecl("zdb_count_range") @implementation
public func zdb_count_range(
    _ txn: OpaquePointer?, _ db: zdb_db, _ from: UnsafePointer<zdb_val>?,
    _ to: UnsafePointer<zdb_val>?, _ count: UnsafeMutablePointer<UInt64>?
) -> Int32 {
    Handles.withTransaction(txn) { state throws(DatabaseError) in
        guard let count else { throw Results.null("count", "zdb_count_range") }
        let from = try rangeEnd(from, "from", "zdb_count_range")
        let to = try rangeEnd(to, "to", "zdb_count_range")
        count.pointee = try Operations(state).countRange(Int(db), from: from, to: to)
        return ZDB_OK
    }
}

@_cdecl("zdb_cmp") @implementation
public func zdb_cmp(
    _ txn: OpaquePointer?, _ db: zdb_db, _ left: UnsafePointer<zdb_val>?,
    _ right: UnsafePointer<zdb_val>?, _ order: UnsafeMutablePointer<Int32>?
) -> Int32 {
    Handles.withTransaction(txn) { state throws(DatabaseError) in
        guard let order else { throw Results.null("order", "zdb_cmp") }
        let left = try Results.bytes(left, "left", "zdb_cmp")
        let right = try Results.bytes(right, "right", "zdb_cmp")
        let sign = try Operations(state).compareKeys(Int(db), left, right).signum()
        order.pointee = Int32(sign)
        return ZDB_OK
    }
}
