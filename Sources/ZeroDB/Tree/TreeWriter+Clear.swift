/// Emptying a tree: all its pages are given up at once, without changing any of them.
extension TreeWriter {
    /// Deletes all entries.
    ///
    /// Branches are read for the references in them; leaves only where they lead to pages of their
    /// own.
    func clear() throws(DatabaseError) {
        let record = tree.pointee.record
        guard record.depth > 0 else { return }
        var freed = FreedPages(workspace.pointee.horizon())
        try freePages(
            record.root, level: Int(record.depth) - 1, tree.pointee,
            readingLeaves: record.overflowPages > 0 || record.flags.contains(.duplicates),
            newest: transaction, &freed)
        freed.hand(to: workspace)
        var empty = TreeRecord()
        empty.flags = record.flags
        empty.created = record.created
        tree.pointee.record = empty
        tree.pointee.lastInsertPage = .none
        noteChange()
    }

    /// Gives up the pages of a value tree.
    ///
    /// - Returns: how many of them are in the file.
    @discardableResult
    func releaseValueTree(_ record: ValueTree) throws(DatabaseError) -> UInt64 {
        var freed = FreedPages(workspace.pointee.horizon())
        try freePages(of: record, newest: transaction, &freed)
        freed.hand(to: workspace)
        TreeRecord.subtract(record.leafPages, from: &tree.pointee.record.leafPages)
        TreeRecord.subtract(record.branchPages, from: &tree.pointee.record.branchPages)
        return freed.pages
    }

    private func freePages(
        of record: ValueTree, newest: UInt64, _ freed: inout FreedPages
    ) throws(DatabaseError) {
        try freePages(
            record.root, level: Int(record.depth) - 1, record.state(in: tree.pointee.record),
            readingLeaves: false, newest: newest, &freed)
    }

    /// Gives up a page and all below it.
    ///
    /// As levels fall along every path, the recursion is as deep as the tree at most.
    ///
    /// - Parameter newest: the transaction that wrote the page above, and so none of those below it is newer.
    private func freePages(
        _ reference: PageReference, level: Int, _ tree: TreeState, readingLeaves: Bool,
        newest: UInt64, _ freed: inout FreedPages
    ) throws(DatabaseError) {
        var birth: UInt64?
        if level > 0 {
            let page = try source.page(reference, level: level, layout: tree.branchLayout)
            guard page.slotsAreInBounds else { throw source.badEntry(page) }
            let writer = writer(of: page, reference)
            for index in 0..<page.count {
                try freePages(
                    page.child(index), level: level - 1, tree, readingLeaves: readingLeaves,
                    newest: writer, &freed)
            }
            birth = writer
        } else if readingLeaves {
            let leaf = try source.page(reference, level: 0)
            guard leaf.slotsAreInBounds else { throw source.badEntry(leaf) }
            let writer = writer(of: leaf, reference)
            for index in 0..<leaf.count {
                guard let value = leaf.value(index) else { throw source.badEntry(leaf) }
                try freePages(below: value, newest: writer, &freed)
            }
            birth = writer
        }
        try free(reference, newest: newest, birth: birth, &freed)
    }

    /// The transaction that wrote a page which has been read: this one, if it is in a frame.
    private func writer(of page: Page, _ reference: PageReference) -> UInt64 {
        reference.isFrame ? transaction : min(page.transaction, transaction)
    }

    /// Gives up the pages that a leaf's entry leads to.
    private func freePages(
        below value: Page.ValueField, newest: UInt64, _ freed: inout FreedPages
    ) throws(DatabaseError) {
        if value.kind == .valueTree {
            try freePages(of: ValueTree(at: value.bytes), newest: newest, &freed)
        }
        guard value.kind == .overflow else { return }
        let pointer = OverflowPointer(at: value.bytes)
        guard !pointer.reference.isFrame else {
            release(pointer)
            return
        }
        let start = pointer.reference.number
        let pages = OverflowPointer.pageCount(
            length: min(pointer.length, UInt64(Format.valueSizeMax)), pageSize: pageSize)
        guard start >= Format.metaPageCount, start < source.pageCount,
            pages <= source.pageCount - start
        else { throw source.outOfBounds(pointer.reference) }
        freed.add(
            PageRun(start: start, count: pages),
            birth: birth(of: pointer.reference, newest: newest, freed))
        try checkFreed(freed.pages, pointer.reference)
    }

    /// No tree has more pages than the environment, whatever a damaged one refers to twice.
    func checkFreed(_ pages: UInt64, _ reference: PageReference) throws(DatabaseError) {
        guard pages <= source.pageCount else {
            throw source.corrupted(
                reference.number, "page", "a tree leads to more pages than there are")
        }
    }

    private func free(
        _ reference: PageReference, newest: UInt64, birth known: UInt64?, _ freed: inout FreedPages
    ) throws(DatabaseError) {
        guard !reference.isFrame else {
            release(reference)
            return
        }
        // A leaf that is not read must at least be there.
        guard reference.number >= Format.metaPageCount, reference.number < source.pageCount
        else { throw source.outOfBounds(reference) }
        freed.add(
            PageRun(start: reference.number, count: 1),
            birth: known ?? birth(of: reference, newest: newest, freed))
        try checkFreed(freed.pages, reference)
    }

    /// The transaction that wrote a page, or one before it for which the same states need the page. Most
    /// pages need not be read for it.
    ///
    /// - Parameter newest: the page is not younger than this.
    private func birth(
        of reference: PageReference, newest: UInt64, _ freed: borrowing FreedPages
    ) -> UInt64 {
        // The writer is the newest transaction with the reference's tag, or 65536 before it, and so on.
        let distance = (newest &- UInt64(reference.transactionTag)) & 0xffff
        guard distance <= newest else { return 0 }
        let bound = newest - distance
        // No page of a tree is older than the tree.
        let created = tree.pointee.record.created
        if bound >= created, bound - created < 0x1_0000 { return bound }
        // Needed, if at all, by the oldest state too.
        guard bound > freed.oldestState else { return 0 }
        // What the newest root does not have was written lately: it is in memory.
        if bound <= freed.newestRoot {
            guard workspace.pointee.birthReadsLeft > 0 else { return 0 }
            workspace.pointee.birthReadsLeft -= 1
        }
        let written = writer(of: reference)
        return written <= bound ? written : 0
    }
}

/// Pages being given up, joined with their neighbours as far as the same states need both.
private struct FreedPages {
    private let horizon: Horizon
    private var runs: [FreedRun] = []
    private(set) var pages: UInt64 = 0

    init(_ horizon: Horizon) { self.horizon = horizon }

    /// The oldest state that is needed.
    var oldestState: UInt64 { horizon.states.first ?? 0 }
    /// The newest state that may be the durable root.
    var newestRoot: UInt64 { max(horizon.roots.0, horizon.roots.1) }

    mutating func add(_ run: PageRun, birth: UInt64) {
        pages &+= run.count
        let run = FreedRun(pages: run, birth: birth)
        // Transactions give their pages numbers in this order: most join at once.
        if let last = runs.indices.last, Self.join(&runs[last], run, horizon) { return }
        runs.append(run)
    }

    /// Adds a run to the one that ends where it begins.
    ///
    /// - Returns: false if it does not, and then nothing has changed.
    private static func join(
        _ first: inout FreedRun, _ second: FreedRun, _ horizon: Horizon
    ) -> Bool {
        guard first.pages.end == second.pages.start,
            horizon.place(of: first.birth) == horizon.place(of: second.birth)
        else { return false }
        first.pages.count += second.pages.count
        first.birth = min(first.birth, second.birth)
        return true
    }

    mutating func hand(to workspace: UnsafeMutablePointer<TreeWorkspace>) {
        runs.sort { $0.pages.start < $1.pages.start }
        guard var joined = runs.first else { return }
        for run in runs.dropFirst() where !Self.join(&joined, run, horizon) {
            workspace.pointee.free(joined.pages, birth: joined.birth)
            joined = run
        }
        workspace.pointee.free(joined.pages, birth: joined.birth)
    }
}
