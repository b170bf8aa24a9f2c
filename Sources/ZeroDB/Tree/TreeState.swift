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
    /// Changes by this transaction, so that a cursor notices when its path is stale.
    var changes: UInt64 = 0
    /// Where the last insert went, to see runs of ascending or descending keys.
    var lastInsertPage = PageReference.none
    var lastInsertIndex = -1

    var root: PageReference { record.root }
    var depth: Int { Int(record.depth) }
}

/// One step of a path from the root to a leaf.
struct PathStep {
    var reference: PageReference
    var page: UnsafeMutableRawPointer
    /// The child taken in a branch, the entry in a leaf.
    var index: Int
}

/// A path from the root down: step 0 is the root, step `depth - 1` the leaf.
typealias Path = UnsafeMutablePointer<PathStep>
