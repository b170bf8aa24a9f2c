/// Reads the log from a position on, as recovery does.
struct LogReader: ~Copyable {
    private let path: String
    private let fileSystem: any FileSystem
    private let meta: Meta
    private var segment: LogSegment?
    private var bytes = UnsafeMutableRawBufferPointer(start: nil, count: 0)

    /// Where the next record is looked for.
    private(set) var position: UInt64
    /// The base of the segment of the record read last.
    private(set) var segmentBase: UInt64
    /// The checksum of the record read last.
    private(set) var previous: UInt64
    private var transaction: UInt64

    /// - Parameter meta: the state to begin after.
    init(
        after meta: Meta, path: String, fileSystem: any FileSystem
    ) throws(DatabaseError) {
        self.meta = meta
        self.path = path
        self.fileSystem = fileSystem
        position = meta.logEnd
        segmentBase = meta.logSegment
        previous = meta.logChecksum
        transaction = meta.transaction
        // Where the log was never begun, or a copy of the data file alone goes on, the first
        // segment begins a page on.
        let aligned = position == 0 ? 4096 : (position + 4095) & ~4095
        if position > 0, try enter(base: segmentBase) { return }
        if try enter(base: aligned) {
            position = aligned
            return
        }
        // No checkpoint removes the segment that its meta page names.
        let names = try fileSystem.list(LogSegment.directory(of: path))
        guard position == 0 || !names.contains(where: { LogSegment.base(ofName: $0) != nil }) else {
            throw DatabaseError(
                .corrupted,
                "the log of \(path) lacks the segment \(LogSegment.name(base: segmentBase)), which "
                    + "the newest meta page names; restore it, or run zerodb-check")
        }
    }

    deinit {
        bytes.deallocate()
        segment?.file.close()
    }

    private mutating func leave() {
        segment?.file.close()
        segment = nil
        bytes.deallocate()
        bytes = UnsafeMutableRawBufferPointer(start: nil, count: 0)
    }

    /// Reads the segment that begins at a position.
    private mutating func enter(base: UInt64) throws(DatabaseError) -> Bool {
        guard
            let next = try LogSegment.open(
                base: base, in: path, meta: meta, fileSystem: fileSystem, access: .readOnly)
        else { return false }
        leave()
        segment = next
        bytes = .allocate(byteCount: Int(min(next.capacity, 1 << 30)), alignment: 8)
        let count = try next.file.read(into: bytes, at: UInt64(LogSegment.headerSize))
        if count < bytes.count {
            // A file that was cut off holds nothing behind its end.
            UnsafeMutableRawBufferPointer(rebasing: bytes[count...]).initializeMemory(
                as: UInt8.self, repeating: 0)
        }
        return true
    }

    /// The next transaction's record, valid until the next call.
    ///
    /// - Returns: nil where the log ends.
    mutating func next() throws(DatabaseError) -> (LogRecord, UnsafeRawBufferPointer)? {
        while let segment {
            guard position >= segment.base, position <= segment.end else { return nil }
            if segment.end - position < UInt64(LogRecord.headerSize) {
                guard try enter(base: segment.end) else { return nil }
                position = segment.end
                continue
            }
            let rest = UnsafeRawBufferPointer(
                rebasing: bytes[Int(position - segment.base)...])
            guard let record = LogRecord(rest, position: position, seed: meta.checksumSeed),
                record.previous == previous, record.transaction == transaction + 1
            else { return nil }
            if record.kind == .endOfSegment {
                guard try enter(base: segment.end) else { return nil }
                previous = record.checksum
                position = segment.end
                continue
            }
            previous = record.checksum
            position = record.end
            segmentBase = segment.base
            transaction = record.transaction
            return (record, UnsafeRawBufferPointer(rebasing: rest[..<Int(record.length)]))
        }
        return nil
    }

    /// Looks behind the end for a record that proves it to be damage: one that was written when
    /// the log was known to be on disk beyond it.
    mutating func findProofOfDamage() throws(DatabaseError) -> LogRecord? {
        let end = position
        noteTail()
        if let found = scan(from: end, end: end) { return found }
        while let next = segment?.end, try enter(base: next) {
            if let found = scan(from: next, end: end) { return found }
        }
        return nil
    }

    /// Whether something was written where the log ends: the beginning of a record that never
    /// became complete.
    private(set) var hasTail = false

    /// Notes whether the log ends in the middle of a record.
    private mutating func noteTail() {
        guard let segment, position >= segment.base,
            segment.end - position >= UInt64(LogRecord.headerSize), let memory = bytes.baseAddress
        else { return }
        let start = UnsafeRawPointer(memory + Int(position - segment.base))
        hasTail = start.littleEndian(8) == LogRecord.magic && start.littleEndian(24) == position
    }

    private func scan(from start: UInt64, end: UInt64) -> LogRecord? {
        guard let segment, start >= segment.base, start < segment.end,
            let memory = bytes.baseAddress
        else { return nil }
        var offset = Int(start - segment.base + 7) & ~7
        while offset + LogRecord.headerSize <= bytes.count {
            let magic: UInt32 = (memory + offset).littleEndian(8)
            if magic == LogRecord.magic {
                let rest = UnsafeRawBufferPointer(rebasing: bytes[offset...])
                let record = LogRecord(
                    rest, position: segment.base + UInt64(offset), seed: meta.checksumSeed)
                if let record, record.flushed > end, record.transaction > transaction {
                    return record
                }
            }
            offset += 8
        }
        return nil
    }
}
