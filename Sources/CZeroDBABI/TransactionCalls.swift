// The names are those of zerodb.h.
// swift-format-ignore-file: AlwaysUseLowerCamelCase

import CZeroDB
import CZeroDBPlatform
import ZeroDB

@_cdecl("zdb_txn_begin") @implementation
public func zdb_txn_begin(
    _ env: OpaquePointer?, _ parent: OpaquePointer?, _ flags: UInt32,
    _ txn: UnsafeMutablePointer<OpaquePointer?>?
) -> Int32 {
    txn?.pointee = nil
    return Results.catching { () throws(DatabaseError) in
        let environment = try Handles.environment(env).pointee.state
        guard let txn else { throw Results.null("txn", "zdb_txn_begin") }
        let durabilityFlags =
            ZDB_DURABILITY_FULL | ZDB_DURABILITY_RELAXED | ZDB_DURABILITY_NONE
        try Results.checkFlags(flags, allowed: ZDB_RDONLY | durabilityFlags, "zdb_txn_begin")
        let durability = engineDurability(flags)
        guard flags == 0 || flags == ZDB_RDONLY || durability != nil else {
            throw DatabaseError(
                .incompatible,
                "zdb_txn_begin: one durability at a time, and none for a read transaction")
        }
        guard parent == nil else {
            throw DatabaseError(
                .unsupported, "zdb_txn_begin: nested transactions are not in this version")
        }
        let claim =
            flags & ZDB_RDONLY != 0
            ? try Transactions.beginRead(environment)
            : try Transactions.beginWrite(environment, durability: durability)
        txn.pointee = Handles.pointer(claim.handle)
        return ZDB_OK
    }
}

@_cdecl("zdb_txn_commit") @implementation
public func zdb_txn_commit(_ txn: OpaquePointer?) -> Int32 {
    Results.catching { () throws(DatabaseError) in
        let state = try Handles.transaction(txn)
        try state.pointee.enter()
        try Transactions.commit(TransactionClaim(state, Handles.number(txn)))
        return ZDB_OK
    }
}

@_cdecl("zdb_txn_abort") @implementation
public func zdb_txn_abort(_ txn: OpaquePointer?) -> Int32 {
    guard txn != nil else { return ZDB_OK }
    return Results.catching { () throws(DatabaseError) in
        let state = try Handles.transaction(txn)
        try state.pointee.enter()
        Transactions.end(TransactionClaim(state, Handles.number(txn)))
        return ZDB_OK
    }
}

@_cdecl("zdb_txn_reset") @implementation
public func zdb_txn_reset(_ txn: OpaquePointer?) -> Int32 {
    Handles.withTransactionAlone(txn) { state throws(DatabaseError) in
        try Transactions.reset(state)
        return ZDB_OK
    }
}

@_cdecl("zdb_txn_renew") @implementation
public func zdb_txn_renew(_ txn: OpaquePointer?) -> Int32 {
    Handles.withTransactionAlone(txn) { state throws(DatabaseError) in
        try Transactions.renew(state)
        return ZDB_OK
    }
}

@_cdecl("zdb_txn_env") @implementation
public func zdb_txn_env(_ txn: OpaquePointer?) -> OpaquePointer? {
    do throws(DatabaseError) {
        let state = try Handles.transaction(txn)
        guard let environment = Handles.environment(of: state) else {
            throw DatabaseError(.badHandle, "the transaction's environment is closed")
        }
        return environment
    } catch {
        _ = Results.fail(error)
        return nil
    }
}

@_cdecl("zdb_txn_id") @implementation
public func zdb_txn_id(_ txn: OpaquePointer?) -> UInt64 {
    do throws(DatabaseError) {
        let state = try Handles.transaction(txn)
        return state.pointee.isActive ? state.pointee.id : 0
    } catch {
        _ = Results.fail(error)
        return 0
    }
}

// MARK: Keys and values

@_cdecl("zdb_get") @implementation
public func zdb_get(
    _ txn: OpaquePointer?, _ db: zdb_db, _ key: UnsafePointer<zdb_val>?,
    _ value: UnsafeMutablePointer<zdb_val>?
) -> Int32 {
    Handles.withTransaction(txn) { state throws(DatabaseError) in
        let key = try Results.bytes(key, "key", "zdb_get")
        guard let found = try Operations(state).get(Int(db), key) else { return ZDB_NOT_FOUND }
        Results.store(found, in: value)
        return ZDB_OK
    }
}

/// The mode that put flags ask for.
func putMode(_ flags: UInt32, _ function: StaticString) throws(DatabaseError) -> Operations.PutMode
{
    try Results.checkFlags(flags, allowed: ZDB_NOOVERWRITE | ZDB_APPEND, function)
    switch flags {
    case ZDB_NOOVERWRITE: return .noOverwrite
    // A key that is there is not after the last one: appending never overwrites.
    case ZDB_APPEND, ZDB_APPEND | ZDB_NOOVERWRITE: return .append
    default: return .overwrite
    }
}

/// How much space a caller asks for with ZDB_RESERVE.
func reservedCount(
    _ value: UnsafeMutablePointer<zdb_val>?, _ function: StaticString
) throws(DatabaseError) -> Int {
    guard let value else { throw Results.null("value", function) }
    let size = value.pointee.size
    guard size >= 0 else {
        throw DatabaseError(
            .badValueSize, "\(function): space for \(UInt(bitPattern: size)) bytes")
    }
    return size
}

/// Tells a caller where to write, or what is there already.
func store(
    _ result: Operations.ReserveResult, in value: UnsafeMutablePointer<zdb_val>?
) -> Int32 {
    switch result {
    case .space(let space):
        Results.store(UnsafeRawBufferPointer(space), in: value)
        return ZDB_OK
    case .exists(let existing):
        Results.store(existing, in: value)
        return ZDB_KEYEXIST
    }
}

@_cdecl("zdb_put") @implementation
public func zdb_put(
    _ txn: OpaquePointer?, _ db: zdb_db, _ key: UnsafePointer<zdb_val>?,
    _ value: UnsafeMutablePointer<zdb_val>?, _ flags: UInt32
) -> Int32 {
    Handles.withTransaction(txn) { state throws(DatabaseError) in
        let key = try Results.bytes(key, "key", "zdb_put")
        if flags & ZDB_RESERVE != 0 {
            let mode = try putMode(flags & ~ZDB_RESERVE, "zdb_put")
            let count = try reservedCount(value, "zdb_put")
            let result = try Operations(state).reserve(Int(db), key, count: count, mode: mode)
            return store(result, in: value)
        }
        let bytes = try Results.bytes(value.map { UnsafePointer($0) }, "value", "zdb_put")
        let mode = try putMode(flags, "zdb_put")
        if let existing = try Operations(state).put(Int(db), key, bytes, mode: mode) {
            Results.store(existing, in: value)
            return ZDB_KEYEXIST
        }
        return ZDB_OK
    }
}

@_cdecl("zdb_del") @implementation
public func zdb_del(
    _ txn: OpaquePointer?, _ db: zdb_db, _ key: UnsafePointer<zdb_val>?,
    _ value: UnsafePointer<zdb_val>?
) -> Int32 {
    Handles.withTransaction(txn) { state throws(DatabaseError) in
        let key = try Results.bytes(key, "key", "zdb_del")
        guard value == nil else {
            throw DatabaseError(
                .unsupported,
                "zdb_del: deleting one of several values is not in this version; "
                    + "pass NULL for value")
        }
        return try Operations(state).delete(Int(db), key) ? ZDB_OK : ZDB_NOT_FOUND
    }
}
