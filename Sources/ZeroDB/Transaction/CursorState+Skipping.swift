import Glibc

/// Moves that go on behind what cannot be read, in recovery mode. They begin when an ordinary move has
/// failed, from the key that the cursor has a copy of, and find their way from the root.
extension CursorState {
    /// An entry that a move begins at, copied: the walk changes the cursor's own copies.
    private struct Origin {
        var key: [UInt8]
        /// One of its values, where it may have several.
        var duplicate: [UInt8]?
    }

    private var origin: Origin {
        Origin(
            key: Array(KeyBytes(start: key, count: keyLength)), duplicate: Array(currentValue))
    }

    /// Whether a move that has failed may go on.
    private func canGoOn(_ error: DatabaseError) -> Bool {
        transaction.pointee.source.skipsDamage && SkippingWalk.isDamage(error)
    }

    /// Goes on with a move that has failed.
    ///
    /// - Throws: the error, unless what it is about can be passed over.
    @inline(never)
    mutating func goOn(
        _ move: Move, _ tree: TreeState, after error: DatabaseError
    ) throws(DatabaseError) -> Entry? {
        guard canGoOn(error), move != .current else { throw losingPlace(error) }
        do throws(DatabaseError) {
            let isFromEnd = move == .first || move == .last || place == .nowhere
            let forward = move == .first || move == .next
            return try skip(tree, forward: forward, from: isFromEnd ? nil : origin)
        } catch {
            throw losingPlace(error)
        }
    }

    /// The same of a move among the values of a key, or from key to key.
    @inline(never)
    mutating func goOn(
        _ move: DuplicateMove, _ tree: TreeState, after error: DatabaseError
    ) throws(DatabaseError) -> Entry? {
        guard canGoOn(error) else { throw losingPlace(error) }
        do throws(DatabaseError) {
            var start = origin
            switch move {
            case .nextKey, .previousKey:
                start.duplicate = nil
                return try skip(
                    tree, forward: move == .nextKey, from: place == .nowhere ? nil : start,
                    isToNextKey: true)
            case .firstValue, .lastValue:
                start.duplicate = nil
                return try skipInKey(tree, forward: move == .firstValue, start)
            case .nextValue, .previousValue:
                return try skipInKey(tree, forward: move == .nextValue, start)
            }
        } catch {
            throw losingPlace(error)
        }
    }

    /// Goes on with a seek to the first key at or after one.
    @inline(never)
    mutating func goOn(
        seeking target: KeyBytes, exact: Bool, _ tree: TreeState, after error: DatabaseError
    ) throws(DatabaseError) -> Entry? {
        guard canGoOn(error) else { throw losingPlace(error) }
        let start = Origin(key: Array(target))
        do throws(DatabaseError) {
            if exact {
                // Some of its values may be readable; whether the key is there must be known.
                guard tree.record.flags.contains(.duplicates), try isPath(to: start.key, tree),
                    let entry = try skipInKey(tree, forward: true, start)
                else { throw error }
                return entry
            }
            place = .nowhere
            return try skip(tree, forward: true, from: start, isAt: true)
        } catch {
            throw losingPlace(error)
        }
    }

    /// Goes on with a seek to a value of a key, or the first after it.
    @inline(never)
    mutating func goOn(
        seeking target: KeyBytes, value: UnsafeRawBufferPointer, _ tree: TreeState,
        after error: DatabaseError
    ) throws(DatabaseError) -> Entry? {
        let start = Origin(key: Array(target), duplicate: Array(value))
        guard canGoOn(error), (try? isPath(to: start.key, tree)) == true else {
            throw losingPlace(error)
        }
        do throws(DatabaseError) {
            let entry = try skipInKey(tree, forward: true, start, isAt: true)
            if entry == nil { place = .nowhere }
            return entry
        } catch {
            throw losingPlace(error)
        }
    }

    /// Makes the path lead to a key.
    ///
    /// - Returns: whether it is there.
    private func isPath(to key: [UInt8], _ tree: TreeState) throws(DatabaseError) -> Bool {
        let source = transaction.pointee.source
        let path = path
        return try key.withBytes { key throws(DatabaseError) in
            try TreeRead.descend(source, tree, to: key, path: path).found
        }
    }

    // MARK: Keys

    /// Moves to the next entry that can be read.
    ///
    /// - Parameters:
    ///   - start: the entry to begin at; nil for the end that the move comes from.
    ///   - isAt: whether that entry itself will do.
    ///   - isToNextKey: whether other values of its key will not.
    /// - Returns: nil if there is none; the cursor is then where it was.
    private mutating func skip(
        _ tree: TreeState, forward: Bool, from start: Origin?, isAt: Bool = false,
        isToNextKey: Bool = false
    ) throws(DatabaseError) -> Entry? {
        /// Whether the entry to begin at is one that the move has come to and cannot read.
        var isLost = false
        let hasDuplicates = tree.record.flags.contains(.duplicates)
        if let start, !isAt {
            if hasDuplicates {
                if !isToNextKey, let entry = try skipInKey(tree, forward: forward, start) {
                    return entry
                }
            } else if try isPath(to: start.key, tree) {
                // It may be the one whose value the move could not read.
                do throws(DatabaseError) {
                    _ = try entry(tree)
                } catch {
                    try note(error, tree)
                    isLost = true
                }
            }
        }
        var bound = start?.key
        var isAt = isAt
        while try find(bound, isAt: isAt, tree, forward: forward) {
            do throws(DatabaseError) {
                guard hasDuplicates else { return try entry(tree) }
                if let entry = try enterSkipping(tree, forward: forward) { return entry }
            } catch {
                try note(error, tree)
            }
            // The key is there, and its value, or all of them, cannot be read.
            bound = try keyOfPath(tree)
            isAt = false
        }
        guard let start, !isAt, place != .nowhere else { return nil }
        guard isLost else {
            try goBack(to: start, tree)
            return nil
        }
        // The move began at the next entry on the other side.
        place = .nowhere
        _ = try skip(tree, forward: !forward, from: start)
        return nil
    }

    private mutating func find(
        _ bound: [UInt8]?, isAt: Bool, _ tree: TreeState, forward: Bool
    ) throws(DatabaseError) -> Bool {
        let database = database
        let transaction = transaction
        let path = path
        var walk = SkippingWalk(
            transaction.pointee.source, tree, path: path, forward: forward
        ) { error, step in
            Operations(transaction).reportSkipped(
                error, database, tree,
                SkippingWalk.fences(
                    path, above: step, pageSize: transaction.pointee.source.pageSize))
        }
        guard let bound else { return try walk.find(.any) }
        return try bound.withBytes { bound throws(DatabaseError) in
            try walk.find(isAt ? .at(bound) : .beyond(bound))
        }
    }

    /// Notes that the entry that the path leads to is passed over.
    private func note(_ error: DatabaseError, _ tree: TreeState) throws(DatabaseError) {
        guard SkippingWalk.isDamage(error) else { throw error }
        Operations(transaction).reportSkipped(
            error, database, tree, key: try keyOfPath(tree))
    }

    private func keyOfPath(_ tree: TreeState) throws(DatabaseError) -> [UInt8] {
        let source = transaction.pointee.source
        let step = path[tree.depth - 1]
        let leaf = Page(step.page, size: source.pageSize)
        let buffer = UnsafeMutableRawPointer.allocate(
            byteCount: Format.keyBufferSize(pageSize: source.pageSize), alignment: 8)
        defer { buffer.deallocate() }
        guard step.index >= 0, step.index < leaf.count else { throw source.badEntry(leaf) }
        let length = leaf.copyKey(step.index, to: buffer)
        guard length >= 0 else { throw source.badEntry(leaf) }
        return Array(UnsafeRawBufferPointer(start: buffer, count: length))
    }

    /// Puts the cursor where a move began that has found nothing.
    private mutating func goBack(to start: Origin, _ tree: TreeState) throws(DatabaseError) {
        keyLength = start.key.count
        key.copyMemory(from: start.key, byteCount: keyLength)
        guard try isPath(to: start.key, tree) else {
            place = .between
            valuePosition.kind = .none
            return
        }
        place = .onEntry
        guard tree.record.flags.contains(.duplicates), let duplicate = start.duplicate else {
            return
        }
        duplicate.withUnsafeBytes { keepValue($0) }
        do throws(DatabaseError) {
            try findValueAgain(tree)
        } catch {
            valuePosition.kind = .none
            guard SkippingWalk.isDamage(error) else { throw error }
        }
    }

    // MARK: Values

    /// Moves to the next value of a key that can be read.
    ///
    /// - Parameter start: the key, and the value to begin at; without one, all will do.
    /// - Returns: nil if there is none.
    private mutating func skipInKey(
        _ tree: TreeState, forward: Bool, _ start: Origin, isAt: Bool = false
    ) throws(DatabaseError) -> Entry? {
        let isFound: Bool
        do throws(DatabaseError) {
            isFound = try isPath(to: start.key, tree)
        } catch {
            guard SkippingWalk.isDamage(error) else { throw error }
            return nil
        }
        guard isFound else { return nil }
        do throws(DatabaseError) {
            return try enterSkipping(tree, forward: forward, from: start.duplicate, isAt: isAt)
        } catch {
            try note(error, tree)
            return nil
        }
    }

    /// Goes to the first value that can be read of the key that the path leads to, from one side.
    ///
    /// - Parameters:
    ///   - start: the value to begin at; nil for the end.
    ///   - isAt: whether that value itself will do.
    /// - Returns: nil if there is none.
    private mutating func enterSkipping(
        _ tree: TreeState, forward: Bool, from start: [UInt8]? = nil, isAt: Bool = false
    ) throws(DatabaseError) -> Entry? {
        let source = transaction.pointee.source
        let leaf = Page(path[tree.depth - 1].page, size: source.pageSize)
        let index = path[tree.depth - 1].index
        let position = try TreeRead.values(source, leaf, index, tree.record)
        guard let field = leaf.value(index) else { throw source.badEntry(leaf) }
        let isReversed = tree.record.flags.reversesValues
        switch position.kind {
        case .none: return nil
        case .single:
            if let start {
                let order = start.withUnsafeBytes {
                    KeyOrder.compare(
                        UnsafeRawBufferPointer(start: field.bytes, count: field.count), $0,
                        reversed: isReversed)
                }
                guard forward ? order > 0 || (isAt && order == 0) : order < 0 else { return nil }
            }
        case .inlineValues:
            var next = forward ? 0 : position.count - 1
            if let start {
                let values = try TreeRead.inlineValues(source, leaf, field, tree.record)
                let found = start.withUnsafeBytes { values.search($0, reversed: isReversed) }
                guard found.index >= 0 else { throw source.badEntry(leaf) }
                next =
                    forward ? found.index + (found.found && !isAt ? 1 : 0) : found.index - 1
            }
            guard next >= 0, next < position.count else { return nil }
            valuePosition = position
            valuePosition.index = next
            return try pairEntry(tree)
        case .valueTree:
            guard
                try findValue(
                    position.tree, of: tree, start, isAt: isAt, forward: forward)
            else { return nil }
        }
        valuePosition = position
        return try pairEntry(tree)
    }

    /// Finds a value in a value tree, passing over what cannot be read.
    private mutating func findValue(
        _ values: TreeState, of tree: TreeState, _ start: [UInt8]?, isAt: Bool, forward: Bool
    ) throws(DatabaseError) -> Bool {
        let extra = needExtra()
        let owner = try keyOfPath(tree)
        let database = database
        let transaction = transaction
        var walk = SkippingWalk(
            transaction.pointee.source, values, path: extra.path, forward: forward
        ) { error, _ in
            Operations(transaction).reportSkipped(error, database, tree, key: owner)
        }
        guard let start else { return try walk.find(.any) }
        start.withUnsafeBytes {
            KeyOrder.copyKey(
                of: $0, reversed: tree.record.flags.reversesValues, to: extra.valueKey)
        }
        let key = KeyBytes(start: extra.valueKey, count: start.count)
        return try walk.find(isAt ? .at(key) : .beyond(key))
    }
}

extension Operations {
    /// Tells what is passed over: keys of a range, as the tree holds them.
    func reportSkipped(
        _ error: DatabaseError, _ database: Int, _ tree: TreeState, _ fences: ([UInt8]?, [UInt8]?)
    ) {
        let isReversed = tree.record.flags.reversesKeys
        reportSkipped(
            error,
            SkippedRange(
                place: place(of: database), page: error.page ?? 0,
                from: fences.0.map { isReversed ? $0.reversed() : $0 },
                to: fences.1.map { isReversed ? $0.reversed() : $0 }))
    }

    /// The same of one key, or some of its values.
    func reportSkipped(
        _ error: DatabaseError, _ database: Int, _ tree: TreeState, key: [UInt8]
    ) {
        let isReversed = tree.record.flags.reversesKeys
        reportSkipped(
            error,
            SkippedRange(
                place: place(of: database), page: error.page ?? 0,
                key: isReversed ? key.reversed() : key))
    }

    private func place(of database: Int) -> SkippedRange.Place {
        guard database > 0 else { return .main }
        let name = state.pointee.storeState.pointee.databases.name(database)
        return .database(name.map { Array($0) } ?? [])
    }

    func reportSkipped(_ error: DatabaseError, _ range: SkippedRange) {
        state.pointee.store.reportSkipped(range, "\(error.markedMessage); \(range) is passed over")
    }
}

extension SkippedRange: CustomStringConvertible {
    /// Database and keys, in words.
    public var description: String {
        let owner =
            switch place {
            case .main: "the main database"
            case .database(let name): "database \(KeyText.describe(name))"
            case .names: "the list of databases"
            }
        if let key { return "what key \(KeyText.describe(key)) of \(owner) has" }
        let start = from.map { "from \(KeyText.describe($0))" } ?? "from the first key"
        let end = to.map { "to before \(KeyText.describe($0))" } ?? "to the end"
        return "\(owner) \(start) \(end)"
    }
}

/// The list of databases, without those whose records cannot be read.
extension Operations {
    func forEachSoundInCatalog(
        _ catalog: TreeState, _ body: ([UInt8], TreeRecord) -> Void
    ) throws(DatabaseError) {
        let source = state.pointee.source
        let path = Path.allocate(capacity: Format.depthMax + 1)
        defer { path.deallocate() }
        var walk = SkippingWalk(source, catalog, path: path, forward: true) { error, step in
            let fences = SkippingWalk.fences(path, above: step, pageSize: source.pageSize)
            reportSkipped(
                error,
                SkippedRange(
                    place: .names, page: error.page ?? 0, from: fences.0, to: fences.1))
        }
        var leavesLeft = TreeRead.leavesMax(source)
        var isFound = try walk.find(.any)
        while isFound {
            let step = path[catalog.depth - 1]
            try TreeRead.countLeaf(&leavesLeft, source, step.reference)
            let leaf = Page(step.page, size: source.pageSize)
            guard let last = try listSound(leaf, from: step.index, catalog, body) else { return }
            isFound = try last.withBytes { last throws(DatabaseError) in
                try walk.find(.beyond(last))
            }
        }
    }

    /// - Returns: the last name in the leaf.
    private func listSound(
        _ leaf: Page, from start: Int, _ catalog: TreeState, _ body: ([UInt8], TreeRecord) -> Void
    ) throws(DatabaseError) -> [UInt8]? {
        let source = state.pointee.source
        let key = UnsafeMutableRawPointer.allocate(
            byteCount: Format.keyBufferSize(pageSize: source.pageSize), alignment: 8)
        defer { key.deallocate() }
        var last: [UInt8]?
        for index in start..<leaf.count {
            let length = leaf.copyKey(index, to: key)
            guard length > 0 else { throw source.badEntry(leaf) }
            let name = KeyBytes(start: key, count: length)
            last = Array(name)
            do throws(DatabaseError) {
                let bytes = try TreeRead.value(source, leaf, index, catalog.record)
                body(Array(name), try TransactionState.record(in: bytes, of: name))
            } catch {
                guard error.code == .corrupted else { throw error }
                reportSkipped(
                    error,
                    SkippedRange(
                        place: .names, page: error.page ?? leaf.number, key: Array(name)))
            }
        }
        return last
    }
}
