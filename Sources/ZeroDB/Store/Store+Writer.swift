import CZeroDBPlatform
import Glibc

/// How long a thread waits for the writer's lock.
package enum WriterWait: Equatable {
    case forever
    /// Not at all.
    case never
    /// So many milliseconds.
    case milliseconds(UInt32)

    func isShorter(than nanoseconds: UInt64) -> Bool {
        switch self {
        case .forever: false
        case .never: true
        case .milliseconds(let count): UInt64(count) * 1_000_000 < nanoseconds
        }
    }

    /// By the monotonic clock, in nanoseconds.
    var end: UInt64 {
        switch self {
        case .forever: UInt64.max
        case .never: 0
        case .milliseconds(let count):
            SystemCall.monotonicNanoseconds() + UInt64(count) * 1_000_000
        }
    }
}

/// The writer's lock: one write transaction at a time, in all processes together.
extension Store {
    /// Nanoseconds after which a thread that waits for another looks whether it waits in vain.
    private static let lookAgainDelay: UInt64 = 50_000_000
    /// Nanoseconds for which nothing uses a write transaction whose thread has ended before threads
    /// that wait for it are told: it may be on its way to another thread.
    private static let abandonedDelay: UInt64 = 1_000_000_000

    /// Waits for the writer before this one, in this process and in others. Any thread may give
    /// either lock back, and the kernel drops the file's lock if its holder dies. It is asked for
    /// that only if another process may write.
    ///
    /// - Throws: `busy` if the wait comes to its end, the environment is being closed, or the thread
    ///   that has the write transaction of this process has ended and left it open.
    func lockWriter(_ wait: WriterWait) throws(DatabaseError) {
        let end = wait.end
        guard end != .max else { return try lockWriter(until: end) }
        let isMaintained = isMaintained
        do throws(DatabaseError) {
            try lockWriter(until: end)
        } catch {
            // The library is not the one whom a caller does not want to wait for.
            let now = SystemCall.monotonicNanoseconds()
            guard error.code == .busy, wait.isShorter(than: Self.maintenanceDelay),
                isMaintained || self.isMaintained
            else { throw error }
            try lockWriter(until: now + Self.maintenanceDelay)
        }
    }

    /// Nanoseconds that the library itself has the writer's lock at most, as a rule far less.
    private static let maintenanceDelay: UInt64 = 1_000_000_000

    func lockWriter(until end: UInt64) throws(DatabaseError) {
        try lockWriterInProcess(until: end)
        let isAlone = shared.beginAlone(process)
        writesAlone.store(isAlone, ordering: .relaxed)
        if !isAlone {
            // Left behind by nothing but damage to shared memory: this process would wait for itself.
            shared.forgetLoneWriter(process)
            do throws(DatabaseError) {
                try lockWriterBetweenProcesses(until: end)
            } catch {
                // What the holder has noted of itself stays.
                writerSemaphore.signal()
                throw error
            }
        }
        shared.writerProcessID = process.processID
    }

    private func lockWriterInProcess(until end: UInt64) throws(DatabaseError) {
        if writerSemaphore.tryWait() { return }
        // A commit of few pages has the lock for less time than it takes to sleep.
        if end != 0, writerSemaphore.spin() { return }
        var endedSince: UInt64 = 0
        var endedThread: UInt64 = 0
        while true {
            let now = SystemCall.monotonicNanoseconds()
            guard now < end else {
                throw DatabaseError(
                    .busy, limit: end == 0 ? nil : .writerWait,
                    "another thread of this process (\(process.processID)) has a write transaction "
                        + "open in the environment at \(path)")
            }
            let error = writerSemaphore.wait(until: min(end, now + Self.lookAgainDelay))
            if error == 0 {
                // The one before it may have been ended by the closing.
                do throws(DatabaseError) {
                    try checkStillOpen()
                } catch {
                    writerSemaphore.signal()
                    throw error
                }
                return
            }
            guard error == ETIMEDOUT else {
                throw DatabaseError(systemError: error, "wait for the writer of \(path)")
            }
            try checkStillOpen()
            // Any thread may go on with the transaction: the last that used it counts.
            let thread = state.pointee.writerUser.load(ordering: .relaxed)
            if thread == 0 || thread != endedThread || !zp_thread_has_ended(thread) {
                endedThread = thread
                endedSince = SystemCall.monotonicNanoseconds()
            } else if SystemCall.monotonicNanoseconds() - endedSince > Self.abandonedDelay {
                throw DatabaseError(
                    .busy,
                    "the thread that used the write transaction in the environment at \(path) last "
                        + "has ended and left it open; abort it from this or another thread")
            }
        }
    }

    private func lockWriterBetweenProcesses(until end: UInt64) throws(DatabaseError) {
        guard let lockFile else { return }
        if end == UInt64.max {
            _ = try lockFile.lock(byte: LockByte.writer, .exclusive, wait: true)
        } else {
            try retry(until: end) { () throws(DatabaseError) in
                try lockFile.lock(byte: LockByte.writer, .exclusive, wait: false)
            }
        }
        // A process that was alone until this one came ends its transaction first.
        do throws(DatabaseError) {
            try retry(until: end) { () throws(DatabaseError) in
                try !shared.hasLoneWriter(isLocked: askIfAlive)
            }
        } catch {
            _ = try? lockFile.lock(byte: LockByte.writer, .unlocked, wait: false)
            throw error
        }
    }

    /// Tries again and again, at first often.
    private func retry(
        until end: UInt64, _ succeeds: () throws(DatabaseError) -> Bool
    ) throws(DatabaseError) {
        let hasSucceeded = try ProcessLocks.retry(until: end) { () throws(DatabaseError) in
            if try succeeds() { return true }
            try checkStillOpen()
            return false
        }
        if !hasSucceeded { throw busyElsewhere(end == 0 ? nil : .writerWait) }
    }

    /// A thread that waits must not keep another from closing the environment.
    private func checkStillOpen() throws(DatabaseError) {
        guard state.pointee.phase != .draining else {
            throw DatabaseError(
                .busy, "the environment is being closed; no transaction begins any more")
        }
    }

    private func busyElsewhere(_ limit: Limit?) -> DatabaseError {
        DatabaseError(
            .busy, limit: limit,
            "\(ProcessLocks.describe(process: shared.writerProcessID)) has a write transaction open in "
                + "the environment at \(path)")
    }

    func unlockWriter() {
        writerThread.store(0, ordering: .relaxed)
        state.pointee.writerUser.store(0, ordering: .relaxed)
        shared.writerProcessID = 0
        if writesAlone.exchange(false, ordering: .relaxed) {
            shared.endAlone()
        } else {
            // An unlock of a lock that is held does not fail.
            _ = try? lockFile?.lock(byte: LockByte.writer, .unlocked, wait: false)
        }
        writerSemaphore.signal()
    }

    /// Whether the process of an entry lives. Where the kernel cannot be asked, it is taken to.
    func isAlive(entry: Int) -> Bool { (try? askIfAlive(entry: entry)) ?? true }

    /// The same for a wait, which ends with an error where the kernel cannot be asked.
    private func askIfAlive(entry: Int) throws(DatabaseError) -> Bool {
        // Of its own locks the kernel does not tell.
        if entry == process.entry { return true }
        return try lockFile?.isLocked(byte: LockByte.firstProcess + UInt64(entry)) ?? true
    }
}
