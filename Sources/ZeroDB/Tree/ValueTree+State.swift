extension ValueTree {
    /// The tree as a transaction works with it.
    ///
    /// - Parameter database: the record of the database it belongs to.
    func state(in database: TreeRecord) -> TreeState {
        var state = TreeState()
        state.record.root = root
        state.record.entries = entries
        state.record.branchPages = branchPages
        state.record.leafPages = leafPages
        state.record.digest = digest
        // A depth that no tree has is none: descending refuses it.
        state.record.depth = Int(depth) <= Format.depthMax ? depth : 0
        state.becomeValueTree(in: database)
        return state
    }
}
