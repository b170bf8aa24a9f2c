extension RepairWalk {
    /// What has become of a tree.
    struct Rebuilt {
        /// nil if nothing is left.
        var root: PageReference?
        var depth = 0
        var counts = RepairCounts()
        /// Whether the digest proves that nothing is lost and nothing is there that was not.
        var isProved = false
        /// Whether something is lost, as far as that shows.
        var hasLost = false
        /// Whether it has pages that others claim too.
        var usesContested = false
    }

    /// Looks at a tree; in the rebuild, tries what only the digest can prove where something is
    /// damaged.
    ///
    /// - Parameters:
    ///   - root: what the record asks for.
    ///   - expected: the digest that the record has; nil if it has none.
    ///   - isNamed: whether the record was read from below a damaged branch.
    func rebuild(
        _ tree: RepairTree, _ root: RepairPages.Wanted, expected: ContentDigest?, isNamed: Bool
    ) throws(DatabaseError) -> Rebuilt {
        guard root.level >= 0, root.level < Format.depthMax else { return Rebuilt() }
        let start = mark()
        let outer = trust
        defer { trust = outer }
        trust = Trust()
        var plain = try attempt(tree, root, isNamed: isNamed)
        guard phase == .rebuild, let expected else { return plain }
        plain.hasLost = hasLost(since: start)
        plain.isProved = plain.counts.digest == expected
        if plain.isProved {
            forgetLosses(since: start)
            plain.hasLost = false
            return plain
        }
        var trusts: [Trust] = []
        if contestedTrees.contains(tree.id) { trusts.append(Trust(contested: true)) }
        if plain.hasLost { trusts.append(Trust(candidates: true)) }
        if trusts.count == 2 { trusts.append(Trust(contested: true, candidates: true)) }
        for next in trusts {
            goBack(to: start)
            trust = next
            var found = try attempt(tree, root, isNamed: isNamed)
            guard found.counts.digest == expected else { continue }
            forgetLosses(since: start)
            found.isProved = true
            found.usesContested = next.contested
            return found
        }
        guard !trusts.isEmpty else { return plain }
        goBack(to: start)
        trust = Trust()
        plain = try attempt(tree, root, isNamed: isNamed)
        plain.hasLost = hasLost(since: start)
        return plain
    }

    /// Whether a tree is whole but for the pages that others claim too, and its digest is not that
    /// of what it has with them: then they are not its own.
    func isRefuted(_ tree: RepairTree, _ root: RepairPages.Wanted) throws(DatabaseError) -> Bool {
        let claims = contested.values.reduce(0) { $0 + $1.filter { $0 == tree.id }.count }
        guard claims == 1 else { return false }
        let start = mark()
        defer { goBack(to: start) }
        trust = Trust(contested: true)
        defer { trust = Trust() }
        let found = try attempt(tree, root, isNamed: false)
        return !hasLost(since: start) && found.counts.digest != tree.record.digest
    }

    private func attempt(
        _ tree: RepairTree, _ root: RepairPages.Wanted, isNamed: Bool
    ) throws(DatabaseError) -> Rebuilt {
        var parts = try visit(root, Fences(isNamed: isNamed), tree)
        var level = root.level
        guard parts.count != 1 || parts[0].reference != root.reference else {
            return Rebuilt(
                root: root.reference, depth: level + 1, counts: parts[0].counts)
        }
        while parts.count > 1, level + 1 < Format.depthMax {
            level += 1
            parts = try makeBranches(parts[...], level: level, tree)
        }
        guard let only = parts.first, parts.count == 1 else { return Rebuilt() }
        return lowered(only, level: level)
    }

    /// Drops branches at the top that have one child.
    private func lowered(_ piece: RepairPiece, level: Int) -> Rebuilt {
        var piece = piece
        var level = level
        let buffer = pages.borrow()
        defer { pages.giveBack(buffer) }
        let page = Page(buffer, size: pages.pageSize)
        while level > 0, pages.read(piece.reference.number, pages.pageSize, into: buffer),
            page.count == 1
        {
            piece.reference = page.child(0)
            piece.counts.branchPages -= 1
            level -= 1
        }
        return Rebuilt(root: piece.reference, depth: level + 1, counts: piece.counts)
    }

    /// What the record of a tree asks for.
    func wantedRoot(of tree: RepairTree, parent: UInt64) -> RepairPages.Wanted {
        let level = Int(tree.record.depth) - 1
        return RepairPages.Wanted(
            reference: tree.record.root, level: level, layout: tree.layout(level: max(level, 0)),
            parent: parent)
    }

    // MARK: Survey

    /// Looks at a tree and compares it with its record.
    func survey(_ tree: RepairTree, digest: ContentDigest?) throws(DatabaseError) {
        let record = tree.record
        guard record.depth > 0 else {
            let counts = [
                record.entries, record.branchPages, record.leafPages, record.overflowPages,
                record.keys,
            ]
            if counts.contains(where: { $0 != 0 })
                || (digest ?? ContentDigest()) != ContentDigest()
            {
                noteDamage()
            }
            return
        }
        let found = try rebuild(
            tree, wantedRoot(of: tree, parent: meta.transaction), expected: nil, isNamed: false)
        let counts = found.counts
        let isSame =
            found.root == record.root && counts.entries == record.entries
            && counts.branchPages == record.branchPages && counts.leafPages == record.leafPages
            && counts.overflowPages == record.overflowPages
            && (!record.flags.contains(.duplicates) || counts.keys == record.keys)
            && (digest == nil || counts.digest == digest)
        if !isSame { noteDamage() }
    }

    // MARK: Trees of what is in memory

    /// Writes a tree of entries in their order.
    ///
    /// - Returns: the record, with what it has of other things than pages and counts taken from another.
    func write(
        _ entries: [(key: [UInt8], value: [UInt8])], like record: TreeRecord
    ) throws(DatabaseError) -> TreeRecord {
        let tree = RepairTree(id: 0, name: nil, content: .catalog, record: record)
        var parts: [RepairPiece] = []
        var next = 0
        while next < entries.count {
            let end = Self.leafEnd(entries, from: next, pageSize: pages.pageSize)
            parts.append(try writeLeaf(entries[next..<end]))
            next = end
        }
        var made = record
        var level = 0
        while parts.count > 1 {
            level += 1
            parts = try makeBranches(parts[...], level: level, tree)
        }
        made.root = parts.first?.reference ?? .none
        made.depth = parts.isEmpty ? 0 : UInt8(truncatingIfNeeded: level + 1)
        made.entries = UInt64(entries.count)
        made.branchPages = parts.first?.counts.branchPages ?? 0
        made.leafPages = parts.first?.counts.leafPages ?? 0
        made.overflowPages = 0
        return made
    }

    private static func leafEnd(
        _ entries: [(key: [UInt8], value: [UInt8])], from start: Int, pageSize: Int
    ) -> Int {
        var room = Page.capacity(pageSize: pageSize)
        var end = start
        while end < entries.count {
            let size = Page.entrySize(
                isLeaf: true, suffixLength: entries[end].key.count,
                valueLength: entries[end].value.count)
            guard size <= room else { break }
            room -= size
            end += 1
        }
        return max(end, start + 1)
    }

    private func writeLeaf(
        _ entries: ArraySlice<(key: [UInt8], value: [UInt8])>
    ) throws(DatabaseError) -> RepairPiece {
        let buffer = pages.borrow()
        defer { pages.giveBack(buffer) }
        let page = Page(buffer, size: pages.pageSize)
        page.format(kind: .leaf, level: 0, prefix: UnsafeRawBufferPointer(start: nil, count: 0))
        for (index, entry) in entries.enumerated() {
            entry.key.withUnsafeBytes { key in
                entry.value.withUnsafeBytes {
                    page.insertLeafEntry(
                        at: index, suffix: key, value: LeafValue(kind: .inline, bytes: $0))
                }
            }
        }
        var counts = RepairCounts()
        counts.leafPages = 1
        counts.entries = UInt64(entries.count)
        let first = entries.first?.key ?? []
        return RepairPiece(
            low: first, reference: try pages.append(buffer), counts: counts, first: first,
            last: entries.last?.key ?? [])
    }
}
