import Glibc

/// The records of one file of the log, each read from its place. Damage elsewhere in the file does no harm.
final class SegmentRecords {
    let base: UInt64
    /// The first position behind the segment.
    let end: UInt64
    /// What is wrong with the file as a whole; records prove themselves all the same.
    let problem: String?

    private let file: any StorageFile
    private let seed: UInt64
    /// Bytes of the file from the position `start` on.
    private var buffer: UnsafeMutableRawBufferPointer
    private var start: UInt64 = 0
    private var count = 0

    /// Bytes that are read at once, unless a record is longer.
    private static let windowSize = 1 << 20

    /// Opens a segment.
    ///
    /// - Parameter directory: the log's, or another one that holds segments.
    /// - Returns: nil if there is no such file any more.
    /// - Throws: `corrupted` for a file of another environment; `versionMismatch`; a system error.
    static func open(
        base: UInt64, in directory: any StorageDirectory, _ identity: LogIdentity
    ) throws(DatabaseError) -> SegmentRecords? {
        let name = LogSegment.name(base: base)
        let file: any StorageFile
        do throws(DatabaseError) {
            file = try directory.open(name, access: .readOnly, create: false, mode: 0)
        } catch {
            if error.systemError == ENOENT { return nil }
            throw error
        }
        // Closes itself when nothing refers to it.
        let (capacity, problem) = try look(at: file, name, base: base, identity)
        guard let memory = malloc(windowSize) else {
            throw DatabaseError(systemError: ENOMEM, "read \(name)")
        }
        return SegmentRecords(
            file, base: base, capacity: capacity, problem, identity,
            UnsafeMutableRawBufferPointer(start: memory, count: windowSize))
    }

    private init(
        _ file: any StorageFile, base: UInt64, capacity: UInt64, _ problem: String?,
        _ identity: LogIdentity, _ buffer: UnsafeMutableRawBufferPointer
    ) {
        self.file = file
        self.base = base
        end = base + capacity
        self.problem = problem
        seed = identity.seed
        self.buffer = buffer
    }

    deinit {
        free(buffer.baseAddress)
        file.close()
    }

    /// Compares what the header says with the place that the name gives the file.
    ///
    /// - Returns: how many bytes of the log it can have, and what is wrong with it.
    private static func look(
        at file: any StorageFile, _ name: String, base: UInt64, _ identity: LogIdentity
    ) throws(DatabaseError) -> (UInt64, String?) {
        let size = try file.size()
        let header = UInt64(LogSegment.headerSize)
        let held = min(size > header ? size - header : 0, LogSegmentHeader.capacityLimit)
        switch try LogSegment.header(of: file) {
        case .success(let found):
            guard found.environmentID == identity.environmentID else {
                throw DatabaseError(
                    .corrupted, "log segment \(name) belongs to another environment; move it away")
            }
            guard found.base == base, found.isPlausible else {
                return (held, "log segment \(name): its header is that of another place")
            }
            guard held >= found.capacity else {
                return (held, "log segment \(name) was cut off: it has \(size) bytes")
            }
            return (found.capacity, nil)
        case .failure(.version(let version)):
            throw LogSegment.otherVersion(name, version)
        case .failure(.damaged):
            return (held, "log segment \(name): its header does not check")
        }
    }

    /// Whether the file still is what its name says: the library takes segments that it needs no more for
    /// new ones.
    func isStill(in directory: any StorageDirectory) throws(DatabaseError) -> Bool {
        do throws(DatabaseError) {
            let now = try directory.open(
                LogSegment.name(base: base), access: .readOnly, create: false, mode: 0)
            defer { now.close() }
            return try now.identity() == file.identity()
        } catch {
            if error.systemError == ENOENT { return false }
            throw error
        }
    }

    // MARK: Records

    /// The record at a position, valid until the next call.
    ///
    /// - Returns: nil if none is there that checks.
    func record(
        at position: UInt64
    ) throws(DatabaseError) -> (LogRecord, UnsafeRawBufferPointer)? {
        guard
            let header = try bytes(from: position, count: LogRecord.headerSize)?.baseAddress,
            header.littleEndian(8, as: UInt32.self) == LogRecord.magic,
            header.littleEndian(24, as: UInt64.self) == position,
            let length = Int(exactly: header.littleEndian(16, as: UInt64.self)),
            length >= LogRecord.headerSize, let content = try bytes(from: position, count: length),
            let record = LogRecord(content, position: position, seed: seed),
            record.end < Format.idLimit, record.transaction < Format.idLimit
        else { return nil }
        return (record, UnsafeRawBufferPointer(rebasing: content[..<Int(record.length)]))
    }

    /// The first record that checks behind a position and before a limit: what comes after damage.
    func firstRecord(
        behind position: UInt64, before limit: UInt64
    ) throws(DatabaseError) -> UInt64? {
        var place = position + 8
        // Each byte is summed once for each header in front of it that was made to look right.
        var sumsLeft = Self.falseSumsMax
        while place < min(limit, end) {
            guard let header = try bytes(from: place, count: LogRecord.headerSize)?.baseAddress
            else { return nil }
            if header.littleEndian(8, as: UInt32.self) == LogRecord.magic,
                header.littleEndian(24, as: UInt64.self) == place
            {
                if try record(at: place) != nil { return place }
                sumsLeft -= 1
                if sumsLeft == 0 { return nil }
            }
            place += 8
        }
        return nil
    }

    /// How many headers that lead to no record are looked into in a row.
    private static let falseSumsMax = 1000

    /// Bytes of the segment from a position on.
    ///
    /// - Returns: nil if so many are not there.
    private func bytes(
        from position: UInt64, count wanted: Int
    ) throws(DatabaseError) -> UnsafeRawBufferPointer? {
        guard position >= base, position <= end, UInt64(wanted) <= end - position else {
            return nil
        }
        if position < start || position + UInt64(wanted) > start + UInt64(count) {
            try fill(from: position, atLeast: wanted)
        }
        guard position - start + UInt64(wanted) <= UInt64(count) else { return nil }
        let offset = Int(position - start)
        return UnsafeRawBufferPointer(rebasing: buffer[offset..<(offset + wanted)])
    }

    private func fill(from position: UInt64, atLeast wanted: Int) throws(DatabaseError) {
        if wanted > buffer.count {
            guard let memory = realloc(buffer.baseAddress, wanted) else {
                throw DatabaseError(
                    systemError: ENOMEM, "read \(wanted) bytes of the log into memory at once")
            }
            buffer = UnsafeMutableRawBufferPointer(start: memory, count: wanted)
        }
        start = position
        let part = Int(min(UInt64(buffer.count), end - position))
        count = try file.read(
            into: UnsafeMutableRawBufferPointer(rebasing: buffer[..<part]),
            at: position - base + UInt64(LogSegment.headerSize))
    }
}

/// Which environment a log is of.
struct LogIdentity {
    var environmentID: (UInt64, UInt64)

    /// Of the checksums of its records.
    var seed: UInt64 { Checksum.seed(of: environmentID) }
}
