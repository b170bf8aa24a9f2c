import Glibc

/// Writes an archive of an environment: copies of its pages, and the log between them.
///
/// One thread at a time. Programs go on reading and writing meanwhile.
package final class Archiver {
    private unowned let store: Store
    /// What has the store, for as long as this is there.
    private let owner: AnyObject?
    private let destination: any ArchiveDestination
    private let options: ArchiveOptions
    private let identity: LogIdentity
    private var index = ArchiveState()
    /// Whether the environment is known to go on from the newest file.
    private var isContinued = false
    private var isFollowing = false

    /// - Parameter owner: what has the store; nil for the library's own archiver, which the store outlives.
    init(
        _ store: Store, owner: AnyObject?, to destination: any ArchiveDestination,
        _ options: ArchiveOptions
    ) throws(DatabaseError) {
        self.store = store
        self.owner = owner
        self.destination = destination
        self.options = options
        identity = LogIdentity(environmentID: try store.tipMeta().environmentID)
        try destination.checkPlace(beside: store.logDirectory.environment)
        guard !store.options.isReadOnly else {
            throw DatabaseError(
                .readOnly, "the environment at \(store.path) is archived by who may write to it")
        }
    }

    // MARK: What there is

    /// Runs a body while nobody else adds files.
    private func withArchive<Result>(
        _ body: () throws(DatabaseError) -> Result
    ) throws(DatabaseError) -> Result {
        try destination.lock()
        defer { destination.unlock() }
        try look()
        return try body()
    }

    /// Finds out how far the archive goes, and whether the environment goes on from there.
    private func look() throws(DatabaseError) {
        let mark = try store.soundArchiveMark()
        guard let found = try destination.loadIndex(mark, atLeast: index.last) else {
            guard index.archiveID == (0, 0) || index.last == 0 else {
                throw DatabaseError(
                    .corrupted,
                    "the archive \(destination.path) is gone: it had \(index.last) files")
            }
            index.environmentID = identity.environmentID
            if index.archiveID == (0, 0) { index.archiveID = try newArchiveID() }
            isContinued = false
            return
        }
        guard found.environmentID == identity.environmentID else {
            throw DatabaseError(
                .incompatible,
                "the archive \(destination.path) is of another environment than \(store.path); give each an "
                    + "archive of its own")
        }
        // What this archiver has added itself is known to be of the environment.
        let isKnown =
            isContinued && found.archiveID == index.archiveID && found.last == index.last
            && found.checksum == index.checksum
        index = found
        (index.device, index.inode) = (0, 0)
        if !isKnown { isContinued = try continues(mark) }
    }

    /// The id of an archive that begins, or has begun with a copy that ended early.
    private func newArchiveID() throws(DatabaseError) -> (UInt64, UInt64) {
        if let header = destination.unfinishedCopy, header.environmentID == index.environmentID {
            return header.archiveID
        }
        return try MetaPages.newEnvironmentID()
    }

    /// Whether the environment is known to go on from the state that the archive's newest file has.
    private func continues(_ mark: ArchiveState?) throws(DatabaseError) -> Bool {
        guard let mark, mark.archiveID == index.archiveID, mark.history == index.history,
            mark.last <= index.last, mark.pages == index.pages,
            try store.tipMeta().transaction >= index.transaction
        else { return false }
        // Not a file that was put in its place.
        let identity = try store.dataFile.identity()
        guard mark.device == identity.device, mark.inode == identity.inode else { return false }
        if mark.last == index.last { return mark.checksum == index.checksum }
        // Whoever added files of the log may have died before it could say so. If it was another
        // environment, or an older state of this one was put back, the log leads elsewhere.
        var (place, transaction) = (mark.log, mark.logTransaction)
        while transaction < index.logTransaction {
            let tail = try LogTail(
                behind: place, transaction, flushed: store.shared.flushed, in: store.logDirectory,
                self.identity, bytesMax: options.fileBytesMax, upTo: index.logTransaction)
            guard tail.transactions > 0 else { return false }
            (place, transaction) = (tail.end, tail.transaction)
        }
        return transaction == index.logTransaction && place == index.log
    }

    /// The log behind what is archived.
    private func tail(bytesMax: Int) throws(DatabaseError) -> LogTail {
        try LogTail(
            behind: index.log, index.logTransaction, flushed: store.shared.flushed,
            in: store.logDirectory, identity, bytesMax: bytesMax)
    }

    // MARK: Following

    /// Begins to archive: from now on every transaction is logged, and the log is kept.
    package func follow() throws(DatabaseError) {
        try withArchive { () throws(DatabaseError) in
            index.keptMax = options.logKeptMax
            var mark = index
            if !isContinued {
                // The mark proves that the environment goes on from the archive: not before it does.
                mark = ArchiveState()
                mark.environmentID = index.environmentID
                mark.keptMax = options.logKeptMax
            }
            try store.keepArchiveMark(mark)
            isFollowing = true
            // What is not logged is in no log.
            if store.shared.unlogged > store.shared.checkpoint {
                try store.makeCheckpoint(holding: store.shared.tip) { store.archives }
            }
        }
    }

    /// Archives what is on stable storage and is not archived yet: a copy of the pages if the archive has
    /// none or the log lacks something, and a file of the log.
    ///
    /// - Parameter onProgress: how far a copy is; false ends it.
    /// - Returns: what was added; nothing if nothing is to be archived.
    package func step(
        _ onProgress: @escaping (CopyProgress) -> Bool = { _ in true }
    ) throws(DatabaseError) -> [ArchivedFile] {
        do throws(DatabaseError) {
            return try withArchive { () throws(DatabaseError) in
                var added: [ArchivedFile] = []
                let (now, tip) = (store.fileSystem.now(), store.shared.tip)
                try archiveLog { added.append($0) }
                if let reason = try reasonForPages() {
                    if index.last > 0 { reportGap(reason) }
                    added.append(
                        try copyPages(onlyChanges: isContinued, keepsLog: false, onProgress))
                    try archiveLog { added.append($0) }
                }
                if index.logTransaction >= tip { try noteSeen(now, isDue: !added.isEmpty) }
                return added
            }
        } catch {
            if error.code != .busy, error.systemError != ECANCELED {
                store.shared.count(Counter.archiveFailures)
            }
            throw error
        }
    }

    /// Notes that all that was committed before a time is archived.
    private func noteSeen(_ time: UInt64, isDue: Bool) throws(DatabaseError) {
        guard isDue || time >= index.seen &+ Self.seenInterval else { return }
        index.seen = time
        try destination.keep(&index)
    }

    /// Nanoseconds after which that is noted anew where nothing is committed.
    private static let seenInterval: UInt64 = 10_000_000_000

    /// Archives all that is committed now.
    package func finish(
        _ onFile: (ArchivedFile) -> Void, _ onProgress: @escaping (CopyProgress) -> Bool
    ) throws(DatabaseError) {
        let target = store.shared.tip
        try store.sync()
        while true {
            let added = try step(onProgress)
            for file in added { onFile(file) }
            // Of this environment, whatever others have added.
            if isContinued, index.logTransaction >= target { return }
            guard !added.isEmpty else {
                throw DatabaseError(
                    .corrupted,
                    "transaction \(target) is on stable storage, but the log of \(store.path) does not lead "
                        + "to it")
            }
        }
    }

    /// Archives what is in the log, and pages if these are few, while the environment closes.
    ///
    /// - Parameters:
    ///   - copiedMax: bytes of a copy at most.
    ///   - onProgress: how far it is; false ends it.
    /// - Returns: why what is committed is not all archived then; nil if it is.
    func archiveLast(
        copiedMax: UInt64, _ onProgress: @escaping (CopyProgress) -> Bool
    ) throws(DatabaseError) -> String? {
        try store.sync()
        return try withArchive { () throws(DatabaseError) in
            let (now, tip) = (store.fileSystem.now(), store.shared.tip)
            try archiveLog { _ in }
            if let reason = try reasonForPages() {
                // Whoever opens the environment next does the rest.
                let meta = try store.tipMeta()
                guard meta.pageCount <= copiedMax / UInt64(meta.pageSize) else { return reason }
                if index.last > 0 { reportGap(reason) }
                do throws(DatabaseError) {
                    _ = try copyPages(
                        onlyChanges: isContinued, keepsLog: false,
                        wait: .milliseconds(Self.closingWait), onProgress)
                } catch {
                    guard error.systemError == ECANCELED else { throw error }
                    return reason
                }
            }
            if index.logTransaction >= tip { try noteSeen(now, isDue: true) }
            return nil
        }
    }

    /// Milliseconds that a closing waits for a checkpoint of another process.
    private static let closingWait: UInt32 = 1000

    /// The newest transaction that is archived.
    package var transaction: UInt64 { index.transaction }

    private func reportGap(_ reason: String) {
        store.report(
            .warning,
            "the archive \(destination.path) has a gap behind transaction \(index.transaction): \(reason); "
                + "it goes on with a copy of \(isContinued ? "what has changed" : "all pages")")
    }

    /// Why the next file has to be one of pages; nil if it has not. When all is archived to which the log
    /// leads.
    private func reasonForPages() throws(DatabaseError) -> String? {
        if index.pages.number == 0 { return "it has no copy yet" }
        guard isContinued else {
            return "the environment is not known to go on from there"
        }
        if let gap = try tail(bytesMax: 1).gap { return gap }
        if store.shared.unlogged > index.logTransaction {
            return "transaction \(store.shared.unlogged) is not in the log"
        }
        // What was committed without a record before the environment was opened.
        let tip = try store.tipMeta()
        guard tip.transaction > index.logTransaction, tip.logEnd <= index.log.position else {
            return nil
        }
        return "transaction \(tip.transaction) is not in the log"
    }

    /// Archives all to which the log leads from where the archive is.
    private func archiveLog(_ onFile: (ArchivedFile) -> Void) throws(DatabaseError) {
        guard index.pages.number > 0, isContinued else { return }
        while let file = try archiveSomeLog() { onFile(file) }
    }

    private func archiveSomeLog() throws(DatabaseError) -> ArchivedFile? {
        let tail = try tail(bytesMax: options.fileBytesMax)
        guard tail.transactions > 0 else { return nil }
        var header = ArchiveFileHeader(.log)
        header.from = index.logTransaction
        header.to = tail.transaction
        header.logTransaction = tail.transaction
        header.wallClockFirst = tail.wallClockFirst
        header.wallClock = tail.wallClock
        header.digest = tail.digest
        header.log = tail.start
        header.logEnd = tail.end
        let file = try add(header) { writer, _ throws(DatabaseError) in
            for piece in tail.pieces { try Self.write(piece, to: writer) }
        }
        store.shared.count(Counter.transactionsArchived, tail.transactions)
        return file
    }

    private static func write(
        _ piece: LogTail.Piece, to writer: ArchiveWriter
    ) throws(DatabaseError) {
        var failure: DatabaseError?
        withUnsafeTemporaryAllocation(byteCount: 16, alignment: 8) { place in
            guard let start = place.baseAddress else { return }
            start.storeLittleEndian(piece.segment, at: 0)
            start.storeLittleEndian(piece.capacity, at: 8)
            piece.bytes.withUnsafeBytes { bytes in
                do throws(DatabaseError) {
                    try writer.writeBlock(
                        .records, place: piece.position, [UnsafeRawBufferPointer(place), bytes])
                } catch {
                    failure = error
                }
            }
        }
        if let failure { throw failure }
    }

    // MARK: Pages

    /// Adds a copy of the newest snapshot.
    ///
    /// - Parameter onlyChanges: whether to copy only what has changed since the last, if that is known.
    package func copy(
        onlyChanges: Bool, _ onProgress: @escaping (CopyProgress) -> Bool
    ) throws(DatabaseError) -> ArchivedFile {
        try withArchive { () throws(DatabaseError) in
            let mark = try store.soundArchiveMark()
            let isOwn = mark.map { $0.archiveID == index.archiveID } == true
            let isArchived = isOwn && isContinued && mark.map { $0.keptMax > 0 } == true
            if isArchived { try archiveLog { _ in } }
            let keepsLog = isArchived ? try reasonForPages() == nil : false
            let file = try copyPages(
                onlyChanges: onlyChanges && isContinued, keepsLog: keepsLog, onProgress)
            // For the next to be known to go on from here. The log of an environment goes to one archive;
            // another may have begun meanwhile.
            let now = try store.soundArchiveMark()
            let isStillOwn = now.map { $0.archiveID == index.archiveID } == true
            if isStillOwn || now.map({ $0.keptMax > 0 }) != true {
                index.keptMax = isStillOwn ? now?.keptMax ?? 0 : 0
                try keepMark(behind: file)
            }
            return file
        }
    }

    /// Notes in the environment what the archive has.
    private func keepMark(behind file: ArchivedFile) throws(DatabaseError) {
        do throws(DatabaseError) {
            try store.keepArchiveMark(index)
        } catch {
            throw error.adding(
                "the archive \(destination.path) has \(file.name) all the same, but the next copy will be "
                    + "one of all pages")
        }
    }

    /// - Parameters:
    ///   - keepsLog: whether the log goes on in the archive where it ends now.
    ///   - wait: for a checkpoint that another process makes; nil: until the environment is to be closed.
    private func copyPages(
        onlyChanges: Bool, keepsLog: Bool, wait: WriterWait? = nil,
        _ onProgress: @escaping (CopyProgress) -> Bool
    ) throws(DatabaseError) -> ArchivedFile {
        let freeList = FreeList.allocate()
        defer { freeList.deallocate() }
        let claim = try Transactions.beginRead(store, withFreeList: freeList)
        defer { Transactions.end(claim) }
        try claim.state.pointee.enter()
        let meta = claim.state.pointee.meta
        var source = claim.state.pointee.source
        source.pageCount = meta.pageCount
        let since =
            onlyChanges && index.pages.number > 0 && index.pages.transaction <= meta.transaction
            ? index.pages : nil
        var header = ArchiveFileHeader(since == nil ? .full : .incremental)
        header.pageSize = meta.pageSize
        if let since {
            header.from = since.transaction
            header.parent = since
        } else if index.last > 0, !isContinued {
            index.history += 1
        }
        header.to = meta.transaction
        header.wallClockFirst = meta.wallClock
        header.wallClock = meta.wallClock
        header.digest = meta.digest
        header.log = LogPlace(after: meta)
        header.logEnd = keepsLog ? index.log : header.log
        header.logTransaction = keepsLog ? index.logTransaction : meta.transaction
        let monitor = CopyMonitor(onProgress)
        // A copy that ends early again and again, while much changes, begins anew at some time.
        let earlierMax = 2 * meta.pageCount * UInt64(meta.pageSize) + 1 << 20
        return try add(header, earlierMax: earlierMax) { writer, earlier throws(DatabaseError) in
            let copy = CopyWriter(
                ArchiveCopySink(writer, pageSize: Int(meta.pageSize), earlier: earlier),
                store.shared, bytesPerSecond: options.bytesPerSecond)
            if let since {
                try ChangedPages(
                    source: source, meta: meta, freeList: freeList, since: since.transaction,
                    writer: copy, monitor: monitor
                ).run()
                try copy.flush()
            } else {
                try PlainCopy(
                    source: source, meta: meta, freeList: freeList, writer: copy, monitor: monitor,
                    earlier: try EarlierPages.find(store, meta, in: copy)
                ).run()
            }
            // After a crash the log would be replayed from an older state, and pages of transactions that
            // are in the copy would come to lie elsewhere: the next copy of what has changed would lack them.
            guard let wait else {
                return try store.makeCheckpoint(holding: meta.transaction) { store.archives }
            }
            try store.makeCheckpoint(holding: meta.transaction, wait)
        }
    }

    // MARK: Files

    private func add(
        _ header: ArchiveFileHeader, earlierMax: UInt64 = 0,
        _ body: (ArchiveWriter, ArchiveReader?) throws(DatabaseError) -> Void
    ) throws(DatabaseError) -> ArchivedFile {
        var header = header
        header.environmentID = index.environmentID
        header.archiveID = index.archiveID
        header.number = index.last + 1
        header.previousFile = index.checksum
        header.history = index.history
        let output = try destination.begin(header, earlierMax: earlierMax)
        let writer: ArchiveWriter
        var next = index
        do throws(DatabaseError) {
            writer = try ArchiveWriter(output, header, pageSize: store.pageSize)
            try body(writer, output.earlier)
            next.add(header, checksum: try writer.end())
            try output.finish()
        } catch {
            // After a write that has failed it is unknown what the disk has of it.
            output.abandon(keeps: error.systemError == ECANCELED)
            throw error
        }
        index = next
        isContinued = true
        try destination.keep(&index)
        if isFollowing {
            index.keptMax = options.logKeptMax
            try store.keepArchiveMark(index)
        }
        store.shared.count(Counter.bytesArchived, writer.bytesWritten)
        return ArchivedFile(header, bytes: writer.bytesWritten)
    }
}
