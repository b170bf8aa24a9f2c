import Glibc

/// Turning a write transaction's frames into the environment's next state.
///
/// Pages get their numbers here, in the order of the trees, so that a transaction's pages lie
/// next to each other on disk and are written in few calls: into the page cache, not flushed.
/// Then the transaction's record goes to the log and the tip moves, so that the next writer can
/// begin. Until the tip moves nothing that exists has changed: any failure before that forgets
/// the transaction and nothing else. `Store.finish` does the rest, waiting for the disk.
struct Commit {
    let transaction: UnsafeMutablePointer<TransactionState>
    let write: UnsafeMutablePointer<WriteState>
    let frames: UnsafeMutablePointer<FrameTable>
    let store: Store
    private let pageSize: Int
    let freeList: FreeList

    /// Page numbers taken for frames.
    var numbers: [PageRun] = []
    var numbersTaken: UInt64 = 0
    /// Whether the disk has no room for a longer file.
    var isDiskFull = false
    /// Of the environment with this transaction's changes.
    private var digest = ContentDigest()
    /// When the transaction was committed first, if it is being replayed.
    private let wallClock: UInt64?
    /// The same, handed out in order: those for branches and those for all else.
    private var branchNumbers = PageNumbers()
    private var leafNumbers = PageNumbers()

    /// Write calls end at multiples of this in the file, unless they are shorter than half of it.
    /// The kernel's page cache then takes in new parts of a file in folios of this size. Larger
    /// ones are cheaper to make, but a page that is later written into one of them alone takes the longer,
    /// the larger it is.
    private static let writeUnit = 16 << 10
    /// The same for pages that are seldom or never written alone, those of values and of what was put in
    /// the order of the keys, and for pages that the file had before: of most of them the kernel has folios
    /// already.
    private static let longWriteUnit = 64 << 10

    /// Multiples of what calls end at that write pages of trees.
    private var treeWriteUnit: Int {
        let isInOrder =
            2 * write.pointee.workspace.pointee.leavesFilledInOrder > frames.pointee.singleFrames
        return isInOrder ? Self.longWriteUnit : max(Self.writeUnit, pageSize)
    }
    /// Pages of a call for which there is room from the first on.
    private static let buffersReserved = 4
    /// Pages of a value that leaves memory when it has been written, if it is in a file.
    private static let manyPagesWritten: UInt64 = 256

    /// Makes the transaction's state the tip. With the writer's lock.
    ///
    /// - Parameter wallClock: when it was committed first, if it is being replayed.
    static func run(
        _ transaction: UnsafeMutablePointer<TransactionState>, wallClock: UInt64? = nil
    ) throws(DatabaseError) -> CommitWait {
        guard let write = transaction.pointee.write, write.pointee.workspace.pointee.isDirty else {
            return .nothing
        }
        assert(write.pointee.reservation == nil)
        var commit = Commit(transaction, write, wallClock)
        return try commit.run()
    }

    private init(
        _ transaction: UnsafeMutablePointer<TransactionState>,
        _ write: UnsafeMutablePointer<WriteState>, _ wallClock: UInt64?
    ) {
        self.transaction = transaction
        self.wallClock = wallClock
        self.write = write
        frames = write.pointee.workspace.pointee.frames
        freeList = write.pointee.freeList
        store = transaction.pointee.store
        pageSize = transaction.pointee.source.pageSize
    }

    private mutating func run() throws(DatabaseError) -> CommitWait {
        assert(store.writerSemaphore.isHeld && transaction.pointee.parent == nil)
        write.pointee.workspace.pointee.isLimited = false
        let databases = transaction.pointee.dirtyDatabases()
        try storeRecords(databases)
        try takeNumbers()
        try assignNumbers(databases)
        try writePages(seal())
        return try publish()
    }

    private func noteLargeRecord() {
        store.shared.count(Limit.logRecord)
        store.report(
            .debug,
            "transaction \(transaction.pointee.id) of \(store.path) needs a record of more than "
                + "\(write.pointee.log.limit) bytes; it becomes a checkpoint")
    }

    // MARK: Catalog

    func writer(_ tree: UnsafeMutablePointer<TreeState>) -> TreeWriter {
        TreeWriter(
            source: transaction.pointee.source, workspace: write.pointee.workspace, tree: tree,
            transaction: transaction.pointee.id)
    }

    private func withRecordBytes(
        _ record: TreeRecord, _ body: (UnsafeRawBufferPointer) throws(DatabaseError) -> Void
    ) throws(DatabaseError) {
        let bytes = UnsafeMutableRawPointer.allocate(byteCount: TreeRecord.size, alignment: 8)
        defer { bytes.deallocate() }
        record.store(to: bytes)
        try body(UnsafeRawBufferPointer(start: bytes, count: TreeRecord.size))
    }

    /// Puts the records of changed databases in the catalog, after taking out those of databases
    /// that were dropped. Their roots are still frames;
    /// `assignNumbers` puts them right in place.
    private mutating func storeRecords(_ databases: [Int]) throws(DatabaseError) {
        let catalog = writer(Self.catalog(of: write))
        digest = transaction.pointee.meta.digest
        digest -= ContentDigest(ofMain: transaction.pointee.meta.main)
        digest += ContentDigest(ofMain: transaction.pointee.trees[0].record)
        for handle in transaction.pointee.droppedDatabases() {
            // One that this transaction made too is not in the catalog.
            guard let name = store.databases.name(handle) else { continue }
            digest -= try transaction.pointee.digest(ofDatabaseInCatalog: name)
            _ = try catalog.delete(name)
        }
        for handle in databases {
            guard let name = store.databases.name(handle) else { continue }
            digest -= try transaction.pointee.digest(ofDatabaseInCatalog: name)
            digest += ContentDigest(
                ofDatabase: name, transaction.pointee.trees[handle].record)
            try withRecordBytes(transaction.pointee.trees[handle].record) {
                bytes throws(DatabaseError) in
                _ = try catalog.put(name, bytes, mode: .overwrite)
            }
        }
    }

    private static func catalog(
        of write: UnsafeMutablePointer<WriteState>
    ) -> UnsafeMutablePointer<TreeState> {
        withUnsafeMutablePointer(to: &write.pointee.catalog) { $0 }
    }

    static func free(
        of write: UnsafeMutablePointer<WriteState>
    ) -> UnsafeMutablePointer<TreeState> {
        withUnsafeMutablePointer(to: &write.pointee.free) { $0 }
    }

    // MARK: Numbering

    /// Gives every frame its number, leaves in key order, and puts the references to them right.
    private mutating func assignNumbers(_ databases: [Int]) throws(DatabaseError) {
        divideNumbers()
        let trees = transaction.pointee.trees
        let catalog = Self.catalog(of: write)
        let free = Self.free(of: write)
        try assign(trees)
        for handle in databases {
            try assign(trees + handle)
            guard let name = store.databases.name(handle) else { continue }
            // The record is in a frame with room for exactly it: this overwrites it in place.
            try withRecordBytes(trees[handle].record) { bytes throws(DatabaseError) in
                _ = try writer(catalog).put(name, bytes, mode: .overwrite)
            }
        }
        try assign(catalog)
        try assign(free)
        transaction.pointee.meta.main = trees[0].record
        // As `TreeRecord.store` does.
        transaction.pointee.meta.main.keys = min(trees[0].record.keys, trees[0].record.entries)
        transaction.pointee.meta.catalog = catalog.pointee.record
        transaction.pointee.meta.free = free.pointee.record
        transaction.pointee.meta.digest = digest
    }

    /// Keeps numbers for the branches.
    ///
    /// Most branches that a large transaction writes are soon written again, few of its leaves
    /// are. Side by side they are freed together and leave long runs to those that come after.
    private mutating func divideNumbers() {
        var branches: UInt64 = 0
        for index in 0..<frames.pointee.count {
            guard let memory = frames.pointee.frames[index].memory,
                frames.pointee.frames[index].pages == 1
            else { continue }
            if memory.load(fromByteOffset: Format.Header.kind, as: UInt8.self)
                == PageKind.branch.rawValue
            {
                branches += 1
            }
        }
        leafNumbers.runs.reserveCapacity(numbers.count)
        branchNumbers.runs.reserveCapacity(min(numbers.count, Int(branches)))
        var rest = numbers[...]
        while branches > 0, let run = rest.popFirst() {
            let count = min(run.count, branches)
            branchNumbers.runs.append(PageRun(start: run.start, count: count))
            branches -= count
            if count < run.count {
                leafNumbers.runs.append(PageRun(start: run.start + count, count: run.count - count))
            }
        }
        leafNumbers.runs += rest
        branchNumbers.sort()
        leafNumbers.sort()
    }

    private mutating func assign(
        _ tree: UnsafeMutablePointer<TreeState>
    ) throws(DatabaseError) {
        guard tree.pointee.depth > 0 else { return }
        tree.pointee.record.root = try assign(
            tree.pointee.root, level: tree.pointee.depth - 1, tree.pointee)
    }

    private mutating func assign(
        _ reference: PageReference, level: Int, _ tree: TreeState
    ) throws(DatabaseError) -> PageReference {
        guard reference.isFrame else { return reference }
        let page = try transaction.pointee.source.page(
            reference, level: level, layout: tree.layout(level: level))
        let count = page.count
        if level > 0 {
            var index = page.firstFrameChild(from: 0)
            while index < count {
                page.setChild(index, try assign(page.child(index), level: level - 1, tree))
                index = page.firstFrameChild(from: index + 1)
            }
        } else if !tree.isValueTree {
            var next = page.firstIndirectValue(from: 0)
            while next < count {
                let index = next
                next = page.firstIndirectValue(from: index + 1)
                guard let value = page.value(index), value.kind != .inline else { continue }
                if value.kind == .valueTree {
                    var values = ValueTree(at: value.bytes)
                    values.root = try assign(
                        values.root, level: Int(values.depth) - 1, values.state(in: tree.record))
                    values.store(to: value.bytes)
                }
                guard value.kind == .overflow else { continue }
                var pointer = OverflowPointer(at: value.bytes)
                guard pointer.reference.isFrame else { continue }
                let frame = pointer.reference.frameIndex
                if frames.pointee.frames[frame].pages == 1 {
                    let number = try leafNumbers.next()
                    frames.pointee.setNumber(number, of: frame)
                }
                pointer.reference = numbered(frame)
                pointer.store(to: value.bytes)
            }
        }
        let frame = reference.frameIndex
        let number = try level > 0 ? branchNumbers.next() : leafNumbers.next()
        frames.pointee.setNumber(number, of: frame)
        return numbered(frame)
    }

    private func numbered(_ frame: Int) -> PageReference {
        PageReference(
            number: frames.pointee.frames[frame].number, transaction: transaction.pointee.id)
    }

    // MARK: Writing

    private struct Sealed {
        var number: UInt64
        var memory: UnsafeMutableRawPointer
        var pages: UInt64
    }

    /// Completes the headers of all frames.
    ///
    /// - Returns: what to write, in the order of the file.
    private func seal() -> [Sealed] {
        let seed = transaction.pointee.source.seed
        let id = transaction.pointee.id
        let scratch = write.pointee.workspace.pointee.scratch.page
        var sealed: [Sealed] = []
        sealed.reserveCapacity(frames.pointee.count)
        for index in 0..<frames.pointee.count {
            let frame = frames.pointee.frames[index]
            guard let memory = frame.memory else { continue }
            memory.storeLittleEndian(frame.number, at: Format.Header.number)
            memory.storeLittleEndian(id, at: Format.Header.transaction)
            var length = pageSize
            if memory.load(fromByteOffset: Format.Header.kind, as: UInt8.self)
                == PageKind.overflow.rawValue
            {
                let value: UInt64 = memory.littleEndian(Format.OverflowHeader.length)
                length = Page.headerSize + Int(value)
            } else {
                let page = Page(memory, size: pageSize)
                page.orderHeap(scratch)
                page.clearGap()
            }
            let checksum = Checksum.ofPage(memory, length: length, seed: seed)
            memory.storeLittleEndian(checksum, at: Format.Header.checksum)
            if frame.isValue { frames.pointee.relieve(memory, frame.pages) }
            sealed.append(Sealed(number: frame.number, memory: memory, pages: frame.pages))
        }
        sealed.sort { $0.number < $1.number }
        return sealed
    }

    /// Bytes after which the disk begins to write what a checkpoint will wait for.
    private static let writeOutBytes = 4 << 20

    /// Bytes of pages that call for a checkpoint by themselves, in all but very large files.
    private static let checkpointBytes = 32 << 20

    /// Whether the commit is to be durable and a checkpoint will hold it: instead of the log, or soon.
    private var isCheckpointToBe: Bool {
        transaction.pointee.durability == .full
            && (write.pointee.log.isOverfull || !write.pointee.log.isRecording
                || frames.pointee.dirtyPages >= UInt64(Self.checkpointBytes / pageSize))
    }

    /// Writes pages to their places, neighbours in one call.
    private func writePages(_ sealed: [Sealed]) throws(DatabaseError) {
        let file = store.dataFile
        var buffers: [UnsafeRawBufferPointer] = []
        buffers.reserveCapacity(min(sealed.count, Self.buffersReserved))
        var start: UInt64 = 0
        var bytes = 0
        let isWrittenOut = isCheckpointToBe
        let treeUnit = treeWriteUnit
        let oldEnd = transaction.pointee.source.pageCount
        var outStart = (sealed.first?.number ?? 0) * UInt64(pageSize)
        var outBytes = 0
        func flush() throws(DatabaseError) {
            guard !buffers.isEmpty else { return }
            var failure: DatabaseError?
            buffers.withUnsafeBufferPointer { buffers in
                do throws(DatabaseError) {
                    try file.write(buffers, at: start)
                } catch {
                    failure = error
                }
            }
            if let failure { throw failure }
            buffers.removeAll(keepingCapacity: true)
            outBytes += bytes
            if isWrittenOut, outBytes >= Self.writeOutBytes {
                let end = start + UInt64(bytes)
                // The checkpoint says what fails.
                try? file.writeOut(from: outStart, count: Int(end - outStart))
                outStart = end
                outBytes = 0
            }
            bytes = 0
        }
        for page in sealed {
            guard page.number >= Format.metaPageCount else {
                throw DatabaseError(
                    .corrupted, "a commit gave a page no number; the transaction has not happened")
            }
            let offset = page.number * UInt64(pageSize)
            var written = 0
            let total = Int(page.pages) * pageSize
            let isLong = page.pages > 1 || page.number < oldEnd
            let unit = isLong ? Self.longWriteUnit : treeUnit
            while written < total {
                let place = offset + UInt64(written)
                let inUnit = Int(place % UInt64(unit))
                let part = min(total - written, unit - inUnit)
                if place != start + UInt64(bytes) || (inUnit == 0 && bytes >= unit / 2) {
                    try flush()
                    start = place
                }
                buffers.append(
                    UnsafeRawBufferPointer(start: page.memory + written, count: part))
                bytes += part
                written += part
            }
            if page.pages > Self.manyPagesWritten {
                try flush()
                frames.pointee.relieve(page.memory, page.pages)
            }
        }
        try flush()
        for page in sealed {
            transaction.pointee.source.remember(
                PageReference(number: page.number, transaction: transaction.pointee.id))
        }
    }

    /// Logs the transaction if it is to be logged, and moves the tip.
    private func publish() throws(DatabaseError) -> CommitWait {
        let shared = store.shared
        let meta = withUnsafeMutablePointer(to: &transaction.pointee.meta) { $0 }
        let id = transaction.pointee.id
        meta.pointee.transaction = id
        // Later than the commit before, whatever the clock says.
        let before = meta.pointee.wallClock
        meta.pointee.wallClock =
            wallClock ?? max(store.fileSystem.now(), before < .max ? before + 1 : before)
        let durability = transaction.pointee.durability
        // Whatever a damaged file has led to: no state may become the tip that could not be opened.
        guard meta.pointee.isPlausible else {
            throw DatabaseError(
                .corrupted,
                "the counts of the transaction's state cannot be; it has not happened; run zerodb-check"
            )
        }
        // After a commit that a replay would lack there is nothing to log before a checkpoint.
        var isLogged =
            write.pointee.log.isRecording && !write.pointee.log.isOverfull
            && shared.unlogged <= shared.checkpoint
        if write.pointee.log.isOverfull { noteLargeRecord() }
        let unloggedBefore = shared.unlogged
        if isLogged {
            // On a full disk without room for a segment the commit becomes a checkpoint.
            isLogged = try store.log.append(&write.pointee.log, to: meta, shared: shared)
        }
        // Whether every commit before this one is visible, and so as durable as it was to be.
        let isNext = shared.visible == id - 1
        let wait = try whatToWaitFor(
            isLogged: isLogged, isNext: isNext,
            hasUnloggedBefore: unloggedBefore > shared.visible)
        if !isLogged { shared.unlogged = id }
        // Before the tip moves: what has more pages than it is needed in full by its readers.
        if meta.pointee.pageCount < transaction.pointee.source.pageCount { shared.lowered = id }
        store.state.pointee.notePages(meta.pointee.pageCount)
        if durability != .full { store.newestUnawaited = id }
        shared.publishTip(meta.pointee, freeList)
        write.pointee.freeListOwner = id
        write.pointee.isPublished = true
        write.pointee.loggedBytes =
            isLogged ? UInt64(truncatingIfNeeded: write.pointee.log.count) : 0
        // No reader may see a commit before it that waits for the disk.
        if durability != .full, isNext { shared.raiseVisible(to: id) }
        return wait
    }

    /// What the commit waits for when it is the tip.
    ///
    /// - Parameters:
    ///   - isNext: whether the commit before it is visible.
    ///   - hasUnloggedBefore: whether one that is not waits for a checkpoint.
    /// - Throws: `busy` if that is another process's checkpoint, which does not end.
    private func whatToWaitFor(
        isLogged: Bool, isNext: Bool, hasUnloggedBefore: Bool
    ) throws(DatabaseError) -> CommitWait {
        let end = transaction.pointee.meta.logEnd
        switch (transaction.pointee.durability, isLogged) {
        case (.full, true): return .flush(end)
        // A replay would lack a relaxed one too, which is to be there even if all programs are killed.
        case (.full, false), (.relaxed, false): return try checkpoint()
        case (.relaxed, true), (.none, _):
            if isNext { return isLogged ? .flushSoon : .nothing }
            return hasUnloggedBefore
                ? try checkpoint() : .show(transaction.pointee.id, after: end)
        }
    }

    private func checkpoint() throws(DatabaseError) -> CommitWait {
        // Nobody else has the environment while its log is replayed.
        let isReplay = wallClock != nil
        return .checkpoint(
            transaction.pointee.id,
            isLocked: isReplay ? false : try store.lockCheckpointForCommit())
    }
}

/// Page numbers that are handed out one after the other.
private struct PageNumbers {
    var runs: [PageRun] = []
    private var current = 0

    mutating func sort() { runs.sort { $0.start < $1.start } }

    mutating func next() throws(DatabaseError) -> UInt64 {
        while current < runs.count {
            if runs[current].count > 0 {
                let number = runs[current].start
                runs[current].start += 1
                runs[current].count -= 1
                return number
            }
            current += 1
        }
        throw DatabaseError(
            .corrupted, "a commit ran out of the page numbers it had counted; run zerodb-check")
    }
}
