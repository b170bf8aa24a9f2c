// Names and documentation are those of zerodb.h.
// swift-format-ignore-file: AlwaysUseLowerCamelCase, AllPublicDeclarationsHaveDocumentation

import CZeroDB
import CZeroDBPlatform
import Glibc
import ZeroDB

@_cdecl("zdb_env_options_init_size") @implementation
public func zdb_env_options_init_size(
    _ options: UnsafeMutablePointer<zdb_env_options>?, _ struct_size: Int
) -> Int32 {
    guard let options else {
        return Results.fail(Results.null("options", "zdb_env_options_init"))
    }
    guard struct_size == MemoryLayout<zdb_env_options>.stride else {
        return Results.fail(
            .badArgument,
            "\(by: "zdb_env_options_init")the caller's \(c: "zdb_env_options") has "
                + "\(struct_size) bytes, this "
                + "library's \(MemoryLayout<zdb_env_options>.stride); compile against this "
                + "library's "
                + "header")
    }
    let defaults = EnvironmentOptions()
    options.pointee = zdb_env_options(
        struct_size: MemoryLayout<zdb_env_options>.stride, flags: 0, page_size: 0,
        max_size: defaults.maxSize, max_txn_pages: defaults.maxTransactionPages,
        max_txn_memory: defaults.maxTransactionMemory,
        checksum: ZDB_CHECKSUM_DEFAULT, max_readers: UInt32(defaults.maxReaders),
        file_mode: defaults.fileMode, durability: ZDB_DURABILITY_DEFAULT,
        log_size: defaults.logSize, threads: ZDB_THREADS_DEFAULT,
        writer_wait_ms: defaults.writerWaitMilliseconds,
        log: nil, log_context: nil, auto_compact_rate: defaults.autoCompactRate,
        auto_compact_percent: defaults.autoCompactPercent, recovery: 0,
        recovery_root: defaults.recoveryRoot, log_level: defaults.eventLevel.rawValue,
        slow_txn_ms: defaults.slowTransactionMilliseconds, archive: nil,
        archive_log_kept: defaults.archiveLogKept)
    return ZDB_OK
}

/// The engine's options from C's. Zero stands for the default where zero makes no sense.
private func engineOptions(
    _ options: UnsafePointer<zdb_env_options>?
) throws(DatabaseError) -> EnvironmentOptions {
    var result = EnvironmentOptions()
    guard let options = try Results.options(options, "zdb_env_open") else { return result }
    try Results.checkFlags(options.flags, allowed: ZDB_RDONLY | ZDB_NOCREATE, "zdb_env_open")
    result.isReadOnly = options.flags & ZDB_RDONLY != 0
    result.createsIfMissing = options.flags & ZDB_NOCREATE == 0
    if options.page_size != 0 { result.pageSize = Int(options.page_size) }
    if options.max_size != 0 { result.maxSize = options.max_size }
    result.maxTransactionPages = options.max_txn_pages
    result.maxTransactionMemory = options.max_txn_memory
    if options.checksum != ZDB_CHECKSUM_DEFAULT {
        guard let mode = ChecksumMode(rawValue: options.checksum) else {
            throw DatabaseError(
                .badArgument,
                "\(by: "zdb_env_open")\(c: "options->checksum") is \(options.checksum); it must "
                    + "be one of "
                    + "\(c: "ZDB_CHECKSUM_DEFAULT, _NONE, _FAST and _FULL")")
        }
        result.checksumMode = mode
    }
    if options.max_readers != 0 {
        result.maxReaders = Int(options.max_readers)
    }
    if options.durability != ZDB_DURABILITY_DEFAULT {
        guard let durability = engineDurability(options.durability) else {
            throw DatabaseError(
                .badArgument,
                "\(by: "zdb_env_open")\(c: "options->durability") is "
                    + "0x\(String(options.durability, radix: 16)); it "
                    + "must be one of \(c: "ZDB_DURABILITY_DEFAULT, _FULL, _RELAXED and _NONE")")
        }
        result.durability = durability
    }
    if options.log_size != 0 { result.logSize = options.log_size }
    guard [ZDB_THREADS_DEFAULT, ZDB_THREADS_NONE].contains(options.threads) else {
        throw DatabaseError(
            .badArgument,
            "\(by: "zdb_env_open")\(c: "options->threads") is \(options.threads); it must be "
                + "\(c: "ZDB_THREADS_DEFAULT") or \(c: "ZDB_THREADS_NONE")")
    }
    if let log = options.log {
        // The context is the caller's, and usable from any thread by the header's terms.
        nonisolated(unsafe) let context = options.log_context
        result.onEvent = { event in
            MessageNames.inC(event.markedMessage).withCString {
                log(context, event.level.rawValue, $0)
            }
        }
    }
    guard let level = Event.Level(rawValue: options.log_level) else {
        throw DatabaseError(
            .badArgument,
            "\(by: "zdb_env_open")\(c: "options->log_level") is \(options.log_level); it must be "
                + "one of "
                + "\(c: "ZDB_LOG_DEBUG, _INFORMATION, _WARNING and _ERROR")")
    }
    result.eventLevel = level
    result.slowTransactionMilliseconds = options.slow_txn_ms
    result.writerWaitMilliseconds = options.writer_wait_ms
    result.autoCompactRate = options.auto_compact_rate
    result.autoCompactPercent = options.auto_compact_percent
    guard options.recovery <= 1 else {
        throw DatabaseError(
            .badArgument,
            "\(by: "zdb_env_open")\(c: "options->recovery") is \(options.recovery); it must be 0 "
                + "or 1")
    }
    result.recovery = options.recovery == 1
    result.recoveryRoot = options.recovery_root
    if let archive = options.archive {
        result.archiveBytes = Array(
            UnsafeRawBufferPointer(start: archive, count: strlen(archive)))
    }
    if options.archive_log_kept != 0 { result.archiveLogKept = options.archive_log_kept }
    result.usesThread = options.threads == ZDB_THREADS_DEFAULT
    if options.file_mode != 0 { result.fileMode = options.file_mode }
    return result
}

/// nil if it is not one.
func engineDurability(_ flag: UInt32) -> Durability? {
    switch flag {
    case ZDB_DURABILITY_FULL: .full
    case ZDB_DURABILITY_RELAXED: .relaxed
    case ZDB_DURABILITY_NONE: Durability.none
    default: nil
    }
}

@_cdecl("zdb_env_open") @implementation
public func zdb_env_open(
    _ path: UnsafePointer<CChar>?, _ options: UnsafePointer<zdb_env_options>?,
    _ env: UnsafeMutablePointer<OpaquePointer?>?
) -> Int32 {
    env?.pointee = nil
    return Results.catchingUncancelled { () throws(DatabaseError) in
        guard let path else { throw Results.null("path", "zdb_env_open") }
        guard let env else { throw Results.null("env", "zdb_env_open") }
        let engineOptions = try engineOptions(options)
        Handles.prepare()
        let bytes = UnsafeRawBufferPointer(start: path, count: strlen(path))
        let environment = try Environment(pathBytes: Array(bytes), options: engineOptions)
        env.pointee = try Handles.open(environment)
        return ZDB_OK
    }
}

@_cdecl("zdb_env_close") @implementation
public func zdb_env_close(_ env: OpaquePointer?) -> Int32 {
    Results.catchingUncancelled { () throws(DatabaseError) in
        try close(env, .never, endsOthers: false)
    }
}

@_cdecl("zdb_env_close_wait") @implementation
public func zdb_env_close_wait(
    _ env: OpaquePointer?, _ timeout_ms: UInt32, _ flags: UInt32
) -> Int32 {
    Results.catchingUncancelled { () throws(DatabaseError) in
        try Results.checkFlags(flags, allowed: ZDB_CLOSE_ABORT, "zdb_env_close_wait")
        let wait: WriterWait =
            timeout_ms == ZDB_WAIT_FOREVER ? .forever : .milliseconds(timeout_ms)
        return try close(env, wait, endsOthers: flags & ZDB_CLOSE_ABORT != 0)
    }
}

/// Closes an environment and its handle. What cannot be written then is an error, but the handle is
/// dead.
private func close(
    _ env: OpaquePointer?, _ wait: WriterWait, endsOthers: Bool
) throws(DatabaseError) -> Int32 {
    let environment = try Handles.environment(env)
    switch try environment.closeOnce(wait, endsOthers: endsOthers) {
    case .closedBefore:
        throw DatabaseError(.badHandle, "another thread has closed the environment")
    case .closed(let failure):
        Handles.close(env)
        if let failure { throw failure }
        return ZDB_OK
    }
}

@_cdecl("zdb_env_sync") @implementation
public func zdb_env_sync(_ env: OpaquePointer?) -> Int32 {
    Results.catchingUncancelled { () throws(DatabaseError) in
        try Handles.environment(env).sync()
        return ZDB_OK
    }
}

@_cdecl("zdb_env_checkpoint") @implementation
public func zdb_env_checkpoint(_ env: OpaquePointer?) -> Int32 {
    Results.catchingUncancelled { () throws(DatabaseError) in
        try Handles.environment(env).checkpoint()
        return ZDB_OK
    }
}

@_cdecl("zdb_env_compact") @implementation
public func zdb_env_compact(
    _ env: OpaquePointer?, _ options: UnsafePointer<zdb_compact_options>?,
    _ result: UnsafeMutablePointer<zdb_compact_result>?
) -> Int32 {
    Results.catchingUncancelled { () throws(DatabaseError) in
        let environment = try Handles.environment(env)
        var chosen = CompactionOptions()
        if let options = try Results.options(options, "zdb_env_compact") {
            chosen.maxPages = options.max_pages
            chosen.bytesPerSecond = options.bytes_per_second
            chosen.targetSize = options.target_size
            try Results.checkFlags(
                options.flags, allowed: ZDB_COMPACT_PUNCH_HOLES, "zdb_env_compact")
            chosen.punchesHoles = options.flags & ZDB_COMPACT_PUNCH_HOLES != 0
        }
        if let result {
            try Results.checkSize(
                result.pointee.struct_size, of: zdb_compact_result.self, "zdb_env_compact")
        }
        let done = try environment.compact(chosen)
        result?.pointee.pages_moved = done.pagesMoved
        result?.pointee.bytes_before = done.bytesBefore
        result?.pointee.bytes_after = done.bytesAfter
        result?.pointee.waiting_pages = done.waitingPages
        result?.pointee.is_finished = done.isFinished ? 1 : 0
        result?.pointee.reserved = 0
        result?.pointee.bytes_punched = done.bytesPunched
        return ZDB_OK
    }
}

@_cdecl("zdb_env_max_key_size") @implementation
public func zdb_env_max_key_size(_ env: OpaquePointer?) -> Int {
    do throws(DatabaseError) {
        return try Handles.environment(env).maxKeySize
    } catch {
        _ = Results.fail(error)
        return 0
    }
}

@_cdecl("zdb_env_info") @implementation
public func zdb_env_info(_ env: OpaquePointer?, _ info: UnsafeMutablePointer<zdb_info>?) -> Int32 {
    Results.catching { () throws(DatabaseError) in
        let environment = try Handles.environment(env)
        guard let info else { throw Results.null("info", "zdb_env_info") }
        try Results.checkSize(info.pointee.struct_size, of: zdb_info.self, "zdb_env_info")
        let known = try environment.info()
        var result = zdb_info()
        result.struct_size = info.pointee.struct_size
        result.format_version = known.formatVersion
        result.page_size = UInt32(known.pageSize)
        result.max_size = known.maxSize
        result.file_size = known.fileSize
        result.page_count = known.pageCount
        result.free_pages = known.freePages
        result.last_txn_id = known.lastTransaction
        result.oldest_reader_txn = known.oldestReader
        result.max_readers = UInt32(known.maxReaders)
        result.readers = UInt32(known.readers)
        result.max_txn_pages = known.maxTransactionPages
        result.max_txn_memory = known.maxTransactionMemory
        result.max_key_size = UInt32(known.maxKeySize)
        result.checksum = known.checksumMode.rawValue
        result.databases = known.databases
        result.checkpoint_txn_id = known.checkpointTransaction
        result.pinned_pages = known.pinnedPages
        result.log_bytes = known.logBytes
        result.recovered_records = known.recovery.records
        result.recovered_bytes = known.recovery.bytes
        result.recovery_ns = known.recovery.nanoseconds
        withUnsafeMutableBytes(of: &result.environment_id) { bytes in
            bytes.storeBytes(of: known.environmentID.0.littleEndian, as: UInt64.self)
            bytes.storeBytes(
                of: known.environmentID.1.littleEndian, toByteOffset: 8, as: UInt64.self)
        }
        result.digest = zdb_digest(known.digest)
        info.pointee = result
        return ZDB_OK
    }
}
