import CZeroDBPlatform
import Glibc

/// A position in a database of a transaction.
///
/// In a read transaction the path to the entry stays good. In a write transaction the tree may
/// change under it; the cursor keeps its key and finds its place again when the tree's count of
/// changes has moved.
@usableFromInline
package struct CursorState {
    @usableFromInline
    package enum Place {
        /// On no entry yet.
        case nowhere
        /// On the entry with the key in `key`.
        case onEntry
        /// Where the entry with the key in `key` was; the path leads to the one after it.
        case between
        /// An error met on the way left the path in pieces.
        case lost
    }

    @usableFromInline package var place = Place.nowhere {
        // Only `entry` knows that the place it comes to is plain.
        didSet { plainStep = -1 }
    }
    let path: Path
    /// The key under the cursor, room for the largest.
    private(set) var key: UnsafeMutableRawPointer
    private var keyCapacity: Int
    var keyLength = 0
    /// Keys that `readMany` hands out, made at its first use.
    var batchKeys: UnsafeMutableRawPointer?
    /// The tree's changes when the path was good.
    var changes: UInt64 = 0
    /// Which of the key's values, where it may have several.
    var valuePosition = ValuePosition()
    /// The values after it, in a read transaction.
    @usableFromInline package var run = ValueRun()
    /// On an entry of a leaf whose entries are plain, one value to a key and keys as they were given: the
    /// path's last step; otherwise -1.
    var plainStep = -1
    /// Whether the caller asks for values: for keys alone, those with pages of their own are not read.
    package var wantsValues = true
    /// Bytes of the copy of the value under the cursor.
    var valueLength = 0
    /// Memory that only some database flags need.
    var extra: CursorExtra?

    package var transaction: UnsafeMutablePointer<TransactionState>
    /// The transaction's store. It is only compared: the transaction's place in memory may have come
    /// to another one.
    package private(set) var storeState: UnsafeMutablePointer<StoreState>
    /// The transaction's handle, by which the cursor notices that it has ended.
    package var transactionHandle: UInt64 = 0
    /// The transaction's snapshot that the path belongs to.
    @usableFromInline package var snapshots: UInt64 = 0
    package var database = 0
    /// `zp_fork_generation()` of the process that opened the cursor.
    package private(set) var forkGeneration: UInt32 = 0

    package init(transaction: UnsafeMutablePointer<TransactionState>) {
        self.transaction = transaction
        storeState = transaction.pointee.storeState
        path = .allocate(capacity: Format.depthMax + 1)
        keyCapacity = Format.keyBufferSize(pageSize: transaction.pointee.source.pageSize)
        key = .allocate(byteCount: keyCapacity, alignment: 8)
    }

    /// Ready for another transaction.
    package mutating func begin(
        _ transaction: UnsafeMutablePointer<TransactionState>, handle: UInt64, database: Int
    ) {
        self.transaction = transaction
        storeState = transaction.pointee.storeState
        transactionHandle = handle
        self.database = database
        forkGeneration = transaction.pointee.forkGeneration
        snapshots = transaction.pointee.snapshots
        place = .nowhere
        valuePosition = ValuePosition()
        run = ValueRun()
        let needed = Format.keyBufferSize(pageSize: transaction.pointee.source.pageSize)
        if needed > keyCapacity {
            key.deallocate()
            key = .allocate(byteCount: needed, alignment: 8)
            keyCapacity = needed
            extra?.deallocate()
            extra = nil
        }
    }

    package mutating func deallocate() {
        path.deallocate()
        key.deallocate()
        batchKeys?.deallocate()
        extra?.deallocate()
        extra = nil
    }

    /// Memory that only databases with duplicates or with keys held in reverse need.
    mutating func needExtra() -> CursorExtra {
        if let extra { return extra }
        let made = CursorExtra(keySize: keyCapacity)
        extra = made
        return made
    }

    /// An entry, as the cursor hands it out.
    @usableFromInline
    package struct Entry {
        /// The cursor's copy, valid until it moves.
        @usableFromInline package var key: UnsafeRawBufferPointer
        /// As `Operations.get`.
        @usableFromInline package var value: UnsafeRawBufferPointer

        @inlinable @inline(__always)
        package init(key: UnsafeRawBufferPointer, value: UnsafeRawBufferPointer) {
            self.key = key
            self.value = value
        }
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
        if move == .next || move == .previous, let entry = neighbor(forward: move == .next) {
            return entry
        }
        if move == .next, let entry = nextAtHand() { return entry }
        let tree = try begin()
        do throws(DatabaseError) {
            if tree.record.flags.contains(.duplicates) { return try movePair(move, tree) }
            return try moveChecked(move, tree)
        } catch {
            return try goOn(move, tree, after: error)
        }
    }

    @inline(__always)
    mutating func moveChecked(
        _ move: Move, _ tree: TreeState
    ) throws(DatabaseError) -> Entry? {
        if place == .lost, move != .first, move != .last { throw lostError }
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
            guard place == .onEntry else { throw nowhereError }
            return try entry(tree)
        }
    }

    /// The error that a move throws for one that occurred on its way and left the path in pieces. Without
    /// an entry to begin at there was no way.
    @inline(never)
    mutating func losingPlace(_ error: DatabaseError) -> DatabaseError {
        if error.code != .badCursor { place = .lost }
        return Operations(transaction).inDatabase(error, database)
    }

    var lostError: DatabaseError {
        DatabaseError(
            .badCursor, "an error lost the cursor's place; move it to a key or an end first")
    }

    var nowhereError: DatabaseError {
        DatabaseError(
            .badCursor,
            place == .nowhere
                ? "the cursor is on no entry yet; move it first"
                : "the entry under the cursor has been deleted; move it on")
    }

    /// Moves to a key, or if not `exact` to the first key at or after it.
    ///
    /// - Returns: nil if there is none, and then the cursor is nowhere.
    package mutating func seek(
        _ target: KeyBytes, exact: Bool
    ) throws(DatabaseError) -> Entry? {
        let tree = try begin()
        try Operations(transaction).checkKey(target)
        let target = try Operations(transaction).storedKey(target, tree.record)
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
            if !exact {
                // A range begins, as a rule.
                let step = path[tree.depth - 1]
                prefetchBeginning(
                    Page(step.page, size: source.pageSize), step.index + 1, forward: true)
            }
            if tree.record.flags.contains(.duplicates) { return try enterKey(tree, .first) }
            return try entry(tree)
        } catch {
            return try goOn(seeking: target, exact: exact, tree, after: error)
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
        // Steps through a run of inline values are noted in it alone.
        if place == .onEntry, run.isInline { valuePosition.index = run.index }
        snapshots = transaction.pointee.snapshots
        changes = tree.pointee.changes
        transaction.pointee.reads.cursorMoves &+= 1
        return tree.pointee
    }

    @inline(never)
    mutating func findAgain(_ tree: TreeState) throws(DatabaseError) {
        guard tree.depth > 0 else {
            place = .between
            valuePosition.kind = .none
            return
        }
        place = .lost
        let position = try descendToKey(tree)
        if position.found, tree.record.flags.contains(.duplicates) {
            try findValueAgain(tree)
            return
        }
        valuePosition.kind = .none
        place = position.found ? .onEntry : .between
    }

    /// Moves in a read transaction from an entry to the one beside it, where both are plain and in one leaf.
    ///
    /// - Returns: nil if it is not so simple, and then the cursor has not moved.
    @inline(__always)
    mutating func neighbor(forward: Bool) -> Entry? {
        guard plainStep >= 0, place == .onEntry, transaction.pointee.status == .active,
            snapshots == transaction.pointee.snapshots, !transaction.pointee.isWrite
        else { return nil }
        let leaf = Page(path[plainStep].page, size: transaction.pointee.source.pageSize)
        let index = path[plainStep].index &+ (forward ? 1 : -1)
        guard index >= 0, index < leaf.count, leaf.leafSlotsAreInBounds,
            let field = leaf.value(index), field.kind == .inline
        else { return nil }
        let length = leaf.copyPlainKey(index, to: key)
        guard length >= 0 else { return nil }
        path[plainStep].index = index
        prefetch(leaf, index, plainStep, forward: forward)
        keyLength = length
        transaction.pointee.reads.cursorMoves &+= 1
        return Entry(
            key: UnsafeRawBufferPointer(start: key, count: length),
            value: UnsafeRawBufferPointer(start: field.bytes, count: field.count))
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
        if ahead >= 0, ahead < count { prefetchEntry(leaf, ahead) }
        if index == count / 2, leafStep > 0 {
            let parent = Page(path[leafStep - 1].page, size: leaf.size)
            let sibling = path[leafStep - 1].index + (forward ? 1 : -1)
            if sibling >= 0, sibling < parent.count {
                transaction.pointee.source.prefetch(parent.child(sibling))
            }
        }
    }

    @inline(__always)
    private func prefetchEntry(_ leaf: Page, _ index: Int) {
        let entry = leaf.base + Page.offset(UnsafeRawPointer(leaf.leafSlot(index)))
        zp_prefetch(entry)
        zp_prefetch(entry + 64)
        zp_prefetch(entry + 128)
    }

    /// Asks for the first entries of a scan, from `index` on: those that `prefetch` comes too late for.
    @inline(__always)
    func prefetchBeginning(_ leaf: Page, _ index: Int, forward: Bool) {
        for distance in 0..<Self.prefetchDistance {
            let ahead = forward ? index + distance : index - distance
            guard ahead >= 0, ahead < leaf.count else { return }
            prefetchEntry(leaf, ahead)
        }
    }

    mutating func moveToEnd(
        _ end: TreeRead.End, _ tree: TreeState
    ) throws(DatabaseError) -> Entry? {
        place = .nowhere
        guard tree.depth > 0 else { return nil }
        try TreeRead.descend(
            transaction.pointee.source, tree, to: end, path: path, from: 0, reference: tree.root)
        if tree.record.flags.contains(.duplicates) { return try enterKey(tree, end) }
        return try entry(tree)
    }

    /// The entry the path ends at.
    @inline(__always)
    mutating func entry(_ tree: TreeState) throws(DatabaseError) -> Entry {
        let source = transaction.pointee.source
        let step = path[tree.depth - 1]
        let leaf = Page(step.page, size: source.pageSize)
        guard leaf.slotsAreInBounds, step.index >= 0, step.index < leaf.count else {
            throw source.badEntry(leaf)
        }
        let length = leaf.copyKey(step.index, to: key)
        guard length >= 0 else { throw source.badEntry(leaf) }
        keyLength = length
        let value = try TreeRead.value(
            source, leaf, step.index, tree.record, wanted: wantsValues)
        place = .onEntry
        plainStep = tree.record.flags.isSubset(of: .counted) ? tree.depth - 1 : -1
        if tree.record.flags.reversesKeys { return Entry(key: givenKey(), value: value) }
        return Entry(key: UnsafeRawBufferPointer(start: key, count: length), value: value)
    }

    /// The key under the cursor as it was given, where it is held in reverse.
    @inline(never)
    mutating func givenKey() -> UnsafeRawBufferPointer {
        let given = needExtra().givenKey
        KeyOrder.copyKey(of: KeyBytes(start: key, count: keyLength), reversed: true, to: given)
        return UnsafeRawBufferPointer(start: given, count: keyLength)
    }

    // MARK: Writes

    /// The entry under the cursor as it was given: its key, and its value where the key may have
    /// several. Both are the cursor's copies.
    ///
    /// - Throws: `badCursor`.
    mutating func current() throws(DatabaseError) -> Entry {
        let tree = try begin()
        if place == .lost { throw lostError }
        guard place == .onEntry else { throw nowhereError }
        let held = KeyBytes(start: key, count: keyLength)
        return Entry(
            key: tree.record.flags.reversesKeys ? givenKey() : held, value: currentValue)
    }

    /// Replaces the value of the entry under the cursor. Where the key has several, the new one goes
    /// where it belongs among them, and the cursor with it.
    package mutating func replaceCurrent(
        _ value: UnsafeRawBufferPointer
    ) throws(DatabaseError) {
        let entry = try current()
        let operations = Operations(transaction)
        let writer = try operations.checkPut(database, entry.key, value)
        guard writer.tree.pointee.record.flags.contains(.duplicates) else {
            _ = try operations.put(database, entry.key, value, mode: .overwrite)
            return
        }
        try withCopies(of: entry.key, value) { key, value throws(DatabaseError) in
            _ = try operations.delete(database, key, value: entry.value)
            _ = try put(key, value, mode: .overwrite)
        }
    }

    /// Puts an entry and stands on it.
    ///
    /// - Returns: as `Operations.put`; the cursor then stands on the existing entry.
    package mutating func put(
        _ target: KeyBytes, _ value: UnsafeRawBufferPointer, mode: PutMode
    ) throws(DatabaseError) -> UnsafeRawBufferPointer? {
        // No look for the cursor's old place: it goes where the entry is put.
        let writer = try Operations(transaction).checkPut(database, target, value)
        let flags = writer.tree.pointee.record.flags
        // Refused for its order, an append leaves the cursor where it was.
        let mayRefuse = mode == .append || mode == .appendValue
        let before = mayRefuse ? remember() : nil
        // The key may lie in a page that the put moves, or be this cursor's own: copy it first.
        place = .lost
        if flags.reversesKeys {
            let given = needExtra().givenKey
            if let start = target.baseAddress { memmove(given, start, target.count) }
            KeyOrder.copyKey(
                of: KeyBytes(start: given, count: target.count), reversed: true, to: key)
        } else if let start = target.baseAddress {
            memmove(key, start, target.count)
        }
        keyLength = target.count
        if flags.contains(.duplicates) { keepValue(value) }
        let existing: UnsafeRawBufferPointer?
        do throws(DatabaseError) {
            existing = try Operations(transaction).put(
                database,
                flags.reversesKeys
                    ? KeyBytes(start: needExtra().givenKey, count: keyLength)
                    : KeyBytes(start: key, count: keyLength),
                flags.contains(.duplicates) ? currentValue : value, mode: mode)
        } catch {
            if error.code == .notSorted, let before { restore(before) }
            throw error
        }
        if mode == .noOverwrite, let existing, flags.contains(.duplicates) {
            keepValue(existing)
        }
        let tree = try transaction.pointee.tree(database)
        try findAgain(tree.pointee)
        changes = tree.pointee.changes
        snapshots = transaction.pointee.snapshots
        return existing
    }

    /// Deletes the entry under the cursor, which then stands before the entry after it.
    ///
    /// - Parameter allValues: delete its key with all values.
    package mutating func delete(allValues: Bool = false) throws(DatabaseError) {
        let entry = try current()
        let operations = Operations(transaction)
        let hasDuplicates = try transaction.pointee.tree(database).pointee.record.flags
            .contains(.duplicates)
        if hasDuplicates, !allValues {
            _ = try operations.delete(database, entry.key, value: entry.value)
        } else {
            _ = try operations.delete(database, entry.key)
        }
    }
}
