import Glibc
import Synchronization

/// Giving the end of the data file back to the file system.
///
/// A commit first makes the state smaller: pages at the end of the file that nothing needs are no page of
/// its state any more (`FreeTree.cutTail`). The file is cut off later, when no other state is left that has
/// more pages: neither one that a crash would leave, nor one that is being read or may be.
extension SharedState {
    /// The newest commit with fewer pages than the one before it. From it to the tip, no state has more
    /// pages than the tip.
    ///
    /// A process that dies before that commit is the tip leaves the number of the next one, of which the
    /// same is true.
    var lowered: UInt64 {
        get { self[Layout.lowered] }
        nonmutating set { self[Layout.lowered] = newValue }
    }

    /// How often the data file has been cut off. Under the writer's lock.
    var truncations: UInt64 {
        get { self[Layout.truncations] }
        nonmutating set { self[Layout.truncations] = newValue }
    }

    /// Commits prefer free pages below this one, for those behind it to become free; 0 if they need not.
    /// Under the writer's lock. One that a process leaves when it dies costs commits a search.
    var allocationLimit: UInt64 {
        get { self[Layout.allocationLimit] }
        nonmutating set { self[Layout.allocationLimit] = newValue }
    }

    /// The process in which the library itself has the writer's lock or is about to take it, for a moment; of
    /// several, the last. One that dies leaves its name.
    fileprivate var maintainer: Owner {
        get { Owner(raw: self[Layout.maintainer]) }
        nonmutating set { self[Layout.maintainer] = newValue.raw }
    }

    /// Whether a state from before the newest that has fewer pages than the one before it may be needed: by
    /// a crash, or by a reader.
    func needsLongerFile() -> Bool {
        let lowered = lowered
        let horizon = horizon()
        return horizon.visible < lowered || horizon.states.contains { $0 < lowered }
    }
}

extension Store {
    /// Bytes that the file loses at once. The kernel keeps writers and flushes of the file out meanwhile, for
    /// some milliseconds.
    private static let truncationMax: UInt64 = 16 << 20
    /// For how long the library waits for the writer's lock, where what it wants to do can wait.
    static let maintenanceWait = WriterWait.milliseconds(20)

    /// Takes the writer's lock for a moment. A program that does not want to wait for another writer waits
    /// for this.
    ///
    /// - Parameter body: gives the lock back.
    /// - Throws: `busy`.
    func maintain<Result>(
        _ wait: WriterWait, _ body: () throws(DatabaseError) -> Result
    ) throws(DatabaseError) -> Result {
        beginMaintenance()
        defer { endMaintenance() }
        try lockWriter(until: wait.end)
        return try body()
    }

    func beginMaintenance() { shared.maintainer = process }

    func endMaintenance() {
        if shared.maintainer == process { shared.maintainer = SharedState.Owner(raw: 0) }
    }

    /// Whether the library itself has the writer's lock or is about to take it, in a process that lives.
    var isMaintained: Bool {
        let maintainer = shared.maintainer
        return maintainer.raw != 0 && !shared.isSuperseded(maintainer)
            && isAlive(entry: maintainer.entry)
    }

    /// Cuts pages off that no state has, part by part, with the writer's lock for each part and a pause
    /// between them. After a checkpoint, and without locks. Does nothing while the end is needed, or where a
    /// writer is at work for long. Failures are reported: nothing is lost but room.
    ///
    /// - Parameters:
    ///   - waits: for a writer, a little.
    ///   - partsMax: how many parts at most. The next checkpoint cuts off more.
    func cutOffTail(waits: Bool = false, partsMax: Int = .max) {
        guard !options.isReadOnly else { return }
        var left = partsMax
        do throws(DatabaseError) {
            while left > 0 {
                let began = SystemCall.monotonicNanoseconds()
                guard try cutOffPart(waits ? Self.maintenanceWait : .never) > 0 else { break }
                left -= 1
                if waits { rest(since: began) }
            }
        } catch {
            if error.code != .busy { reportLongFile(error) }
        }
    }

    func reportLongFile(_ error: DatabaseError) {
        report(.warning, "\(error.markedMessage); the file of \(path) stays longer than it need be")
    }

    /// How much longer than the cutting off of a part the pause after it is: the file system has more to do
    /// then than the call shows, which commits would wait for.
    static let restShare: UInt64 = 30

    private func rest(since began: UInt64) {
        let spent = SystemCall.monotonicNanoseconds() - began
        usleep(UInt32(clamping: spent * Self.restShare / 1000))
    }

    /// Cuts one part off, if there is one.
    ///
    /// - Returns: its bytes; 0 if there is nothing to cut off.
    /// - Throws: `busy` if the wait for the writer's lock comes to its end; `panic`; a system error.
    func cutOffPart(_ wait: WriterWait) throws(DatabaseError) -> UInt64 {
        guard mayBeCutOff() else { return 0 }
        return try maintain(wait) { () throws(DatabaseError) in
            defer { unlockWriter() }
            return try cutOffPart()
        }
    }

    /// Whether the file has an end that nothing needs. A guess, as it is without locks.
    private func mayBeCutOff() -> Bool {
        guard shared.poison == 0, let meta = try? shared.tipMeta(), let size = try? dataFile.size()
        else { return false }
        return size > meta.pageCount * UInt64(pageSize) && !shared.needsLongerFile()
    }

    /// Where the file ends when its next part is cut off.
    private func end(of size: UInt64, _ meta: Meta) -> UInt64 {
        max(
            meta.pageCount * UInt64(pageSize),
            (size - 1) / Self.truncationMax * Self.truncationMax)
    }

    /// Cuts one part off. With the writer's lock, so that the tip stays and the file does not grow.
    ///
    /// - Returns: its bytes; 0 if there is nothing to cut off.
    private func cutOffPart() throws(DatabaseError) -> UInt64 {
        assert(writerSemaphore.isHeld)
        try checkPoison()
        let meta = try tipMeta()
        let size = try dataFile.size()
        guard size > meta.pageCount * UInt64(pageSize), !shared.needsLongerFile() else { return 0 }
        let new = end(of: size, meta)
        // First: a process that dies in between leaves others to ask for the file's size.
        shared.truncations &+= 1
        keptEnd = 0
        let pages = (new + UInt64(pageSize) - 1) / UInt64(pageSize)
        state.pointee.forgetPages(from: pages)
        forgetVersions(from: pages, to: size / UInt64(pageSize))
        try dataFile.truncate(to: new)
        shared.countAlone(.bytesCutOff, size - new)
        report(.debug, "the file of \(path) has been cut from \(size) to \(new) bytes")
        return size - new
    }

    /// What comes to lie where the file was cut off is met for the first time.
    private func forgetVersions(from start: UInt64, to end: UInt64) {
        let end = min(end, UInt64(mapLength / pageSize))
        var page = start
        while page < end {
            source.verified[Int(page)].store(0, ordering: .relaxed)
            page += 1
        }
    }
}

/// When the file is made shorter without being asked to.
extension Store {
    /// Bytes of a file that is left as it is.
    private static let compactionMin: UInt64 = 4 << 20
    /// Nanoseconds between two attempts.
    private static let compactionPause: UInt64 = 5_000_000_000

    /// Whether more of the file is free than the options say.
    func isTooFree(_ meta: Meta) -> Bool {
        let percent = UInt64(options.autoCompactPercent)
        return percent > 0 && meta.freePages / 100 * 100 > meta.pageCount / 100 * percent
            && meta.pageCount * UInt64(pageSize) > Self.compactionMin
    }

    /// Asks for a compaction, unless one has ended a short time ago, or is under way.
    func compactIfDue() {
        let now = SystemCall.monotonicNanoseconds()
        let due = compactionDue.load(ordering: .relaxed)
        guard due < now else { return }
        guard
            compactionDue.compareExchange(
                expected: due, desired: .max, ordering: .relaxed
            ).exchanged
        else { return }
        backgroundTasks?.compactSoon()
    }

    /// Lets the next compaction begin after a while.
    ///
    /// - Parameter failures: of attempts in a row, after each of which the pause is longer.
    func noteCompactionEnd(failures: Int) {
        compactionDue.store(
            SystemCall.monotonicNanoseconds() + Self.compactionPause << UInt64(min(failures, 6)),
            ordering: .relaxed)
    }
}

/// A compaction in the background beside a thread that closes the environment. Its transactions are none
/// that the program has left open.
extension Store {
    /// - Returns: nanoseconds until the next step; nil if there is none.
    func compactInSteps() -> UInt64? {
        compactionLock.withLock {
            compactionPauses.load(ordering: .sequentiallyConsistent) == 0
                ? compactInBackground?() : nil
        }
    }

    /// Waits for the step that is being done, and lets no other begin.
    func pauseCompaction() {
        compactionPauses.add(1, ordering: .sequentiallyConsistent)
        compactionLock.withLock {}
    }

    func resumeCompaction() {
        compactionPauses.subtract(1, ordering: .sequentiallyConsistent)
        guard (try? enter()) != nil else { return }
        backgroundTasks?.compactSoon()
        leave()
    }
}
