// Names and documentation are those of zerodb.h.
// swift-format-ignore-file: AlwaysUseLowerCamelCase, AllPublicDeclarationsHaveDocumentation

import CZeroDB
import Glibc
import ZeroDB

@_cdecl("zdb_env_copy") @implementation
public func zdb_env_copy(
    _ env: OpaquePointer?, _ path: UnsafePointer<CChar>?,
    _ options: UnsafePointer<zdb_copy_options>?, _ result: UnsafeMutablePointer<zdb_copy_result>?
) -> Int32 {
    Results.catchingUncancelled { () throws(DatabaseError) in
        let environment = try Handles.environment(env)
        guard let path else {
            throw DatabaseError(.badArgument, "\(by: "zdb_env_copy")path is NULL")
        }
        let bytes = Array(UnsafeRawBufferPointer(start: path, count: strlen(path)))
        let (chosen, onProgress) = try engineOptions(options, result, "zdb_env_copy")
        let report = try environment.copy(
            toPathBytes: bytes, options: chosen, onProgress: onProgress)
        store(report, in: result)
        return ZDB_OK
    }
}

@_cdecl("zdb_env_copy_fd") @implementation
public func zdb_env_copy_fd(
    _ env: OpaquePointer?, _ fd: Int32, _ options: UnsafePointer<zdb_copy_options>?,
    _ result: UnsafeMutablePointer<zdb_copy_result>?
) -> Int32 {
    Results.catchingUncancelled { () throws(DatabaseError) in
        let environment = try Handles.environment(env)
        let (chosen, onProgress) = try engineOptions(options, result, "zdb_env_copy_fd")
        let report = try environment.copy(
            toDescriptor: fd, options: chosen, onProgress: onProgress)
        store(report, in: result)
        return ZDB_OK
    }
}

/// The engine's options from C's, and whether to go on.
private func engineOptions(
    _ options: UnsafePointer<zdb_copy_options>?, _ result: UnsafePointer<zdb_copy_result>?,
    _ function: StaticString
) throws(DatabaseError) -> (CopyOptions, (CopyProgress) -> Bool) {
    if let result {
        try Results.checkSize(result.pointee.struct_size, of: zdb_copy_result.self, function)
    }
    var chosen = CopyOptions()
    guard let options = try Results.options(options, function) else {
        return (chosen, { _ in true })
    }
    guard options.flags & ~UInt32(ZDB_COPY_COMPACT) == 0, options.reserved == 0 else {
        throw DatabaseError(
            .badArgument,
            "\(by: function)\(c: "options->flags") is \(options.flags); it must be 0 or "
                + "\(c: "ZDB_COPY_COMPACT"), and "
                + "reserved 0")
    }
    chosen.compacts = options.flags & UInt32(ZDB_COPY_COMPACT) != 0
    chosen.bytesPerSecond = options.bytes_per_second
    return (
        chosen,
        { progress in
            guard let tell = options.on_progress else { return true }
            return tell(options.context, progress.pagesDone, progress.pagesTotal) == 0
        }
    )
}

private func store(_ report: CopyReport, in result: UnsafeMutablePointer<zdb_copy_result>?) {
    guard let result else { return }
    result.pointee = zdb_copy_result(
        struct_size: result.pointee.struct_size, txn_id: report.transaction,
        wall_clock: report.wallClock, file_size: report.fileSize,
        bytes_written: report.bytesWritten, digest: zdb_digest(report.digest))
}
