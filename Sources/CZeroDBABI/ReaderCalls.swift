// Names and documentation are those of zerodb.h.
// swift-format-ignore-file: AlwaysUseLowerCamelCase, AllPublicDeclarationsHaveDocumentation

import CZeroDB
import ZeroDB

@_cdecl("zdb_reader_list") @implementation
public func zdb_reader_list(
    _ env: OpaquePointer?, _ on_reader: zdb_reader_fn?, _ context: UnsafeMutableRawPointer?
) -> Int32 {
    Results.catchingUncancelled { () throws(DatabaseError) in
        let environment = try Handles.environment(env)
        guard let on_reader else { throw Results.null("on_reader", "zdb_reader_list") }
        for reader in try environment.readers() {
            var record = zdb_reader(
                slot: UInt32(reader.slot), process_id: reader.processID, thread: reader.thread,
                txn_id: reader.snapshot ?? UInt64.max, open_ns: reader.openNanoseconds)
            on_reader(context, &record)
        }
        return ZDB_OK
    }
}

@_cdecl("zdb_reader_check") @implementation
public func zdb_reader_check(
    _ env: OpaquePointer?, _ dead: UnsafeMutablePointer<UInt32>?
) -> Int32 {
    Results.catching { () throws(DatabaseError) in
        let freed = try Handles.environment(env).checkReaders()
        dead?.pointee = UInt32(freed)
        return ZDB_OK
    }
}
