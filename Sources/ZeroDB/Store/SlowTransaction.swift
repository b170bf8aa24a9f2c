/// A transaction that took longer than `slowTransactionMilliseconds`: whose it was, what it did, and where
/// the time went.
public struct SlowTransaction: Sendable, Equatable {
    /// How it ended.
    public enum Outcome: String, Sendable {
        case committed
        case aborted
        /// A read transaction, whose snapshot was let go of.
        case read
    }

    /// How it ended.
    public var outcome: Outcome
    /// The transaction that it was, or whose state it saw.
    public var transaction: UInt64
    /// Its process.
    public var processID: Int32
    /// The system's id of the thread that ended it.
    public var thread: UInt64
    /// Nanoseconds until it had the writer's lock.
    public var waitNanoseconds: UInt64 = 0
    /// Nanoseconds in which the program worked with it.
    public var workNanoseconds: UInt64 = 0
    /// Nanoseconds in which its commit wrote pages and the log, with the writer's lock.
    public var appendNanoseconds: UInt64 = 0
    /// Nanoseconds in which its commit waited for the disk.
    public var flushNanoseconds: UInt64 = 0
    /// Gets.
    public var gets: UInt64 = 0
    /// Entries that cursors were moved to.
    public var cursorMoves: UInt64 = 0
    /// Puts that changed something.
    public var puts: UInt64 = 0
    /// Deletes that changed something, those of ranges included.
    public var deletes: UInt64 = 0
    /// Pages that it changed.
    public var pages: UInt64 = 0

    /// All together.
    public var nanoseconds: UInt64 {
        waitNanoseconds &+ workNanoseconds &+ appendNanoseconds &+ flushNanoseconds
    }

    /// Nanoseconds as milliseconds with one decimal.
    static func milliseconds(_ nanoseconds: UInt64) -> String {
        "\(nanoseconds / 1_000_000).\(nanoseconds / 100_000 % 10)"
    }

    var message: String {
        func time(_ nanoseconds: UInt64) -> String { Self.milliseconds(nanoseconds) }
        let place = "process \(processID), thread \(thread)"
        if outcome == .read {
            return "slow read transaction on \(transaction): \(time(nanoseconds)) ms; \(place); "
                + "\(gets) gets, \(cursorMoves) cursor moves"
        }
        return "slow write transaction \(transaction): \(time(nanoseconds)) ms, of which "
            + "wait \(time(waitNanoseconds)), work \(time(workNanoseconds)), "
            + "append \(time(appendNanoseconds)), flush \(time(flushNanoseconds)); \(outcome.rawValue); "
            + "\(place); \(puts) puts, \(deletes) deletes, \(pages) pages, \(gets) gets, "
            + "\(cursorMoves) cursor moves"
    }
}

extension Store {
    /// Tells the host program of a transaction if it was slow.
    func report(_ slow: SlowTransaction) {
        guard slow.nanoseconds >= state.pointee.slowNanoseconds, let onEvent = options.onEvent,
            options.eventLevel <= .warning
        else { return }
        onEvent(Event(level: .warning, message: "\(slow.message), in \(path)", slow: slow))
    }
}
