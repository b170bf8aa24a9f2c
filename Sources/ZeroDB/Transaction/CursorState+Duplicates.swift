import CZeroDBPlatform
import Glibc

/// Memory of a cursor in a database with duplicates or with keys held in reverse.
struct CursorExtra {
    /// The key under the cursor as it was given.
    let givenKey: UnsafeMutableRawPointer
    /// The value under the cursor of a write transaction, or one being put.
    let duplicate: UnsafeMutableRawPointer
    /// The key of a value being looked for.
    let valueKey: UnsafeMutableRawPointer
    /// The way to a value in a tree of values.
    let path: Path

    init(keySize: Int) {
        givenKey = .allocate(byteCount: 3 * keySize, alignment: 8)
        duplicate = givenKey + keySize
        valueKey = duplicate + keySize
        path = .allocate(capacity: Format.depthMax + 1)
    }

    func deallocate() {
        givenKey.deallocate()
        path.deallocate()
    }
}

/// Cursors in databases with duplicates. An entry is a pair of key and value there.
extension CursorState {
    /// A move among the values of a key, or from key to key.
    package enum DuplicateMove {
        case firstValue
        case lastValue
        case nextValue
        case previousValue
        case nextKey
        case previousKey
    }

    /// - Returns: nil if there is nothing further in that direction; the cursor stays where it was.
    /// - Throws: `incompatible` without duplicates; `badCursor`; `corrupted`.
    @inline(__always)
    package mutating func move(_ move: DuplicateMove) throws(DatabaseError) -> Entry? {
        if move == .nextValue, let entry = nextAtHand() { return entry }
        return try moveSlowly(move)
    }

    @inline(never)
    private mutating func moveSlowly(_ move: DuplicateMove) throws(DatabaseError) -> Entry? {
        let tree = try begin()
        guard tree.record.flags.contains(.duplicates) else {
            switch move {
            case .nextKey: return try self.move(.next)
            case .previousKey: return try self.move(.previous)
            default: throw noDuplicates
            }
        }
        do throws(DatabaseError) {
            return try moveInDuplicates(move, tree)
        } catch {
            return try goOn(move, tree, after: error)
        }
    }

    var noDuplicates: DatabaseError {
        DatabaseError(
            .incompatible,
            Operations(transaction).describe(database)
                + " was made without \(c: "ZDB_DUPSORT"): its keys have one value each")
    }

    /// The next value of the current key, if it lies with the one where the cursor of a read transaction
    /// stands: a load or two.
    @inline(__always)
    mutating func nextAtHand() -> Entry? {
        let next = withUnsafeMutablePointer(to: &self) {
            nextValueAtHand($0, $0.pointee.transaction)
        }
        guard let next else { return nil }
        return Entry(
            key: UnsafeRawBufferPointer(start: run.key, count: run.keyLength),
            value: UnsafeRawBufferPointer(start: next.start, count: next.count))
    }

    /// Notes what the values after the current one need.
    ///
    /// - Parameter inlineValues: those of the key, if they are in its entry.
    @inline(__always)
    private mutating func beginRun(_ key: UnsafeRawBufferPointer, _ inlineValues: InlineValues?) {
        if let inlineValues {
            run = inlineValues.run(from: valuePosition.index, key: key)
            return
        }
        guard valuePosition.kind == .valueTree, let path = extra?.path else {
            run = ValueRun()
            return
        }
        let step = path + (valuePosition.tree.depth - 1)
        let leaf = Page(step.pointee.page, size: transaction.pointee.source.pageSize)
        run = ValueRun(
            leaf, index: step.pointee.index, width: valuePosition.tree.valueWidth, key: key,
            pathIndex: (UnsafeMutableRawPointer(step) + PathStep.indexOffset)
                .assumingMemoryBound(to: Int.self))
    }

    private mutating func moveInDuplicates(
        _ move: DuplicateMove, _ tree: TreeState
    ) throws(DatabaseError) -> Entry? {
        if place == .lost { throw lostError }
        if place == .nowhere {
            switch move {
            case .nextKey: return try moveToEnd(.first, tree)
            case .previousKey: return try moveToEnd(.last, tree)
            default: throw nowhereError
            }
        }
        switch move {
        case .nextKey: return try stepKey(tree, forward: true)
        case .previousKey: return try stepKey(tree, forward: false)
        case .firstValue, .lastValue:
            guard place == .onEntry else { throw nowhereError }
            return try enterKey(tree, move == .firstValue ? .first : .last)
        case .nextValue: return try stepValue(tree, forward: true)
        case .previousValue: return try stepValue(tree, forward: false)
        }
    }

    /// `move` in a database with duplicates.
    @inline(never)
    mutating func movePair(_ move: Move, _ tree: TreeState) throws(DatabaseError) -> Entry? {
        if place == .lost, move != .first, move != .last { throw lostError }
        switch move {
        case .first: return try moveToEnd(.first, tree)
        case .last: return try moveToEnd(.last, tree)
        case .next:
            if place == .nowhere { return try moveToEnd(.first, tree) }
            if let entry = try stepValue(tree, forward: true) { return entry }
            return try stepKey(tree, forward: true)
        case .previous:
            if place == .nowhere { return try moveToEnd(.last, tree) }
            if let entry = try stepValue(tree, forward: false) { return entry }
            return try stepKey(tree, forward: false)
        case .current:
            guard place == .onEntry else { throw nowhereError }
            return try pairEntry(tree)
        }
    }

    // MARK: Steps

    private mutating func stepKey(
        _ tree: TreeState, forward: Bool
    ) throws(DatabaseError) -> Entry? {
        guard tree.depth > 0 else { return nil }
        // From where a key was, forward is where the path leads already.
        let isBetweenKeys = place == .between && valuePosition.kind == .none
        let isMoved = try TreeRead.step(
            transaction.pointee.source, tree, by: forward ? (isBetweenKeys ? 0 : 1) : -1, path: path
        )
        guard isMoved else { return nil }
        return try enterKey(tree, forward ? .first : .last)
    }

    private mutating func stepValue(
        _ tree: TreeState, forward: Bool
    ) throws(DatabaseError) -> Entry? {
        guard try stepPosition(tree, forward: forward) else { return nil }
        return try pairEntry(tree)
    }

    /// Moves the position to the next value of the key, or the one before.
    ///
    /// - Returns: false if there is none; the position is unchanged then.
    private mutating func stepPosition(
        _ tree: TreeState, forward: Bool
    ) throws(DatabaseError) -> Bool {
        // From where a value was, forward is where the position is already.
        let isBetween = place == .between
        let distance = forward ? (isBetween ? 0 : 1) : -1
        switch valuePosition.kind {
        case .none: return false
        case .single:
            // Between, the only value is before or after the one that was deleted.
            return isBetween && forward == (valuePosition.index == 0)
        case .inlineValues:
            let index = valuePosition.index + distance
            guard index >= 0, index < valuePosition.count else { return false }
            valuePosition.index = index
            return true
        case .valueTree:
            guard let path = extra?.path else { throw lostError }
            return try TreeRead.step(
                transaction.pointee.source, valuePosition.tree, by: distance, path: path)
        }
    }

    private mutating func storedKey(_ tree: TreeState) -> UnsafeRawBufferPointer {
        tree.record.flags.reversesKeys
            ? givenKey() : UnsafeRawBufferPointer(start: key, count: keyLength)
    }

    // MARK: Positions

    /// Goes to the first or last value of the key that the path leads to.
    mutating func enterKey(
        _ tree: TreeState, _ end: TreeRead.End
    ) throws(DatabaseError) -> Entry {
        try loadValues(tree)
        switch valuePosition.kind {
        case .none, .single: break
        case .inlineValues: valuePosition.index = end == .first ? 0 : valuePosition.count - 1
        case .valueTree:
            try TreeRead.descend(
                transaction.pointee.source, valuePosition.tree, to: end, path: needExtra().path,
                from: 0,
                reference: valuePosition.tree.root)
        }
        return try pairEntry(tree)
    }

    /// Learns how the values of the key that the path leads to are stored.
    mutating func loadValues(_ tree: TreeState) throws(DatabaseError) {
        let source = transaction.pointee.source
        let step = path[tree.depth - 1]
        valuePosition = try TreeRead.values(
            source, Page(step.page, size: source.pageSize), step.index, tree.record)
    }

    /// The value that the position is of.
    @inline(__always)
    private func duplicate() throws(DatabaseError) -> UnsafeRawBufferPointer {
        let source = transaction.pointee.source
        guard let path = extra?.path else { throw lostError }
        let step = path[valuePosition.tree.depth - 1]
        let leaf = Page(step.page, size: source.pageSize)
        guard leaf.slotsAreInBounds, step.index >= 0, step.index < leaf.count,
            let duplicate = leaf.duplicate(step.index)
        else { throw source.badEntry(leaf) }
        return duplicate
    }

    /// The pair that path and position lead to.
    mutating func pairEntry(_ tree: TreeState) throws(DatabaseError) -> Entry {
        let source = transaction.pointee.source
        let step = path[tree.depth - 1]
        let leaf = Page(step.page, size: source.pageSize)
        guard leaf.slotsAreInBounds, step.index >= 0, step.index < leaf.count else {
            throw source.badEntry(leaf)
        }
        let length = leaf.copyKey(step.index, to: key)
        guard length >= 0 else { throw source.badEntry(leaf) }
        keyLength = length
        let value: UnsafeRawBufferPointer
        var inlineValues: InlineValues?
        switch valuePosition.kind {
        case .none, .single:
            value = try TreeRead.value(source, leaf, step.index, tree.record)
        case .inlineValues:
            guard let field = leaf.value(step.index), field.kind == .inlineValues,
                let duplicates = InlineValues(
                    UnsafeRawBufferPointer(start: field.bytes, count: field.count)),
                valuePosition.index < duplicates.count,
                let duplicate = duplicates.duplicate(valuePosition.index)
            else { throw source.badEntry(leaf) }
            value = duplicate
            inlineValues = duplicates
        case .valueTree: value = try duplicate()
        }
        // What the memory for a copy of the value has room for.
        guard value.count <= Format.keyBoundInPage(source.pageSize) else {
            throw source.badEntry(leaf)
        }
        place = .onEntry
        // Changes of the tree would take the value away; the cursor finds its place by it. So it does where
        // pages are passed over.
        if transaction.pointee.isWrite || source.skipsDamage {
            keepValue(value)
            return Entry(key: storedKey(tree), value: value)
        }
        let key = storedKey(tree)
        beginRun(key, inlineValues)
        return Entry(key: key, value: value)
    }

    /// Keeps a copy of a value.
    mutating func keepValue(_ value: UnsafeRawBufferPointer) {
        let extra = needExtra()
        if let start = value.baseAddress { memmove(extra.duplicate, start, value.count) }
        valueLength = value.count
    }

    /// The copy of the value under the cursor.
    var currentValue: UnsafeRawBufferPointer {
        UnsafeRawBufferPointer(
            start: extra.map { UnsafeRawPointer($0.duplicate) }, count: valueLength)
    }

    /// Finds the value under the cursor again among those of its key, which the path leads to.
    mutating func findValueAgain(_ tree: TreeState) throws(DatabaseError) {
        let isFound = try seekCurrentValue(tree)
        place = isFound ? .onEntry : .between
    }

    /// Moves the position to the first value at or after one.
    ///
    /// - Returns: whether it is that one; if not, the position may be behind the last.
    mutating func seekValue(
        _ value: UnsafeRawBufferPointer, _ tree: TreeState
    ) throws(DatabaseError) -> Bool {
        let source = transaction.pointee.source
        let step = path[tree.depth - 1]
        let extra = needExtra()
        return try TreeRead.find(
            value, in: Page(step.page, size: source.pageSize), step.index, source, tree.record,
            &valuePosition, valueKey: extra.valueKey, path: extra.path)
    }

    /// Whether keys may have several values.
    package func hasDuplicates() throws(DatabaseError) -> Bool {
        try Operations(transaction).hasDuplicates(database)
    }

    /// Whether all values have one size.
    package func isFixedSize() throws(DatabaseError) -> Bool {
        try transaction.pointee.checkUsable()
        return try transaction.pointee.tree(database).pointee.record.flags
            .contains(.fixedSizeDuplicates)
    }

    // MARK: Seeking pairs

    /// Moves to a key and one of its values, or if not `exact` to the first at or after it.
    ///
    /// - Returns: nil if there is none, and then the cursor is nowhere.
    package mutating func seek(
        _ target: KeyBytes, value: UnsafeRawBufferPointer, exact: Bool
    ) throws(DatabaseError) -> Entry? {
        let tree = try begin()
        guard tree.record.flags.contains(.duplicates) else { throw noDuplicates }
        let operations = Operations(transaction)
        try operations.checkKey(target)
        try operations.checkDuplicate(value, tree.record)
        let target = try operations.storedKey(target, tree.record)
        place = .nowhere
        guard tree.depth > 0 else { return nil }
        do throws(DatabaseError) {
            let source = transaction.pointee.source
            guard try TreeRead.descend(source, tree, to: target, path: path).found else {
                return nil
            }
            if try seekValue(value, tree) { return try pairEntry(tree) }
            if exact { return nil }
            place = .between
            let entry = try stepValue(tree, forward: true)
            if entry == nil { place = .nowhere }
            return entry
        } catch {
            guard !exact else { throw losingPlace(error) }
            return try goOn(seeking: target, value: value, tree, after: error)
        }
    }

    /// How many values the key under the cursor has.
    ///
    /// - Throws: `incompatible` without duplicates; `badCursor`.
    package mutating func count() throws(DatabaseError) -> UInt64 {
        let tree = try begin()
        guard tree.record.flags.contains(.duplicates) else { throw noDuplicates }
        if place == .lost { throw lostError }
        guard place == .onEntry else { throw nowhereError }
        switch valuePosition.kind {
        case .none, .single: return 1
        case .inlineValues: return UInt64(valuePosition.count)
        case .valueTree: return valuePosition.tree.record.entries
        }
    }

    // MARK: Many at once

    /// Which values of a key of fixed-size values `multiple` gives.
    package enum Multiple {
        case fromCurrent
        case next
        case previous
    }

    /// As many values of the current key as lie together, one after the other.
    ///
    /// - Returns: nil if there are none further; the cursor is then where it was. Otherwise it is on
    ///   the last of them, for `previous` on the first.
    package mutating func multiple(_ which: Multiple) throws(DatabaseError) -> Entry? {
        let tree = try begin()
        guard tree.record.flags.contains(.fixedSizeDuplicates) else {
            throw DatabaseError(
                .incompatible,
                Operations(transaction).describe(database)
                    + " was made without \(c: "ZDB_DUPFIXED"): its values do not lie together")
        }
        if place == .lost { throw lostError }
        do throws(DatabaseError) {
            switch which {
            case .fromCurrent:
                guard place == .onEntry else { throw nowhereError }
                return try values(tree, forward: true)
            case .next:
                guard place != .nowhere else { throw nowhereError }
                return try nextValues(tree)
            case .previous:
                guard place == .onEntry else { throw nowhereError }
                return try previousValues(tree)
            }
        } catch {
            throw losingPlace(error)
        }
    }

    /// The values behind the current one.
    private mutating func nextValues(_ tree: TreeState) throws(DatabaseError) -> Entry? {
        do throws(DatabaseError) {
            guard try stepPosition(tree, forward: true) else { return nil }
            return try values(tree, forward: true)
        } catch {
            guard try goOn(.nextValue, tree, after: error) != nil else { return nil }
            return try values(tree, forward: true)
        }
    }

    /// The values before those that lie together with the current one.
    private mutating func previousValues(_ tree: TreeState) throws(DatabaseError) -> Entry? {
        // Other than in a tree, all that there are lie together.
        guard valuePosition.kind == .valueTree, let path = extra?.path,
            try TreeRead.moveToNeighbor(
                transaction.pointee.source, valuePosition.tree, forward: false, path: path)
        else { return nil }
        return try values(tree, forward: false)
    }

    /// The values from the position to the end of what lies together, or from its beginning.
    private mutating func values(
        _ tree: TreeState, forward: Bool
    ) throws(DatabaseError) -> Entry {
        let source = transaction.pointee.source
        let step = path[tree.depth - 1]
        let leaf = Page(step.page, size: source.pageSize)
        let array: UnsafeRawBufferPointer
        switch valuePosition.kind {
        case .none, .single: return try pairEntry(tree)
        case .inlineValues:
            guard let field = leaf.value(step.index), field.kind == .inlineValues,
                let duplicates = InlineValues(
                    UnsafeRawBufferPointer(start: field.bytes, count: field.count)),
                duplicates.width > 0, valuePosition.index < duplicates.count
            else { throw source.badEntry(leaf) }
            array = duplicates.packedValues(
                forward ? valuePosition.index..<duplicates.count : 0..<(valuePosition.index + 1))
            valuePosition.index = forward ? duplicates.count - 1 : 0
        case .valueTree:
            guard let path = extra?.path else { throw lostError }
            let leafStep = valuePosition.tree.depth - 1
            let duplicates = Page(path[leafStep].page, size: source.pageSize)
            let index = path[leafStep].index
            guard duplicates.slotsAreInBounds, duplicates.layout.contains(.packed), index >= 0,
                index < duplicates.count
            else { throw source.badEntry(duplicates) }
            array = duplicates.packedValues(forward ? index..<duplicates.count : 0..<(index + 1))
            path[leafStep].index = forward ? duplicates.count - 1 : 0
        }
        let entry = try pairEntry(tree)
        return Entry(key: entry.key, value: array)
    }

    // MARK: Ranks

    /// The entries before the one under the cursor.
    ///
    /// - Throws: `incompatible` in a database that is not counted; `badCursor`.
    package mutating func rank() throws(DatabaseError) -> UInt64 {
        let tree = try begin()
        try Operations(transaction).checkCounted(tree.record, database)
        if place == .lost { throw lostError }
        guard place == .onEntry else { throw nowhereError }
        let source = transaction.pointee.source
        let rank = TreeRead.rank(source, tree, path: path)
        switch valuePosition.kind {
        case .none, .single: return rank
        case .inlineValues: return rank &+ UInt64(valuePosition.index)
        case .valueTree:
            guard let path = extra?.path else { throw lostError }
            return rank &+ TreeRead.rank(source, valuePosition.tree, path: path)
        }
    }

    /// Moves to the entry before which there are `rank` others.
    ///
    /// - Returns: nil if there are not so many, and then the cursor is nowhere.
    package mutating func seek(rank: UInt64) throws(DatabaseError) -> Entry? {
        let tree = try begin()
        try Operations(transaction).checkCounted(tree.record, database)
        place = .nowhere
        do throws(DatabaseError) {
            let source = transaction.pointee.source
            guard let left = try TreeRead.descend(source, tree, toRank: rank, path: path) else {
                return nil
            }
            guard tree.record.flags.contains(.duplicates) else { return try entry(tree) }
            try loadValues(tree)
            switch valuePosition.kind {
            case .none, .single: break
            case .inlineValues: valuePosition.index = Int(left)
            case .valueTree:
                let valuePath = needExtra().path
                guard
                    try TreeRead.descend(source, valuePosition.tree, toRank: left, path: valuePath)
                        != nil
                else {
                    throw source.badEntry(Page(path[tree.depth - 1].page, size: source.pageSize))
                }
            }
            return try pairEntry(tree)
        } catch {
            throw losingPlace(error)
        }
    }

    // MARK: Going back

    /// Where a cursor was.
    struct Remembered {
        var place: Place
        var key: [UInt8]
        var duplicate: [UInt8]
    }

    mutating func remember() -> Remembered {
        Remembered(
            place: place, key: Array(KeyBytes(start: key, count: keyLength)),
            duplicate: Array(currentValue))
    }

    /// Puts the cursor back; the tree has not changed since.
    mutating func restore(_ before: Remembered) {
        place = before.place
        keyLength = before.key.count
        key.copyMemory(from: before.key, byteCount: keyLength)
        before.duplicate.withUnsafeBytes { if extra != nil { keepValue($0) } }
    }
}
