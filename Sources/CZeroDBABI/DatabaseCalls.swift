// Names and documentation are those of zerodb.h.
// swift-format-ignore-file: AlwaysUseLowerCamelCase, AllPublicDeclarationsHaveDocumentation

import CZeroDB
import ZeroDB

/// The flags that say what a database is.
private let kindFlags =
    ZDB_REVERSEKEY | ZDB_DUPSORT | ZDB_INTEGERKEY | ZDB_DUPFIXED | ZDB_INTEGERDUP | ZDB_REVERSEDUP
    | ZDB_COUNTED

/// A name's bytes, or one more than any name may have.
private func nameBytes(_ name: UnsafePointer<CChar>) -> UnsafeRawBufferPointer {
    var length = 0
    while length < 512, name[length] != 0 { length += 1 }
    return UnsafeRawBufferPointer(start: name, count: length)
}

@_cdecl("zdb_db_open") @implementation
public func zdb_db_open(
    _ txn: OpaquePointer?, _ name: UnsafePointer<CChar>?, _ flags: UInt32,
    _ db: UnsafeMutablePointer<zdb_db>?
) -> Int32 {
    Handles.withTransactionAlone(txn) { state throws(DatabaseError) in
        guard let db else { throw Results.null("db", "zdb_db_open") }
        try Results.checkFlags(flags, allowed: ZDB_CREATE | kindFlags, "zdb_db_open")
        // The bits are the same.
        let kind = DatabaseFlags(rawValue: UInt16(truncatingIfNeeded: flags & kindFlags))
        let create = flags & ZDB_CREATE != 0
        let operations = Operations(state)
        let handle =
            if let name {
                try operations.openDatabase(nameBytes(name), flags: kind, create: create)
            } else {
                try operations.openMain(flags: kind, create: create)
            }
        db.pointee = zdb_db(handle)
        return ZDB_OK
    }
}

@_cdecl("zdb_db_flags") @implementation
public func zdb_db_flags(
    _ txn: OpaquePointer?, _ db: zdb_db, _ flags: UnsafeMutablePointer<UInt32>?
) -> Int32 {
    Handles.withTransactionAlone(txn) { state throws(DatabaseError) in
        guard let flags else { throw Results.null("flags", "zdb_db_flags") }
        flags.pointee = UInt32(try Operations(state).flags(of: Int(db)).rawValue)
        return ZDB_OK
    }
}

@_cdecl("zdb_db_clear") @implementation
public func zdb_db_clear(_ txn: OpaquePointer?, _ db: zdb_db) -> Int32 {
    Handles.withTransactionAlone(txn) { state throws(DatabaseError) in
        try Operations(state).clear(Int(db))
        return ZDB_OK
    }
}

@_cdecl("zdb_db_drop") @implementation
public func zdb_db_drop(_ txn: OpaquePointer?, _ db: zdb_db) -> Int32 {
    Handles.withTransactionAlone(txn) { state throws(DatabaseError) in
        try Operations(state).drop(Int(db))
        return ZDB_OK
    }
}

@_cdecl("zdb_db_rename") @implementation
public func zdb_db_rename(
    _ txn: OpaquePointer?, _ db: zdb_db, _ name: UnsafePointer<CChar>?,
    _ renamed: UnsafeMutablePointer<zdb_db>?
) -> Int32 {
    Handles.withTransactionAlone(txn) { state throws(DatabaseError) in
        guard let name else { throw Results.null("name", "zdb_db_rename") }
        let handle = try Operations(state).rename(Int(db), to: nameBytes(name))
        renamed?.pointee = zdb_db(handle)
        return ZDB_OK
    }
}

private func store(_ known: DatabaseStatistics, in stat: UnsafeMutablePointer<zdb_db_stat>) {
    stat.pointee = zdb_db_stat(
        struct_size: MemoryLayout<zdb_db_stat>.stride, page_size: UInt32(known.pageSize),
        depth: UInt32(known.depth), entries: known.entries, keys: known.keys,
        branch_pages: known.branchPages, leaf_pages: known.leafPages,
        overflow_pages: known.overflowPages, flags: UInt32(known.flags.rawValue), reserved: 0,
        digest: zdb_digest(known.digest))
}

@_cdecl("zdb_stat") @implementation
public func zdb_stat(
    _ txn: OpaquePointer?, _ db: zdb_db, _ stat: UnsafeMutablePointer<zdb_db_stat>?
) -> Int32 {
    Handles.withTransactionAlone(txn) { state throws(DatabaseError) in
        guard let stat else { throw Results.null("stat", "zdb_stat") }
        try Results.checkSize(stat.pointee.struct_size, of: zdb_db_stat.self, "zdb_stat")
        store(try Operations(state).statistics(Int(db)), in: stat)
        return ZDB_OK
    }
}

@_cdecl("zdb_db_list") @implementation
public func zdb_db_list(
    _ txn: OpaquePointer?, _ on_database: zdb_db_list_fn?, _ context: UnsafeMutableRawPointer?
) -> Int32 {
    guard let on_database else {
        return Results.fail(Results.null("on_database", "zdb_db_list"))
    }
    var listed: [(name: [UInt8], statistics: DatabaseStatistics)] = []
    let result = Handles.withTransactionAlone(txn) { state throws(DatabaseError) in
        listed = try Operations(state).list()
        return ZDB_OK
    }
    guard result == ZDB_OK else { return result }
    // After the call has left the transaction, so that what is called may use it.
    for (name, statistics) in listed {
        var stat = zdb_db_stat()
        store(statistics, in: &stat)
        let answer = (name + [0]).withUnsafeBytes { bytes in
            on_database(context, bytes.baseAddress?.assumingMemoryBound(to: CChar.self), &stat)
        }
        guard answer == 0 else { return Results.note(answer, "on_database has ended the call") }
    }
    return ZDB_OK
}
