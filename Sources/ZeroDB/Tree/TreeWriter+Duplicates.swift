import Glibc

/// Databases whose keys may have several values.
///
/// One value lies in the leaf as in other databases. A few lie in its place as `InlineValues`. More
/// than fit into half a page have a tree of their own, whose record (`ValueTree`) is in the leaf.
/// Values go back into the leaf when they have shrunk to half of what would fit there, so that
/// values that grow and shrink at the limit do not move each time.
extension TreeWriter {
    private var isReversed: Bool { tree.pointee.record.flags.reversesValues }

    private var width: Int { tree.pointee.record.fixedValueSize }

    private func fitsInLeaf(_ key: KeyBytes, valueLength: Int) -> Bool {
        // With a long key little else fits; what is no larger than the record of a tree stays, too.
        valueLength <= ValueTree.size
            || Page.entrySize(isLeaf: true, suffixLength: key.count, valueLength: valueLength)
                <= Format.inlineEntrySizeMax(pageSize: pageSize)
    }

    private var valueTreeState: UnsafeMutablePointer<TreeState> {
        withUnsafeMutablePointer(to: &workspace.pointee.valueTree) { $0 }
    }

    private func valuesBytes(_ count: Int) -> UnsafeRawBufferPointer {
        UnsafeRawBufferPointer(start: workspace.pointee.valuesBuffer, count: count)
    }

    // MARK: Put

    /// Puts a pair of key and value. The caller has checked their sizes; neither lies in a frame.
    func putPair(
        _ key: KeyBytes, _ value: UnsafeRawBufferPointer, mode: PutMode
    ) throws(DatabaseError) -> PutResult {
        assert(isPutable(key, value))
        guard tree.pointee.depth > 0 else {
            let added = digest(key, value)
            try putFirst(key, stored: try single(value, key, added))
            noteAdded(added)
            TreeRecord.add(1, to: &tree.pointee.record.keys)
            return .stored
        }
        guard let position = try find(key, mode) else { return .notSorted }
        guard position.found else {
            let added = digest(key, value)
            try touchPath()
            try insertEntry(key, try single(value, key, added))
            TreeRecord.add(1, to: &tree.pointee.record.keys)
            noteAdded(added)
            noteChange()
            return .stored
        }
        let leaf = Page(path[tree.pointee.depth - 1].page, size: pageSize)
        if mode == .noOverwrite {
            return .exists(
                try TreeRead.value(source, leaf, position.index, tree.pointee.record))
        }
        let place = try search(value, in: leaf, position.index)
        if mode == .appendValue, place.found || !isAtEnd(place.position) { return .notSorted }
        if place.found { return .unchanged }
        let added = digest(key, value)
        try touchPath()
        if isCounted { changeEntryCounts(by: 1) }
        try add(value, at: place.position.index, to: key, added)
        TreeRecord.add(1, to: &tree.pointee.record.entries)
        noteAdded(added)
        noteChange()
        return .stored
    }

    /// Finds a value among those of the key that the path leads to. For a value tree, `valueTree` and
    /// its path are then set up, and the value's key is in `valueKey`.
    private func search(
        _ value: UnsafeRawBufferPointer, in leaf: Page, _ index: Int
    ) throws(DatabaseError) -> (position: ValuePosition, found: Bool) {
        var position = ValuePosition()
        let found = try TreeRead.find(
            value, in: leaf, index, source, tree.pointee.record, &position,
            valueKey: workspace.pointee.valueKey, path: workspace.pointee.valuePath)
        if position.kind == .valueTree { loadValueTree(position.tree) }
        return (position, found)
    }

    /// Whether a position is behind the last value of its key.
    private func isAtEnd(_ position: ValuePosition) -> Bool {
        switch position.kind {
        case .none: return true
        case .single: return position.index == 1
        case .inlineValues: return position.index == position.count
        case .valueTree:
            let path = workspace.pointee.valuePath
            let depth = position.tree.depth
            for step in 0..<(depth - 1)
            where path[step].index != Page(path[step].page, size: pageSize).count - 1 {
                return false
            }
            return path[depth - 1].index == Page(path[depth - 1].page, size: pageSize).count
        }
    }

    private func loadValueTree(_ state: TreeState) {
        // Where the last insert went is kept, to see ascending values.
        let (page, index) = (
            valueTreeState.pointee.lastInsertPage, valueTreeState.pointee.lastInsertIndex
        )
        valueTreeState.pointee = state
        valueTreeState.pointee.lastInsertPage = page
        valueTreeState.pointee.lastInsertIndex = index
    }

    private func valueKey(of value: UnsafeRawBufferPointer) -> KeyBytes {
        KeyOrder.copyKey(of: value, reversed: isReversed, to: workspace.pointee.valueKey)
        return KeyBytes(start: workspace.pointee.valueKey, count: value.count)
    }

    /// Adds a value to those of the key that the path leads to. All pages of the path may change in place.
    ///
    /// - Parameter digest: of the pair.
    private func add(
        _ value: UnsafeRawBufferPointer, at index: Int, to key: KeyBytes, _ digest: ContentDigest
    ) throws(DatabaseError) {
        assert(isPathOwn)
        let step = path[tree.pointee.depth - 1]
        let leaf = Page(step.page, size: pageSize)
        guard let field = leaf.value(step.index) else { throw source.badEntry(leaf) }
        let bytes = UnsafeRawBufferPointer(start: field.bytes, count: field.count)
        switch field.kind {
        case .inline:
            let size = InlineValues.fieldSize(
                count: 2, bytes: field.count + value.count, width: width)
            guard fitsInLeaf(key, valueLength: size) else {
                try moveToTree(key, [bytes], value, digest)
                return
            }
            let (first, second) = index == 0 ? (value, bytes) : (bytes, value)
            let count = InlineValues.store(
                first, second, width: width, to: workspace.pointee.valuesBuffer)
            try replace(key, LeafValue(kind: .inlineValues, bytes: valuesBytes(count)))
        case .inlineValues:
            guard let values = InlineValues(bytes) else { throw source.badEntry(leaf) }
            guard fitsInLeaf(key, valueLength: values.fieldSize(adding: value.count)) else {
                var duplicates: [UnsafeRawBufferPointer] = []
                for index in 0..<values.count {
                    guard let duplicate = values.duplicate(index) else {
                        throw source.badEntry(leaf)
                    }
                    duplicates.append(duplicate)
                }
                try moveToTree(key, duplicates, value, digest)
                return
            }
            let count = values.copy(inserting: value, at: index, to: workspace.pointee.valuesBuffer)
            try replace(key, LeafValue(kind: .inlineValues, bytes: valuesBytes(count)))
        case .valueTree, .overflow:
            let before = valueTreeState.pointee.record
            try insert(value)
            countPages(from: before)
            valueTreeState.pointee.record.digest += digest
            ValueTree(valueTreeState.pointee.record).store(to: field.bytes)
        }
    }

    /// Adds a value to the value tree, where `search` has found that it goes.
    private func insert(_ value: UnsafeRawBufferPointer) throws(DatabaseError) {
        let writer = TreeWriter(of: self, valueTree: valueTreeState)
        try writer.touchPath()
        try writer.insertEntry(
            KeyBytes(start: workspace.pointee.valueKey, count: value.count), PageEntries.noValue)
        writer.noteChange()
    }

    /// Adds what a change of the value tree did to the database's counts of pages.
    private func countPages(from before: TreeRecord) {
        let after = valueTreeState.pointee.record
        let record = withUnsafeMutablePointer(to: &tree.pointee.record) { $0 }
        TreeRecord.add(after.leafPages, to: &record.pointee.leafPages)
        TreeRecord.subtract(before.leafPages, from: &record.pointee.leafPages)
        TreeRecord.add(after.branchPages, to: &record.pointee.branchPages)
        TreeRecord.subtract(before.branchPages, from: &record.pointee.branchPages)
    }

    /// The only value of a key, as its leaf will hold it.
    private func single(
        _ value: UnsafeRawBufferPointer, _ key: KeyBytes, _ digest: ContentDigest
    ) throws(DatabaseError) -> LeafValue {
        if fitsInLeaf(key, valueLength: value.count) {
            return LeafValue(kind: .inline, bytes: value)
        }
        return try makeTree(of: key, [], value, digest)
    }

    private func moveToTree(
        _ key: KeyBytes, _ duplicates: [UnsafeRawBufferPointer], _ value: UnsafeRawBufferPointer,
        _ digest: ContentDigest
    ) throws(DatabaseError) {
        try replace(key, try makeTree(of: key, duplicates, value, digest))
    }

    /// A tree of values.
    ///
    /// - Parameters:
    ///   - duplicates: in their order.
    ///   - value: one more.
    ///   - digest: of the key and that one.
    private func makeTree(
        of key: KeyBytes, _ duplicates: [UnsafeRawBufferPointer], _ value: UnsafeRawBufferPointer,
        _ digest: ContentDigest
    ) throws(DatabaseError) -> LeafValue {
        valueTreeState.pointee = TreeState()
        valueTreeState.pointee.becomeValueTree(in: tree.pointee.record)
        let writer = TreeWriter(of: self, valueTree: valueTreeState)
        var total = digest
        for duplicate in duplicates {
            // What the memory for a value's key has room for.
            guard duplicate.count <= Format.keyBoundInPage(pageSize) else {
                throw corruptedLeaf("a value of several has \(duplicate.count) bytes")
            }
            _ = try writer.put(
                valueKey(of: duplicate), PageEntries.noValue.bytes, mode: .append)
            total += self.digest(key, duplicate)
        }
        _ = try writer.put(valueKey(of: value), PageEntries.noValue.bytes, mode: .noOverwrite)
        countPages(from: TreeRecord())
        valueTreeState.pointee.record.digest = total
        ValueTree(valueTreeState.pointee.record).store(to: workspace.pointee.valueTreeRecord)
        return LeafValue(
            kind: .valueTree,
            bytes: UnsafeRawBufferPointer(
                start: workspace.pointee.valueTreeRecord, count: ValueTree.size))
    }

    // MARK: Delete

    /// Deletes a pair of key and value. Neither lies in a frame.
    ///
    /// - Returns: false if it is not there, and then nothing has changed.
    func deletePair(
        _ key: KeyBytes, _ value: UnsafeRawBufferPointer
    ) throws(DatabaseError) -> Bool {
        assert(isPutable(key, value))
        guard tree.pointee.depth > 0 else { return false }
        let position = try TreeRead.descend(source, tree.pointee, to: key, path: path)
        guard position.found else { return false }
        let depth = tree.pointee.depth
        let leafStep = depth - 1
        let found = Page(path[leafStep].page, size: pageSize)
        let place = try search(value, in: found, position.index)
        guard place.found else { return false }
        let removed = digest(key, value)
        try touchPath()
        let leaf = Page(path[leafStep].page, size: pageSize)
        guard let field = leaf.value(position.index) else { throw source.badEntry(leaf) }
        let bytes = UnsafeRawBufferPointer(start: field.bytes, count: field.count)
        guard LeafValue.entryCount(LeafValue(field)) > 1 else {
            try removeFound(removed)
            return true
        }
        switch field.kind {
        case .inline, .overflow: break
        case .inlineValues:
            guard let values = InlineValues(bytes) else { throw source.badEntry(leaf) }
            if isCounted { changeEntryCounts(by: 0 &- 1) }
            try removeInlineValue(place.position.index, of: values, key, leaf)
        case .valueTree:
            if isCounted { changeEntryCounts(by: 0 &- 1) }
            try removeFromTree(key, field, removed)
        }
        TreeRecord.subtract(1, from: &tree.pointee.record.entries)
        tree.pointee.record.digest -= removed
        tree.pointee.lastInsertPage = .none
        noteChange()
        // Values that go back into the leaf can be larger than the record of their tree was, and have
        // split it. Then it is not too empty.
        if tree.pointee.depth == depth { try rebalance(leafStep) }
        return true
    }

    private func removeInlineValue(
        _ index: Int, of values: InlineValues, _ key: KeyBytes, _ leaf: Page
    ) throws(DatabaseError) {
        guard values.count > 1 else {
            throw source.corrupted(leaf.number, "page", "a key with several values has one")
        }
        if values.count == 2 {
            guard let last = values.duplicate(1 - index) else { throw source.badEntry(leaf) }
            if let start = last.baseAddress {
                memcpy(workspace.pointee.valuesBuffer, start, last.count)
            }
            try replace(key, LeafValue(kind: .inline, bytes: valuesBytes(last.count)))
            return
        }
        let count = values.copy(removing: index, to: workspace.pointee.valuesBuffer)
        try replace(key, LeafValue(kind: .inlineValues, bytes: valuesBytes(count)))
    }

    /// Takes the value that `search` has found out of the value tree.
    private func removeFromTree(
        _ key: KeyBytes, _ field: Page.ValueField, _ digest: ContentDigest
    ) throws(DatabaseError) {
        let before = valueTreeState.pointee.record
        let writer = TreeWriter(of: self, valueTree: valueTreeState)
        try writer.touchPath()
        try writer.removeFound(ContentDigest())
        guard valueTreeState.pointee.depth > 0 else {
            throw corruptedLeaf("a tree of values has fewer than its record counts")
        }
        if try moveToLeaf(key, before) { return }
        countPages(from: before)
        valueTreeState.pointee.record.digest -= digest
        ValueTree(valueTreeState.pointee.record).store(to: field.bytes)
    }

    /// Puts the values of a tree that has become small back into the leaf.
    private func moveToLeaf(_ key: KeyBytes, _ before: TreeRecord) throws(DatabaseError) -> Bool {
        guard valueTreeState.pointee.depth == 1 else { return false }
        let root = valueTreeState.pointee.root
        let page = try source.page(root, level: 0, layout: valueTreeState.pointee.leafLayout)
        try TreeRead.checkValueLeaf(source, valueTreeState.pointee, page)
        // Summed up: in a damaged page values may lie on one another.
        var duplicates = 0
        for index in 0..<page.count {
            duplicates += page.valueLeafEntrySize(index)
            if !page.layout.contains(.packed) { duplicates -= Page.leafSlotSize }
        }
        let valueLength =
            page.count == 1
            ? duplicates
            : InlineValues.fieldSize(count: page.count, bytes: duplicates, width: width)
        let size = Page.entrySize(
            isLeaf: true, suffixLength: key.count, valueLength: valueLength)
        guard
            size * 2 <= Format.inlineEntrySizeMax(pageSize: pageSize)
                || valueLength * 2 <= ValueTree.size
        else { return false }
        let stored: LeafValue
        if page.count == 1, let duplicate = page.duplicate(0) {
            if let start = duplicate.baseAddress {
                memcpy(workspace.pointee.valuesBuffer, start, duplicate.count)
            }
            stored = LeafValue(kind: .inline, bytes: valuesBytes(duplicate.count))
        } else {
            guard page.count > 1,
                let count = InlineValues.store(
                    page, width: width, to: workspace.pointee.valuesBuffer)
            else { return false }
            stored = LeafValue(kind: .inlineValues, bytes: valuesBytes(count))
        }
        release(root)
        valueTreeState.pointee.record.leafPages = 0
        valueTreeState.pointee.record.branchPages = 0
        countPages(from: before)
        try replace(key, stored)
        return true
    }

    /// An error about the leaf that the path leads to.
    private func corruptedLeaf(_ problem: String) -> DatabaseError {
        let leaf = Page(path[tree.pointee.depth - 1].page, size: pageSize)
        return source.corrupted(leaf.number, "leaf", problem)
    }
}
