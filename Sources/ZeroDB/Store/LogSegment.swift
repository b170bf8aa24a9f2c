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

    static func directory(of environment: String) -> String { environment + "/log" }

    static func name(base: UInt64) -> String {
        let digits = String(base, radix: 16)
        return String(repeating: "0", count: 16 - digits.count) + digits + ".log"
    }

    static func base(ofName name: String) -> UInt64? {
        guard name.count == 20, name.hasSuffix(".log"),
            let base = UInt64(name.dropLast(4), radix: 16), Self.name(base: base) == name
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
        base: UInt64, in environment: String, meta: Meta, fileSystem: any FileSystem,
        access: FileAccess
    ) throws(DatabaseError) -> LogSegment? {
        let path = directory(of: environment) + "/" + name(base: base)
        let file: any StorageFile
        do throws(DatabaseError) {
            file = try fileSystem.open(path, access: access, create: false, mode: 0)
        } catch {
            if error.systemError == ENOENT { return nil }
            throw error
        }
        do throws(DatabaseError) {
            let capacity = try check(file, path: path, base: base, meta: meta)
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

    /// Checks that a file is this environment's segment at a base, whole.
    ///
    /// - Returns: its capacity.
    /// - Throws: `corrupted`; `versionMismatch` if another version wrote it.
    private static func check(
        _ file: any StorageFile, path: String, base: UInt64, meta: Meta
    ) throws(DatabaseError) -> UInt64 {
        let buffer = UnsafeMutableRawBufferPointer.allocate(
            byteCount: LogSegmentHeader.used, alignment: 8)
        defer { buffer.deallocate() }
        // The header is on disk before the file gets its name.
        guard let bytes = buffer.baseAddress, try file.read(into: buffer, at: 0) == buffer.count
        else { throw damaged(path, "its header does not check") }
        let header: LogSegmentHeader
        do throws(LogSegmentHeader.Problem) {
            header = try LogSegmentHeader(at: bytes)
        } catch {
            switch error {
            case .damaged: throw damaged(path, "its header does not check")
            case .version(let version):
                throw DatabaseError(
                    .versionMismatch,
                    "log segment \(path) has format version \(version), this library reads "
                        + "\(Format.version); open the environment with the library that wrote it")
            }
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

    // MARK: Making

    /// Writes a segment's worth of zeros to a file of its own and flushes them.
    static func writeZeros(
        to name: String, capacity: UInt64, in environment: String, mode: UInt32,
        fileSystem: any FileSystem
    ) throws(DatabaseError) {
        let directory = directory(of: environment)
        try fileSystem.makeDirectory(directory, mode: mode | (mode & 0o444) >> 2)
        let path = directory + "/" + name
        let file = try fileSystem.open(path, access: .readWrite, create: true, mode: mode)
        defer { file.close() }
        try file.truncate(to: 0)
        let zeros = UnsafeMutableRawBufferPointer.allocate(byteCount: zerosSize, alignment: 64)
        defer { zeros.deallocate() }
        _ = zeros.initializeMemory(as: UInt8.self, repeating: 0)
        let size = UInt64(headerSize) + capacity
        var written: UInt64 = 0
        while written < size {
            let part = min(UInt64(zerosSize), size - written)
            try file.write(
                UnsafeRawBufferPointer(rebasing: zeros[..<Int(part)]), at: written)
            written += part
        }
        try file.sync()
    }

    /// Whether the spare exists and has the size for a capacity.
    static func hasSpare(
        capacity: UInt64, in environment: String, fileSystem: any FileSystem
    ) throws(DatabaseError) -> Bool {
        let path = directory(of: environment) + "/" + spareName
        do throws(DatabaseError) {
            let file = try fileSystem.open(path, access: .readOnly, create: false, mode: 0)
            defer { file.close() }
            return try file.size() == UInt64(headerSize) + capacity
        } catch {
            if error.systemError == ENOENT { return false }
            throw error
        }
    }

    /// Gives the spare a place in the log, preparing one first if there is none of this size.
    static func make(
        base: UInt64, capacity: UInt64, in environment: String, meta: Meta, mode: UInt32,
        fileSystem: any FileSystem
    ) throws(DatabaseError) -> LogSegment {
        let directory = directory(of: environment)
        let spare = directory + "/" + spareName
        if try !hasSpare(capacity: capacity, in: environment, fileSystem: fileSystem) {
            // The name says that all of it is on disk: it gets it after its flush.
            let new = spareName + ".new"
            try writeZeros(
                to: new, capacity: capacity, in: environment, mode: mode, fileSystem: fileSystem)
            try fileSystem.rename(directory + "/" + new, to: spare)
        }
        let file = try fileSystem.open(spare, access: .readWrite, create: false, mode: mode)
        do throws(DatabaseError) {
            try writeHeader(
                LogSegmentHeader(
                    environmentID: meta.environmentID, base: base, capacity: capacity), to: file)
            try file.sync()
            try fileSystem.rename(spare, to: directory + "/" + name(base: base))
            // A flushed record in a file whose name is not durable would be lost.
            try fileSystem.syncDirectory(directory)
            try fileSystem.syncDirectory(environment)
        } catch {
            file.close()
            throw error
        }
        return LogSegment(file: file, base: base, capacity: capacity)
    }
}
