import CZeroDBPlatform
import Glibc

/// The redo log of an environment, as this process writes and flushes it.
///
/// Appending needs the writer's lock. Flushing is a group matter: one of the threads that wait
/// flushes for all whose records were there when it began, and the others sleep.
final class Log: @unchecked Sendable {
    private let directory: LogDirectory
    /// Whose owner, group and mode new files get.
    private let dataFile: any StorageFile
    private let seed: UInt64
    /// Bytes of the largest segments.
    private let capacityMax: UInt64
    /// The segments this process has open, by base.
    private let segments = Locked<[UInt64: LogSegment]>([:])
    private let locks: ProcessLocks
    /// Held while files of the log are made, renamed or removed.
    private let segmentsMutex = Mutex()
    private let mutex = Mutex()
    /// Told when a flush has ended.
    private let flushed = Condition()
    /// Whether a thread of this process is flushing; under `mutex`.
    private var isFlushing = false
    /// What the process does if it exits before a relaxed commit is on disk.
    private let exitFlush = zp_exit_flush_make()
    /// The segment for whose successor a file has been asked for; under the lock of `segments`.
    private var preparedFor: UInt64 = 0

    init(
        in directory: LogDirectory, dataFile: any StorageFile, seed: UInt64,
        locks: ProcessLocks, capacityMax: UInt64
    ) {
        self.capacityMax = min(
            max(capacityMax & ~4095, LogSegment.capacityMin), LogSegment.capacityMax)
        self.directory = directory
        self.dataFile = dataFile
        self.locks = locks
        self.seed = seed
    }

    deinit { zp_exit_flush_free(exitFlush) }

    /// Before the memory that processes share is unmapped.
    func endFlushAtExit() { zp_exit_flush_end(exitFlush) }

    func close() {
        segments.withLock { $0 = [:] }
        directory.close()
    }

    // MARK: Segments

    private func lockSegments() throws(DatabaseError) {
        segmentsMutex.lock()
        do throws(DatabaseError) {
            try locks.take(.segments)
        } catch {
            segmentsMutex.unlock()
            throw error
        }
    }

    private func unlockSegments() {
        locks.giveBack(.segments)
        segmentsMutex.unlock()
    }

    /// Runs a body while no file of the log is made, renamed or removed.
    func whileFilesStay(_ body: () throws(DatabaseError) -> Void) throws(DatabaseError) {
        try lockSegments()
        defer { unlockSegments() }
        try body()
    }

    /// Whether the segment at the log's end is more than half full and no one has been asked yet
    /// to prepare the next.
    func wantsSpare(_ meta: Meta) -> Bool {
        guard meta.logEnd > 0 else { return false }
        return segments.withLock { segments in
            guard let active = segments[meta.logSegment], preparedFor != active.base,
                meta.logEnd - active.base > active.capacity / 2
            else { return false }
            preparedFor = active.base
            return true
        }
    }

    /// Writes the file for the next segment in advance, without holding any commit up.
    ///
    /// - Parameter name: of a file that is this process's alone.
    func prepareSpare(_ meta: Meta, name: String) throws(DatabaseError) {
        guard let active = segments.withLock({ $0[meta.logSegment] }) else { return }
        let capacity = min(capacityMax, active.capacity * 2)
        guard try !LogSegment.hasSpare(capacity: capacity, in: directory, meta: meta)
        else { return }
        try LogSegment.writeZeros(
            to: name, capacity: capacity, in: directory, meta: meta, like: dataFile)
        try lockSegments()
        defer { unlockSegments() }
        let opened = try directory.make(like: dataFile)
        if try LogSegment.hasSpare(capacity: capacity, in: directory, meta: meta) {
            try opened.remove(name)
        } else {
            try LogSegment.give(LogSegment.spareName, to: name, in: opened, meta)
        }
    }

    /// The segment that holds the end of the log.
    private func segment(base: UInt64, meta: Meta) throws(DatabaseError) -> LogSegment? {
        if let known = segments.withLock({ $0[base] }) { return known }
        guard
            let segment = try LogSegment.open(
                base: base, in: directory, meta: meta, access: .readWrite)
        else { return nil }
        remember(segment)
        return segment
    }

    /// Keeps a segment open, and the one before it. A file closes with the last reference to it, which
    /// may be that of a thread that flushes it.
    private func remember(_ segment: LogSegment) {
        segments.withLock { segments in
            segments[segment.base] = segment
            for base in segments.keys.sorted().dropLast(2) { segments[base] = nil }
        }
    }

    /// Lets go of a segment that was made for a commit that then failed: the next writer, perhaps of
    /// another process, makes it once more, and this file has no name then.
    private func forget(_ segment: LogSegment) {
        segments.withLock { $0[segment.base] = nil }
    }

    // MARK: Append

    /// Writes a transaction's record behind the tip's and notes in `meta` where the log then
    /// ends. Not flushed. With the writer's lock.
    ///
    /// - Returns: false if the disk has no room for it; the log ends where it did then.
    func append(
        _ buffer: inout LogBuffer, to meta: UnsafeMutablePointer<Meta>, shared: SharedState
    ) throws(DatabaseError) -> Bool {
        buffer.pad()
        let length = UInt64(buffer.count)
        var end = (
            position: meta.pointee.logEnd, previous: meta.pointee.logChecksum,
            segment: meta.pointee.logSegment
        )
        // A log that was never begun has no segment; position 0 stands for that.
        var current: LogSegment?
        if end.position > 0 { current = try segment(base: end.segment, meta: meta.pointee) }
        let hasRoom = current.map { end.position >= $0.base && length <= $0.end - end.position }
        var made: LogSegment?
        if hasRoom != true {
            made = try beginSegment(
                after: current, length: length, &end.position, &end.previous, meta.pointee, shared)
            guard let made else { return false }
            current = made
            end.segment = made.base
        }
        guard let current else { return false }
        let record = LogRecord(
            kind: .transaction, length: length, position: end.position, previous: end.previous,
            transaction: meta.pointee.transaction, wallClock: meta.pointee.wallClock,
            flushed: shared.flushed, digest: meta.pointee.digest)
        guard record.end < Format.idLimit else {
            throw DatabaseError(
                .full, limit: .transactionIDs,
                "the log has come to its last position, \(record.position)")
        }
        let checksum = record.store(to: buffer.bytes, seed: seed)
        do throws(DatabaseError) {
            try current.file.write(
                UnsafeRawBufferPointer(start: buffer.bytes, count: buffer.count),
                at: current.offset(of: end.position))
        } catch {
            if let made { forget(made) }
            try takeBack(
                UnsafeRawBufferPointer(start: buffer.bytes, count: buffer.count), from: current,
                at: end.position, shared)
            // On file systems that write nothing in place.
            if error.isOutOfSpace { return false }
            throw error
        }
        meta.pointee.logEnd = record.end
        meta.pointee.logChecksum = checksum
        meta.pointee.logSegment = end.segment
        meta.pointee.loggedTransaction = meta.pointee.transaction
        return true
    }

    /// Makes sure that nothing replays a record whose write has failed: all that matters of it may be in
    /// the file all the same, as the last bytes of most records are zeros.
    ///
    /// - Throws: `panic` if the record cannot be taken back.
    private func takeBack(
        _ record: UnsafeRawBufferPointer, from segment: LogSegment, at position: UInt64,
        _ shared: SharedState
    ) throws(DatabaseError) {
        guard mayHold(record, segment, at: position) else { return }
        let zeros = UnsafeMutableRawBufferPointer.allocate(
            byteCount: LogRecord.headerSize, alignment: 8)
        defer { zeros.deallocate() }
        zeros.initializeMemory(as: UInt8.self, repeating: 0)
        do throws(DatabaseError) {
            try segment.file.write(
                UnsafeRawBufferPointer(zeros), at: segment.offset(of: position))
            // The kernel may have written the record out already.
            try segment.file.sync()
        } catch {
            shared.poison = error.systemError == 0 ? EIO : error.systemError
            throw DatabaseError(
                .panic,
                "\(error.markedMessage); whether the last transaction is in the log is unknown, "
                    + "so the "
                    + "environment refuses to write until all programs have closed it and it is "
                    + "opened again")
        }
    }

    /// Whether a file has a whole record at a position; true if that cannot be told.
    private func mayHold(
        _ record: UnsafeRawBufferPointer, _ segment: LogSegment, at position: UInt64
    ) -> Bool {
        let found = UnsafeMutableRawBufferPointer.allocate(byteCount: record.count, alignment: 8)
        defer { found.deallocate() }
        guard let count = try? segment.file.read(into: found, at: segment.offset(of: position))
        else { return true }
        guard count == record.count, let left = found.baseAddress, let right = record.baseAddress
        else { return false }
        return memcmp(left, right, count) == 0
    }

    /// Closes a segment and begins the next.
    ///
    /// - Returns: nil if the disk has no room for it, or this process may not make files any more.
    private func beginSegment(
        after current: LogSegment?, length: UInt64, _ position: inout UInt64,
        _ previous: inout UInt64, _ meta: Meta, _ shared: SharedState
    ) throws(DatabaseError) -> LogSegment? {
        var capacity = LogSegment.capacityMin
        if let current, position >= current.base, position <= current.end {
            if current.end - position >= UInt64(LogRecord.headerSize) {
                let bytes = UnsafeMutableRawPointer.allocate(
                    byteCount: LogRecord.headerSize, alignment: 8)
                defer { bytes.deallocate() }
                let mark = LogRecord(
                    kind: .endOfSegment, length: UInt64(LogRecord.headerSize), position: position,
                    previous: previous, transaction: meta.transaction, wallClock: meta.wallClock,
                    flushed: shared.flushed, digest: meta.digest)
                previous = mark.store(to: bytes, seed: seed)
                try current.file.write(
                    UnsafeRawBufferPointer(start: bytes, count: LogRecord.headerSize),
                    at: current.offset(of: position))
            }
            // From here on a flush means the next file only.
            try flushEnd(of: current, meta, shared)
            position = current.end
            capacity = min(capacityMax, current.capacity * 2)
        } else if position > 0 {
            // The segment is gone: what it held is behind a checkpoint.
            position = (position + 4095) & ~4095
        } else {
            // Position 0 means that there is no log; the first begins behind it.
            position = LogSegment.firstBase
        }
        let needed = (length + 4095) & ~4095
        try lockSegments()
        defer { unlockSegments() }
        do throws(DatabaseError) {
            let segment = try LogSegment.make(
                base: position, capacity: max(capacity, needed), in: directory, meta: meta,
                like: dataFile)
            remember(segment)
            return segment
        } catch {
            guard error.isOutOfSpace || error.isRefusal else { throw error }
            return nil
        }
    }

    // MARK: Flush

    /// Waits until the log is on disk up to a position, flushing it if no other thread does.
    ///
    /// - Throws: a system error. If a flush has failed, of this or another process, `shared` is poisoned
    ///   then; otherwise nothing is lost, and the next try may succeed.
    func waitFlushed(to position: UInt64, shared: SharedState) throws(DatabaseError) {
        mutex.lock()
        defer { mutex.unlock() }
        while shared.flushed < position {
            try checkPoison(shared)
            if isFlushing {
                flushed.wait(with: mutex)
                continue
            }
            try flushAlone(shared) { () throws(DatabaseError) in try tipSegment(shared) }
            // The tip is not before any record that a commit waits for.
            guard shared.flushed >= position else {
                throw SharedState.damaged("the log is flushed up to \(shared.flushed) only")
            }
        }
    }

    /// Has the process flush the log when it exits without closing the environment, if it is not on disk
    /// up to the end of a state then. For all who wait for nothing.
    func flushAtExit(_ meta: Meta, _ shared: SharedState) {
        guard let segment = segments.withLock({ $0[meta.logSegment] }) else { return }
        segment.file.flushAtExit(
            exitFlush, end: meta.logEnd, flushed: shared.base + SharedState.Layout.flushed,
            poison: shared.base + SharedState.Layout.poison)
    }

    /// Flushes a segment to which nothing is appended any more.
    private func flushEnd(
        of segment: LogSegment, _ meta: Meta, _ shared: SharedState
    ) throws(DatabaseError) {
        mutex.lock()
        defer { mutex.unlock() }
        while isFlushing { flushed.wait(with: mutex) }
        try checkPoison(shared)
        try flushAlone(shared) { () throws(DatabaseError) in (segment, meta) }
    }

    /// Makes a flush that no other of this process overlaps: of two flushes of a file that do, the
    /// kernel may tell only one that what both were to write is lost. With `mutex`, which others
    /// can have meanwhile.
    ///
    /// - Parameter segmentToFlush: the segment to flush, and a state whose log ends in it; nil if there is
    ///   nothing to flush. An error of it is no failed flush.
    private func flushAlone(
        _ shared: SharedState,
        _ segmentToFlush: () throws(DatabaseError) -> (segment: LogSegment, meta: Meta)?
    ) throws(DatabaseError) {
        assert(mutex.isHeld && !isFlushing)
        isFlushing = true
        mutex.unlock()
        var failure: DatabaseError?
        do throws(DatabaseError) {
            if let found = try segmentToFlush() { try flush(found.segment, found.meta, shared) }
        } catch {
            failure = error
        }
        mutex.lock()
        isFlushing = false
        flushed.broadcast()
        if let failure { throw failure }
    }

    private func checkPoison(_ shared: SharedState) throws(DatabaseError) {
        let error = shared.poison
        guard error == 0 else { throw DatabaseError(systemError: error, "flush the log") }
    }

    /// The segment at the end of the log, with the newest commit's state.
    ///
    /// - Returns: nil if all is on disk.
    private func tipSegment(
        _ shared: SharedState
    ) throws(DatabaseError) -> (segment: LogSegment, meta: Meta)? {
        let meta = try shared.tipMeta()
        guard meta.logEnd > shared.flushed else { return nil }
        if let segment = try segment(base: meta.logSegment, meta: meta) { return (segment, meta) }
        // Behind a checkpoint and recycled since: it is durable there.
        guard shared.checkpointLogEnd >= meta.logEnd else {
            throw DatabaseError(
                systemError: ENOENT, "open log segment \(LogSegment.name(base: meta.logSegment))")
        }
        shared.raiseFlushed(to: meta.logEnd)
        return nil
    }

    /// Flushes a segment that holds the end of a state's log, and lets readers see the state.
    private func flush(
        _ segment: LogSegment, _ meta: Meta, _ shared: SharedState
    ) throws(DatabaseError) {
        let began = zp_ticks()
        do throws(DatabaseError) {
            try segment.file.sync()
        } catch {
            // The disk has not been asked: the host has closed the descriptor. Others can flush.
            if error.systemError == EBADF { throw error }
            // Before another thread can flush, and would be told that all is well (invariant 3).
            shared.poison = error.systemError == 0 ? EIO : error.systemError
            throw error
        }
        // If a flush of another process has failed meanwhile, this one's success says nothing.
        try checkPoison(shared)
        shared.note(.logFlush, nanoseconds: zp_nanoseconds_spent(began))
        let visible = shared.visible
        if meta.loggedTransaction > visible {
            shared.noteGroup(meta.loggedTransaction - visible)
        }
        // Visible first: a thread that sees its record flushed returns, and must then see its commit.
        shared.raiseVisible(to: meta.loggedTransaction)
        shared.raiseFlushed(to: meta.logEnd)
    }

    // MARK: Recycling

    /// Removes the segments that a checkpoint has made needless, one of them kept as the next
    /// one's file. Files of another environment are left alone, and so is what is to be archived, up to a
    /// bound.
    ///
    /// - Returns: whether something was removed that was not archived.
    func recycle(_ meta: Meta, _ shared: SharedState) throws(DatabaseError) -> Bool {
        try lockSegments()
        defer { unlockSegments() }
        guard let opened = try directory.open() else { return false }
        let old = try directory.bases().filter { $0 < meta.logSegment && $0 < meta.logEnd }
        let (isCut, needless) = Self.needless(old, meta, shared)
        guard let last = needless.last else { return false }
        // The newest of them is the next one's file, if that has not been prepared.
        let hasSpare = try opened.list().contains(LogSegment.spareName)
        for base in needless {
            segments.withLock { $0[base] = nil }
            let name = LogSegment.name(base: base)
            guard try LogSegment.isDisposable(name, in: opened, meta: meta) else { continue }
            if base == last && !hasSpare {
                try opened.rename(name, to: LogSegment.spareName)
            } else {
                try opened.remove(name)
            }
        }
        return isCut
    }

    /// The segments of those behind a checkpoint that no archive needs, or that would make the log too long.
    private static func needless(
        _ old: [UInt64], _ meta: Meta, _ shared: SharedState
    ) -> (isCut: Bool, [UInt64]) {
        let archived = shared.archived
        guard archived > 0 else { return (false, old) }
        let keptFrom = meta.logEnd - min(meta.logEnd, shared.archiveKeptMax)
        var isCut = false
        var needless: [UInt64] = []
        for (index, base) in old.enumerated() {
            let end = index + 1 < old.count ? old[index + 1] : meta.logSegment
            let isArchived = end <= archived
            guard isArchived || end <= keptFrom else { break }
            if !isArchived { isCut = true }
            needless.append(base)
        }
        return (isCut, needless)
    }

    /// Removes files that a process was preparing when it died. While no other process has the
    /// environment open.
    func removeLeftovers(_ meta: Meta) throws(DatabaseError) {
        guard let opened = try directory.open() else { return }
        for name in try opened.list()
        where name.hasPrefix(LogSegment.spareName + ".") {
            if try LogSegment.isDisposable(name, in: opened, meta: meta) {
                try opened.remove(name)
            }
        }
    }
}
