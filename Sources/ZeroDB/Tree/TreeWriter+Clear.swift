/// Emptying a tree: all its pages are given up at once, without changing any of them.
extension TreeWriter {
    /// Deletes all entries.
    ///
    /// Branches are read for the references in them; leaves only where they lead to pages of their
    /// own.
    func clear() throws(DatabaseError) {
        let record = tree.pointee.record
        guard record.depth > 0 else { return }
        var freed = FreedPages(durableRoot: workspace.pointee.durableRoot)
        try freePages(
            record.root, level: Int(record.depth) - 1, tree.pointee,
            readingLeaves: record.overflowPages > 0 || record.flags.contains(.duplicates), &freed)
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
        var freed = FreedPages(durableRoot: workspace.pointee.durableRoot)
        try freePages(of: record, &freed)
        freed.hand(to: workspace)
        TreeRecord.subtract(record.leafPages, from: &tree.pointee.record.leafPages)
        TreeRecord.subtract(record.branchPages, from: &tree.pointee.record.branchPages)
        return freed.pages
    }

    private func freePages(
        of record: ValueTree, _ freed: inout FreedPages
    ) throws(DatabaseError) {
        try freePages(
            record.root, level: Int(record.depth) - 1, record.state(in: tree.pointee.record),
            readingLeaves: false, &freed)
    }

    /// Gives up a page and all below it.
    ///
    /// As levels fall along every path, the recursion is as deep as the tree at most.
    private func freePages(
        _ reference: PageReference, level: Int, _ tree: TreeState, readingLeaves: Bool,
        _ freed: inout FreedPages
    ) throws(DatabaseError) {
        if level > 0 {
            let page = try source.page(reference, level: level, layout: tree.branchLayout)
            guard page.slotsAreInBounds else { throw source.badEntry(page) }
            for index in 0..<page.count {
                try freePages(
                    page.child(index), level: level - 1, tree, readingLeaves: readingLeaves, &freed)
            }
        } else if readingLeaves {
            let leaf = try source.page(reference, level: 0)
            guard leaf.slotsAreInBounds else { throw source.badEntry(leaf) }
            for index in 0..<leaf.count {
                guard let value = leaf.value(index) else { throw source.badEntry(leaf) }
                try freePages(below: value, &freed)
            }
        }
        try free(reference, &freed)
    }

    /// Gives up the pages that a leaf's entry leads to.
    private func freePages(
        below value: Page.ValueField, _ freed: inout FreedPages
    ) throws(DatabaseError) {
        if value.kind == .valueTree {
            try freePages(of: ValueTree(at: value.bytes), &freed)
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
        freed.add(PageRun(start: start, count: pages), birth: birth(of: pointer.reference))
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
        _ reference: PageReference, _ freed: inout FreedPages
    ) throws(DatabaseError) {
        guard !reference.isFrame else {
            release(reference)
            return
        }
        // A leaf that is not read must at least be there.
        guard reference.number >= Format.metaPageCount, reference.number < source.pageCount
        else { throw source.outOfBounds(reference) }
        freed.add(PageRun(start: reference.number, count: 1), birth: birth(of: reference))
        try checkFreed(freed.pages, reference)
    }

    /// The transaction that wrote a page, or one between it and the durable root, for which it is
    /// the same: then the page need not be read.
    private func birth(of reference: PageReference) -> UInt64 {
        // It is the newest transaction with the reference's tag, or an older one with that tag.
        let tag = UInt64(reference.transactionTag)
        var bound = transaction & ~0xffff | tag
        if bound > transaction {
            guard bound > 0xffff else { return 0 }
            bound -= 0x1_0000
        }
        guard bound > workspace.pointee.durableRoot else { return 0 }
        let written = source.birth(of: reference.number)
        // A damaged page must not count as young by what it says, and be used again early.
        return written <= bound && UInt16(truncatingIfNeeded: written) == reference.transactionTag
            ? written : 0
    }
}

/// Pages being given up, joined with their neighbours as far as both are old or both young
/// (`TreeWorkspace.free` tells them apart).
private struct FreedPages {
    private struct Run {
        var pages: PageRun
        /// The oldest writer.
        var birth: UInt64
    }

    private let durableRoot: UInt64
    private var runs: [Run] = []
    private(set) var pages: UInt64 = 0

    init(durableRoot: UInt64) { self.durableRoot = durableRoot }

    mutating func add(_ run: PageRun, birth: UInt64) {
        pages &+= run.count
        let run = Run(pages: run, birth: birth)
        // Transactions give their pages numbers in this order: most join at once.
        if let last = runs.indices.last, Self.join(&runs[last], run, durableRoot) { return }
        runs.append(run)
    }

    /// Adds a run to the one that ends where it begins.
    ///
    /// - Returns: false if it does not, and then nothing has changed.
    private static func join(_ first: inout Run, _ second: Run, _ durableRoot: UInt64) -> Bool {
        guard first.pages.end == second.pages.start,
            (first.birth > durableRoot) == (second.birth > durableRoot)
        else { return false }
        first.pages.count += second.pages.count
        first.birth = min(first.birth, second.birth)
        return true
    }

    mutating func hand(to workspace: UnsafeMutablePointer<TreeWorkspace>) {
        runs.sort { $0.pages.start < $1.pages.start }
        guard var joined = runs.first else { return }
        for run in runs.dropFirst() where !Self.join(&joined, run, durableRoot) {
            workspace.pointee.free(joined.pages, birth: joined.birth)
            joined = run
        }
        workspace.pointee.free(joined.pages, birth: joined.birth)
    }
}
