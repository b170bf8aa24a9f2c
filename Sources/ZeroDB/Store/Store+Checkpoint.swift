import CZeroDBPlatform
import Glibc
import Synchronization

/// Checkpoints: what makes the newest commit the state that an opening starts from.
extension Store {
    /// Makes the newest commit the durable root: flushes the data file, writes the other meta
    /// page, flushes that, then recycles the log before it. Takes no lock that writers or readers
    /// need.
    ///
    /// - Parameters:
    ///   - wanted: nothing is done if the durable root is this transaction or newer.
    ///   - wait: for how long it may wait for a process that makes one; nil for what the options say.
    ///   - pace: how fast pages are written out.
    /// - Throws: `panic` if a flush or the meta page fails; `busy` if the wait comes to its end.
    func makeCheckpoint(
        holding wanted: UInt64, _ wait: WriterWait? = nil, _ pace: WriteOutPace = .fast
    ) throws(DatabaseError) {
        guard makesCheckpoints, shared.checkpoint < wanted else { return }
        try lockCheckpoint(wait)
        defer { unlockCheckpoint() }
        try makeCheckpointAlone(holding: wanted, pace)
    }

    /// A repair writes its state itself.
    private var makesCheckpoints: Bool { !options.isReadOnly && options.root == nil }

    /// As `makeCheckpoint`, with the checkpoint's lock.
    func makeCheckpointAlone(
        holding wanted: UInt64, _ pace: WriteOutPace = .fast
    ) throws(DatabaseError) {
        guard makesCheckpoints, shared.checkpoint < wanted else { return }
        try checkPoison()
        try finishInterruptedCheckpoint()
        try writeCheckpoint(pace)
    }

    /// Makes the tip the durable root, if it is not. With the checkpoint's lock.
    func writeCheckpoint(_ pace: WriteOutPace = .fast) throws(DatabaseError) {
        assert(checkpointMutex.isHeld)
        // The meta pages never hold the same state twice: an opening could not tell which of them the
        // next checkpoint has begun to overwrite.
        guard shared.checkpoint < shared.tip else { return }
        // From now on no writer reuses a page of it (`Horizon`).
        let freeList = FreeList.allocate()
        defer { freeList.deallocate() }
        let known = shared.metaPage
        guard known < Format.metaPageCount else {
            throw SharedState.damaged("the newest meta page would be page \(known)")
        }
        let began = zp_ticks()
        noteFullLog()
        let meta = try checked(try shared.beginCheckpoint(freeList))
        let page = 1 - known
        do throws(DatabaseError) {
            try writeOut(pace)
            try MetaPages.writeFreeList(freeList, of: meta, page: page, to: dataFile)
            try dataFile.sync()
            try MetaPages.write(meta, freeList, page: page, to: dataFile)
            try dataFile.sync()
        } catch {
            throw poison(error)
        }
        shared.count(.dataFlushes, 2)
        let nanoseconds = zp_nanoseconds_spent(began)
        shared.note(.checkpoint, nanoseconds: nanoseconds)
        noteCheckpoint(meta, page: page)
        report(
            .debug,
            "a checkpoint of \(path) holds transaction \(meta.transaction); it took "
                + "\(SlowTransaction.milliseconds(nanoseconds)) ms")
        do throws(DatabaseError) {
            try recycleLog(meta)
        } catch {
            report(
                .warning,
                "\(error.markedMessage); the log of \(path) is longer than it need be until the "
                    + "next "
                    + "checkpoint, which tries again")
        }
    }

    private func recycleLog(_ meta: Meta) throws(DatabaseError) {
        guard try log.recycle(meta, shared) else { return }
        shared.count(Limit.archiveLog)
        report(
            .warning,
            "the log of \(path) that is not archived has more than \(shared.archiveKeptMax) "
                + "bytes, and what "
                + "is beyond is removed: the archive gets a gap, behind which it goes on with a "
                + "copy of what "
                + "has changed")
    }

    /// Has the disk write what commits have written to the data file.
    private func writeOut(_ pace: WriteOutPace) throws(DatabaseError) {
        var restsLeft = pace == .gentle ? Self.writeOutRestsMax : 0
        try dataFile.writeOut { spent in
            guard pace == .gentle, mayTakeItsTime() else { return .fast }
            // Parts without changes take a few microseconds.
            guard restsLeft > 0, spent > 50_000 else { return .gentle }
            let rest = min(spent * Self.writeOutRestShare, restsLeft)
            restsLeft -= rest
            usleep(UInt32(clamping: rest / 1000))
            return .gentle
        }
    }

    /// How much longer than the writing of a part the pause after it is, in which flushes of the log find
    /// the disk at rest.
    private static let writeOutRestShare: UInt64 = 2
    /// Nanoseconds of pauses in one checkpoint. Other processes may wait for it.
    private static let writeOutRestsMax: UInt64 = 200_000_000

    /// Whether nobody waits for the checkpoint under way, nor soon will.
    private func mayTakeItsTime() -> Bool {
        guard checkpointsAwaited.load(ordering: .relaxed) <= 1, let meta = try? shared.tipMeta()
        else { return false }
        // Beyond twice the limits writers wait. What comes to wait meanwhile makes the file longer.
        return pinnedPages(meta) < pinnedMax(meta) / 4 * 5
            && logBytes(meta) < options.logSize / 4 * 7
    }

    /// If a process died while it wrote a meta page, that page may be the newest a crash would
    /// find: finishes what it began. With the checkpoint's lock.
    private func finishInterruptedCheckpoint() throws(DatabaseError) {
        assert(checkpointMutex.isHeld)
        guard shared.checkpointing != 0 else { return }
        let loaded = try MetaPages.load(from: dataFile)
        do throws(DatabaseError) {
            try dataFile.sync()
        } catch {
            throw poison(error)
        }
        noteCheckpoint(loaded.meta, page: loaded.page)
    }

    /// Makes sure, once, that the meta page all began from is on disk: a process that died while
    /// it wrote it may have left it in the page cache only, and after a failed flush the kernel
    /// may take it for written. A mark in `lock.zdb` spares clean closes this.
    ///
    /// A flush that fails here poisons nothing: nothing has been written yet, and the next process to
    /// open does all of this again, writing the page once more.
    func confirmRoot() throws(DatabaseError) {
        guard !shared.isRootConfirmed else { return }
        try lockCheckpoint()
        defer { unlockCheckpoint() }
        guard !shared.isRootConfirmed else { return }
        // After a failed flush the file may be shorter on disk than it is here. While nobody else has it:
        // another process may be making it longer.
        if isFirst { try dataFile.truncate(to: try dataFile.size()) }
        try rewriteRoot()
        // The segments that a copy of the environment has brought may have no name on disk yet.
        try logDirectory.open()?.sync()
        try logDirectory.environment.sync()
        try logDirectory.environment.syncParent()
        shared.isRootConfirmed = true
    }

    /// Writes the meta page that a crash would find once more, and flushes it. With the checkpoint's lock.
    func rewriteRoot() throws(DatabaseError) {
        assert(checkpointMutex.isHeld)
        try finishInterruptedCheckpoint()
        let loaded = try MetaPages.load(from: dataFile)
        let freeList = FreeList.allocate()
        defer { freeList.deallocate() }
        try MetaPages.loadFreeList(into: freeList, of: loaded, from: dataFile)
        try reportDamagedCopies(in: loaded.page)
        try dataFile.sync()
        try MetaPages.write(loaded.meta, freeList, page: loaded.page, to: dataFile)
        try dataFile.sync()
    }

    /// Tells of what is about to be overwritten, and which no verification finds then. No power cut leaves
    /// a copy that does not check in the newest meta page.
    private func reportDamagedCopies(in page: UInt64) throws(DatabaseError) {
        guard options.onEvent != nil else { return }
        let damaged =
            try MetaPages.damagedCopies(in: dataFile, pageSize: pageSize)
            + MetaPages.damagedFreeLists(in: dataFile)
        for (place, problem) in damaged where place == page {
            report(.warning, "\(problem); it is written anew from the other copy")
        }
    }

    /// Takes the checkpoint's lock for a commit that needs a checkpoint itself, if waits have a limit: once
    /// it is the tip it cannot be taken back, and would have to wait for another process however long that
    /// takes. `finish` gives it back.
    ///
    /// - Returns: whether it was taken.
    /// - Throws: `busy` if the wait comes to its end.
    func lockCheckpointForCommit() throws(DatabaseError) -> Bool {
        guard options.writerWait != .forever, makesCheckpoints else { return false }
        try lockCheckpoint()
        return true
    }

    /// Tells all processes what the durable root now is.
    private func noteCheckpoint(_ meta: Meta, page: UInt64) {
        assert(checkpointMutex.isHeld)
        // What the meta page holds needs no log to be durable. Visible first: a thread that waits for the
        // checkpoint or the flush returns when it sees it, and must then see its own commit.
        shared.raiseVisible(to: meta.transaction)
        shared.raiseFlushed(to: meta.logEnd)
        shared.metaPage = page
        shared.checkpointLogEnd = meta.logEnd
        shared.checkpointPinnedTotal = meta.pinnedTotal
        shared.checkpoint = meta.transaction
        shared.checkpointing = 0
    }

    func lockCheckpoint(_ wait: WriterWait? = nil) throws(DatabaseError) {
        checkpointsAwaited.add(1, ordering: .relaxed)
        do throws(DatabaseError) {
            try lockCheckpointInProcess(wait ?? locks.wait)
        } catch {
            checkpointsAwaited.subtract(1, ordering: .relaxed)
            throw error
        }
        do throws(DatabaseError) {
            try locks.take(.checkpoint, wait)
        } catch {
            checkpointMutex.unlock()
            checkpointsAwaited.subtract(1, ordering: .relaxed)
            throw error
        }
    }

    /// Waits for the other threads of this process. One of them may itself wait for another process, and
    /// longer than this one is to.
    private func lockCheckpointInProcess(_ wait: WriterWait) throws(DatabaseError) {
        guard wait != .forever else { return checkpointMutex.lock() }
        var end = wait.end
        while try !ProcessLocks.retry(until: end, { checkpointMutex.tryLock() }) {
            try locks.checkNotElsewhere(.checkpoint)
            end = SystemCall.monotonicNanoseconds() + Self.lookAgainDelay
        }
    }

    /// Nanoseconds after which a thread that waits for another looks whether that waits itself.
    private static let lookAgainDelay: UInt64 = 20_000_000

    /// As `makeCheckpoint`, in the background: it waits for another process only while a condition holds.
    ///
    /// - Throws: as `makeCheckpoint`, `busy` when the condition does not hold any more.
    func makeCheckpoint(
        holding wanted: UInt64, while goesOn: () -> Bool
    ) throws(DatabaseError) {
        while true {
            do throws(DatabaseError) {
                return try makeCheckpoint(holding: wanted, .milliseconds(Self.backgroundWait))
            } catch {
                guard error.code == .busy, goesOn() else { throw error }
            }
        }
    }

    private static let backgroundWait: UInt32 = 100

    func unlockCheckpoint() {
        locks.giveBack(.checkpoint)
        checkpointMutex.unlock()
        checkpointsAwaited.subtract(1, ordering: .relaxed)
    }

    /// Pages that wait for a checkpoint to become available.
    func pinnedPages(_ meta: Meta) -> UInt64 {
        let before = shared.checkpointPinnedTotal
        return meta.pinnedTotal >= before ? meta.pinnedTotal - before : 0
    }

    /// Bytes of pages that may wait for a checkpoint however small the file is.
    private static let pinnedMin: UInt64 = 4 << 20
    /// Bytes of pages that come to wait while a checkpoint is made, about: their part in a small file.
    private static let pinnedMeanwhile: UInt64 = 2 << 20
    /// Bytes of pages that may wait for a checkpoint where twice as many are free.
    private static let sparePinnedMax: UInt64 = 64 << 20
    /// The same while a compaction is under way.
    private static let compactingPinnedMax: UInt64 = 16 << 20

    /// Whether log or pinned space call for a checkpoint.
    ///
    /// - Parameter factor: how far beyond the limits; more than 1 for a writer that has to wait.
    func needsCheckpoint(_ meta: Meta, factor: UInt64 = 1) -> Bool {
        // What the log may take is promised to be less than what pages may.
        if logBytes(meta) > options.logSize * min(factor, 2) { return true }
        return pinnedPages(meta) > pinnedMax(meta, factor: factor)
            && shared.checkpoint < meta.transaction
    }

    /// Counts a checkpoint that the log calls for.
    private func noteFullLog() {
        if let tip = try? tipMeta(), logBytes(tip) > options.logSize { shared.count(Limit.logSize) }
    }

    /// Bytes of log since the checkpoint.
    private func logBytes(_ meta: Meta) -> UInt64 {
        meta.logEnd - min(meta.logEnd, shared.checkpointLogEnd)
    }

    /// Pages that may wait for a checkpoint before one is due.
    func pinnedMax(_ meta: Meta, factor: UInt64 = 1) -> UInt64 {
        // Free pages must not make room for more of them, unless there are so many that they last for long,
        // as after many were deleted. A compaction needs those that it is to have moved others to.
        let spareMax =
            shared.allocationLimit == 0 ? Self.sparePinnedMax : Self.compactingPinnedMax
        let spare = min(meta.takablePages / 2, spareMax / UInt64(pageSize))
        let used = meta.pageCount - min(meta.pageCount, meta.freePages)
        return max(pinnedMax(used: used, factor: factor), spare * factor)
    }

    /// The same where few pages are free.
    func pinnedMax(used: UInt64, factor: UInt64 = 1) -> UInt64 {
        // In a small file a checkpoint is due early, so that a writer seldom has to wait for it.
        let size = UInt64(pageSize)
        let share = used / 6
        return max(
            Self.pinnedMin / size, share - min(share, Self.pinnedMeanwhile / size)) * factor
    }

    /// Makes a checkpoint if one is still needed when the one under way is done. Failures show
    /// in the next commit, which finds the environment poisoned.
    func makeCheckpointIfNeeded(
        factor: UInt64 = 1, _ pace: WriteOutPace = .fast
    ) throws(DatabaseError) {
        try lockCheckpoint()
        unlockCheckpoint()
        let meta = try tipMeta()
        guard needsCheckpoint(meta, factor: factor) else { return }
        try makeCheckpoint(holding: meta.transaction, nil, pace)
    }

    /// Writes the next segment of the log in advance. If that fails, the commit that needs it
    /// tries again.
    func prepareSegment() {
        do throws(DatabaseError) {
            try log.prepareSpare(
                try tipMeta(),
                name: "spare.\(process.raw)")
        } catch {
            report(
                .warning,
                "\(error.markedMessage); commits to \(path) fail when they need the next segment "
                    + "of the "
                    + "log, unless it can be made then")
        }
    }
}
