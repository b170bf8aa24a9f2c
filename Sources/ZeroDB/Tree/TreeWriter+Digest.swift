import CZeroDBPlatform

extension Page {
    /// Asks for the memory of the whole page.
    func prefetch() {
        for line in stride(from: 0, to: size, by: 64) { zp_prefetch(base + line) }
    }
}

/// The digest of what a tree contains, kept up to date by its changes.
extension TreeWriter {
    /// What a pair adds to the digest; nothing in trees that are no databases.
    ///
    /// - Parameter key: as the tree holds it.
    @inline(__always)
    func digest(_ key: KeyBytes, _ value: UnsafeRawBufferPointer) -> ContentDigest {
        guard tree.pointee.keepsDigest else { return ContentDigest() }
        return ContentDigest(
            ofKey: key, reversed: tree.pointee.record.flags.reversesKeys, value: value)
    }

    /// What the entry that a path leads to has added, with all its values.
    ///
    /// To be asked once the pages of the path may change, with the step as it was before. The copying has
    /// brought all of the old page near, and unlike the copy, what is read from it need not wait until the
    /// processor has written it. The old page stays as it is while the operation lasts.
    @inline(__always)
    func digest(of found: PathStep, _ key: KeyBytes) throws(DatabaseError) -> ContentDigest {
        try digest(ofEntry: found.index, of: Page(found.page, size: pageSize), key)
    }

    /// What an entry of a leaf has added, with all its values.
    func digest(
        ofEntry index: Int, of leaf: Page
    ) throws(DatabaseError) -> ContentDigest {
        guard tree.pointee.keepsDigest else { return ContentDigest() }
        let buffer = workspace.pointee.scratch.firstKey
        let length = leaf.copyKey(index, to: buffer)
        guard length >= 0 else { throw source.badEntry(leaf) }
        return try digest(
            ofEntry: index, of: leaf, KeyBytes(start: buffer, count: length))
    }

    /// The same where the key is known.
    @inline(__always)
    func digest(
        ofEntry index: Int, of leaf: Page, _ key: KeyBytes
    ) throws(DatabaseError) -> ContentDigest {
        guard tree.pointee.keepsDigest else { return ContentDigest() }
        guard let field = leaf.value(index) else { throw source.badEntry(leaf) }
        switch field.kind {
        case .overflow: return OverflowPointer(at: field.bytes).digest
        case .valueTree: return ValueTree(at: field.bytes).digest
        case .inline, .inlineValues: break
        }
        let value = UnsafeRawBufferPointer(start: field.bytes, count: field.count)
        guard field.kind == .inlineValues else { return digest(key, value) }
        guard let values = InlineValues(value) else { throw source.badEntry(leaf) }
        var total = ContentDigest()
        for place in 0..<values.count {
            guard let duplicate = values.duplicate(place) else { throw source.badEntry(leaf) }
            total += digest(key, duplicate)
        }
        return total
    }

    /// Counts a value anew that its caller has filled in since it was put.
    ///
    /// - Parameters:
    ///   - key: as the tree holds it.
    ///   - counted: what the pair has added to the digest so far.
    /// - Returns: what it adds now.
    func recount(
        _ key: KeyBytes, _ value: UnsafeRawBufferPointer, counted: ContentDigest
    ) throws(DatabaseError) -> ContentDigest {
        let filled = digest(key, value)
        guard filled != counted else { return filled }
        guard tree.pointee.depth > 0 else { throw source.outOfBounds(tree.pointee.root) }
        let position = try TreeRead.descend(source, tree.pointee, to: key, path: path)
        let leaf = Page(path[tree.pointee.depth - 1].page, size: pageSize)
        // A change since would have recounted it first.
        assert(position.found && isPathOwn)
        guard position.found, let field = leaf.value(position.index) else {
            throw source.badEntry(leaf)
        }
        if field.kind == .overflow {
            var pointer = OverflowPointer(at: field.bytes)
            pointer.digest = filled
            pointer.store(to: field.bytes)
        }
        tree.pointee.record.digest -= counted
        tree.pointee.record.digest += filled
        return filled
    }
}
