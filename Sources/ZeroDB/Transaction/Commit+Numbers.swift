/// Where a commit's page numbers come from, and where the pages go that it frees.
extension Commit {
    /// A commit that writes as many pages or more is a large one.
    private static let manyPages: UInt64 = 256
    /// Runs of numbers for which there is room from the first on, as more are rare.
    private static let runsReserved = 8
    /// Rounds of giving numbers to pages that giving numbers has changed. Each round changes
    /// only what the one before did not; a few are enough.
    private static let roundsMax = 100
    /// Pages that a commit which goes to the free tree takes for those after it.
    private static let freeListTarget: UInt64 = 64
    /// Available pages in freeList, beyond which a commit gives them to the tree.
    private static let freeListPagesMax: UInt64 = 256

    /// Takes a number for every frame and records what was freed. If the disk has no room for a longer
    /// file, pages are made available that wait for a checkpoint, and all of them are looked through.
    mutating func takeNumbers() throws(DatabaseError) {
        let meta = transaction.pointee.meta
        do throws(DatabaseError) {
            try takeNumbersOnce()
        } catch {
            guard error.isOutOfSpace else { throw error }
            transaction.pointee.meta = meta
            numbers.removeAll()
            numbersTaken = 0
            try store.makeCheckpoint(holding: store.shared.tip)
            isDiskFull = true
            try takeNumbersOnce()
            try checkReserve(before: meta, error)
        }
    }

    /// Takes numbers from the free list and records freed pages there, if it has enough and has room,
    /// else from and in the free tree.
    ///
    /// - Throws: if the disk is full, frames and trees are as they were.
    private mutating func takeNumbersOnce() throws(DatabaseError) {
        let meta = withUnsafeMutablePointer(to: &transaction.pointee.meta) { $0 }
        if write.pointee.freeListOwner != meta.pointee.transaction {
            try store.shared.copyTipFreeList(to: freeList, of: meta.pointee)
        }
        write.pointee.freeListOwner = 0
        freeList.hasPageTwice = false
        let horizon = horizon()
        freeList.mature(horizon)
        try checkFreed()
        if write.pointee.shrinking == nil, try takeFromFreeList(horizon) {
            try keepReserve()
        } else {
            let savepoint = Savepoint(write.pointee)
            frames.pointee.beginLevel()
            do throws(DatabaseError) {
                try takeFromTree(horizon)
                try keepReserve()
            } catch {
                frames.pointee.dropLevel()
                savepoint.restore(&write.pointee)
                throw error
            }
            frames.pointee.joinLevel()
        }
        // A damaged tree can free pages that are free: no such state may become the tip.
        guard meta.pointee.freePages <= meta.pointee.pageCount else {
            throw DatabaseError(
                .corrupted,
                "the transaction would leave \(meta.pointee.freePages) of \(meta.pointee.pageCount) "
                    + "pages free: some are free more than once; run zerodb-check")
        }
        guard !freeList.hasPageTwice else {
            throw DatabaseError(
                .corrupted,
                "the transaction would leave a page in the free list that is there already: some are free "
                    + "more than once; run zerodb-check")
        }
    }

    // MARK: Reserve

    /// Free pages that the file should have.
    private static let reserveMax: UInt64 = 64

    private func countFreeList() {
        let meta = withUnsafeMutablePointer(to: &transaction.pointee.meta) { $0 }
        meta.pointee.freeListAvailable = UInt32(truncatingIfNeeded: freeList.availablePages)
        meta.pointee.freeListPending = UInt32(truncatingIfNeeded: freeList.pendingPages)
    }

    /// Pages that the file should have free, so that a transaction which only deletes can commit when
    /// the disk is full.
    private var reserve: UInt64 { Self.reserve(transaction.pointee.meta.pageCount) }

    /// The same in a file with so many pages.
    static func reserve(_ pageCount: UInt64) -> UInt64 { min(reserveMax, 8 + pageCount / 64) }

    /// Counts what the free list has now, and makes the file longer if it has few free pages.
    private func keepReserve() throws(DatabaseError) {
        countFreeList()
        guard !isDiskFull, write.pointee.shrinking == nil else { return }
        let meta = withUnsafeMutablePointer(to: &transaction.pointee.meta) { $0 }
        let reserve = reserve
        guard meta.pointee.freePages < reserve, freeList.room > 0,
            meta.pointee.pageCount + reserve < store.pagesMax / 2
        else { return }
        if freeList.give(try FreeTree.extendFile(by: reserve, meta, store)) {
            meta.pointee.freeListAvailable += UInt32(truncatingIfNeeded: reserve)
        }
    }

    /// Leaves the last free pages of a file that cannot grow to transactions which need no more pages
    /// than they give back.
    private func checkReserve(before: Meta, _ error: DatabaseError) throws(DatabaseError) {
        let meta = transaction.pointee.meta
        guard meta.freePages < reserve,
            meta.pageCount - meta.freePages > before.pageCount - before.freePages
        else { return }
        throw error
    }

    /// Whether what the transaction has freed can have been of its trees: a damaged one may lead to the
    /// same pages more than once, or to none.
    private func checkFreed() throws(DatabaseError) {
        let pageCount = transaction.pointee.source.pageCount
        var pages: UInt64 = 0
        for freed in write.pointee.workspace.pointee.freed {
            let run = freed.pages
            guard run.isInside(pageCount), run.count <= pageCount - pages else {
                throw DatabaseError(
                    .corrupted, page: run.start,
                    "the transaction would free pages \(run.start) to \(run.end &- 1), which are "
                        + "beyond the file or free already; run zerodb-check")
            }
            pages += run.count
        }
    }

    /// Takes all numbers from the free list, or from the end of the file if there is no free page.
    ///
    /// - Returns: whether that could be done. If not, nothing has changed.
    private mutating func takeFromFreeList(_ horizon: Horizon) throws(DatabaseError) -> Bool {
        let needed = UInt64(frames.pointee.singleFrames)
        guard frames.pointee.dirtyPages == needed, needed < Self.manyPages else { return false }
        let freed = freed(from: 0)
        guard freeList.hasRoom(freed[...], horizon) else { return false }
        let limit = store.shared.allocationLimit
        var available = freeList.availablePages
        guard available <= Self.freeListPagesMax else { return false }
        if limit != 0 {
            available = freeList.availablePages(below: limit)
            guard available >= needed else { return false }
        }
        if available < needed {
            let meta = withUnsafeMutablePointer(to: &transaction.pointee.meta) { $0 }
            guard meta.pointee.availablePages == 0, meta.pointee.pendingPages == 0 else {
                return false
            }
            numbers.append(
                try FreeTree.extendFile(by: needed - available, meta, store))
        }
        numbers.reserveCapacity(min(Int(needed), Self.runsReserved))
        _ = freeList.take(min(needed, available), below: limit, into: &numbers)
        numbersTaken = needed
        hold(freed, horizon)
        return true
    }

    /// What the transaction has freed, from the first runs that are not recorded yet on, in the order of
    /// births.
    private func freed(from first: Int) -> [FreedRun] {
        var freed = Array(write.pointee.workspace.pointee.freed[first...])
        freed.sort { $0.birth < $1.birth }
        return freed
    }

    /// Keeps freed runs in the free list, which has room for them.
    private func hold(_ freed: [FreedRun], _ horizon: Horizon) {
        freeList.hold(freed[...], transaction: transaction.pointee.id, horizon)
        countPinned(freed, horizon)
    }

    /// Counts what waits for the next checkpoint.
    private func countPinned(_ freed: [FreedRun], _ horizon: Horizon) {
        let id = transaction.pointee.id
        for run in freed where horizon.isInRoot(StateRange(birth: run.birth, end: id)) {
            transaction.pointee.meta.pinnedTotal &+= run.pages.count
        }
    }

    /// Records freed runs in the free tree, those that the same states need together.
    private func record(
        _ freed: [FreedRun], in space: inout FreeTree, _ horizon: Horizon
    ) throws(DatabaseError) {
        countPinned(freed, horizon)
        var rest = freed[...]
        while let first = rest.first {
            let place = horizon.place(of: first.birth)
            let end = rest.firstIndex { horizon.place(of: $0.birth) != place } ?? rest.endIndex
            try space.recordFreed(
                rest[..<end].map(\.pages),
                StateRange(birth: first.birth, end: transaction.pointee.id), horizon)
            rest = rest[end...]
        }
    }

    /// Takes numbers from the free tree, and some more to have in free list; records what the
    /// free list holds of freed pages. That changes the tree, which needs frames and frees pages itself,
    /// so it goes on until nothing is left.
    private mutating func takeFromTree(_ horizon: Horizon) throws(DatabaseError) {
        var space = FreeTree(
            writer: writer(Self.free(of: write)),
            meta: withUnsafeMutablePointer(to: &transaction.pointee.meta) { $0 }, store: store)
        defer { space.deallocate() }
        let shrinking = write.pointee.shrinking
        let isLarge = frames.pointee.dirtyPages >= Self.manyPages && shrinking == nil
        space.prefersLow(limit: shrinking?.limit ?? store.shared.allocationLimit, shrinking != nil)
        try spillFreed(&space, horizon)
        if space.limit != 0, shrinking?.pageCountMin == nil {
            try space.release(freeList.takeAvailable(from: space.limit))
        }
        if isLarge || shrinking?.pageCountMin != nil || isDiskFull || isNearlyFull
            || freeList.availablePages > Self.freeListPagesMax
        {
            let runs = freeList.availableRuns
            freeList.clearAvailable()
            try space.release(runs)
        }
        let wanted = frames.pointee.dirtyPages + 16
        let availableBefore = transaction.pointee.meta.availablePages
        try space.mature(
            horizon,
            wanted: isDiskFull
                ? .max
                : shrinking.map { availableBefore + $0.maturedMax }
                    ?? toBeAvailable(isLarge ? wanted : wanted + Self.freeListTarget))
        shrinking?.progress?.maturedPages =
            transaction.pointee.meta.availablePages - availableBefore
        if let shrinking, let pageCountMin = shrinking.pageCountMin {
            try space.cutTail(to: pageCountMin, atLeast: shrinking.cutMin)
            // Where pages are free more than once, the list may have some of those that were cut off.
            guard
                freeList.isUsable(
                    pageCount: transaction.pointee.meta.pageCount,
                    transaction: transaction.pointee.id)
            else {
                throw DatabaseError(
                    .corrupted,
                    "the end of the file has pages that are free more than once; run zerodb-check")
            }
        }
        for index in 0..<frames.pointee.count where frames.pointee.frames[index].memory != nil {
            let pages = frames.pointee.frames[index].pages
            guard pages > 1 else { continue }
            // First: taking numbers makes frames, and the table may move.
            let run = try space.takeRun(of: pages, horizon)
            frames.pointee.setNumber(run.start, of: index)
        }
        var recorded = 0
        for _ in 0..<Self.roundsMax {
            let freed = freed(from: recorded)
            recorded += freed.count
            if freeList.hasRoom(freed[...], horizon) {
                hold(freed, horizon)
            } else {
                try record(freed, in: &space, horizon)
            }
            let needed = UInt64(frames.pointee.singleFrames)
            if needed > numbersTaken {
                try take(needed - numbersTaken, isLarge: isLarge, space)
                numbersTaken = needed
                continue
            }
            if recorded < write.pointee.workspace.pointee.freed.count { continue }
            guard needed < numbersTaken else { return }
            // Merges in the free tree have left numbers over: free them too.
            giveBack(numbersTaken - needed)
        }
        throw DatabaseError(
            .corrupted, "the free tree of the environment changes without end; run zerodb-check")
    }

    /// Whether the pages in free list may be what is missing for a run.
    private var isNearlyFull: Bool {
        let pagesMax = store.pagesMax
        let unused = pagesMax - min(pagesMax, transaction.pointee.meta.pageCount)
        return unused < frames.pointee.dirtyPages + 2 * Self.freeListPagesMax
    }

    /// Moves the freed runs of the free list to the free tree, those that the same states need together.
    private func spillFreed(
        _ space: inout FreeTree, _ horizon: Horizon
    ) throws(DatabaseError) {
        var groups: [(range: StateRange, needs: Range<Int>, runs: [PageRun])] = []
        freeList.forEachPending { run, range in
            let needs = horizon.needs(range)
            guard let index = groups.firstIndex(where: { $0.needs == needs }) else {
                groups.append((range, needs, [run]))
                return
            }
            groups[index].range.birth = min(groups[index].range.birth, range.birth)
            groups[index].range.end = max(groups[index].range.end, range.end)
            groups[index].runs.append(run)
        }
        freeList.clearPending()
        for group in groups { try space.recordFreed(group.runs, group.range, horizon) }
    }

    /// Takes single pages: from the free list and then from the tree, with some for the free list.
    private mutating func take(
        _ count: UInt64, isLarge: Bool, _ space: FreeTree
    ) throws(DatabaseError) {
        var needed = count - freeList.take(count, below: space.limit, into: &numbers)
        guard needed > 0 else { return }
        // A large commit leaves some behind for its own changes of the tree only.
        let extra =
            write.pointee.shrinking == nil
            ? min(isLarge ? 16 : Self.freeListTarget, UInt64(freeList.room)) : 0
        let runs = try space.take(
            needed, extra: extra, mayGrow: isLarge && !isDiskFull, growsForMore: !isDiskFull)
        for run in runs {
            let part = min(run.count, needed)
            if part > 0 { numbers.append(PageRun(start: run.start, count: part)) }
            needed -= part
            if part < run.count {
                giveToFreeList(PageRun(start: run.start + part, count: run.count - part))
            }
        }
    }

    /// Makes a run available to the commits after this one.
    private func giveToFreeList(_ run: PageRun) {
        guard !freeList.give(run) else { return }
        write.pointee.workspace.pointee.free(run, birth: transaction.pointee.id)
    }

    /// How many pages should be available for a commit that needs some; 0 if there are enough.
    ///
    /// A commit that needs many has more of them made available than it takes: the more there is to
    /// choose from, the longer are the runs. One that needs few leaves that to every few commits,
    /// but keeps young entries few: the ends of their range are then in one page of the tree.
    private func toBeAvailable(_ wanted: UInt64) -> UInt64 {
        let meta = transaction.pointee.meta
        let isDue =
            wanted >= Self.manyPages || meta.availablePages < wanted
            || meta.youngPages > 4 * wanted
        return isDue ? meta.availablePages + 2 * wanted : 0
    }

    /// What may still need freed pages, after dead readers have been cleared away.
    private func horizon() -> Horizon {
        let horizon = store.shared.horizon()
        guard horizon.hasReaders, store.reapReaders() > 0 else { return horizon }
        return store.shared.horizon()
    }

    private mutating func giveBack(_ count: UInt64) {
        var left = count
        while left > 0, var last = numbers.popLast() {
            let part = min(left, last.count)
            last.count -= part
            if last.end + part == transaction.pointee.meta.pageCount {
                // The end of the file, taken a moment ago: it need not grow that far.
                transaction.pointee.meta.pageCount = last.end
            } else {
                giveToFreeList(PageRun(start: last.end, count: part))
            }
            if last.count > 0 { numbers.append(last) }
            left -= part
            numbersTaken -= part
        }
    }
}
