/// How to verify an environment.
public struct VerifyOptions: Sendable {
    /// How much is looked at. The raw values are those of `zerodb.h`.
    public enum Level: UInt32, Sendable {
        /// The meta pages with all their copies, the log, the free pages, the names of the databases and
        /// the root of each. The time does not depend on what the databases contain.
        case headers = 1
        /// All pages of trees too: checksums, structure, order of keys, counts, and that each page has
        /// one use. Of values in overflow runs only the beginning.
        case trees = 2
        /// All values too, and that the content has the digests that are recorded of it.
        case everything = 3
    }

    /// What is verified.
    public enum Scope: Sendable, Equatable {
        /// All of the environment.
        case environment
        /// The meta pages and the main database.
        case mainDatabase
        /// The meta pages and the database of this name.
        case namedDatabase([UInt8])
    }

    /// How much is looked at.
    public var level = Level.everything
    /// What is verified.
    public var scope = Scope.environment
    /// Threads that work on it, at most 64, that of the caller included. 0: two where the environment is
    /// large and may have threads, otherwise one.
    public var threads = 0

    /// Everything, on as many threads as pays.
    public init() {}

    static let threadsMax = 64
}

/// How far a verification has come.
public struct VerifyProgress: Sendable {
    /// Pages that have been looked at.
    public var pagesDone: UInt64
    /// Pages there are to be looked at.
    public var pagesTotal: UInt64
}

/// What a verification found.
public struct VerifyReport: Sendable, Equatable {
    /// The transaction whose state was verified.
    public var transaction: UInt64 = 0
    /// Pages of the snapshot, meta pages included.
    public var pages: UInt64 = 0
    /// Branch and leaf pages reached through the trees.
    public var treePages: UInt64 = 0
    /// Pages reached through overflow runs.
    public var overflowPages: UInt64 = 0
    /// Free pages.
    public var freePages: UInt64 = 0
    /// Entries that the records of the main and all named databases count.
    public var entries: UInt64 = 0
    /// Named databases.
    public var databases: UInt64 = 0
    /// Records of the log from the checkpoint to the snapshot.
    public var logRecords: UInt64 = 0
    /// Bytes of them.
    public var logBytes: UInt64 = 0
    /// 0: the environment is sound.
    public var problems: UInt64 = 0
    /// Of the environment, counted anew from all its entries. Only if everything was verified.
    public var digest = ContentDigest()

    /// Of nothing.
    public init() {}
}
