// Names and documentation are those of zerodb.h.
// swift-format-ignore-file: AlwaysUseLowerCamelCase, AllPublicDeclarationsHaveDocumentation

import CZeroDB
import CZeroDBPlatform
import ZeroDB

@_cdecl("zdb_env_metrics") @implementation
public func zdb_env_metrics(
    _ env: OpaquePointer?, _ on_metric: zdb_metric_fn?, _ context: UnsafeMutableRawPointer?
) -> Int32 {
    Results.catchingUncancelled { () throws(DatabaseError) in
        let environment = try Handles.environment(env)
        guard let on_metric else { throw Results.null("on_metric", "zdb_env_metrics") }
        for metric in try environment.metrics() {
            tell(metric, on_metric, context)
        }
        return ZDB_OK
    }
}

/// Hands a metric to a C function, whose pointers are good during the call.
private func tell(
    _ metric: Metric, _ on_metric: zdb_metric_fn, _ context: UnsafeMutableRawPointer?
) {
    let buckets = metric.buckets.map { zdb_metric_bucket(bound: $0.bound, count: $0.count) }
    metric.name.withCString { name in
        metric.help.withCString { help in
            (metric.label?.name ?? "").withCString { labelName in
                (metric.label?.value ?? "").withCString { labelValue in
                    buckets.withUnsafeBufferPointer { buckets in
                        var record = zdb_metric(
                            name: name, help: help,
                            label: metric.label == nil ? nil : labelName,
                            label_value: metric.label == nil ? nil : labelValue,
                            kind: metric.kind.rawValue,
                            bucket_count: UInt32(buckets.count), value: metric.value,
                            buckets: buckets.isEmpty ? nil : buckets.baseAddress)
                        on_metric(context, &record)
                    }
                }
            }
        }
    }
}

@_cdecl("zdb_env_metric") @implementation
public func zdb_env_metric(
    _ env: OpaquePointer?, _ name: UnsafePointer<CChar>?, _ value: UnsafeMutablePointer<Double>?
) -> Int32 {
    Results.catchingUncancelled { () throws(DatabaseError) in
        let environment = try Handles.environment(env)
        guard let name else { throw Results.null("name", "zdb_env_metric") }
        guard let value else { throw Results.null("value", "zdb_env_metric") }
        let wanted = String(cString: name)
        let found = try environment.metrics().filter {
            $0.fullName == wanted || $0.name == wanted
        }
        guard !found.isEmpty else {
            throw DatabaseError(
                .notFound,
                "\(by: "zdb_env_metric")there is no metric \"\(wanted)\"; "
                    + "\(c: "zdb_env_metrics()") lists them")
        }
        value.pointee = found.reduce(0) {
            $0 + ($1.kind == .histogram ? Double($1.count) : $1.value)
        }
        return ZDB_OK
    }
}

@_cdecl("zdb_env_limits") @implementation
public func zdb_env_limits(_ env: OpaquePointer?, _ limits: UnsafeMutablePointer<zdb_limits>?)
    -> Int32
{
    Results.catchingUncancelled { () throws(DatabaseError) in
        let environment = try Handles.environment(env)
        guard let limits else { throw Results.null("limits", "zdb_env_limits") }
        try Results.checkSize(limits.pointee.struct_size, of: zdb_limits.self, "zdb_env_limits")
        let known = try environment.limits()
        limits.pointee = zdb_limits(
            struct_size: limits.pointee.struct_size, max_size: known.maxSize,
            max_txn_pages: known.transactionPages, max_txn_memory: known.transactionMemory,
            max_readers: known.readers, processes: known.processes,
            environments: known.environments, transactions: known.transactions,
            cursors: known.cursors, nesting: known.nesting, key_size: known.keySize,
            value_size: known.valueSize, name_size: known.nameSize, databases: known.databases,
            log_size: known.logSize, log_record: known.logRecord,
            writer_wait_ms: known.writerWaitMilliseconds, depth: known.depth,
            archive_log: known.archiveLog)
        return ZDB_OK
    }
}
