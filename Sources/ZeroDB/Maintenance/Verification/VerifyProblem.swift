/// Something wrong that a verification found: what, where, and which entries it is about.
public struct VerifyProblem: Sendable {
    /// What is wrong. The raw values are those of `zerodb.h`.
    public enum Kind: UInt32, Sendable {
        /// A copy of a meta record, or of a free list beside it, is damaged.
        case meta = 1
        /// A page does not have its checksum: bits have changed, or it was written in part only.
        case checksum = 2
        /// An older version of the page is there: a write was lost.
        case lostWrite = 3
        /// Another page, or one of another environment, is there.
        case misplaced = 4
        /// The file ends before the page, or the device cannot read it.
        case unreadable = 5
        /// What is in the page cannot be, although its checksum is right.
        case structure = 6
        /// Keys or values are not in their order, or not between the separators that lead to them.
        case order = 7
        /// A page has more than one use, or is not in the environment.
        case reference = 8
        /// A count differs from what is there.
        case count = 9
        /// The content is not what its digest says.
        case digest = 10
        /// Of the free pages one is in use, named twice, or missing.
        case freePages = 11
        /// The log is damaged or lacks a part.
        case log = 12
    }

    /// The part of the environment it is in. The raw values are those of `zerodb.h`.
    public enum Place: UInt32, Sendable {
        /// The meta pages, or no single part.
        case environment = 0
        /// The main database.
        case mainDatabase = 1
        /// A named database.
        case namedDatabase = 2
        /// The tree of the names and records of the named databases.
        case catalog = 3
        /// The free list or the tree of free pages.
        case freePages = 4
        /// The log.
        case log = 5
    }

    /// Keys from one on and before another, as the database orders them.
    public struct KeyRange: Sendable, Equatable {
        /// The first key that can be in it; nil: from the first key of the database on.
        public var low: [UInt8]?
        /// The first key behind it; nil: to the last key of the database.
        public var high: [UInt8]?
    }

    /// What is wrong.
    public var kind: Kind
    /// Where.
    public var place: Place
    /// The page it is about, if it is about one.
    public var page: UInt64?
    /// The name of the database, of a problem in a named one.
    public var databaseName: [UInt8]?
    /// The keys of the database, or in the catalog the names of the databases, that cannot be had or
    /// relied on; nil if that is not known.
    public var range: KeyRange?
    /// About how many entries that are; 0 if that is not known.
    public var entries: UInt64 = 0
    /// The transaction that wrote the page, as its header says and the reference to it confirms.
    public var transaction: UInt64?
    /// When that transaction was committed, in nanoseconds since 1970, if log or meta pages still tell.
    public var wallClock: UInt64?
    /// In words: what, where, and what to do.
    public var message: String
}
