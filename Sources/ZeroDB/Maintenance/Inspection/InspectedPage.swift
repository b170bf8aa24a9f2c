/// A page of an environment: what is in it, what is wrong with it, and what refers to it.
public struct InspectedPage: Sendable {
    /// What a branch, a leaf or the first page of a large value begins with.
    public struct Header: Sendable, Equatable {
        /// As it is stored.
        public var checksum: UInt64
        /// As it should be; nil if it cannot be computed.
        public var computedChecksum: UInt64?
        /// The page that it says it is.
        public var number: UInt64
        /// The transaction that wrote it.
        public var transaction: UInt64
        /// 1: branch, 2: leaf, 3: the first page of a large value.
        public var kind: UInt8
        /// Levels above the leaves.
        public var level: Int
        /// As in docs/FORMAT.md.
        public var flags: UInt16
        /// Entries.
        public var count: Int
        /// Bytes that all keys begin with.
        public var prefixLength: Int
        /// Bytes of entries, the dead ones included.
        public var heapBytes: Int
        /// Those of entries that are gone.
        public var deadBytes: Int
        /// Bytes of each value, in a leaf with values of one size.
        public var width: Int
        /// Bytes of the value, of a large one.
        public var valueLength: UInt64?
    }

    /// An entry of a branch or leaf.
    public struct Entry: Sendable, Equatable {
        /// What belongs to the key.
        public enum Content: Sendable, Equatable {
            /// A child of a branch: its page, the low bits of the transaction that wrote it, and, where
            /// branches count, the entries below it.
            case child(page: UInt64, tag: UInt16, entries: UInt64?)
            /// A value.
            case value([UInt8])
            /// Several values of the key.
            case values([[UInt8]])
            /// A value in pages of its own.
            case overflow(page: UInt64, bytes: UInt64)
            /// The values of the key in a tree of their own.
            case valueTree(root: UInt64, values: UInt64, depth: Int)
            /// Bytes that make no sense.
            case damaged
        }

        /// As a program gives it; nothing for the first child of a branch, and in a leaf with the values
        /// of one key.
        public var key: [UInt8]
        /// What belongs to it.
        public var content: Content
    }

    /// A copy of the record in a meta page.
    public struct MetaCopy: Sendable, Equatable {
        /// In the page, in bytes.
        public var offset: Int
        /// Whose state it is; nil if the copy is damaged.
        public var transaction: UInt64?
        /// When that was committed, in nanoseconds since 1970.
        public var wallClock: UInt64?
        /// Pages of the state.
        public var pageCount: UInt64?
        /// Where the log goes on after it.
        public var logEnd: UInt64?
        /// What is wrong with it.
        public var problem: String?
    }

    /// Its number.
    public var number: UInt64
    /// In `data.zdb`, in bytes.
    public var offset: UInt64
    /// Whose state was looked at.
    public var snapshot: UInt64
    /// What it is for.
    public var use: PageUse
    /// What refers to it, with a sound environment one thing at most.
    public var referrers: [PageReferrer] = []
    /// What is wrong with it or with what refers to it.
    public var problems: [String] = []
    /// What it begins with; nil if it is none of the pages that have one.
    public var header: Header?
    /// Its entries, if it is a branch or leaf that makes sense.
    public var entries: [Entry] = []
    /// Of a meta page: the copies of its record.
    public var metaCopies: [MetaCopy] = []
    /// The first page of the large value that it is a part of.
    public var runStart: UInt64?
    /// Its bytes.
    public var bytes: [UInt8]
    /// What keeps more from being shown.
    public var notes: [String] = []
}
