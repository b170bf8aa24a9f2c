import CZeroDBPlatform
import Glibc

/// The locks that processes wait for, on bytes of `lock.zdb`. A word beside each names the process that
/// has it, for people to read: the kernel keeps that to itself. Threads of one process are kept apart by
/// mutexes in front.
struct ProcessLocks {
    /// nil if the environment is on a medium where nothing can be written.
    let file: (any StorageFile)?
    let shared: SharedState
    /// What the options say.
    let wait: WriterWait
    let processID: Int32
    let path: String

    enum Kind {
        case checkpoint, segments, readers, closing

        var byte: UInt64 {
            switch self {
            case .checkpoint: LockByte.checkpoint
            case .segments: LockByte.segments
            case .readers: LockByte.readers
            case .closing: LockByte.writable
            }
        }

        var holder: Int {
            switch self {
            case .checkpoint: SharedState.Layout.checkpointProcessID
            case .segments: SharedState.Layout.segmentsProcessID
            case .readers: SharedState.Layout.readersProcessID
            case .closing: SharedState.Layout.closingProcessID
            }
        }

        /// What a process does that has it alone.
        var task: String {
            switch self {
            case .checkpoint: "makes a checkpoint of"
            case .segments: "makes or removes files of the log of"
            case .readers: "makes the reader table larger in"
            case .closing: "closes"
            }
        }
    }

    /// Takes a lock alone.
    ///
    /// - Parameter wait: for how long it may wait; nil for what the options say.
    /// - Throws: `busy` if the wait comes to its end; a system error.
    func take(_ kind: Kind, _ wait: WriterWait? = nil) throws(DatabaseError) {
        try acquire(kind, .exclusive, wait ?? self.wait)
        shared[kind.holder] = UInt64(UInt32(bitPattern: processID))
    }

    func giveBack(_ kind: Kind) {
        guard let file else { return }
        shared[kind.holder] = 0
        // An unlock of a lock that is held does not fail.
        _ = try? file.lock(byte: kind.byte, .unlocked, wait: false)
    }

    /// Takes a lock that others may have too.
    ///
    /// - Throws: as `take`.
    func share(_ kind: Kind) throws(DatabaseError) { try acquire(kind, .shared, wait) }

    private func acquire(
        _ kind: Kind, _ mode: LockMode, _ wait: WriterWait
    ) throws(DatabaseError) {
        guard let file else { return }
        if wait == .forever {
            _ = try file.lock(byte: kind.byte, mode, wait: true)
            return
        }
        let hasIt = try Self.retry(until: wait.end) { () throws(DatabaseError) in
            try file.lock(byte: kind.byte, mode, wait: false)
        }
        guard hasIt else { throw busy(kind, wait == .never ? nil : .writerWait) }
    }

    /// - Throws: `busy` if another process has the lock.
    func checkNotElsewhere(_ kind: Kind) throws(DatabaseError) {
        guard let file, try file.isLocked(byte: kind.byte) else { return }
        throw busy(kind, .writerWait)
    }

    private func busy(_ kind: Kind, _ limit: Limit?) -> DatabaseError {
        let holder = Int32(truncatingIfNeeded: shared[kind.holder])
        return DatabaseError(
            .busy, limit: limit,
            "\(Self.describe(process: holder)) \(kind.task) the environment at \(path), and has not "
                + "come to its end; try again, or end it")
    }

    /// A process that others wait for, in words.
    static func describe(process: Int32) -> String {
        guard process > 0 else { return "another process" }
        return "process \(process)\(zp_process_is_stopped(process) ? ", which is stopped," : "")"
    }

    /// Tries again and again, at first often.
    ///
    /// - Parameter end: by the monotonic clock, in nanoseconds.
    /// - Returns: false if that has come first.
    static func retry(
        until end: UInt64, _ succeeds: () throws(DatabaseError) -> Bool
    ) throws(DatabaseError) -> Bool {
        var delay: UInt32 = 100
        while true {
            if try succeeds() { return true }
            guard SystemCall.monotonicNanoseconds() < end else { return false }
            usleep(delay)
            delay = min(delay * 2, 3200)
        }
    }
}
