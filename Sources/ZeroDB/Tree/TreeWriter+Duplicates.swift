import Glibc

/// Databases whose keys may have several values.
///
/// One value lies in the leaf as in other databases, a few as a `MemberSet` in its place; more than
/// fit into half a page have a tree of their own, whose record (`SetTree`) is in the leaf. A set
/// goes back into the leaf when it has shrunk to half of what would fit there, so that one that
/// grows and shrinks at the limit does not move each time.
extension TreeWriter {
    private var isReversed: Bool { tree.pointee.record.flags.reversesValues }

    /// Bytes of each value, 0 if they differ.
    private var width: Int {
        tree.pointee.record.flags.contains(.fixedSizeDuplicates)
            ? Int(tree.pointee.record.valueWidth) : 0
    }

    private func fitsInLeaf(_ key: KeyBytes, valueLength: Int) -> Bool {
        Page.entrySize(isLeaf: true, suffixLength: key.count, valueLength: valueLength)
            <= Format.inlineEntrySizeMax(pageSize: pageSize)
    }

    private var setState: UnsafeMutablePointer<TreeState> {
        withUnsafeMutablePointer(to: &write.pointee.set) { $0 }
    }

    private func setBytes(_ count: Int) -> UnsafeRawBufferPointer {
        UnsafeRawBufferPointer(start: write.pointee.setBuffer, count: count)
    }

    // MARK: Put

    /// Puts a pair of key and value. The caller has checked their sizes; neither lies in a frame.
    func putPair(
        _ key: KeyBytes, _ value: UnsafeRawBufferPointer, mode: PutMode
    ) throws(DatabaseError) -> PutResult {
        guard tree.pointee.depth > 0 else {
            try putFirst(key, stored: try single(value, key))
            TreeRecord.add(1, to: &tree.pointee.record.keys)
            return .stored
        }
        guard let position = try find(key, mode) else { return .notSorted }
        guard position.found else {
            try touchPath()
            let stored = try single(value, key)
            if isCounted { changeWeights(by: 1) }
            try insertLeafEntry(key, stored)
            TreeRecord.add(1, to: &tree.pointee.record.entries)
            TreeRecord.add(1, to: &tree.pointee.record.keys)
            noteChange()
            return .stored
        }
        let leaf = Page(path[tree.pointee.depth - 1].page, size: pageSize)
        if mode == .noOverwrite {
            return .exists(
                try TreeRead.value(source, leaf, position.index, tree.pointee.record))
        }
        guard let field = leaf.value(position.index) else { throw source.broken(leaf) }
        let place = try search(field, value, in: leaf)
        if mode == .appendValue, place.found || place.index < place.count { return .notSorted }
        if place.found { return .unchanged }
        try touchPath()
        if isCounted { changeWeights(by: 1) }
        try add(value, at: place.index, to: key)
        TreeRecord.add(1, to: &tree.pointee.record.entries)
        noteChange()
        return .stored
    }

    /// Where a value is or would be among those of a key.
    private struct MemberPlace {
        var index: Int
        var found: Bool
        /// Values that it is to be compared with: of the leaf, in a tree.
        var count: Int
    }

    /// Finds a value among those of a key. For a tree, `set` and its path are then those of it,
    /// and the value's key is in `memberKey`.
    private func search(
        _ field: Page.ValueField, _ value: UnsafeRawBufferPointer, in leaf: Page
    ) throws(DatabaseError) -> MemberPlace {
        let bytes = UnsafeRawBufferPointer(start: field.bytes, count: field.count)
        switch field.kind {
        case .inline:
            guard width == 0 || bytes.count == width else { throw source.broken(leaf) }
            let order = MemberOrder.compare(bytes, value, reversed: isReversed)
            return MemberPlace(index: order < 0 ? 1 : 0, found: order == 0, count: 1)
        case .set:
            guard let set = MemberSet(bytes), set.width == width else {
                throw source.broken(leaf)
            }
            let position = set.search(value, reversed: isReversed)
            guard position.index >= 0 else { throw source.broken(leaf) }
            return MemberPlace(index: position.index, found: position.found, count: set.count)
        case .tree:
            loadSet(SetTree(at: field.bytes))
            let position = try TreeRead.descend(
                source, setState.pointee, to: memberKey(of: value), path: write.pointee.setPath)
            // Only in the last leaf can it be the last.
            let count = position.found || !isAtEnd(position.index) ? Int.max : position.index
            return MemberPlace(index: position.index, found: position.found, count: count)
        case .overflow:
            throw source.corrupted(
                leaf.number, "page", "a database with duplicates has a value in an overflow run")
        }
    }

    /// Whether the path in the set leads behind its last value.
    private func isAtEnd(_ index: Int) -> Bool {
        let path = write.pointee.setPath
        let depth = setState.pointee.depth
        for step in 0..<(depth - 1)
        where path[step].index != Page(path[step].page, size: pageSize).count - 1 {
            return false
        }
        return index == Page(path[depth - 1].page, size: pageSize).count
    }

    private func loadSet(_ set: SetTree) {
        // Where the last insert went is kept, to see ascending values.
        let (page, index) = (setState.pointee.lastInsertPage, setState.pointee.lastInsertIndex)
        setState.pointee = set.state(in: tree.pointee.record)
        setState.pointee.lastInsertPage = page
        setState.pointee.lastInsertIndex = index
    }

    private func memberKey(of value: UnsafeRawBufferPointer) -> KeyBytes {
        MemberOrder.copyKey(of: value, reversed: isReversed, to: write.pointee.memberKey)
        return KeyBytes(start: write.pointee.memberKey, count: value.count)
    }

    /// Adds a value to those of the key that the path leads to. The path has been touched.
    private func add(
        _ value: UnsafeRawBufferPointer, at index: Int, to key: KeyBytes
    ) throws(DatabaseError) {
        let step = path[tree.pointee.depth - 1]
        let leaf = Page(step.page, size: pageSize)
        guard let field = leaf.value(step.index) else { throw source.broken(leaf) }
        let bytes = UnsafeRawBufferPointer(start: field.bytes, count: field.count)
        switch field.kind {
        case .inline:
            let size = MemberSet.fieldSize(
                count: 2, bytes: field.count + value.count, width: width)
            guard fitsInLeaf(key, valueLength: size) else {
                try moveToTree(key, [bytes], value)
                return
            }
            let (first, second) = index == 0 ? (value, bytes) : (bytes, value)
            let count = MemberSet.store(first, second, width: width, to: write.pointee.setBuffer)
            try replace(key, LeafValue(kind: .set, bytes: setBytes(count)))
        case .set:
            guard let set = MemberSet(bytes) else { throw source.broken(leaf) }
            guard fitsInLeaf(key, valueLength: set.fieldSize(adding: value.count)) else {
                var members: [UnsafeRawBufferPointer] = []
                for index in 0..<set.count {
                    guard let member = set.member(index) else { throw source.broken(leaf) }
                    members.append(member)
                }
                try moveToTree(key, members, value)
                return
            }
            let count = set.copy(inserting: value, at: index, to: write.pointee.setBuffer)
            try replace(key, LeafValue(kind: .set, bytes: setBytes(count)))
        case .tree, .overflow:
            let before = setState.pointee.record
            _ = try TreeWriter(of: self, set: setState).put(
                memberKey(of: value), PageEntries.noValue.bytes, mode: .noOverwrite)
            countPages(from: before)
            SetTree(setState.pointee.record).store(to: field.bytes)
        }
    }

    /// Adds what a change of the set did to the database's counts of pages.
    private func countPages(from before: TreeRecord) {
        let after = setState.pointee.record
        let record = withUnsafeMutablePointer(to: &tree.pointee.record) { $0 }
        TreeRecord.add(after.leafPages, to: &record.pointee.leafPages)
        TreeRecord.subtract(before.leafPages, from: &record.pointee.leafPages)
        TreeRecord.add(after.branchPages, to: &record.pointee.branchPages)
        TreeRecord.subtract(before.branchPages, from: &record.pointee.branchPages)
    }

    /// The only value of a key, as its leaf will hold it.
    private func single(
        _ value: UnsafeRawBufferPointer, _ key: KeyBytes
    ) throws(DatabaseError) -> LeafValue {
        if fitsInLeaf(key, valueLength: value.count) {
            return LeafValue(kind: .inline, bytes: value)
        }
        return try makeTree([], value)
    }

    private func moveToTree(
        _ key: KeyBytes, _ members: [UnsafeRawBufferPointer], _ value: UnsafeRawBufferPointer
    ) throws(DatabaseError) {
        try replace(key, try makeTree(members, value))
    }

    /// A tree of values.
    ///
    /// - Parameter members: in their order.
    private func makeTree(
        _ members: [UnsafeRawBufferPointer], _ value: UnsafeRawBufferPointer
    ) throws(DatabaseError) -> LeafValue {
        setState.pointee = TreeState()
        setState.pointee.becomeSet(in: tree.pointee.record)
        let writer = TreeWriter(of: self, set: setState)
        for member in members {
            // What the memory for a value's key has room for.
            guard member.count <= pageSize / 4 else {
                throw corruptedLeaf("a value of several has \(member.count) bytes")
            }
            _ = try writer.put(
                memberKey(of: member), PageEntries.noValue.bytes, mode: .append)
        }
        _ = try writer.put(memberKey(of: value), PageEntries.noValue.bytes, mode: .noOverwrite)
        countPages(from: TreeRecord())
        SetTree(setState.pointee.record).store(to: write.pointee.setRecord)
        return LeafValue(
            kind: .tree,
            bytes: UnsafeRawBufferPointer(start: write.pointee.setRecord, count: SetTree.size))
    }

    // MARK: Delete

    /// Deletes a pair of key and value. Neither lies in a frame.
    ///
    /// - Returns: false if it is not there, and then nothing has changed.
    func deletePair(
        _ key: KeyBytes, _ value: UnsafeRawBufferPointer
    ) throws(DatabaseError) -> Bool {
        guard tree.pointee.depth > 0 else { return false }
        let position = try TreeRead.descend(source, tree.pointee, to: key, path: path)
        guard position.found else { return false }
        let leafStep = tree.pointee.depth - 1
        let found = Page(path[leafStep].page, size: pageSize)
        guard let before = found.value(position.index) else { throw source.broken(found) }
        let place = try search(before, value, in: found)
        guard place.found else { return false }
        try touchPath()
        let leaf = Page(path[leafStep].page, size: pageSize)
        guard let field = leaf.value(position.index) else { throw source.broken(leaf) }
        let bytes = UnsafeRawBufferPointer(start: field.bytes, count: field.count)
        guard LeafValue.weight(LeafValue(field)) > 1 else {
            try removeFound()
            return true
        }
        switch field.kind {
        case .inline, .overflow: break
        case .set:
            guard let set = MemberSet(bytes) else { throw source.broken(leaf) }
            if isCounted { changeWeights(by: 0 &- 1) }
            try removeMember(place.index, of: set, key, leaf)
        case .tree:
            if isCounted { changeWeights(by: 0 &- 1) }
            try removeFromTree(key, field, value)
        }
        TreeRecord.subtract(1, from: &tree.pointee.record.entries)
        tree.pointee.lastInsertPage = .none
        noteChange()
        try rebalance(leafStep)
        return true
    }

    private func removeMember(
        _ index: Int, of set: MemberSet, _ key: KeyBytes, _ leaf: Page
    ) throws(DatabaseError) {
        guard set.count > 1 else {
            throw source.corrupted(leaf.number, "page", "a set has one member")
        }
        if set.count == 2 {
            guard let last = set.member(1 - index) else { throw source.broken(leaf) }
            if let start = last.baseAddress {
                memcpy(write.pointee.setBuffer, start, last.count)
            }
            try replace(key, LeafValue(kind: .inline, bytes: setBytes(last.count)))
            return
        }
        let count = set.copy(removing: index, to: write.pointee.setBuffer)
        try replace(key, LeafValue(kind: .set, bytes: setBytes(count)))
    }

    private func removeFromTree(
        _ key: KeyBytes, _ field: Page.ValueField, _ value: UnsafeRawBufferPointer
    ) throws(DatabaseError) {
        let before = setState.pointee.record
        _ = try TreeWriter(of: self, set: setState).delete(memberKey(of: value))
        guard setState.pointee.depth > 0 else {
            throw corruptedLeaf("a tree of values has fewer than its record counts")
        }
        if try moveToLeaf(key, before) { return }
        countPages(from: before)
        SetTree(setState.pointee.record).store(to: field.bytes)
    }

    /// Puts the values of a tree that has become small back into the leaf.
    private func moveToLeaf(_ key: KeyBytes, _ before: TreeRecord) throws(DatabaseError) -> Bool {
        guard setState.pointee.depth == 1 else { return false }
        let root = setState.pointee.root
        let page = try source.page(root, level: 0, layout: setState.pointee.leafLayout)
        try TreeRead.checkMembers(source, setState.pointee, page)
        // Summed up: in a damaged page members may lie on one another.
        var members = 0
        for index in 0..<page.count {
            members += page.memberEntrySize(index)
            if !page.layout.contains(.packed) { members -= Page.leafSlotSize }
        }
        let size = Page.entrySize(
            isLeaf: true, suffixLength: key.count,
            valueLength: MemberSet.fieldSize(count: page.count, bytes: members, width: width))
        guard size * 2 <= Format.inlineEntrySizeMax(pageSize: pageSize) else { return false }
        let stored: LeafValue
        if page.count == 1, let member = page.member(0) {
            if let start = member.baseAddress {
                memcpy(write.pointee.setBuffer, start, member.count)
            }
            stored = LeafValue(kind: .inline, bytes: setBytes(member.count))
        } else {
            guard page.count > 1,
                let count = MemberSet.store(page, width: width, to: write.pointee.setBuffer)
            else { return false }
            stored = LeafValue(kind: .set, bytes: setBytes(count))
        }
        release(root)
        setState.pointee.record.leafPages = 0
        setState.pointee.record.branchPages = 0
        countPages(from: before)
        try replace(key, stored)
        return true
    }

    /// An error about the leaf that the path leads to.
    private func corruptedLeaf(_ problem: String) -> DatabaseError {
        let leaf = Page(path[tree.pointee.depth - 1].page, size: pageSize)
        return source.corrupted(leaf.number, "leaf", problem)
    }

    /// Gives up the pages of a tree of values.
    func releaseSet(_ set: SetTree) throws(DatabaseError) {
        let state = set.state(in: tree.pointee.record)
        // No tree has more pages than there are, whatever a damaged one claims.
        var left = min(
            set.leafPages &+ set.branchPages,
            source.pageCount &+ write.pointee.frames.pointee.dirtyPages)
        try releasePages(state.root, level: state.depth - 1, state, &left)
        TreeRecord.subtract(set.leafPages, from: &tree.pointee.record.leafPages)
        TreeRecord.subtract(set.branchPages, from: &tree.pointee.record.branchPages)
    }

    /// - Parameter left: pages the tree may still have; a damaged one could name pages many times.
    private func releasePages(
        _ reference: PageReference, level: Int, _ state: TreeState, _ left: inout UInt64
    ) throws(DatabaseError) {
        guard left > 0 else {
            throw source.corrupted(
                reference.number, "page", "a tree of duplicates has more pages than it counts")
        }
        left -= 1
        if level > 0 {
            let page = try source.page(reference, level: level, layout: state.branchLayout)
            for index in 0..<page.count {
                try releasePages(page.child(index), level: level - 1, state, &left)
            }
        }
        release(reference)
    }
}
