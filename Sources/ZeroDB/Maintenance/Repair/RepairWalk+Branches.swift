import Glibc

extension RepairWalk {
    /// Looks at what a reference leads to.
    ///
    /// - Returns: the sound subtrees of the wanted level that take its place, in order: itself alone if
    ///   all is sound. Their pages are kept, or are new.
    func visit(
        _ wanted: RepairPages.Wanted, _ range: Fences, _ tree: RepairTree
    ) throws(DatabaseError) -> [RepairPiece] {
        let number = wanted.reference.number
        let buffer = pages.borrow()
        defer { pages.giveBack(buffer) }
        let page = Page(buffer, size: pages.pageSize)
        guard isInside(number) else {
            return try replace(
                wanted, range, tree, nil, "page \(number) is not in the file")
        }
        switch pages.load(wanted, into: buffer) {
        case .damaged(let problem, let isVersion):
            return try replace(
                wanted, range, tree, isVersion ? page : nil, "page \(number): \(problem)")
        case .sound(let isMended):
            guard isInOrder(page, range), wanted.level > 0 || hasValueWidth(page, tree) else {
                return try replace(
                    wanted, range, tree, nil, "page \(number): its keys do not belong there")
            }
            if phase == .survey {
                guard claim(number, tree.id) else { return [] }
                if isMended { noteDamage() }
            } else if !mayUse(number, tree.id, isNamed: range.isNamed) {
                return try replace(
                    wanted, range, tree, nil, "page \(number) belongs to something else")
            }
            let isCopied = isMended || kept.contains(number)
            return wanted.level == 0
                ? try leaf(page, wanted, range, tree, isCopied: isCopied)
                : try branch(page, wanted, range, tree, isCopied: isCopied)
        }
    }

    private func hasValueWidth(_ page: Page, _ tree: RepairTree) -> Bool {
        tree.valueWidth == 0 || page.width == tree.valueWidth
    }

    private func branch(
        _ page: Page, _ wanted: RepairPages.Wanted, _ range: Fences, _ tree: RepairTree,
        isCopied: Bool
    ) throws(DatabaseError) -> [RepairPiece] {
        let isCounted = page.layout.contains(.counted)
        var parts: [RepairPiece] = []
        var isChanged = isCopied
        for index in 0..<page.count {
            let child = page.child(index)
            let entries = isCounted ? page.entryCount(index) : nil
            let found = try visit(
                RepairPages.Wanted(
                    reference: child, level: wanted.level - 1,
                    layout: tree.layout(level: wanted.level - 1), parent: page.transaction),
                Fences(
                    low: index == 0 ? range.low : key(page, index) ?? range.low,
                    high: index + 1 < page.count ? key(page, index + 1) : range.high,
                    entries: entries, isNamed: range.isNamed), tree)
            if found.count != 1 || found[0].reference != child {
                isChanged = true
            } else if let entries, entries != found[0].counts.entries {
                noteDamage()
                isChanged = true
            }
            parts += found
        }
        guard isChanged else {
            return [unchanged(page, wanted, range, parts)]
        }
        return try makeBranches(parts[...], level: wanted.level, tree)
    }

    /// A branch that stays as it is.
    private func unchanged(
        _ page: Page, _ wanted: RepairPages.Wanted, _ range: Fences, _ parts: [RepairPiece]
    ) -> RepairPiece {
        var counts = RepairCounts()
        counts.branchPages = 1
        for part in parts { counts += part.counts }
        if phase == .rebuild { keep(wanted.reference.number) }
        return RepairPiece(
            low: range.low, reference: wanted.reference, counts: counts,
            first: parts.first?.first ?? [], last: parts.last?.last ?? [])
    }

    // MARK: What cannot be used

    /// What takes the place of a page that is damaged or belongs elsewhere.
    ///
    /// - Parameter page: the page, if it is the wanted version with some bytes damaged.
    private func replace(
        _ wanted: RepairPages.Wanted, _ range: Fences, _ tree: RepairTree, _ page: Page?,
        _ why: String
    ) throws(DatabaseError) -> [RepairPiece] {
        if range.isCandidate { return [] }
        noteDamage()
        guard phase == .rebuild else {
            if let page, wanted.level > 0 { expand(page, wanted, range, tree) }
            return []
        }
        if trust.candidates {
            if wanted.level == 0, let page, let part = try suspectLeaf(page, wanted, range, tree) {
                return part
            }
            return try raise(
                try candidates(in: range, tree), to: wanted.level, tree)
        }
        guard let page, wanted.level > 0 else {
            lose(range, tree, why)
            return []
        }
        return try namedChildren(page, wanted, range, tree, why)
    }

    /// The entries of a damaged branch that can be what they were, in their order.
    ///
    /// Of a branch that may be of two versions only those count whose references are in the sector of its
    /// header: others may be of an older version, or of another tree that had the page before.
    func forEachReadableChild(
        _ page: Page, _ range: Fences, _ body: (PageReference, [UInt8], [UInt8]?, UInt64?) -> Void
    ) {
        let room = (page.size - page.slotsOffset) / Page.branchSlotSize
        let count = min(page.count, max(0, room))
        let mayBeTorn = page.transaction > previousCheckpoint
        let whole = (Self.sectorSize - page.slotsOffset) / Page.branchSlotSize
        let isCounted = page.layout.contains(.counted)
        var previous = range.low
        for index in 0..<count {
            let low = index == 0 ? range.low : key(page, index)
            let high = index + 1 < count ? key(page, index + 1) : range.high
            guard let low, index + 1 == count || high != nil else { continue }
            let child = page.child(index)
            guard !mayBeTorn || index < whole else { return }
            guard !Self.isBefore(low, previous), isInside(child.number), !child.isFrame,
                high.map({ Self.isBefore(low, $0) }) ?? true,
                high.map({ high in range.high.map { !Self.isBefore($0, high) } ?? true })
                    ?? (range.high == nil)
            else { continue }
            body(child, low, high, isCounted ? page.entryCount(index) : nil)
            previous = high ?? low
        }
    }

    /// What a disk writes whole or not at all.
    private static let sectorSize = 512

    /// What a damaged branch still names, as far as that proves itself.
    private func namedChildren(
        _ page: Page, _ wanted: RepairPages.Wanted, _ range: Fences, _ tree: RepairTree,
        _ why: String
    ) throws(DatabaseError) -> [RepairPiece] {
        var children: [(PageReference, Fences)] = []
        forEachReadableChild(page, range) { reference, low, high, entries in
            children.append(
                (reference, Fences(low: low, high: high, entries: entries, isNamed: true)))
        }
        let parent = min(wanted.parent, page.transaction)
        var parts: [RepairPiece] = []
        var holes: [NamedHole] = []
        var covered: [UInt8]? = range.low
        func leaveOut(upTo high: [UInt8]?) {
            guard let low = covered, high.map({ Self.isBefore(low, $0) }) ?? true else { return }
            let first = losses.count
            let gap = Fences(low: low, high: high, entries: nil)
            lose(gap, tree, why)
            holes.append(NamedHole(losses: first..<losses.count, range: gap, at: parts.count))
        }
        for (reference, child) in children {
            leaveOut(upTo: child.low)
            let first = losses.count
            let found = try visit(
                RepairPages.Wanted(
                    reference: reference, level: wanted.level - 1,
                    layout: tree.layout(level: wanted.level - 1), parent: parent), child, tree)
            holes.append(
                NamedHole(
                    losses: first..<losses.count, range: child, at: parts.count,
                    kept: found.count))
            parts += found
            covered = child.high
        }
        leaveOut(upTo: range.high)
        for hole in holes { widen(hole, parts, range, tree) }
        return try makeBranches(parts[...], level: wanted.level, tree)
    }

    /// What is lost between the separators of a damaged branch.
    private struct NamedHole {
        var losses: Range<Int>
        /// By those separators.
        var range: Fences
        /// How many subtrees are kept in front of it.
        var at: Int
        /// How many are kept in it.
        var kept = 0
    }

    /// Any of the separators may be harmed. So what is lost next to one may have had all keys up to the
    /// nearest ones that are kept on the other side of it.
    private func widen(
        _ hole: NamedHole, _ parts: [RepairPiece], _ range: Fences, _ tree: RepairTree
    ) {
        if case .values = tree.content { return }
        let before = hole.at > 0 ? parts[hole.at - 1].last + [0] : range.low
        let next = hole.at + hole.kept
        let behind = next < parts.count ? parts[next].first : range.high
        let low = Self.isBefore(before, hole.range.low) ? before : hole.range.low
        var high = hole.range.high
        if let known = high { high = behind.map { Self.isBefore(known, $0) ? $0 : known } }
        for index in hole.losses {
            guard let lost = losses[index].fences else { continue }
            let isFirst = lost.low == hole.range.low
            let isLast = lost.high == hole.range.high
            guard isFirst || isLast else { continue }
            losses[index] = loss(
                Fences(
                    low: isFirst ? low : lost.low, high: isLast ? high : lost.high,
                    entries: lost.entries),
                tree, losses[index].reason)
        }
    }

    // MARK: New branches

    /// Writes branches above subtrees of the level below.
    func makeBranches(
        _ parts: ArraySlice<RepairPiece>, level: Int, _ tree: RepairTree
    ) throws(DatabaseError) -> [RepairPiece] {
        guard let first = parts.first, let last = parts.last, phase == .rebuild else { return [] }
        let layout = tree.branchLayout
        let prefix = Self.separatorPrefix(parts)
        var size = Page.slotsOffset(prefixLength: prefix) - Page.headerSize
        for part in parts {
            size += Page.branchSlotSize + Page.countSize(layout)
            if part.reference != first.reference {
                size += Page.restLength(suffixLength: max(0, part.low.count - prefix))
            }
        }
        guard size <= Page.capacity(pageSize: pages.pageSize) || parts.count < 4 else {
            let middle = parts.startIndex + parts.count / 2
            return try makeBranches(parts[..<middle], level: level, tree)
                + makeBranches(parts[middle...], level: level, tree)
        }
        let buffer = pages.borrow()
        defer { pages.giveBack(buffer) }
        let page = Page(buffer, size: pages.pageSize)
        var counts = RepairCounts()
        counts.branchPages = 1
        for part in parts { counts += part.counts }
        fill(page, parts, level: level, layout, prefix: prefix)
        let reference = try pages.append(buffer)
        return [
            RepairPiece(
                low: first.low, reference: reference, counts: counts, first: first.first,
                last: last.last)
        ]
    }

    private func fill(
        _ page: Page, _ parts: ArraySlice<RepairPiece>, level: Int, _ layout: PageLayout,
        prefix: Int
    ) {
        let second = parts.count > 1 ? parts[parts.startIndex + 1].low : []
        second.prefix(prefix).withUnsafeBytes {
            page.format(kind: .branch, level: level, prefix: $0, layout: layout)
        }
        for (index, part) in parts.enumerated() {
            let suffix = index == 0 ? [] : part.low.dropFirst(prefix)
            suffix.withUnsafeBytes {
                page.insertBranchEntry(
                    at: index, suffix: $0, child: part.reference, entries: part.counts.entries)
            }
        }
    }

    /// What the separators of a branch have in common.
    private static func separatorPrefix(_ parts: ArraySlice<RepairPiece>) -> Int {
        guard parts.count > 2, let last = parts.last else { return 0 }
        return parts[parts.startIndex + 1].low.withUnsafeBytes { first in
            last.low.withUnsafeBytes { KeyOrder.commonPrefixLength(first, $0) }
        }
    }

    /// Writes branches above leaves, up to a level.
    func raise(
        _ leaves: [RepairPiece], to level: Int, _ tree: RepairTree
    ) throws(DatabaseError) -> [RepairPiece] {
        var parts = leaves
        for level in stride(from: 1, through: level, by: 1) {
            parts = try makeBranches(parts[...], level: level, tree)
        }
        return parts
    }
}
