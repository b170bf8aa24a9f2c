// Names and documentation are those of zerodb.h.
// swift-format-ignore-file: AlwaysUseLowerCamelCase, AllPublicDeclarationsHaveDocumentation

import CZeroDB
import CZeroDBPlatform
import Glibc
import ZeroDB

@_cdecl("zdb_txn_begin") @implementation
public func zdb_txn_begin(
    _ env: OpaquePointer?, _ parent: OpaquePointer?, _ flags: UInt32,
    _ txn: UnsafeMutablePointer<OpaquePointer?>?
) -> Int32 {
    txn?.pointee = nil
    return Results.catching { () throws(DatabaseError) in
        let store = try Handles.storeState(env)
        guard let txn else { throw Results.null("txn", "zdb_txn_begin") }
        let durabilityFlags =
            ZDB_DURABILITY_FULL | ZDB_DURABILITY_RELAXED | ZDB_DURABILITY_NONE
        try Results.checkFlags(
            flags, allowed: ZDB_RDONLY | ZDB_NOWAIT | durabilityFlags, "zdb_txn_begin")
        let others = flags & ~ZDB_NOWAIT
        let durability = engineDurability(others)
        guard flags == ZDB_RDONLY || others == 0 || durability != nil else {
            throw DatabaseError(
                .incompatible,
                "\(by: "zdb_txn_begin")one durability at a time; none, and no "
                    + "\(c: "ZDB_NOWAIT"), for a read "
                    + "transaction")
        }
        let claim: TransactionClaim
        do throws(DatabaseError) {
            if parent != nil {
                guard flags == 0 else {
                    throw DatabaseError(
                        .incompatible,
                        "\(by: "zdb_txn_begin")a nested transaction takes no flags: it writes, "
                            + "and what its "
                            + "commit waits for its outermost transaction says")
                }
                claim = try Transactions.beginNested(in: Handles.transaction(parent), store)
            } else if flags & ZDB_RDONLY != 0 {
                claim = try Transactions.beginRead(store, of: Handles.number(env))
            } else {
                let before = zp_hold_cancellation()
                defer { zp_release_cancellation(before) }
                claim = try Transactions.beginWrite(
                    store, of: Handles.number(env), durability: durability,
                    wait: flags & ZDB_NOWAIT != 0 ? .never : nil)
                claim.state.pointee.noteUser()
            }
        } catch {
            countError(error, in: store)
            throw error
        }
        txn.pointee = Handles.pointer(claim.handle)
        return ZDB_OK
    }
}

@_cdecl("zdb_txn_begin_wait") @implementation
public func zdb_txn_begin_wait(
    _ env: OpaquePointer?, _ flags: UInt32, _ wait_ms: UInt32,
    _ txn: UnsafeMutablePointer<OpaquePointer?>?
) -> Int32 {
    txn?.pointee = nil
    return Results.catchingUncancelled { () throws(DatabaseError) in
        let store = try Handles.storeState(env)
        guard let txn else { throw Results.null("txn", "zdb_txn_begin_wait") }
        let durability = engineDurability(flags)
        guard flags == 0 || durability != nil else {
            throw DatabaseError(
                .badArgument,
                "\(by: "zdb_txn_begin_wait")flags 0x\(String(flags, radix: 16)) are not one "
                    + "durability")
        }
        let claim: TransactionClaim
        do throws(DatabaseError) {
            claim = try Transactions.beginWrite(
                store, of: Handles.number(env), durability: durability,
                wait: wait_ms == 0 ? .never : .milliseconds(wait_ms))
        } catch {
            // A slice of a wait that is over is no refusal.
            if error.code == .busy, wait_ms > 0, error.limit == .writerWait {
                return Results.note(
                    ETIMEDOUT, "another write transaction is open; call again to wait on")
            }
            countError(error, in: store)
            throw error
        }
        claim.state.pointee.noteUser()
        txn.pointee = Handles.pointer(claim.handle)
        return ZDB_OK
    }
}

@_cdecl("zdb_txn_commit") @implementation
public func zdb_txn_commit(_ txn: OpaquePointer?) -> Int32 {
    Results.catchingUncancelled { () throws(DatabaseError) in
        let state = try Handles.transaction(txn)
        try Handles.enter(txn, state)
        let store = state.pointee.storeState
        do throws(DatabaseError) {
            try Transactions.commit(TransactionClaim(state, Handles.number(txn)))
        } catch {
            countError(error, in: store)
            throw error
        }
        return ZDB_OK
    }
}

@_cdecl("zdb_txn_abort") @implementation
public func zdb_txn_abort(_ txn: OpaquePointer?) -> Int32 {
    guard txn != nil else { return ZDB_OK }
    return Results.catching { () throws(DatabaseError) in
        let state = try Handles.transaction(txn)
        try Handles.enter(txn, state)
        try Transactions.abort(TransactionClaim(state, Handles.number(txn)))
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

@_cdecl("zdb_txn_list") @implementation
public func zdb_txn_list(
    _ env: OpaquePointer?, _ on_txn: zdb_txn_fn?, _ context: UnsafeMutableRawPointer?
) -> Int32 {
    Results.catchingUncancelled { () throws(DatabaseError) in
        let environment = try Handles.environment(env)
        guard let on_txn else { throw Results.null("on_txn", "zdb_txn_list") }
        for transaction in try environment.transactions() {
            var record = zdb_txn_info(
                txn: Handles.pointer(transaction.handle), txn_id: transaction.id ?? UInt64.max,
                thread: transaction.thread, open_ns: transaction.openNanoseconds,
                flags: transaction.isWrite ? 0 : ZDB_RDONLY,
                thread_ended: transaction.hasThreadEnded ? 1 : 0)
            on_txn(context, &record)
        }
        return ZDB_OK
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
        guard let found = try ZeroDB.get(state, Int(db), key, wanted: value != nil) else {
            return Results.noKey()
        }
        Results.store(found, in: value)
        return ZDB_OK
    }
}

/// The mode that put flags ask for.
///
/// - Parameter extra: flags that the caller sees to itself.
@inline(__always)
func putMode(
    _ flags: UInt32, extra: UInt32 = 0, _ function: StaticString,
    hasDuplicates: () throws(DatabaseError) -> Bool
) throws(DatabaseError) -> PutMode {
    if flags == 0 { return .overwrite }
    let ofPairs = ZDB_NODUPDATA | ZDB_APPENDDUP
    try Results.checkFlags(
        flags, allowed: ZDB_NOOVERWRITE | ZDB_APPEND | ofPairs | extra, function)
    if flags & ofPairs != 0, try !hasDuplicates() {
        throw DatabaseError(
            .incompatible,
            "\(by: function)\(c: "ZDB_NODUPDATA") and \(c: "ZDB_APPENDDUP") are for databases "
                + "made with \(c: "ZDB_DUPSORT")")
    }
    // A key that is there is not after the last one: appending never overwrites.
    if flags & ZDB_APPEND != 0 { return .append }
    if flags & ZDB_NOOVERWRITE != 0 { return .noOverwrite }
    // Nor is a value that is there after the key's last one.
    if flags & ZDB_APPENDDUP != 0 { return .appendValue }
    return flags & ZDB_NODUPDATA != 0 ? .noDuplicate : .overwrite
}

/// How much space a caller asks for with ZDB_RESERVE.
func reservedCount(
    _ value: UnsafeMutablePointer<zdb_val>?, _ function: StaticString
) throws(DatabaseError) -> Int {
    guard let value else { throw Results.null("value", function) }
    let size = value.pointee.size
    guard size >= 0 else {
        throw DatabaseError(
            .badValueSize, "\(by: function)space for \(UInt(bitPattern: size)) bytes")
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
        return Results.exists()
    }
}

@_cdecl("zdb_put") @implementation
public func zdb_put(
    _ txn: OpaquePointer?, _ db: zdb_db, _ key: UnsafePointer<zdb_val>?,
    _ value: UnsafeMutablePointer<zdb_val>?, _ flags: UInt32
) -> Int32 {
    Handles.withTransaction(txn) { state throws(DatabaseError) in
        let key = try Results.bytes(key, "key", "zdb_put")
        let mode = try putMode(
            flags, extra: ZDB_RESERVE, "zdb_put",
            hasDuplicates: { () throws(DatabaseError) in
                try Operations(state).hasDuplicates(Int(db))
            })
        if flags & ZDB_RESERVE != 0 {
            let count = try reservedCount(value, "zdb_put")
            let result = try Operations(state).reserve(Int(db), key, count: count, mode: mode)
            return store(result, in: value)
        }
        let bytes = try Results.bytes(value.map { UnsafePointer($0) }, "value", "zdb_put")
        if let existing = try Operations(state).put(Int(db), key, bytes, mode: mode) {
            Results.store(existing, in: value)
            return Results.exists()
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
        if let value, try Operations(state).hasDuplicates(Int(db)) {
            let bytes = try Results.bytes(value, "value", "zdb_del")
            return try Operations(state).delete(Int(db), key, value: bytes)
                ? ZDB_OK
                : Results.note(ZDB_NOT_FOUND, "the database has no such pair of key and value")
        }
        return try Operations(state).delete(Int(db), key) ? ZDB_OK : Results.noKey()
    }
}
