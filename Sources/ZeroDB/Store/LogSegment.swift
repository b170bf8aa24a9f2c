import Glibc

/// A file of the redo log, open: a stretch of its positions, written in advance so that flushing a
/// record into it changes no file-system metadata.
///
/// The file's name is its base in hexadecimal. Capacities double from segment to segment up to a
/// limit, so that a small environment has a small log.
struct LogSegment {
    let file: any StorageFile
    let base: UInt64
    let capacity: UInt64

    var end: UInt64 { base + capacity }

    static let headerSize = LogSegmentHeader.size
    static let capacityMin: UInt64 = 1 << 20
    static let capacityMax: UInt64 = 16 << 20
    /// The base of a log's first segment: position 0 stands for no log.
    static let firstBase: UInt64 = 4096
    private static let zerosSize = 64 << 10

    /// The byte of the file that holds a position of the log.
    func offset(of position: UInt64) -> UInt64 { position - base + UInt64(Self.headerSize) }

    // MARK: Names

    static func name(base: UInt64) -> String {
        let digits = String(base, radix: 16)
        return String(repeating: "0", count: 16 - digits.count) + digits + ".log"
    }

    static func base(ofName name: String) -> UInt64? {
        guard name.count == 20, name.hasSuffix(".log"),
            let base = UInt64(name.dropLast(4), radix: 16), Self.name(base: base) == name,
            // No log gets as far; what is added to it stays a number.
            base < Format.idLimit
        else { return nil }
        return base
    }

    /// A segment that is ready but has no place in the log yet.
    static let spareName = "spare"

    // MARK: Header

    /// Opens a segment by its base.
    ///
    /// - Returns: nil if there is no such file.
    /// - Throws: `corrupted` if it is not this environment's segment at this base, whole;
    ///   `versionMismatch` if another version wrote it.
    static func open(
        base: UInt64, in directory: LogDirectory, meta: Meta, access: FileAccess
    ) throws(DatabaseError) -> LogSegment? {
        let name = name(base: base)
        let file: any StorageFile
        do throws(DatabaseError) {
            guard let directory = try directory.open() else { return nil }
            file = try directory.open(name, access: access, create: false, mode: 0)
        } catch {
            if error.systemError == ENOENT { return nil }
            throw error
        }
        do throws(DatabaseError) {
            let capacity = try check(
                file, path: directory.path + "/" + name, base: base, meta: meta)
            return LogSegment(file: file, base: base, capacity: capacity)
        } catch {
            file.close()
            throw error
        }
    }

    /// Whether a file is this environment's segment at a base, and nothing of it is missing.
    static func isWhole(
        _ file: any StorageFile, base: UInt64, meta: Meta
    ) throws(DatabaseError) -> Bool {
        do throws(DatabaseError) {
            _ = try check(file, path: file.name, base: base, meta: meta)
            return true
        } catch {
            guard error.code == .corrupted || error.code == .versionMismatch else { throw error }
            return false
        }
    }

    /// What a file of the log begins with.
    static func header(
        of file: any StorageFile
    ) throws(DatabaseError) -> Result<LogSegmentHeader, LogSegmentHeader.Problem> {
        let buffer = UnsafeMutableRawBufferPointer.allocate(
            byteCount: LogSegmentHeader.used, alignment: 8)
        defer { buffer.deallocate() }
        guard let bytes = buffer.baseAddress, try file.read(into: buffer, at: 0) == buffer.count
        else { return .failure(.damaged) }
        return Result { () throws(LogSegmentHeader.Problem) in try LogSegmentHeader(at: bytes) }
    }

    static func otherVersion(_ path: String, _ version: UInt32) -> DatabaseError {
        DatabaseError(
            .versionMismatch,
            "log segment \(path) has format version \(version), this library reads "
                + "\(Format.version); open the environment with the library that wrote it")
    }

    /// Checks that a file is this environment's segment at a base, whole.
    ///
    /// - Returns: its capacity.
    /// - Throws: `corrupted`; `versionMismatch` if another version wrote it.
    private static func check(
        _ file: any StorageFile, path: String, base: UInt64, meta: Meta
    ) throws(DatabaseError) -> UInt64 {
        let header: LogSegmentHeader
        // The header is on disk before the file gets its name.
        switch try Self.header(of: file) {
        case .success(let found): header = found
        case .failure(.damaged): throw damaged(path, "its header does not check")
        case .failure(.version(let version)): throw otherVersion(path, version)
        }
        guard header.base == base, header.environmentID == meta.environmentID else {
            throw damaged(path, "its header is that of another place or environment")
        }
        guard header.isPlausible else {
            throw damaged(path, "its header says that it holds \(header.capacity) bytes")
        }
        let size = try file.size()
        guard size >= UInt64(headerSize) + header.capacity else {
            throw damaged(
                path,
                "it has \(size) bytes of \(UInt64(headerSize) + header.capacity): it was cut off"
            )
        }
        return header.capacity
    }

    private static func writeHeader(
        _ header: LogSegmentHeader, to file: any StorageFile
    ) throws(DatabaseError) {
        let page = UnsafeMutableRawBufferPointer.allocate(byteCount: headerSize, alignment: 64)
        defer { page.deallocate() }
        guard let bytes = page.baseAddress else { return }
        header.store(to: bytes)
        try file.write(UnsafeRawBufferPointer(page), at: 0)
    }

    private static func damaged(_ path: String, _ problem: String) -> DatabaseError {
        DatabaseError(
            .corrupted, "corrupted log segment \(path): \(problem); run zerodb-check")
    }

    /// What a file of the log says of where it belongs.
    enum Belonging {
        /// To this environment.
        case here
        /// Nothing: its header never reached the disk.
        case nowhere
        /// To another environment, or it is no file of a log.
        case elsewhere
    }

    static func belonging(
        of file: any StorageFile, meta: Meta
    ) throws(DatabaseError) -> Belonging {
        let buffer = UnsafeMutableRawBufferPointer.allocate(
            byteCount: LogSegmentHeader.used, alignment: 8)
        defer { buffer.deallocate() }
        guard let bytes = buffer.baseAddress else { return .elsewhere }
        let count = try file.read(into: buffer, at: 0)
        if buffer.prefix(count).allSatisfy({ $0 == 0 }) { return .nowhere }
        guard count == buffer.count, let header = try? LogSegmentHeader(at: bytes),
            header.environmentID == meta.environmentID
        else { return .elsewhere }
        return .here
    }

    /// Whether the file of a name may be removed or replaced: it is this environment's, or no
    /// environment's. So may a name that no file has.
    static func isDisposable(
        _ name: String, in directory: any StorageDirectory, meta: Meta
    ) throws(DatabaseError) -> Bool {
        do throws(DatabaseError) {
            let file = try directory.open(name, access: .readOnly, create: false, mode: 0)
            defer { file.close() }
            return try belonging(of: file, meta: meta) != .elsewhere
        } catch {
            if error.systemError == ENOENT { return true }
            throw error
        }
    }

    // MARK: Making

    /// Writes a segment's worth of zeros to a file of its own, behind a header without a place in the
    /// log, and flushes them.
    static func writeZeros(
        to name: String, capacity: UInt64, in directory: LogDirectory, meta: Meta,
        like dataFile: any StorageFile
    ) throws(DatabaseError) {
        let directory = try directory.make(like: dataFile)
        let file = try directory.open(name, access: .readWrite, create: true, mode: 0o600)
        defer { file.close() }
        // A file that another environment has left here is not overwritten.
        guard try belonging(of: file, meta: meta) != .elsewhere else {
            throw damaged(directory.path + "/" + name, "it belongs to another environment")
        }
        try file.takeAccess(of: dataFile)
        try file.truncate(to: 0)
        try writeHeader(
            LogSegmentHeader(environmentID: meta.environmentID, base: 0, capacity: capacity),
            to: file)
        let zeros = UnsafeMutableRawBufferPointer.allocate(byteCount: zerosSize, alignment: 64)
        defer { zeros.deallocate() }
        _ = zeros.initializeMemory(as: UInt8.self, repeating: 0)
        let size = UInt64(headerSize) + capacity
        var written = UInt64(headerSize)
        while written < size {
            let part = min(UInt64(zerosSize), size - written)
            try file.write(
                UnsafeRawBufferPointer(rebasing: zeros[..<Int(part)]), at: written)
            written += part
        }
        try file.sync()
    }

    /// Whether there is a spare of this environment's with the size for a capacity.
    static func hasSpare(
        capacity: UInt64, in directory: LogDirectory, meta: Meta
    ) throws(DatabaseError) -> Bool {
        guard let directory = try directory.open() else { return false }
        do throws(DatabaseError) {
            let file = try directory.open(spareName, access: .readOnly, create: false, mode: 0)
            defer { file.close() }
            guard try file.size() == UInt64(headerSize) + capacity else { return false }
            return try belonging(of: file, meta: meta) == .here
        } catch {
            if error.systemError == ENOENT { return false }
            throw error
        }
    }

    private static func removeIfDisposable(
        _ name: String, in directory: any StorageDirectory, _ meta: Meta
    ) throws(DatabaseError) {
        if try isDisposable(name, in: directory, meta: meta) { try directory.remove(name) }
    }

    /// Gives a file another name, in place of a file of this environment that had it.
    static func give(
        _ name: String, to old: String, in directory: any StorageDirectory, _ meta: Meta
    ) throws(DatabaseError) {
        guard try isDisposable(name, in: directory, meta: meta) else {
            throw damaged(
                directory.path + "/" + name, "it belongs to another environment; move it away")
        }
        try directory.rename(old, to: name)
    }

    /// Gives the spare a place in the log, preparing one first if there is none of this size.
    static func make(
        base: UInt64, capacity: UInt64, in directory: LogDirectory, meta: Meta,
        like dataFile: any StorageFile
    ) throws(DatabaseError) -> LogSegment {
        let opened = try directory.make(like: dataFile)
        if try !hasSpare(capacity: capacity, in: directory, meta: meta) {
            // The name says that all of it is on disk: it gets it after its flush.
            let new = spareName + ".new"
            do throws(DatabaseError) {
                try writeZeros(
                    to: new, capacity: capacity, in: directory, meta: meta, like: dataFile)
                try give(spareName, to: new, in: opened, meta)
            } catch {
                // On a full disk it has taken all that was left, which the data file may need.
                try? removeIfDisposable(new, in: opened, meta)
                throw error
            }
        }
        let file = try opened.open(spareName, access: .readWrite, create: false, mode: 0)
        do throws(DatabaseError) {
            try writeHeader(
                LogSegmentHeader(
                    environmentID: meta.environmentID, base: base, capacity: capacity), to: file)
            try file.sync()
            try give(name(base: base), to: spareName, in: opened, meta)
            // A flushed record in a file whose name is not durable would be lost.
            try opened.sync()
            try directory.environment.sync()
        } catch {
            file.close()
            throw error
        }
        return LogSegment(file: file, base: base, capacity: capacity)
    }
}
