import Glibc

/// Reads the log from a position on, as recovery does.
struct LogReader: ~Copyable {
    private let directory: LogDirectory
    private let meta: Meta
    private var segment: LogSegment?
    /// Room for what the segment holds, of which a part has been read.
    private var bytes = UnsafeMutableRawBufferPointer(start: nil, count: 0)
    /// Up to where it has been, from where the log is read.
    private var read = 0
    /// Bytes that are read at once at least.
    private static let readBytesMin = 256 << 10

    /// Where the next record is looked for.
    private(set) var position: UInt64
    /// The base of the segment of the record read last.
    private(set) var segmentBase: UInt64
    /// The checksum of the record read last.
    private(set) var previous: UInt64
    private var transaction: UInt64
    /// The base of a segment in which the log would go on, if it was there.
    private var missingSegment: UInt64?
    /// The transaction that the log goes on from where it should go on from an earlier one.
    private var missingState: UInt64?
    /// Where a copy of the data file alone would go on, if there is a segment.
    private var firstOfCopy: UInt64?
    /// The transaction of a record there that follows another one than the newest meta page names.
    private var strangeRecord: UInt64?
    /// Whether there is no file of the log at all.
    private var hasNoFiles = false

    /// - Parameter meta: the state to begin after.
    init(
        after meta: Meta, in directory: LogDirectory
    ) throws(DatabaseError) {
        self.meta = meta
        self.directory = directory
        position = meta.logEnd
        segmentBase = meta.logSegment
        previous = meta.logChecksum
        transaction = meta.transaction
        // Where the log was never begun, or a copy of the data file alone goes on, the first
        // segment begins a page on.
        let aligned = position == 0 ? LogSegment.firstBase : (position + 4095) & ~4095
        hasNoFiles = try directory.open() == nil
        guard !hasNoFiles else {
            missingSegment = aligned
            return
        }
        if position > 0, try enter(base: segmentBase, at: position) {
            guard let segment, position >= segment.base, position <= segment.end else {
                throw DatabaseError(
                    .corrupted,
                    "the log of \(directory.environment.path) goes on at position \(position) by the newest "
                        + "meta page, past the segment \(LogSegment.name(base: segmentBase)) that it names; "
                        + "put back the whole segment, or the environment from a copy")
            }
            return
        }
        if try enter(base: aligned) {
            position = aligned
            if meta.logEnd > 0 { firstOfCopy = aligned }
            return
        }
        // No checkpoint removes the segment that its meta page names.
        let isEmpty = try directory.bases().isEmpty
        guard position == 0 || isEmpty else {
            throw DatabaseError(
                .corrupted,
                "the log of \(directory.environment.path) lacks the segment "
                    + "\(LogSegment.name(base: segmentBase)), which the newest meta page names; "
                    + "put it back, or the environment from a copy")
        }
    }

    /// Room for a part of the log, which is as large as a single record may be.
    ///
    /// - Throws: ENOMEM.
    private static func allocate(
        _ size: UInt64
    ) throws(DatabaseError) -> UnsafeMutableRawBufferPointer {
        guard let count = Int(exactly: size), let memory = malloc(count) else {
            throw DatabaseError(
                systemError: ENOMEM, "read \(size) bytes of the log into memory at once")
        }
        return UnsafeMutableRawBufferPointer(start: memory, count: count)
    }

    deinit {
        free(bytes.baseAddress)
        segment?.file.close()
    }

    private mutating func leave() {
        segment?.file.close()
        segment = nil
        free(bytes.baseAddress)
        bytes = UnsafeMutableRawBufferPointer(start: nil, count: 0)
    }

    /// Goes to the segment that begins at a position.
    ///
    /// - Parameter start: where it is read from, its beginning by default.
    private mutating func enter(
        base: UInt64, at start: UInt64? = nil
    ) throws(DatabaseError) -> Bool {
        guard
            let next = try LogSegment.open(
                base: base, in: directory, meta: meta, access: .readOnly)
        else {
            missingSegment = base
            return false
        }
        leave()
        missingSegment = nil
        segment = next
        bytes = try Self.allocate(next.capacity)
        read = Int(min(max(start ?? base, base) - base, next.capacity))
        return true
    }

    /// Reads the segment up to an offset behind its header, or a little more.
    private mutating func load(to end: Int) throws(DatabaseError) {
        guard end > read, let segment else { return }
        let end = min(bytes.count, max(end, read + Self.readBytesMin))
        try Self.load(
            UnsafeMutableRawBufferPointer(rebasing: bytes[read..<end]), of: segment, at: read)
        read = end
    }

    private static func load(
        _ part: UnsafeMutableRawBufferPointer, of segment: LogSegment, at offset: Int
    ) throws(DatabaseError) {
        let count = try segment.file.read(
            into: part, at: UInt64(LogSegment.headerSize + offset))
        guard count < part.count else { return }
        // A file that was cut off holds nothing behind its end.
        UnsafeMutableRawBufferPointer(rebasing: part[count...]).initializeMemory(
            as: UInt8.self, repeating: 0)
    }

    /// The next transaction's record, valid until the next call.
    ///
    /// - Returns: nil where the log ends.
    mutating func next() throws(DatabaseError) -> (LogRecord, UnsafeRawBufferPointer)? {
        while let segment {
            if segment.end - position < UInt64(LogRecord.headerSize) {
                guard try enter(base: segment.end) else { return nil }
                position = segment.end
                continue
            }
            let offset = Int(position - segment.base)
            try load(to: offset + LogRecord.headerSize)
            let rest = UnsafeRawBufferPointer(rebasing: bytes[offset...])
            guard let length = LogRecord.length(at: rest, position: position) else { return nil }
            try load(to: offset + Int(length))
            guard let record = LogRecord(rest, position: position, seed: meta.checksumSeed),
                record.transaction > transaction,
                record.transaction < Format.idLimit, record.end < Format.idLimit
            else { return nil }
            guard record.previous == previous else {
                if position == firstOfCopy { strangeRecord = record.transaction }
                return nil
            }
            guard record.transaction == transaction + 1 else {
                missingState = record.transaction - 1
                return nil
            }
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

    /// Looks behind the end for what proves it to be damage: that what does not count there was
    /// known to be on disk once.
    ///
    /// A record that follows the one before it, but not its transaction, was written when a
    /// checkpoint had replaced the records of those between.
    ///
    /// What goes on from a copy of the data file begins with a record that follows the one its meta
    /// page names.
    ///
    /// A record written later says so; and a segment behind the next is only made when all before
    /// it is on disk. (The next one itself may be there too soon: a writer died between making it
    /// and writing to it, and the record of another fitted where that one's did not.)
    ///
    /// - Parameter isEndKnown: whether nothing was written behind the state that was begun after. Then the
    ///   rest of its segment, up to a quarter of the log's size, is not looked through.
    /// - Returns: what is wrong and how it is known, in words; nil if the log may have ended here.
    mutating func findProofOfDamage(
        isEndKnown: Bool = false
    ) throws(DatabaseError) -> String? {
        noteTail()
        if let missingState {
            return "the log goes on there from the state of transaction \(missingState), which no "
                + "meta page has any more"
        }
        if let strangeRecord {
            return "the record of transaction \(strangeRecord) is there, which follows another "
                + "record: the log lacks what was before it"
        }
        let what =
            missingSegment.map { "the segment \(LogSegment.name(base: $0)) is missing" }
            ?? "the record there does not check"
        if !isEndKnown, let segment, try mayHaveWitness(segment) {
            let offset = Int(position - segment.base)
            try load(to: bytes.count)
            let rest = UnsafeRawBufferPointer(rebasing: bytes[offset...])
            if let witness = findWitness(rest, [0..<rest.count], from: position) {
                return "\(what), but \(witness)"
            }
        }
        let nextBase = segment?.end ?? LogSegment.firstBase
        for base in hasNoFiles ? [] : try directory.bases()
        where base > position && base <= LogSegmentHeader.baseMax {
            if let witness = try findWitness(inSegment: base, nextBase: nextBase) {
                return "\(what), but \(witness)"
            }
        }
        return nil
    }

    /// Looks for proof in a file that is named as a segment and that replay has not come to. As
    /// records prove themselves, they count even if the file is not whole; other files with such a
    /// name do no harm. Holes in it are not read.
    private mutating func findWitness(
        inSegment base: UInt64, nextBase: UInt64
    ) throws(DatabaseError) -> String? {
        let name = LogSegment.name(base: base)
        let file: any StorageFile
        do throws(DatabaseError) {
            guard let opened = try directory.open() else { return nil }
            file = try opened.open(name, access: .readOnly, create: false, mode: 0)
        } catch {
            if error.systemError == ENOENT { return nil }
            throw error
        }
        defer { file.close() }
        let start = UInt64(LogSegment.headerSize)
        let size = try file.size()
        guard size > start else { return nil }
        // Only a segment is as large as a record needs it.
        let isWhole = try LogSegment.isWhole(file, base: base, meta: meta)
        let limit = isWhole ? LogSegmentHeader.capacityLimit : Self.foreignBytesMax
        let length = Int(min(size - start, limit))
        var written: [Range<Int>] = []
        while let range = try file.dataRange(from: start + UInt64(written.last?.upperBound ?? 0)) {
            let lower = Int(range.lowerBound - start)
            let upper = Int(min(range.upperBound - start, UInt64(length)))
            guard lower < upper else { break }
            written.append(lower..<upper)
        }
        // Zeros that nobody touches take no memory.
        guard let memory = calloc(1, length) else {
            throw DatabaseError(systemError: ENOMEM, "read \(length) bytes of \(name)")
        }
        defer { free(memory) }
        for range in written {
            let part = UnsafeMutableRawBufferPointer(
                start: memory + range.lowerBound, count: range.count)
            _ = try file.read(into: part, at: start + UInt64(range.lowerBound))
        }
        let found = UnsafeRawBufferPointer(start: memory, count: length)
        if let witness = findWitness(found, written, from: base) { return witness }
        guard base > nextBase, isWhole else { return nil }
        return "segment \(name) was made when that was known to be on disk"
    }

    /// Whether something behind the end looks like a record that may prove it to be damage. Reads the rest of
    /// the segment part by part: after a clean end, as a rule, there is nothing that does.
    private func mayHaveWitness(_ segment: LogSegment) throws(DatabaseError) -> Bool {
        let buffer = UnsafeMutableRawBufferPointer.allocate(
            byteCount: min(Self.readBytesMin, max(bytes.count, LogRecord.headerSize)), alignment: 8)
        defer { buffer.deallocate() }
        var offset = Int(position - segment.base) & ~7
        while bytes.count - offset >= LogRecord.headerSize {
            let part = UnsafeMutableRawBufferPointer(
                rebasing: buffer[..<min(buffer.count, bytes.count - offset)])
            try Self.load(part, of: segment, at: offset)
            guard let start = part.baseAddress else { return false }
            // A header that begins near the end is whole in the next part.
            let last = part.count - LogRecord.headerSize
            for place in stride(from: 0, through: last, by: 8)
            where isAfterEnd(start + place) { return true }
            offset += last & ~7 + 8
        }
        return false
    }

    /// Whether a header is that of a record from when the log was known to be on disk beyond its end.
    @inline(__always)
    private func isAfterEnd(_ header: UnsafeRawPointer) -> Bool {
        header.littleEndian(8, as: UInt32.self) == LogRecord.magic
            && header.littleEndian(40, as: UInt64.self) > transaction
            && header.littleEndian(56, as: UInt64.self) > position
    }

    /// How often the bytes that are searched for a witness may be summed, all in all.
    private static let witnessPasses = 8
    /// What may be summed beyond that, of the records of sparse files, which are longer than their
    /// data.
    private var holeBytesLeft: UInt64 = 1 << 30
    /// Bytes of a file that are searched, if it has the name of a segment and is not a whole one.
    private static let foreignBytesMax: UInt64 = 1 << 30

    /// Looks for a record that was written when the log was known to be on disk beyond its end.
    ///
    /// The checksum of whatever looks like a record tells whether it is one. Records do not
    /// overlap, so in a log that was written by this library that sums each byte once, and once
    /// more for each damaged record in front of the witness that covers it: `witnessPasses` are
    /// never used up. Only values that were made to look like headers at the very positions they
    /// come to lie at can do so; then the search ends as if it had found nothing, and damage is
    /// treated as a power cut, which whoever can make such a file could have had by cutting it off.
    ///
    /// - Parameters:
    ///   - bytes: of the log.
    ///   - written: the parts of them that are not known to be zeros.
    ///   - start: the position of the first of them, a multiple of 8.
    private mutating func findWitness(
        _ bytes: UnsafeRawBufferPointer, _ written: [Range<Int>], from start: UInt64
    ) -> String? {
        var bytesLeft = written.reduce(0) { $0 + UInt64($1.count) } * UInt64(Self.witnessPasses)
        for range in written {
            var offset = range.lowerBound & ~7
            while offset < range.upperBound, offset + LogRecord.headerSize <= bytes.count {
                defer { offset += 8 }
                let rest = UnsafeRawBufferPointer(rebasing: bytes[offset...])
                // Before the checksum, which takes longer: most records in recycled space are older.
                guard let header = rest.baseAddress, isAfterEnd(header),
                    let length = LogRecord.length(at: rest, position: start &+ UInt64(offset))
                else { continue }
                guard length <= bytesLeft + holeBytesLeft else { return nil }
                holeBytesLeft -= length - min(length, bytesLeft)
                bytesLeft -= min(length, bytesLeft)
                guard
                    let record = LogRecord(
                        rest, position: start &+ UInt64(offset), seed: meta.checksumSeed)
                else { continue }
                return "transaction \(record.transaction) at position \(record.position) was "
                    + "written when that was known to be on disk"
            }
        }
        return nil
    }

    /// Whether something was written where the log ends: the beginning of a record that never
    /// became complete.
    private(set) var hasTail = false

    /// Notes whether the log ends in the middle of a record.
    private mutating func noteTail() {
        guard let segment, segment.end - position >= UInt64(LogRecord.headerSize),
            let memory = bytes.baseAddress
        else { return }
        let start = UnsafeRawPointer(memory + Int(position - segment.base))
        hasTail =
            missingSegment == nil && start.littleEndian(8) == LogRecord.magic
            && start.littleEndian(24) == position
    }
}
