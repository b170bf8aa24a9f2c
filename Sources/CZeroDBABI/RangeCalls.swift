// Names and documentation are those of zerodb.h.
// swift-format-ignore-file: AlwaysUseLowerCamelCase, AllPublicDeclarationsHaveDocumentation

import CZeroDB
import CZeroDBPlatform
import ZeroDB

/// Runs a body in a transaction with the ends of a range, nil where it has none.
@inline(__always)
private func withRange(
    _ txn: OpaquePointer?, _ from: UnsafePointer<zdb_val>?, _ to: UnsafePointer<zdb_val>?,
    _ function: StaticString,
    _ body: (Operations, UnsafeRawBufferPointer?, UnsafeRawBufferPointer?) throws(DatabaseError) ->
        Int32
) -> Int32 {
    Handles.withTransaction(txn) { state throws(DatabaseError) in
        try body(
            Operations(state), from == nil ? nil : try Results.bytes(from, "from", function),
            to == nil ? nil : try Results.bytes(to, "to", function))
    }
}

@_cdecl("zdb_del_range") @implementation
public func zdb_del_range(
    _ txn: OpaquePointer?, _ db: zdb_db, _ from: UnsafePointer<zdb_val>?,
    _ to: UnsafePointer<zdb_val>?, _ deleted: UnsafeMutablePointer<UInt64>?
) -> Int32 {
    withRange(txn, from, to, "zdb_del_range") { operations, from, to throws(DatabaseError) in
        let count = try operations.deleteRange(Int(db), from: from, to: to)
        deleted?.pointee = count
        return ZDB_OK
    }
}

@_cdecl("zdb_count_range") @implementation
public func zdb_count_range(
    _ txn: OpaquePointer?, _ db: zdb_db, _ from: UnsafePointer<zdb_val>?,
    _ to: UnsafePointer<zdb_val>?, _ count: UnsafeMutablePointer<UInt64>?
) -> Int32 {
    withRange(txn, from, to, "zdb_count_range") { operations, from, to throws(DatabaseError) in
        guard let count else { throw Results.null("count", "zdb_count_range") }
        count.pointee = try operations.countRange(Int(db), from: from, to: to)
        return ZDB_OK
    }
}

@_cdecl("zdb_split_range") @implementation
public func zdb_split_range(
    _ txn: OpaquePointer?, _ db: zdb_db, _ from: UnsafePointer<zdb_val>?,
    _ to: UnsafePointer<zdb_val>?, _ parts: UInt32, _ onPart: zdb_split_fn?,
    _ context: UnsafeMutableRawPointer?
) -> Int32 {
    let before = zp_hold_cancellation()
    defer { zp_release_cancellation(before) }
    return withRange(txn, from, to, "zdb_split_range") {
        operations, from, to throws(DatabaseError) in
        guard let onPart else { throw Results.null("on_part", "zdb_split_range") }
        guard parts > 0, parts <= 1 << 20 else {
            throw DatabaseError(
                .badArgument,
                "\(by: "zdb_split_range")parts is \(parts); it must be from 1 to 1048576")
        }
        var result = ZDB_OK
        try operations.splitRange(Int(db), from: from, to: to, parts: Int(parts)) { key in
            var value = zdb_val(data: key.baseAddress, size: key.count)
            result = onPart(context, &value)
            return result == ZDB_OK
        }
        return result == ZDB_OK ? ZDB_OK : Results.note(result, "on_part has ended the call")
    }
}
