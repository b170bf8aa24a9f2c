import CZeroDBPlatform

/// A position in a database of a transaction.
///
/// In a read transaction the path to the entry stays good. In a write transaction the tree may
/// change under it; the cursor keeps its key and finds its place again when the tree's count of
/// changes has moved.
package struct CursorState {
    enum Place {
        /// On no entry yet.
        case nowhere
        /// On the entry with the key in `key`.
        case onEntry
        /// Where the entry with the key in `key` was; the path leads to the one after it.
        case between
        /// An error met on the way left the path in pieces.
        case lost
    }

    var place = Place.nowhere
    let path: Path
    /// The key under the cursor, room for the largest.
    private(set) var key: UnsafeMutableRawPointer
    private var keyCapacity: Int
    private(set) var keyLength = 0
    /// Keys that `nextMany` hands out, made at its first use.
    var batchKeys: UnsafeMutableRawPointer?
    /// The tree's changes when the path was good.
    private var changes: UInt64 = 0

    package var transaction: UnsafeMutablePointer<TransactionState>
    /// The transaction's environment: another may be the one's that has its place in memory now.
    package private(set) var environment: UnsafeMutablePointer<EnvironmentState>
    /// The transaction's handle, by which the cursor notices that it has ended.
    package var transactionHandle: UInt64 = 0
    /// The transaction's snapshot that the path belongs to.
    var snapshots: UInt64 = 0
    package var database = 0
    /// `zp_fork_generation()` of the process that opened the cursor.
    package private(set) var forkGeneration: UInt32 = 0

    package init(transaction: UnsafeMutablePointer<TransactionState>) {
        self.transaction = transaction
        environment = transaction.pointee.environment
        path = .allocate(capacity: Format.depthMax + 1)
        keyCapacity = transaction.pointee.source.pageSize / 4 + 16
        key = .allocate(byteCount: keyCapacity, alignment: 8)
    }

    /// Ready for another transaction.
    package mutating func begin(
        _ transaction: UnsafeMutablePointer<TransactionState>, handle: UInt64, database: Int
    ) {
        self.transaction = transaction
        environment = transaction.pointee.environment
        transactionHandle = handle
        self.database = database
        forkGeneration = transaction.pointee.forkGeneration
        snapshots = transaction.pointee.snapshots
        place = .nowhere
        let needed = transaction.pointee.source.pageSize / 4 + 16
        if needed > keyCapacity {
            key.deallocate()
            key = .allocate(byteCount: needed, alignment: 8)
            keyCapacity = needed
        }
    }

    package mutating func deallocate() {
        path.deallocate()
        key.deallocate()
        batchKeys?.deallocate()
    }

    /// An entry, as the cursor hands it out.
    package struct Entry {
        /// The cursor's copy, valid until it moves.
        package var key: UnsafeRawBufferPointer
        /// As `Operations.get`.
        package var value: UnsafeRawBufferPointer
    }

    // MARK: Moves

    /// A move that needs no key.
    package enum Move {
        case first
        case last
        case next
        case previous
        case current
    }

    /// - Returns: the entry, nil at the end of the database.
    /// - Throws: `badCursor` for `current` of no entry; `badTransaction`; `corrupted`.
    @inline(__always)
    package mutating func move(_ move: Move) throws(DatabaseError) -> Entry? {
        let tree = try begin()
        do throws(DatabaseError) {
            return try moveChecked(move, tree)
        } catch {
            if error.code != .badCursor { place = .lost }
            throw Operations(transaction).inDatabase(error, database)
        }
    }

    @inline(__always)
    mutating func moveChecked(
        _ move: Move, _ tree: TreeState
    ) throws(DatabaseError) -> Entry? {
        if place == .lost, move != .first, move != .last {
            throw DatabaseError(
                .badCursor, "an error lost the cursor's place; move it to a key or an end first")
        }
        switch move {
        case .next:
            if place != .nowhere { return try step(tree, forward: true) }
            return try moveToEnd(.first, tree)
        case .previous:
            if place != .nowhere { return try step(tree, forward: false) }
            return try moveToEnd(.last, tree)
        case .first: return try moveToEnd(.first, tree)
        case .last: return try moveToEnd(.last, tree)
        case .current:
            guard place == .onEntry else {
                throw DatabaseError(
                    .badCursor,
                    place == .nowhere
                        ? "the cursor is on no entry yet; move it first"
                        : "the entry under the cursor has been deleted; move it on")
            }
            return try entry(tree)
        }
    }

    /// Moves to a key, or if not `exact` to the first key at or after it.
    ///
    /// - Returns: nil if there is none, and then the cursor is nowhere.
    package mutating func seek(
        _ target: KeyBytes, exact: Bool
    ) throws(DatabaseError) -> Entry? {
        let tree = try begin()
        try Operations(transaction).checkKey(target)
        place = .nowhere
        guard tree.depth > 0 else { return nil }
        do throws(DatabaseError) {
            let source = transaction.pointee.source
            let position = try TreeRead.descend(source, tree, to: target, path: path)
            if !position.found {
                if exact { return nil }
                let leaf = Page(path[tree.depth - 1].page, size: source.pageSize)
                if position.index >= leaf.count {
                    let moved = try TreeRead.moveToNeighbor(
                        source, tree, forward: true, path: path)
                    guard moved else { return nil }
                }
            }
            return try entry(tree)
        } catch {
            place = .lost
            throw Operations(transaction).inDatabase(error, database)
        }
    }

    /// Checks the transaction and finds the place again if the tree has changed.
    @inline(__always)
    mutating func begin() throws(DatabaseError) -> TreeState {
        try transaction.pointee.checkUsable()
        let tree = try transaction.pointee.tree(database)
        if place == .onEntry || place == .between {
            if snapshots != transaction.pointee.snapshots {
                // Another snapshot: the old place means nothing in it.
                place = .nowhere
            } else if changes != tree.pointee.changes {
                try findAgain(tree.pointee)
            }
        }
        snapshots = transaction.pointee.snapshots
        changes = tree.pointee.changes
        return tree.pointee
    }

    @inline(never)
    private mutating func findAgain(_ tree: TreeState) throws(DatabaseError) {
        guard tree.depth > 0 else {
            place = .between
            return
        }
        place = .lost
        let position = try TreeRead.descend(
            transaction.pointee.source, tree, to: KeyBytes(start: key, count: keyLength),
            path: path)
        place = position.found ? .onEntry : .between
    }

    @inline(__always)
    private mutating func step(
        _ tree: TreeState, forward: Bool
    ) throws(DatabaseError) -> Entry? {
        guard tree.depth > 0 else { return nil }
        let source = transaction.pointee.source
        let leafStep = tree.depth - 1
        let leaf = Page(path[leafStep].page, size: source.pageSize)
        // From between entries, forward is where the path leads already.
        let distance = forward ? (place == .between ? 0 : 1) : -1
        let index = path[leafStep].index + distance
        if index >= 0, index < leaf.count {
            path[leafStep].index = index
            prefetch(leaf, index, leafStep, forward: forward)
        } else if try !TreeRead.moveToNeighbor(source, tree, forward: forward, path: path) {
            return nil
        }
        return try entry(tree)
    }

    /// How many entries ahead of a scan memory is asked for.
    private static let prefetchDistance = 4

    /// Asks for the memory that a scan will come to: an entry some steps ahead, and at the
    /// middle of a leaf the next leaf's header and slots. A scan is bound by these misses.
    @inline(__always)
    func prefetch(_ leaf: Page, _ index: Int, _ leafStep: Int, forward: Bool) {
        let count = leaf.count
        let ahead = forward ? index + Self.prefetchDistance : index - Self.prefetchDistance
        if ahead >= 0, ahead < count {
            let entry = leaf.base + Page.offset(UnsafeRawPointer(leaf.slot(ahead)))
            zp_prefetch(entry)
            zp_prefetch(entry + 64)
            zp_prefetch(entry + 128)
        }
        if index == count / 2, leafStep > 0 {
            let parent = Page(path[leafStep - 1].page, size: leaf.size)
            let sibling = path[leafStep - 1].index + (forward ? 1 : -1)
            if sibling >= 0, sibling < parent.count {
                transaction.pointee.source.prefetch(parent.child(sibling))
            }
        }
    }

    private mutating func moveToEnd(
        _ end: TreeRead.End, _ tree: TreeState
    ) throws(DatabaseError) -> Entry? {
        place = .nowhere
        guard tree.depth > 0 else { return nil }
        try TreeRead.descend(
            transaction.pointee.source, tree, to: end, path: path, from: 0, reference: tree.root)
        return try entry(tree)
    }

    /// The entry the path ends at.
    @inline(__always)
    mutating func entry(_ tree: TreeState) throws(DatabaseError) -> Entry {
        let source = transaction.pointee.source
        let step = path[tree.depth - 1]
        let leaf = Page(step.page, size: source.pageSize)
        guard leaf.slotsAreInside, step.index >= 0, step.index < leaf.count else {
            throw source.broken(leaf)
        }
        let length = leaf.copyKey(step.index, to: key)
        guard length >= 0 else { throw source.broken(leaf) }
        keyLength = length
        let value = try TreeRead.value(source, leaf, step.index)
        place = .onEntry
        return Entry(key: UnsafeRawBufferPointer(start: key, count: length), value: value)
    }

    // MARK: Writes

    /// The key under the cursor.
    ///
    /// - Throws: `badCursor`.
    mutating func currentKey() throws(DatabaseError) -> KeyBytes {
        _ = try begin()
        guard place == .onEntry else {
            throw DatabaseError(
                .badCursor, "the cursor is on no entry to change; move it to one first")
        }
        return KeyBytes(start: key, count: keyLength)
    }

    /// Replaces the value of the entry under the cursor.
    package mutating func replaceCurrent(
        _ value: UnsafeRawBufferPointer
    ) throws(DatabaseError) {
        let key = try currentKey()
        _ = try Operations(transaction).put(database, key, value, mode: .overwrite)
    }

    /// Puts an entry and stands on it.
    ///
    /// - Returns: as `Operations.put`; the cursor then stands on the existing entry.
    package mutating func put(
        _ target: KeyBytes, _ value: UnsafeRawBufferPointer, mode: Operations.PutMode
    ) throws(DatabaseError) -> UnsafeRawBufferPointer? {
        try Operations(transaction).checkPut(database, target, value)
        // Refused for its order, an append leaves the cursor where it was.
        let before = (
            place: place, key: mode == .append ? Array(KeyBytes(start: key, count: keyLength)) : []
        )
        // The key may lie in a page that the put moves, or be this cursor's own: copy it first.
        place = .lost
        if let start = target.baseAddress { key.copyMemory(from: start, byteCount: target.count) }
        keyLength = target.count
        let existing: UnsafeRawBufferPointer?
        do throws(DatabaseError) {
            existing = try Operations(transaction).put(
                database, KeyBytes(start: key, count: keyLength), value, mode: mode)
        } catch {
            if error.code == .notSorted {
                place = before.place
                keyLength = before.key.count
                key.copyMemory(from: before.key, byteCount: keyLength)
            }
            throw error
        }
        let tree = try transaction.pointee.tree(database)
        try findAgain(tree.pointee)
        changes = tree.pointee.changes
        snapshots = transaction.pointee.snapshots
        return existing
    }

    /// Deletes the entry under the cursor, which then stands before the entry after it.
    package mutating func delete() throws(DatabaseError) {
        let key = try currentKey()
        _ = try Operations(transaction).delete(database, key)
    }
}
