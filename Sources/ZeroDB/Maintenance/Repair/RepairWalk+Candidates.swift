/// What scanning finds. None of it counts unless the digest of the tree comes out exactly with it.
extension RepairWalk {
    /// The leaves that nothing claims and that may belong to a range of a tree, in their order.
    func candidates(in range: Fences, _ tree: RepairTree) throws(DatabaseError) -> [RepairPiece] {
        var parts: [RepairPiece] = []
        var end: [UInt8]? = range.low
        for orphan in fitting(range, tree) {
            if let end, Self.isBefore(orphan.first, end) { continue }
            guard candidatesLeft > 0 else { break }
            candidatesLeft -= 1
            let wanted = RepairPages.Wanted(
                reference: PageReference(number: orphan.number, transaction: orphan.transaction),
                level: 0, layout: tree.leafLayout, parent: meta.transaction)
            var place = range
            place.low = parts.isEmpty ? range.low : orphan.first
            place.isNamed = true
            place.isCandidate = true
            let found = try visit(wanted, place, tree)
            guard found.count == 1 else { continue }
            parts += found
            end = orphan.last + [0]
        }
        return parts
    }

    /// The orphans of the right layout in a range, by their first keys, the newest of those that
    /// begin alike first.
    private func fitting(_ range: Fences, _ tree: RepairTree) -> ArraySlice<Orphan> {
        let all = orphans ?? findOrphans()
        orphans = all
        var low = 0
        var high = all.count
        while low < high {
            let middle = (low + high) / 2
            if Self.isBefore(all[middle].first, range.low) {
                low = middle + 1
            } else {
                high = middle
            }
        }
        var end = low
        while end < all.count, range.high.map({ Self.isBefore(all[end].first, $0) }) ?? true {
            end += 1
        }
        let fitting = all[low..<end].filter { orphan in
            orphan.layout == tree.leafLayout
                && (range.high.map { Self.isBefore(orphan.last, $0) } ?? true)
        }
        return fitting[...]
    }

    /// Reads all pages that nothing claims and that are not free, and notes the leaves.
    private func findOrphans() -> [Orphan] {
        var found: [Orphan] = []
        let buffer = pages.borrow()
        defer { pages.giveBack(buffer) }
        let page = Page(buffer, size: pages.pageSize)
        for number in Format.metaPageCount..<max(limit, Format.metaPageCount) {
            guard owners[Int(number)] == 0, free?.contains(number) != true,
                pages.read(number, pages.pageSize, into: buffer), page.isLeaf,
                page.number == number, page.transaction <= meta.transaction,
                pages.hasChecksum(buffer, pages.pageSize), page.structuralProblem() == nil,
                page.count > 0, let first = key(page, 0), let last = key(page, page.count - 1)
            else { continue }
            found.append(
                Orphan(
                    number: number, layout: page.layout, transaction: page.transaction,
                    first: first, last: last))
        }
        return found.sorted { left, right in
            left.first == right.first
                ? left.transaction > right.transaction : Self.isBefore(left.first, right.first)
        }
    }

    /// The entries of a damaged leaf, if they can be read: what is damaged may be what no entry needs.
    ///
    /// - Returns: nil if it cannot be read.
    func suspectLeaf(
        _ page: Page, _ wanted: RepairPages.Wanted, _ range: Fences, _ tree: RepairTree
    ) throws(DatabaseError) -> [RepairPiece]? {
        guard page.structuralProblem() == nil, page.count > 0, isInOrder(page, range),
            tree.valueWidth == 0 || page.width == tree.valueWidth
        else { return nil }
        let first = databases.count
        let parts = try leaf(page, wanted, range, tree, isCopied: true)
        suspects += databases[first...].map(\.name)
        return parts
    }
}
