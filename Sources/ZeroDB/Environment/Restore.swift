import Glibc

/// How far a restore is.
public struct RestoreProgress: Sendable {
    /// Bytes of the archive that have been read.
    public var bytesDone: UInt64
    /// Bytes that are to be read.
    public var bytesTotal: UInt64
}

/// What was restored.
public struct RestoreReport: Sendable {
    /// The transaction whose state it is.
    public var transaction: UInt64 = 0
    /// When that was committed: nanoseconds since 1970.
    public var wallClock: UInt64 = 0
    /// Of all that it has.
    public var digest = ContentDigest()
    /// Transactions that came from the log.
    public var replayed: UInt64 = 0
    /// Whether it went on with a restore that had not come to its end.
    public var wasContinued = false
}

/// Makes an environment of an archive.
///
/// All of it happens in the directory `restoring` of the target: pages first, then the log behind them, up
/// to the transaction that is wanted. Opening that replays the log as after a power cut, and compares the
/// digest after each record. When the result has been verified, its data file moves to its place.
package final class Restore {
    private let listing: ArchiveListing
    private let plan: RestorePlan
    private let fileSystem: any FileSystem
    private let targetPath: PathBytes
    private let onProgress: (RestoreProgress) -> Bool
    private var bytesDone: UInt64 = 0
    private var report = RestoreReport()

    private static let dataName = StoreOpening.dataName

    init(
        _ listing: ArchiveListing, _ plan: RestorePlan, to target: PathBytes,
        _ fileSystem: any FileSystem, _ onProgress: @escaping (RestoreProgress) -> Bool
    ) {
        self.listing = listing
        self.plan = plan
        targetPath = target
        self.fileSystem = fileSystem
        self.onProgress = onProgress
    }

    func run() throws(DatabaseError) -> RestoreReport {
        let target = try fileSystem.openDirectory(targetPath, create: 0o700)
        defer { target.close() }
        try checkFree(target)
        let place = try target.openDirectory(RestoreMark.directory, create: 0o700)
        defer { place.close() }
        let claim = try claim(place)
        defer { claim.close() }
        // Another restore may have come to its end in between.
        try checkFree(target)
        let mark = try begin(in: place)
        let meta = try applyPages(mark, in: place)
        try writeLog(behind: meta, in: place)
        try finishState(meta, in: place)
        // The claim is given up last: whoever comes then finds an environment in the target.
        try Self.clear(place, keeps: [Self.dataName, Self.claimName])
        try place.sync()
        try place.move(Self.dataName, to: target)
        try target.sync()
        try target.syncParent()
        try? place.remove(Self.claimName)
        try? target.removeDirectory(RestoreMark.directory)
        try? target.sync()
        return report
    }

    /// - Throws: EEXIST, ENOTEMPTY.
    private func checkFree(_ target: any StorageDirectory) throws(DatabaseError) {
        let names = try target.list().filter { $0 != RestoreMark.directory }
        guard let first = names.first else { return }
        let isTaken = names.contains(Self.dataName)
        throw DatabaseError(
            systemError: isTaken ? EEXIST : ENOTEMPTY,
            "restore into \(targetPath), which has \(isTaken ? Self.dataName : first) in it")
    }

    private static let claimName = "restore.lock"

    /// Keeps others from restoring into the same directory.
    private func claim(_ place: any StorageDirectory) throws(DatabaseError) -> any StorageFile {
        let file = try openWithoutChildren { () throws(DatabaseError) in
            try place.open(Self.claimName, access: .readWrite, create: true, mode: 0o600)
        }
        guard try file.lock(byte: 0, .exclusive, wait: false) else {
            file.close()
            throw busy()
        }
        // Whoever held it may have removed it, with the directory, before it was locked.
        let named = try? place.open(
            Self.claimName, access: .readOnly, create: false, mode: 0)
        defer { named?.close() }
        guard let named, try named.identity() == file.identity() else {
            file.close()
            throw busy()
        }
        return file
    }

    private func busy() -> DatabaseError {
        DatabaseError(
            .busy, "an environment is being restored into \(targetPath) at this moment")
    }

    // MARK: Going on

    /// Goes on where a restore of the same state ended early; of another, begins anew.
    private func begin(in place: any StorageDirectory) throws(DatabaseError) -> RestoreMark {
        let wanted = RestoreMark(
            archiveID: listing.index.archiveID, transaction: plan.transaction,
            pages: plan.pages.last?.header.number ?? 0)
        if let found = try loadMark(place), found.isSame(as: wanted),
            found.applied <= UInt64(plan.pages.count)
        {
            report.wasContinued = true
            return found
        }
        try Self.clear(place, keeps: [Self.claimName])
        try keep(wanted, in: place)
        return wanted
    }

    private func loadMark(_ place: any StorageDirectory) throws(DatabaseError) -> RestoreMark? {
        let file: any StorageFile
        do throws(DatabaseError) {
            file = try place.open(
                RestoreMark.name, access: .readOnly, create: false, mode: 0)
        } catch {
            if error.systemError == ENOENT { return nil }
            throw error
        }
        defer { file.close() }
        let bytes = UnsafeMutableRawBufferPointer.allocate(
            byteCount: RestoreMark.size, alignment: 8)
        defer { bytes.deallocate() }
        guard let start = bytes.baseAddress, try file.read(into: bytes, at: 0) == bytes.count
        else { return nil }
        return RestoreMark(at: start)
    }

    private func keep(
        _ mark: RestoreMark, in place: any StorageDirectory
    ) throws(DatabaseError) {
        let bytes = UnsafeMutableRawBufferPointer.allocate(
            byteCount: RestoreMark.size, alignment: 8)
        defer { bytes.deallocate() }
        if let start = bytes.baseAddress { mark.store(to: start) }
        let unfinished = RestoreMark.name + ".new"
        let file = try place.open(unfinished, access: .readWrite, create: true, mode: 0o600)
        defer { file.close() }
        try file.write(UnsafeRawBufferPointer(bytes), at: 0)
        try file.sync()
        try place.rename(unfinished, to: RestoreMark.name)
        try place.sync()
    }

    /// Removes what a restore has made.
    private static func clear(
        _ place: any StorageDirectory, keeps kept: [String]
    ) throws(DatabaseError) {
        for name in try place.list() where !kept.contains(name) {
            guard name == LogDirectory.name else {
                try place.remove(name)
                continue
            }
            let log = try place.openDirectory(name, create: nil)
            defer { log.close() }
            for name in try log.list() { try log.remove(name) }
            try place.removeDirectory(name)
        }
    }

    private func tell(_ more: UInt64) throws(DatabaseError) {
        bytesDone += more
        let progress = RestoreProgress(bytesDone: bytesDone, bytesTotal: plan.bytes)
        guard onProgress(progress) else {
            throw DatabaseError(
                systemError: ECANCELED, "restore the environment to its end; the next try goes on")
        }
    }

    // MARK: Pages

    /// - Returns: the state that the pages have.
    private func applyPages(
        _ mark: RestoreMark, in place: any StorageDirectory
    ) throws(DatabaseError) -> Meta {
        var mark = mark
        let file = try place.open(
            Self.dataName, access: .readWrite, create: true, mode: 0o600)
        defer { file.close() }
        for (index, entry) in plan.pages.enumerated() {
            guard index >= Int(mark.applied) else {
                try tell(entry.bytes)
                continue
            }
            try apply(entry, to: file)
            try file.sync()
            mark.applied = UInt64(index) + 1
            try keep(mark, in: place)
        }
        let meta: Meta
        // What was begun before may have replayed some of the log already.
        meta = try MetaPages.load(from: file).meta
        guard meta.environmentID == listing.index.environmentID,
            let base = plan.pages.last?.header, meta.transaction >= base.to,
            meta.transaction <= plan.transaction
        else {
            throw DatabaseError(
                .corrupted,
                "the pages in \(targetPath)/\(RestoreMark.directory) are not those of the archive; remove "
                    + "that directory and try again")
        }
        return meta
    }

    private func apply(
        _ entry: ArchiveListing.Entry, to file: any StorageFile
    ) throws(DatabaseError) {
        let reader = try ArchiveReader(entry.header.name, in: listing.directory.directory)
        let header = reader.header
        let pageSize = UInt64(header.pageSize)
        var pages: UInt64?
        var told: UInt64 = 0
        while let block = try reader.next() {
            guard pages == nil else { throw reader.damaged("pages follow the meta pages") }
            switch block.kind {
            case .pages:
                try reader.checkPages(block)
                try file.write(block.content, at: block.place * pageSize)
            case .meta:
                pages = try applyMeta(block.content, reader, to: file)
            case .header, .records, .end:
                throw reader.damaged("a file of pages has something else in it")
            }
            try tell(reader.bytesRead - told)
            told = reader.bytesRead
        }
        guard let pages else { throw reader.damaged("it has no meta pages") }
        try Self.check(reader.checksum, entry, reader)
        try file.allocate(from: 0, to: pages * pageSize)
    }

    private static func check(
        _ checksum: UInt64, _ entry: ArchiveListing.Entry, _ reader: ArchiveReader
    ) throws(DatabaseError) {
        guard checksum == entry.checksum else { throw reader.damaged("it has changed") }
    }

    /// - Returns: how many pages the state has.
    private func applyMeta(
        _ content: UnsafeRawBufferPointer, _ reader: ArchiveReader, to file: any StorageFile
    ) throws(DatabaseError) -> UInt64 {
        let header = reader.header
        guard content.count == Int(header.pageSize) * Int(Format.metaPageCount),
            let start = content.baseAddress, let meta = try? Meta(at: start, page: 0),
            meta.transaction == header.to, meta.digest == header.digest,
            meta.environmentID == header.environmentID, meta.pageSize == header.pageSize,
            meta.pageCount < UInt64(Int64.max) / UInt64(meta.pageSize)
        else { throw reader.damaged("its meta pages are of another state") }
        try file.write(content, at: 0)
        try file.truncate(to: meta.pageCount * UInt64(meta.pageSize))
        return meta.pageCount
    }

    // MARK: Log

    /// Writes the segments that hold the records from a state to the one that is wanted.
    private func writeLog(
        behind meta: Meta, in place: any StorageDirectory
    ) throws(DatabaseError) {
        guard meta.transaction < plan.transaction else { return }
        let log = try place.openDirectory(LogDirectory.name, create: 0o700)
        defer { log.close() }
        var next = (place: LogPlace(after: meta), transaction: meta.transaction + 1)
        var segment: RestoredSegment?
        for entry in plan.logs {
            let reader = try ArchiveReader(entry.header.name, in: listing.directory.directory)
            try ArchivedRecords.read(reader) { item throws(DatabaseError) in
                let record = item.record
                guard next.transaction <= plan.transaction else { return true }
                guard record.position >= next.place.position else { return true }
                guard record.previous == next.place.previous,
                    record.transaction == next.transaction
                else {
                    throw reader.damaged(
                        "the record of transaction \(record.transaction) does not follow transaction "
                            + "\(next.transaction - 1)")
                }
                if segment?.base != item.segment {
                    try segment?.end()
                    try Self.bridge(to: item, from: next.place, meta, in: log)
                    segment = try RestoredSegment(
                        base: item.segment, capacity: item.capacity, meta, in: log)
                }
                try segment?.write(item)
                next.place.previous = record.checksum
                next.place.segment = item.segment
                if record.kind == .endOfSegment {
                    next.place.position = item.segment + item.capacity
                    return true
                }
                next.place.position = record.end
                next.transaction += 1
                report.replayed += 1
                report.wallClock = record.wallClock
                return true
            }
            try Self.check(reader.checksum, entry, reader)
            try tell(entry.bytes)
        }
        try segment?.end()
        try log.sync()
        try place.sync()
        guard next.transaction > plan.transaction else {
            throw DatabaseError(
                .corrupted,
                "the archive \(listing.directory.path) ends with transaction \(next.transaction - 1), and "
                    + "not with \(plan.transaction)")
        }
    }

    /// Where the meta page names a segment without room for another record, that has to be there.
    private static func bridge(
        to item: ArchivedRecords.Item, from place: LogPlace, _ meta: Meta,
        in log: any StorageDirectory
    ) throws(DatabaseError) {
        guard place.position > 0, item.segment != place.segment, item.segment > place.segment,
            item.segment >= place.position,
            item.segment - place.position < UInt64(LogRecord.headerSize),
            place.position == meta.logEnd
        else { return }
        let segment = try RestoredSegment(
            base: place.segment, capacity: item.segment - place.segment, meta, in: log)
        try segment.end()
    }

    // MARK: The result

    /// Replays the log and verifies what comes out.
    private func finishState(
        _ meta: Meta, in place: any StorageDirectory
    ) throws(DatabaseError) {
        var options = EnvironmentOptions()
        options.createsIfMissing = false
        options.autoCompactPercent = 0
        options.maxSize = max(
            options.maxSize, meta.pageCount * UInt64(meta.pageSize) * 2)
        let slash: UInt8 = 0x2f
        let path = PathBytes(
            targetPath.bytes + [slash] + Array(RestoreMark.directory.utf8))
        let environment = try Environment(path: path, options: options, fileSystem: fileSystem)
        do throws(DatabaseError) {
            try judge(environment)
        } catch {
            try? environment.close()
            throw error
        }
        try environment.close()
    }

    private func judge(_ environment: Environment) throws(DatabaseError) {
        let tip = try environment.store.tipMeta()
        let last = plan.logs.last?.header ?? plan.pages.last?.header
        guard tip.transaction == plan.transaction,
            last.map({ $0.to != plan.transaction || $0.digest == tip.digest }) == true
        else {
            throw DatabaseError(
                .corrupted,
                "what was restored is transaction \(tip.transaction) with digest \(tip.digest), and not "
                    + "transaction \(plan.transaction) of the archive")
        }
        var problem: VerifyProblem?
        let verified = try environment.verify(onProblem: { problem = problem ?? $0 })
        guard verified.problems == 0 else {
            throw DatabaseError(
                .corrupted, page: problem?.page,
                "what was restored is damaged: \(problem?.message ?? "\(verified.problems) problems")"
            )
        }
        report.transaction = tip.transaction
        report.wallClock = tip.wallClock
        report.digest = tip.digest
    }
}

/// A segment of the log as it is restored: zeros behind its last record.
private struct RestoredSegment {
    let base: UInt64
    private let file: any StorageFile

    init(
        base: UInt64, capacity: UInt64, _ meta: Meta, in log: any StorageDirectory
    ) throws(DatabaseError) {
        self.base = base
        file = try log.open(
            LogSegment.name(base: base), access: .readWrite, create: true, mode: 0o600)
        try file.truncate(to: 0)
        try file.truncate(to: UInt64(LogSegment.headerSize) + capacity)
        let header = UnsafeMutableRawBufferPointer.allocate(
            byteCount: LogSegment.headerSize, alignment: 64)
        defer { header.deallocate() }
        guard let start = header.baseAddress else { return }
        LogSegmentHeader(
            environmentID: meta.environmentID, base: base, capacity: capacity
        ).store(to: start)
        try file.write(UnsafeRawBufferPointer(header), at: 0)
    }

    func write(_ item: ArchivedRecords.Item) throws(DatabaseError) {
        try file.write(
            item.bytes, at: item.record.position - base + UInt64(LogSegment.headerSize))
    }

    func end() throws(DatabaseError) {
        try file.sync()
        file.close()
    }
}
