// Names and documentation are those of zerodb.h.
// swift-format-ignore-file: AlwaysUseLowerCamelCase, AllPublicDeclarationsHaveDocumentation

import CZeroDB
import CZeroDBPlatform
import Glibc
import ZeroDB

@_cdecl("zdb_env_verify") @implementation
public func zdb_env_verify(
    _ env: OpaquePointer?, _ options: UnsafePointer<zdb_verify_options>?,
    _ report: UnsafeMutablePointer<zdb_verify_report>?
) -> Int32 {
    Results.catchingUncancelled { () throws(DatabaseError) in
        let environment = try Handles.environment(env)
        if let report {
            try Results.checkSize(
                report.pointee.struct_size, of: zdb_verify_report.self, "zdb_env_verify")
        }
        let (chosen, callbacks) = try engineOptions(options)
        var first: VerifyProblem?
        var found = VerifyReport()
        defer { if let report { store(found, in: report) } }
        try environment.verify(chosen, into: &found) { problem in
            if first == nil { first = problem }
            if let tell = callbacks.on_problem { pass(problem, to: tell, callbacks.context) }
        } onProgress: { progress in
            guard let tell = callbacks.on_progress else { return true }
            return tell(callbacks.context, progress.pagesDone, progress.pagesTotal) == 0
        }
        if let first { throw DatabaseError(.corrupted, page: first.page, first.message) }
        return ZDB_OK
    }
}

/// The engine's options from C's, and the functions to call.
private func engineOptions(
    _ options: UnsafePointer<zdb_verify_options>?
) throws(DatabaseError) -> (VerifyOptions, zdb_verify_options) {
    var result = VerifyOptions()
    guard let options = try Results.options(options, "zdb_env_verify") else {
        return (result, zdb_verify_options())
    }
    if options.level != 0 {
        guard let level = VerifyOptions.Level(rawValue: options.level) else {
            throw DatabaseError(
                .badArgument,
                "\(by: "zdb_env_verify")\(c: "options->level") is \(options.level); it must be 0 "
                    + "or one of "
                    + "\(c: "ZDB_VERIFY_HEADERS, _TREES and _FULL")")
        }
        result.level = level
    }
    guard options.threads <= 64 else {
        throw DatabaseError(
            .badArgument,
            "\(by: "zdb_env_verify")\(c: "options->threads") is \(options.threads); it must be "
                + "at most 64")
    }
    result.threads = Int(options.threads)
    if let name = options.database {
        let bytes = Array(UnsafeRawBufferPointer(start: name, count: strlen(name)))
        result.scope = bytes.isEmpty ? .mainDatabase : .namedDatabase(bytes)
    }
    return (result, options)
}

/// Calls a C function with a problem.
private func pass(
    _ problem: VerifyProblem, to tell: zdb_problem_fn, _ context: UnsafeMutableRawPointer?
) {
    withValue(problem.databaseName) { name in
        withValue(problem.range?.low) { low in
            withValue(problem.range?.high) { high in
                problem.message.withCString { message in
                    var raw = zdb_problem(
                        kind: problem.kind.rawValue, place: problem.place.rawValue,
                        page: problem.page ?? UInt64.max, txn_id: problem.transaction ?? 0,
                        wall_clock: problem.wallClock ?? 0, entries: problem.entries,
                        database: name, has_range: problem.range == nil ? 0 : 1, reserved: 0,
                        low: low, high: high, message: message)
                    tell(context, &raw)
                }
            }
        }
    }
}

/// Runs a body with bytes as C has them; without an address for none.
private func withValue(_ bytes: [UInt8]?, _ body: (zdb_val) -> Void) {
    guard let bytes else { return body(zdb_val()) }
    // A zero behind them, so that an empty key has an address too.
    (bytes + [0]).withUnsafeBytes { buffer in
        body(zdb_val(data: buffer.baseAddress, size: bytes.count))
    }
}

private func store(_ found: VerifyReport, in report: UnsafeMutablePointer<zdb_verify_report>) {
    report.pointee = zdb_verify_report(
        struct_size: report.pointee.struct_size, txn_id: found.transaction, pages: found.pages,
        tree_pages: found.treePages, overflow_pages: found.overflowPages,
        free_pages: found.freePages, entries: found.entries, databases: found.databases,
        log_records: found.logRecords, log_bytes: found.logBytes, problems: found.problems,
        digest: zdb_digest(found.digest))
}
