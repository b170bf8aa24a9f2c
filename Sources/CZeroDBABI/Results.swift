// Names and documentation are those of zerodb.h.
// swift-format-ignore-file: AlwaysUseLowerCamelCase, AllPublicDeclarationsHaveDocumentation

import CZeroDB
import CZeroDBPlatform
import Glibc
import ZeroDB

/// What C functions share: turning errors into codes and arguments into bytes.
enum Results {
    /// Keeps an error for `zdb_last_error` and returns its code.
    @inline(never)
    static func fail(_ error: DatabaseError) -> Int32 {
        let code = error.resultCode
        if let record = zp_thread_error() {
            record.pointee.code = code
            record.pointee.page = error.page ?? UInt64.max
            record.pointee.text = keep(error.markedMessage) ? nil : zdb_strerror(code)
        }
        return code
    }

    /// Keeps a message for `zdb_last_error` and `zdb_last_error_marked`.
    ///
    /// - Returns: false if there is no memory for it.
    private static func keep(_ message: String) -> Bool {
        guard let start = zp_error_message() else { return false }
        keep(message, at: start + Int(ZP_ERROR_MESSAGE_SIZE))
        keep(MessageNames.inC(message), at: start)
        return true
    }

    private static func keep(_ message: String, at start: UnsafeMutablePointer<CChar>) {
        let room = Int(ZP_ERROR_MESSAGE_SIZE) - 1
        let buffer = UnsafeMutableRawBufferPointer(start: start, count: room + 1)
        var count = 0
        for byte in message.utf8.prefix(room) {
            buffer[count] = byte
            count += 1
        }
        // A cut message ends at a whole character.
        if count == room {
            while count > 0, buffer[count - 1] & 0xc0 == 0x80 { count -= 1 }
            if count > 0, buffer[count - 1] & 0x80 != 0 { count -= 1 }
        }
        buffer[count] = 0
    }

    /// The same for an error that is frequent, and none of the environment: what a call was to find is not
    /// there, or what it was not to find is.
    @inline(__always)
    static func note(_ code: Int32, _ text: StaticString) -> Int32 {
        zp_note_error(code, UnsafeRawPointer(text.utf8Start).assumingMemoryBound(to: CChar.self))
        return code
    }

    @inline(__always)
    static func noKey() -> Int32 { note(ZDB_NOT_FOUND, "the database has no such key") }

    @inline(never)
    static func exists() -> Int32 {
        note(ZDB_KEYEXIST, "the database has the key already, or the pair of key and value")
    }

    /// Keeps an error, and counts it among the errors of the transaction's environment.
    @inline(never)
    static func fail(
        _ error: DatabaseError, in transaction: UnsafeMutablePointer<TransactionState>?
    ) -> Int32 {
        if let transaction { countError(error, in: transaction.pointee.storeState) }
        return fail(error)
    }

    @inline(never)
    static func fail(_ code: DatabaseError.Code, _ message: String) -> Int32 {
        fail(DatabaseError(code, message))
    }

    /// Runs a body that may throw.
    @inline(__always)
    static func catching(_ body: () throws(DatabaseError) -> Int32) -> Int32 {
        do throws(DatabaseError) {
            return try body()
        } catch {
            return fail(error)
        }
    }

    /// Runs a body that may wait, write or call the host back, and may throw. A thread that is cancelled
    /// meanwhile ends after it: the locks and transactions in between would be left behind.
    static func catchingUncancelled(_ body: () throws(DatabaseError) -> Int32) -> Int32 {
        let before = zp_hold_cancellation()
        defer { zp_release_cancellation(before) }
        return catching(body)
    }

    static func null(_ name: String, _ function: StaticString) -> DatabaseError {
        DatabaseError(.badArgument, "\(by: function)\(name) is NULL")
    }

    /// - Throws: `badArgument` if a size field does not say what this library knows.
    static func checkSize<T>(
        _ size: Int, of type: T.Type, _ function: StaticString
    ) throws(DatabaseError) {
        let expected = MemoryLayout<T>.stride
        guard size == expected else {
            throw DatabaseError(
                .badArgument,
                "\(by: function)struct_size is \(size), this library's \(type) has \(expected) "
                    + "bytes; "
                    + "set struct_size = sizeof(\(type)) and compile against this library's header")
        }
    }

    /// The caller's options; nil for NULL. The caller may have a smaller struct of another version, so
    /// nothing behind the size, its first field, is read before that is known.
    ///
    /// - Throws: `badArgument` if the size is not what this library knows.
    static func options<T>(
        _ options: UnsafePointer<T>?, _ function: StaticString
    ) throws(DatabaseError) -> T? {
        guard let options else { return nil }
        let size = UnsafeRawPointer(options).load(as: Int.self)
        try checkSize(size, of: T.self, function)
        return options.pointee
    }

    static func checkFlags(
        _ flags: UInt32, allowed: UInt32, _ function: StaticString
    ) throws(DatabaseError) {
        guard flags & ~allowed == 0 else {
            throw DatabaseError(
                .badArgument,
                "\(by: function)unknown flags 0x\(String(flags & ~allowed, radix: 16))")
        }
    }

    /// A caller's bytes.
    @inline(__always)
    static func bytes(
        _ value: UnsafePointer<zdb_val>?, _ name: StaticString, _ function: StaticString
    ) throws(DatabaseError) -> UnsafeRawBufferPointer {
        guard let value, value.pointee.size >= 0,
            value.pointee.data != nil || value.pointee.size == 0
        else { throw badBytes(value, name, function) }
        return UnsafeRawBufferPointer(start: value.pointee.data, count: value.pointee.size)
    }

    /// The same of bytes that are given by address and size.
    @inline(__always)
    static func bytes(
        _ start: UnsafeRawPointer?, _ size: Int, _ name: StaticString, _ function: StaticString
    ) throws(DatabaseError) -> UnsafeRawBufferPointer {
        guard size >= 0, start != nil || size == 0 else {
            guard size < 0 else { throw null("\(name)", function) }
            throw DatabaseError(
                .badValueSize, "\(by: function)\(name) has \(UInt(bitPattern: size)) bytes")
        }
        return UnsafeRawBufferPointer(start: start, count: size)
    }

    @inline(never)
    private static func badBytes(
        _ value: UnsafePointer<zdb_val>?, _ name: StaticString, _ function: StaticString
    ) -> DatabaseError {
        guard let value else { return null("\(name)", function) }
        let size = value.pointee.size
        guard size < 0 else {
            return DatabaseError(
                .badArgument, "\(by: function)\(name)->data is NULL but its size is \(size)")
        }
        return DatabaseError(
            .badValueSize, "\(by: function)\(name) has \(UInt(bitPattern: size)) bytes")
    }

    @inline(__always)
    static func store(
        _ bytes: UnsafeRawBufferPointer, in value: UnsafeMutablePointer<zdb_val>?
    ) {
        value?.pointee.data = bytes.baseAddress
        value?.pointee.size = bytes.count
    }
}

@_cdecl("zdb_version") @implementation
public func zdb_version(
    _ major: UnsafeMutablePointer<Int32>?, _ minor: UnsafeMutablePointer<Int32>?,
    _ patch: UnsafeMutablePointer<Int32>?
) -> UnsafePointer<CChar>? {
    major?.pointee = ZDB_VERSION_MAJOR
    minor?.pointee = ZDB_VERSION_MINOR
    patch?.pointee = ZDB_VERSION_PATCH
    return versionText
}

/// `ZDB_VERSION_STRING` as a C string, valid forever.
private nonisolated(unsafe) let versionText = UnsafePointer(strdup(ZDB_VERSION_STRING))

@_cdecl("zdb_strerror") @implementation
public func zdb_strerror(_ code: Int32) -> UnsafePointer<CChar>? {
    if code > 0 { return strerror(code).map { UnsafePointer($0) } }
    if code == 0 { return text("success") }
    return text(DatabaseError.Code(rawValue: code).map(describe) ?? "unknown ZeroDB error")
}

private func describe(_ code: DatabaseError.Code) -> StaticString {
    switch code {
    case .keyExists: "the key exists already"
    case .notFound: "not found"
    case .corrupted: "the environment is corrupted"
    case .versionMismatch: "another format version"
    case .invalidFile: "not a ZeroDB file"
    case .full: "the environment is full (max_size)"
    case .transactionFull: "the transaction is full (max_txn_pages)"
    case .readersFull: "the reader table is full (max_readers)"
    case .badTransaction: "the transaction has ended, was reset, has failed, or has an open child"
    case .badHandle: "the handle is NULL, closed or no handle"
    case .badDatabase: "no such database handle in this transaction"
    case .badValueSize: "the size of a key or value is out of bounds"
    case .incompatible: "flags or operation do not fit"
    case .readOnly: "a write through something read-only"
    case .busy: "another thread or process is using it"
    case .forked: "the handle was inherited through fork"
    case .panic: "an earlier flush failed; close and open again"
    case .badArgument: "an argument is wrong"
    case .badCursor: "the cursor is on no entry or its transaction has ended"
    case .unsupported: "not supported by this version"
    case .notSorted: "the key to append is not after the last one"
    case .recoveryNeeded: "the log must be replayed by an opening for writing"
    case .system: "the operating system refused"
    }
}

/// A literal as a C string, valid forever.
private func text(_ literal: StaticString) -> UnsafePointer<CChar> {
    UnsafeRawPointer(literal.utf8Start).assumingMemoryBound(to: CChar.self)
}

@_cdecl("zdb_last_error") @implementation
public func zdb_last_error() -> UnsafePointer<CChar>? {
    guard let record = zp_thread_error() else { return text("") }
    if let text = record.pointee.text { return text }
    return record.pointee.message.map { UnsafePointer($0) } ?? text("")
}

@_cdecl("zdb_last_error_marked") @implementation
public func zdb_last_error_marked() -> UnsafePointer<CChar>? {
    guard let record = zp_thread_error() else { return text("") }
    if let text = record.pointee.text { return text }
    return record.pointee.message.map { UnsafePointer($0 + Int(ZP_ERROR_MESSAGE_SIZE)) } ?? text("")
}

@_cdecl("zdb_last_error_code") @implementation
public func zdb_last_error_code() -> Int32 { zp_thread_error()?.pointee.code ?? 0 }

@_cdecl("zdb_last_error_page") @implementation
public func zdb_last_error_page() -> UInt64 { zp_thread_error()?.pointee.page ?? UInt64.max }

extension zdb_digest {
    init(_ digest: ContentDigest) { self.init(low: digest.low, high: digest.high) }
}
