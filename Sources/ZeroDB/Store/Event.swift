/// Something the library did by itself that its host may want to know.
public struct Event: Sendable {
    /// How much it matters.
    public enum Level: UInt32, Sendable, Comparable {
        /// What happens all the time where there is much to do: checkpoints, a data file that grows or is cut
        /// off, a transaction that goes on in a file or becomes a checkpoint, a call that is refused because
        /// of a limit.
        case debug = 0
        /// A recovery that replayed the log to its end; readers of dead processes that were given up; a
        /// compaction in the background that has ended; what recovery mode shows.
        case information = 1
        /// Recovery cut off a record that does not check, torn in a crash or damaged since; a damaged copy
        /// in a meta page was written anew from the other one; or the library failed to recycle the log
        /// or to make its next segment in advance, and will try again; a slow transaction. In recovery mode,
        /// a part of a database that is passed over.
        case warning = 2
        /// A flush failed; the environment refuses to write, as ``DatabaseError/Code/panic`` says. In
        /// recovery mode, transactions that are not shown.
        case error = 3

        /// Levels by how much they matter.
        public static func < (left: Level, right: Level) -> Bool { left.rawValue < right.rawValue }
    }

    /// How much it matters.
    public var level: Level
    /// What happened, in a sentence.
    public var message: String
    /// The same, with the names of the interface marked, for other languages.
    package let markedMessage: String
    /// The keys that recovery mode passes over, if it is about that. Told once for each page.
    public var skipped: SkippedRange?
    /// The transaction that took longer than `slowTransactionMilliseconds`, if it is about one.
    public var slow: SlowTransaction?

    /// - Parameter message: what happened, with names marked as ``MessageNames`` says.
    init(
        level: Level, message: String, skipped: SkippedRange? = nil, slow: SlowTransaction? = nil
    ) {
        self.level = level
        self.message = MessageNames.inSwift(message)
        markedMessage = message
        self.skipped = skipped
        self.slow = slow
    }
}

/// Keys that recovery mode passes over, because a page that leads to them cannot be read. Entries of these
/// keys may be missing in what it shows.
public struct SkippedRange: Sendable, Equatable {
    /// What has the keys.
    public enum Place: Sendable, Equatable {
        case main
        /// A database by the bytes of its name.
        case database([UInt8])
        /// The names of databases, which are the keys then.
        case names
    }

    /// What has the keys.
    public var place: Place
    /// The page that cannot be read.
    public var page: UInt64
    /// The first key that may be missing; nil for the beginning.
    public var from: [UInt8]?
    /// The key before which the missing ones are, in the database's order; nil for the end.
    public var to: [UInt8]?
    /// The one key that is concerned, or only some values of which; nil for a range.
    public var key: [UInt8]?
}
