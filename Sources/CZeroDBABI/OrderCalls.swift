// Names and documentation are those of zerodb.h.
// swift-format-ignore-file: AlwaysUseLowerCamelCase, AllPublicDeclarationsHaveDocumentation

import CZeroDB
import ZeroDB

/// Orders two keys or two values of a database.
@inline(__always)
private func compare(
    _ txn: OpaquePointer?, _ left: UnsafePointer<zdb_val>?, _ right: UnsafePointer<zdb_val>?,
    _ order: UnsafeMutablePointer<Int32>?, _ function: StaticString,
    _ body: (Operations, UnsafeRawBufferPointer, UnsafeRawBufferPointer) throws(DatabaseError) ->
        Int
) -> Int32 {
    Handles.withTransaction(txn) { state throws(DatabaseError) in
        guard let order else { throw Results.null("order", function) }
        let left = try Results.bytes(left, "left", function)
        let right = try Results.bytes(right, "right", function)
        order.pointee = Int32(try body(Operations(state), left, right).signum())
        return ZDB_OK
    }
}

@_cdecl("zdb_cmp") @implementation
public func zdb_cmp(
    _ txn: OpaquePointer?, _ db: zdb_db, _ left: UnsafePointer<zdb_val>?,
    _ right: UnsafePointer<zdb_val>?, _ order: UnsafeMutablePointer<Int32>?
) -> Int32 {
    compare(txn, left, right, order, "zdb_cmp") { operations, left, right throws(DatabaseError) in
        try operations.compareKeys(Int(db), left, right)
    }
}

@_cdecl("zdb_dcmp") @implementation
public func zdb_dcmp(
    _ txn: OpaquePointer?, _ db: zdb_db, _ left: UnsafePointer<zdb_val>?,
    _ right: UnsafePointer<zdb_val>?, _ order: UnsafeMutablePointer<Int32>?
) -> Int32 {
    compare(txn, left, right, order, "zdb_dcmp") { operations, left, right throws(DatabaseError) in
        try operations.compareValues(Int(db), left, right)
    }
}
