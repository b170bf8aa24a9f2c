import Glibc

/// What a commit waits for after it has given the writer's lock back.
enum CommitWait {
    case nothing
    /// The log must be on disk up to a position.
    case flush(UInt64)
    /// A checkpoint must hold a transaction. Its lock may have been taken for that already.
    case checkpoint(UInt64, isLocked: Bool)
    /// It is visible; the log should be on disk soon.
    case flushSoon
    /// It may be seen when the log is on disk up to a position, as commits before it wait for
    /// that.
    case show(UInt64, after: UInt64)
}

/// What writers do before and after they hold the lock, so that space and durability keep up.
extension Store {
    /// Makes pinned pages available when the environment is nearly full. Before the writer's lock.
    func makeRoom() throws(DatabaseError) {
        guard shared.tip > shared.checkpoint else { return }
        let pagesMax = pagesMax
        // As a rule there is room: the record need not be copied and checked to see that.
        guard shared.roughPageCount > pagesMax - pagesMax / 8 else { return }
        let meta = try tipMeta()
        let unused = pagesMax > meta.pageCount ? pagesMax - meta.pageCount : 0
        guard unused + meta.takablePages < pagesMax / 8, pinnedPages(meta) > 0 else { return }
        try makeCheckpoint(holding: meta.transaction)
    }

    /// Keeps the newest commit within the ring of metas of the newest visible one. With the
    /// writer's lock.
    func keepTipNear() throws(DatabaseError) {
        assert(writerSemaphore.isHeld)
        guard shared.tip - min(shared.tip, shared.visible) >= SharedState.tipLeadMax else { return }
        if shared.unlogged > shared.visible {
            try makeCheckpoint(holding: shared.tip)
        } else {
            try flushLog()
        }
    }

    /// Makes the data file long enough for its pages and has the disk keep room for them, so that a
    /// page that is free can always be written. With the writer's lock.
    ///
    /// - Throws: a system error, ENOSPC above all.
    func keepRoom(forPages pageCount: UInt64) throws(DatabaseError) {
        assert(writerSemaphore.isHeld)
        let end = pageCount * UInt64(pageSize)
        // Another process may have cut the file off.
        let truncations = shared.truncations
        if keptTruncations != truncations { keptEnd = 0 }
        guard end > keptEnd else { return }
        let size = try dataFile.size()
        if size < end {
            try dataFile.allocate(from: size, to: end)
            shared.countAlone(.fileGrowths)
            report(.debug, "the file of \(path) has grown from \(size) to \(end) bytes")
        }
        keptEnd = max(size, end)
        keptTruncations = truncations
    }

    /// What a commit does after it has given the writer's lock back.
    ///
    /// The tip has moved: the commit cannot be taken back any more. So an error that says that it has not
    /// happened cannot be thrown from here.
    ///
    /// - Parameter pages: that it has written.
    /// - Returns: whether that has taken the time of anything but a few instructions.
    /// - Throws: `panic`.
    func finish(
        _ wait: CommitWait, _ meta: Meta, pages: UInt64
    ) throws(DatabaseError) -> Bool {
        var hasWaited = true
        switch wait {
        case .nothing: hasWaited = false
        case .flush(let position):
            try surely { () throws(DatabaseError) in
                try waitFlushed(to: position, holding: meta.transaction)
            }
        case .show(let transaction, after: let position):
            try surely { () throws(DatabaseError) in
                try waitFlushed(to: position, holding: transaction)
            }
            shared.raiseVisible(to: transaction)
        case .checkpoint(let transaction, let isLocked):
            try surely { () throws(DatabaseError) in
                guard isLocked else {
                    return try makeCheckpoint(holding: transaction, .forever)
                }
                defer { unlockCheckpoint() }
                try makeCheckpointAlone(holding: transaction)
            }
        case .flushSoon:
            log.flushAtExit(meta, shared)
            if backgroundTasks?.flushSoon() != true {
                try soon { () throws(DatabaseError) in try flushIfDue() }
            }
        }
        if let backgroundTasks, log.wantsSpare(meta) { backgroundTasks.prepareSegment() }
        if isTooFree(meta), compactInBackground != nil { compactIfDue() }
        guard needsCheckpoint(meta) else { return hasWaited }
        if let backgroundTasks {
            backgroundTasks.checkpointSoon()
            guard needsCheckpoint(meta, factor: Self.slowFactor) else { return hasWaited }
            // A writer much faster than the disk comes down to its speed, and waits for it in the end.
            guard needsCheckpoint(meta, factor: Self.waitFactor) else {
                takeTime(for: pages, meta)
                return true
            }
        }
        try? makeCheckpointIfNeeded(factor: backgroundTasks == nil ? 1 : Self.waitFactor)
        if backgroundTasks == nil { cutOffTail() }
        return true
    }

    /// How far beyond the limits that call for a checkpoint a commit takes its time, and how far it waits
    /// for one.
    private static let slowFactor: UInt64 = 2
    private static let waitFactor: UInt64 = 3
    /// Nanoseconds that a commit takes for each page just before it would wait: longer than most disks.
    private static let delayPerPage: UInt64 = 30_000
    /// Nanoseconds that it takes at most.
    private static let delayMax: UInt64 = 25_000_000

    /// Nanoseconds after which it looks whether the disk has come along.
    private static let delayPart: UInt64 = 500_000

    /// Takes the time that the disk needs to come along: none at `slowFactor`, and the more the nearer it is
    /// to `waitFactor`. So writers come to rest where they are as fast as the disk is.
    private func takeTime(for pages: UInt64, _ meta: Meta) {
        let limit = max(pinnedMax(meta), 1)
        let pinned = pinnedPages(meta)
        let beyond = min(pinned - min(pinned, limit * Self.slowFactor), limit)
        let whole = min(pages, Self.delayMax / Self.delayPerPage) * Self.delayPerPage
        var left = whole * (beyond * 256 / limit) / 256
        while left > 0, needsCheckpoint(meta, factor: Self.slowFactor) {
            let part = min(left, Self.delayPart)
            usleep(UInt32(clamping: part / 1000))
            left -= part
        }
    }

    /// Makes a commit durable. What cannot be made durable now cannot be taken back: its outcome is
    /// unknown.
    private func surely(_ body: () throws(DatabaseError) -> Void) throws(DatabaseError) {
        do throws(DatabaseError) {
            try body()
        } catch {
            throw error.code == .panic ? error : poison(error)
        }
    }

    /// Does for a commit what nobody waits for. If that fails for the moment, a later commit tries again.
    private func soon(_ body: () throws(DatabaseError) -> Void) throws(DatabaseError) {
        do throws(DatabaseError) {
            try body()
        } catch {
            guard error.code != .panic else { throw error }
            report(
                .warning,
                "\(error.markedMessage); commits to \(path) are on disk later than they need be, "
                    + "when another "
                    + "commit tries again")
        }
    }

    /// Waits until the log is on disk up to a position. Where the log cannot be opened for the moment, a
    /// checkpoint does as well.
    ///
    /// - Throws: `panic` if a flush has failed.
    private func waitFlushed(
        to position: UInt64, holding transaction: UInt64
    ) throws(DatabaseError) {
        do throws(DatabaseError) {
            try log.waitFlushed(to: position, shared: shared)
        } catch {
            guard shared.poison == 0 else { throw poison(error) }
            try makeCheckpoint(holding: transaction, .forever)
        }
    }

    /// Without a thread, relaxed commits are flushed by the first commit after their time is up.
    private func flushIfDue() throws(DatabaseError) {
        let now = fileSystem.now()
        let due = relaxedSince.withLock { since -> Bool in
            if since == 0 { since = now }
            guard now &- since >= BackgroundTasks.relaxedDelay else { return false }
            since = 0
            return true
        }
        if due { try flushLog() }
    }

    /// Waits until every commit is on disk, whatever its durability.
    func sync() throws(DatabaseError) {
        if shared.unlogged > shared.checkpoint {
            try makeCheckpoint(holding: shared.tip)
        } else {
            try flushLog()
        }
    }

    /// Flushes all that has been logged.
    func flushLog() throws(DatabaseError) {
        let meta = try tipMeta()
        do throws(DatabaseError) {
            try log.waitFlushed(to: meta.logEnd, shared: shared)
        } catch {
            throw shared.poison == 0 ? error : poison(error)
        }
    }
}
