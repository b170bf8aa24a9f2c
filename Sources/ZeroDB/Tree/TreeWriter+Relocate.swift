import Glibc

/// Moving a tree's pages towards the beginning of the file: by changing nothing in them, as a page that a
/// transaction has touched gets a new number.
extension TreeWriter {
    /// Touches the pages that are to be moved, up to a number of them, and fills sparse leaves.
    ///
    /// - Parameters:
    ///   - key: where to begin; nil at the beginning.
    ///   - relocation: its `next` is where to go on.
    func relocate(
        from key: [UInt8]?, _ relocation: inout Relocation
    ) throws(DatabaseError) {
        relocation.next = nil
        guard tree.pointee.depth > 0 else { return }
        let before = tree.pointee.root
        _ = try relocate(
            tree.pointee.root, step: 0, level: tree.pointee.depth - 1, from: key, &relocation)
        // What has changed anywhere has changed the root.
        guard tree.pointee.root != before || before.isFrame else { return }
        if relocation.fills { try shrinkRoot() }
        tree.pointee.lastInsertPage = .none
        noteChange()
    }

    private func isExhausted(_ relocation: Relocation) -> Bool {
        workspace.pointee.frames.pointee.dirtyPages >= relocation.budget
            || (relocation.looks <= 0 && !tree.pointee.isValueTree)
    }

    /// Relocates a page and what is below it. The path leads to the page's parent.
    ///
    /// - Returns: false if it stopped before the end.
    private func relocate(
        _ reference: PageReference, step: Int, level: Int, from key: [UInt8]?,
        _ relocation: inout Relocation
    ) throws(DatabaseError) -> Bool {
        let page = try source.page(
            reference, level: level, layout: tree.pointee.layout(level: level))
        guard page.slotsAreInBounds else { throw source.badEntry(page) }
        path[step] = PathStep(reference: reference, page: page.base, index: 0)
        relocation.looks -= 1
        if relocation.moves(reference) { try touchPath(steps: step + 1) }
        guard level > 0 else { return try relocateValues(step, &relocation) }
        let readsLeaves = relocation.readsLeaves(tree.pointee)
        var key = key
        var index = 0
        if let key {
            index = try key.withBytes { key throws(DatabaseError) in page.searchBranch(key) }
            guard index >= 0 else { throw source.badEntry(page) }
        }
        while index < current(step).count {
            path[step].index = index
            let child = current(step).child(index)
            if level == 1, !readsLeaves {
                try relocateLeaf(child, step + 1, &relocation)
            } else if try !relocate(
                child, step: step + 1, level: level - 1, from: key, &relocation)
            {
                if relocation.next == nil, !tree.pointee.isValueTree {
                    try noteNext(index + 1, step, &relocation)
                }
                return false
            }
            key = nil
            if relocation.fills, try fill(step, index, level), !isExhausted(relocation) { continue }
            index += 1
            // There is no place in the values of a key to go on from: they are begun anew.
            if isExhausted(relocation), index < current(step).count {
                if !tree.pointee.isValueTree { try noteNext(index, step, &relocation) }
                return false
            }
        }
        return true
    }

    private func current(_ step: Int) -> Page { Page(path[step].page, size: pageSize) }

    private func noteNext(
        _ index: Int, _ step: Int, _ relocation: inout Relocation
    ) throws(DatabaseError) {
        let page = current(step)
        guard index < page.count else { return }
        relocation.next = try Relocation.key(index, of: page, source)
    }

    private func relocateLeaf(
        _ reference: PageReference, _ step: Int, _ relocation: inout Relocation
    ) throws(DatabaseError) {
        guard relocation.moves(reference) else { return }
        let leaf = try source.page(reference, level: 0, layout: tree.pointee.leafLayout)
        path[step] = PathStep(reference: reference, page: leaf.base, index: 0)
        try touchPath(steps: step + 1)
    }

    // MARK: Values

    /// Moves large values of a leaf, and the pages of its value trees.
    ///
    /// - Returns: false if it stopped before the end.
    private func relocateValues(
        _ step: Int, _ relocation: inout Relocation
    ) throws(DatabaseError) -> Bool {
        guard relocation.readsLeaves(tree.pointee) else { return true }
        var index = current(step).firstIndirectValue(from: 0)
        while index < current(step).count {
            let leaf = current(step)
            guard let value = leaf.value(index) else { throw source.badEntry(leaf) }
            if value.kind == .overflow {
                let pointer = OverflowPointer(at: value.bytes)
                if relocation.moves(pointer, pageSize: pageSize) {
                    let pages = OverflowPointer.pageCount(
                        length: pointer.length, pageSize: pageSize)
                    let dirty = workspace.pointee.frames.pointee.dirtyPages
                    if dirty > 0, dirty + pages > relocation.budget {
                        relocation.next = try Relocation.key(index, of: leaf, source)
                        return false
                    }
                    try move(pointer, index, step)
                }
            } else if value.kind == .valueTree {
                guard try relocateValueTree(index, step, &relocation) else {
                    relocation.next = try Relocation.key(index, of: current(step), source)
                    return false
                }
            }
            index = current(step).firstIndirectValue(from: index + 1)
        }
        return true
    }

    private func move(
        _ pointer: OverflowPointer, _ index: Int, _ step: Int
    ) throws(DatabaseError) {
        let bytes = try source.overflow(pointer)
        try touchPath(steps: step + 1)
        let stored = try storeOverflow(bytes, pointer.digest)
        let leaf = current(step)
        guard leaf.overwriteValue(index, with: stored) else { throw source.badEntry(leaf) }
        release(pointer)
    }

    private func relocateValueTree(
        _ index: Int, _ step: Int, _ relocation: inout Relocation
    ) throws(DatabaseError) -> Bool {
        let leaf = current(step)
        guard let value = leaf.value(index) else { throw source.badEntry(leaf) }
        let state = withUnsafeMutablePointer(to: &workspace.pointee.valueTree) { $0 }
        state.pointee = ValueTree(at: value.bytes).state(in: tree.pointee.record)
        guard state.pointee.depth > 0 else { throw source.badEntry(leaf) }
        let before = state.pointee.root
        let writer = TreeWriter(of: self, valueTree: state)
        let isDone = try writer.relocate(
            before, step: 0, level: state.pointee.depth - 1, from: nil, &relocation)
        if state.pointee.root != before {
            try touchPath(steps: step + 1)
            let leaf = current(step)
            guard let value = leaf.value(index) else { throw source.badEntry(leaf) }
            ValueTree(state.pointee.record).store(to: value.bytes)
        }
        return isDone
    }

    // MARK: Filling

    /// Moves entries into a sparse child from the one after it, or all of them.
    ///
    /// - Parameters:
    ///   - step: of the branch.
    ///   - level: of the branch.
    /// - Returns: whether the two are one now.
    private func fill(_ step: Int, _ index: Int, _ level: Int) throws(DatabaseError) -> Bool {
        let parent = current(step)
        guard index + 1 < parent.count, !tree.pointee.isValueTree else { return false }
        let layout = tree.pointee.layout(level: level - 1)
        let left = try source.page(parent.child(index), level: level - 1, layout: layout)
        guard Relocation.isSparse(left) else { return false }
        let right = try source.page(parent.child(index + 1), level: level - 1, layout: layout)
        let both = left.liveSize + right.liveSize - left.prefixLength - right.prefixLength
        if both <= Relocation.filled(pageSize: pageSize) {
            try touchPath(steps: step + 1)
            if try mergeChildren(step + 1, left: index) { return true }
        }
        if level == 1 { try shift(step, index) }
        return false
    }

    /// Moves entries from the beginning of a leaf to the end of the one before it, as many as that is to
    /// have.
    ///
    /// - Parameters:
    ///   - step: of their parent.
    ///   - index: of the first.
    private func shift(_ step: Int, _ index: Int) throws(DatabaseError) {
        let scratch = workspace.pointee.scratch
        var parent = current(step)
        let right = try source.page(parent.child(index + 1), level: 0)
        let left = try source.page(parent.child(index), level: 0)
        let moved = movable(from: right, to: left)
        guard moved > 0 else { return }
        // The separator of the two, as short as it can be.
        let rightEntries = PageEntries(right, scratch: scratch)
        let before = rightEntries.key(moved - 1, in: scratch.firstKey)
        let after = rightEntries.key(moved, in: scratch.secondKey)
        let length = min(after.count, KeyOrder.commonPrefixLength(before, after) + 1)
        let buffer = workspace.pointee.separators.0
        if let start = after.baseAddress { memcpy(buffer, start, length) }
        let separator = KeyBytes(start: buffer, count: length)
        let movedEntries = rightEntries.entryCount(0..<moved)

        try touchPath(steps: step + 1)
        parent = current(step)
        let leftCount = isCounted ? parent.entryCount(index) : 0
        let rightCount = isCounted ? parent.entryCount(index + 1) : 0
        // It must have room for the new separator, in the place of the old one.
        var entries = parentEntries(
            parent, index + 1, separator, parent.child(index + 1), rightCount &- movedEntries)
        guard entries.fits(0..<entries.count) else { return }
        let target = try ownChild(index, of: parent)
        let source = try ownChild(index + 1, of: parent)
        entries = parentEntries(
            parent, index + 1, separator, parent.child(index + 1), rightCount &- movedEntries)
        let parentLevel = parent.level
        entries.write(0..<entries.count, to: parent, level: parentLevel)
        if isCounted { parent.setEntryCount(index, leftCount &+ movedEntries) }
        append(0..<moved, of: source, to: target)
        memcpy(scratch.page, source.base, pageSize)
        let rest = PageEntries(Page(scratch.page, size: pageSize), scratch: scratch)
        rest.write(moved..<rest.count, to: source, level: 0)
    }

    /// How many of a leaf's first entries the one before it is to take; never all of them.
    private func movable(from right: Page, to left: Page) -> Int {
        let scratch = workspace.pointee.scratch
        guard left.count > 0, right.count > 1 else { return 0 }
        let leftEntries = PageEntries(left, scratch: scratch)
        let rightEntries = PageEntries(right, scratch: scratch)
        // With all of them it would be the shortest.
        let prefix = KeyOrder.commonPrefixLength(
            leftEntries.key(0, in: scratch.firstKey),
            rightEntries.key(right.count - 1, in: scratch.secondKey))
        var size = Page.slotsOffset(prefixLength: prefix) - Page.headerSize
        for index in 0..<left.count { size += leftEntries.size(index, prefixLength: prefix) }
        let filled = Relocation.filled(pageSize: pageSize)
        var count = 0
        while count < right.count - 1 {
            size += rightEntries.size(count, prefixLength: prefix)
            guard size <= filled else { break }
            count += 1
        }
        return count > 0 && rightEntries.fits(count..<right.count) ? count : 0
    }

    /// A branch's entries, one of them with another separator. Uses the scratch page.
    private func parentEntries(
        _ parent: Page, _ index: Int, _ separator: KeyBytes, _ child: PageReference,
        _ entryCount: UInt64
    ) -> PageEntries {
        let scratch = workspace.pointee.scratch
        memcpy(scratch.page, parent.base, pageSize)
        let copy = Page(scratch.page, size: pageSize)
        copy.removeEntry(index)
        return PageEntries(
            copy, newIndex: index, newKey: separator, newValue: PageEntries.noValue,
            newChild: child, newEntryCount: entryCount, scratch: scratch)
    }

    /// A leaf that may change in place.
    private func ownChild(_ index: Int, of parent: Page) throws(DatabaseError) -> Page {
        let reference = parent.child(index)
        let leaf = try source.page(reference, level: 0)
        if isOwn(reference) { return leaf }
        let (own, copy) = try newPage()
        memcpy(copy.base, leaf.base, pageSize)
        release(reference)
        parent.setChild(index, own)
        return copy
    }

    /// Builds a leaf anew with the first entries of another one behind its own.
    private func append(_ range: Range<Int>, of right: Page, to target: Page) {
        let scratch = workspace.pointee.scratch
        memcpy(scratch.page, target.base, pageSize)
        let own = PageEntries(Page(scratch.page, size: pageSize), scratch: scratch)
        let others = PageEntries(right, scratch: scratch)
        let first = own.key(0, in: scratch.firstKey)
        let last = others.key(range.upperBound - 1, in: scratch.secondKey)
        let prefix = KeyOrder.commonPrefixLength(first, last)
        target.format(
            kind: .leaf, level: 0, prefix: KeyBytes(rebasing: first.prefix(prefix)))
        own.append(0..<own.count, to: target)
        others.append(range, to: target)
    }
}
