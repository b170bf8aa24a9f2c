/// A tree as a transaction sees it.
struct TreeState {
    enum Status {
        /// Not looked up yet.
        case unknown
        case present
        /// Not in this snapshot, or dropped by this transaction: then the state is dirty.
        case absent
    }

    var record = TreeRecord()
    var status = Status.unknown
    /// Whether this write transaction has changed the record.
    var isDirty = false
    /// Whether its record has the digest of what it contains, as those of databases do.
    var keepsDigest = true
    /// Changes by this transaction, so that a cursor notices when its path is stale.
    var changes: UInt64 = 0
    /// Where the last insert went, to see runs of ascending or descending keys.
    var lastInsertPage = PageReference.none
    var lastInsertIndex = -1

    /// Of its leaves; values, in a tree of duplicates.
    var leafLayout = PageLayout()
    /// Bytes of a value, where all have one size.
    var valueWidth = 0

    var isValueTree: Bool { leafLayout.contains(.valueLeaf) }

    /// Of its branches.
    @inline(__always)
    var branchLayout: PageLayout { record.flags.branchLayout }

    @inline(__always)
    func layout(level: Int) -> PageLayout { level == 0 ? leafLayout : branchLayout }

    /// Makes it a tree of the values of a key.
    mutating func becomeValueTree(in database: TreeRecord) {
        status = .present
        // The database's writer does that, as it knows the key.
        keepsDigest = false
        record.flags = database.flags.intersection(.counted)
        leafLayout = .valueLeaf
        if database.flags.reversesValues { leafLayout.insert(.reversed) }
        if database.flags.contains(.fixedSizeDuplicates), database.valueWidth > 0 {
            leafLayout.insert(.packed)
            valueWidth = Int(database.valueWidth)
        }
    }

    var root: PageReference { record.root }
    var depth: Int { Int(record.depth) }
}

/// One step of a path from the root to a leaf.
struct PathStep {
    var reference: PageReference
    var page: UnsafeMutableRawPointer
    /// The child taken in a branch, the entry in a leaf.
    var index: Int

    /// Where `index` lies in a step: behind two words. A constant, as the key path that `MemoryLayout`
    /// would take is not always folded; a test compares them.
    static let indexOffset = 16
}

/// A path from the root down: step 0 is the root, step `depth - 1` the leaf.
typealias Path = UnsafeMutablePointer<PathStep>
