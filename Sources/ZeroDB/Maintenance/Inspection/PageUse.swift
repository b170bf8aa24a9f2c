/// What a page of an environment is for.
public enum PageUse: UInt8, Sendable, CaseIterable {
    /// Nothing refers to it, or nothing that can be read does.
    case unreached = 0
    /// A meta page.
    case meta = 1
    /// A branch of a database, or of the values of one of its keys.
    case branch = 2
    /// A leaf of a database.
    case leaf = 3
    /// A leaf with values of one key.
    case valueLeaf = 4
    /// A part of a value that is too large for a leaf.
    case overflow = 5
    /// A page of the tree of the databases' names.
    case catalog = 6
    /// A page of the tree of free pages.
    case freeTree = 7
    /// Free, and to be used again.
    case available = 8
    /// Freed, but needed by a reader or for recovery, or so when it was freed.
    case waiting = 9
    /// Something refers to it, but it cannot be read or is not what it should be.
    case damaged = 10
    /// In the file, behind the last page of the state.
    case behind = 11
}

/// A tree of an environment.
public enum PageTree: Sendable, Hashable {
    /// The main database.
    case main
    /// The database of this name.
    case database([UInt8])
    /// The names of the databases.
    case catalog
    /// The free pages.
    case freePages
}

/// What refers to a page.
public struct PageReferrer: Sendable, Equatable {
    /// How it refers to it.
    public enum Kind: Sendable, Equatable {
        /// The record of the newest state, in a meta page: the page is a root.
        case metaRecord
        /// The record of a database, in an entry of the catalog: the page is a root.
        case catalogEntry
        /// A slot of a branch.
        case branchSlot
        /// An entry of a leaf, whose value lies there or whose values do.
        case leafEntry
        /// The free list, in a meta page.
        case freeList
        /// An entry of the tree of free pages.
        case freeTreeEntry
    }

    /// How.
    public var kind: Kind
    /// The tree that the page is part of, or that names it.
    public var tree: PageTree?
    /// The page that refers to it.
    public var page: UInt64?
    /// The slot or entry of that page.
    public var index: Int?
    /// The pages from the root to that one.
    public var path: [UInt64] = []
    /// Of a free page: the first transaction whose state has it, and the one that freed it.
    public var freed: (birth: UInt64, end: UInt64)? {
        freedRange.map { ($0.birth, $0.end) }
    }
    var freedRange: StateRange?
    /// What the page must be.
    var expected: Expectation?

    /// What a reference says of its page.
    struct Expectation: Equatable {
        var reference: PageReference
        var level: Int
        var layout: PageLayout
        /// Of an overflow run.
        var length: UInt64?
    }
}
