import CZeroDBPlatform

/// Many entries copied in one move, for callers to whom each call costs much.
extension CursorState {
    /// How a cursor goes from one entry to the next that is packed.
    package enum PackStep {
        case next
        case previous
        case nextValue
        case previousValue
        case nextKey
        case previousKey

        var isForward: Bool { self == .next || self == .nextValue || self == .nextKey }

        var reverse: PackStep {
            switch self {
            case .next: .previous
            case .previous: .next
            case .nextValue: .previousValue
            case .previousValue: .nextValue
            case .nextKey: .previousKey
            case .previousKey: .nextKey
            }
        }
    }

    /// What of the entries is packed.
    package struct Packing {
        package var step: PackStep
        package var hasKeys: Bool
        package var hasValues: Bool
        /// Whether keys and values are elements, each for itself, in place of entries.
        package var isFlat: Bool
        /// Whether the entry under the cursor comes first.
        package var fromCurrent: Bool
        /// Going forward, the key before which to end; going back, the last key. nil: the end.
        package var until: UnsafeRawBufferPointer?
        package var limit: Int

        package init(
            step: PackStep, hasKeys: Bool, hasValues: Bool, isFlat: Bool, fromCurrent: Bool,
            until: UnsafeRawBufferPointer?, limit: Int
        ) {
            self.step = step
            self.hasKeys = hasKeys
            self.hasValues = hasValues
            self.isFlat = isFlat
            self.fromCurrent = fromCurrent
            self.until = until
            self.limit = limit
        }

        @inline(__always)
        var hasEntryHeads: Bool { hasKeys && hasValues && !isFlat }

        /// Strings that are elements of the list, for each entry.
        package var stringsEach: Int { hasKeys && hasValues && isFlat ? 2 : 1 }

        /// Bytes of an entry besides those of its key and value.
        @inline(__always)
        var overhead: Int {
            (hasKeys ? PackedList.headSize : 0) + (hasValues ? PackedList.headSize : 0)
                + (hasEntryHeads ? PackedList.entryHeadSize : 0)
        }
    }

    /// Packs entries until there is no room for the next, or the range or the limit ends. The cursor is
    /// on the last that was packed.
    ///
    /// - Returns: 0, or the room that the first entry needs: the cursor is on it.
    package mutating func pack(
        _ packing: Packing, _ writer: inout PackedList.Writer
    ) throws(DatabaseError) -> Int {
        wantsValues = packing.hasValues
        defer { wantsValues = true }
        return try pack(
            packing, from: packing.fromCurrent ? move(.current) : take(packing.step), &writer)
    }

    /// The same from a key on: going forward from the first entry at or after it, going back from the
    /// last one before it.
    package mutating func pack(
        _ packing: Packing, fromKey target: KeyBytes, _ writer: inout PackedList.Writer
    ) throws(DatabaseError) -> Int {
        wantsValues = packing.hasValues
        defer { wantsValues = true }
        var entry = try seek(target, exact: false)
        if !packing.step.isForward {
            entry = try entry == nil ? move(.last) : take(packing.step)
            // Not on the entry after the key, which the caller has not seen.
            if entry == nil { place = .nowhere }
        }
        return try pack(packing, from: entry, &writer)
    }

    private mutating func pack(
        _ packing: Packing, from first: Entry?, _ writer: inout PackedList.Writer
    ) throws(DatabaseError) -> Int {
        var entry = first
        guard entry != nil else { return 0 }
        let isPlain = try isPlain()
        while let found = entry {
            if let until = packing.until, try isBeyond(found.key, until, packing.step) { break }
            let size =
                packing.overhead + (packing.hasKeys ? found.key.count : 0)
                + (packing.hasValues ? found.value.count : 0)
            guard writer.hasRoom(for: size) else {
                if writer.count == 0 { return size }
                _ = try take(packing.step.reverse)
                return 0
            }
            if packing.hasEntryHeads { writer.putEntryHead() }
            if packing.hasKeys { writer.putString(found.key) }
            if packing.hasValues { writer.putString(found.value) }
            writer.endElement()
            guard writer.count < packing.limit else { return 0 }
            if isPlain, packing.step == .next || packing.step == .previous {
                if try packLeaf(packing, &writer) { return 0 }
            }
            entry = try take(packing.step)
        }
        if entry != nil, writer.count > 0 { _ = try take(packing.step.reverse) }
        return 0
    }

    /// Whether entries are what leaves hold, one after the other, as bytes.
    private mutating func isPlain() throws(DatabaseError) -> Bool {
        let tree = try begin()
        return tree.record.flags.isSubset(of: .counted) && !transaction.pointee.source.skipsDamage
    }

    private mutating func take(_ step: PackStep) throws(DatabaseError) -> Entry? {
        switch step {
        case .next: try move(.next)
        case .previous: try move(.previous)
        case .nextValue: try move(.nextValue)
        case .previousValue: try move(.previousValue)
        case .nextKey: try move(.nextKey)
        case .previousKey: try move(.previousKey)
        }
    }

    private func isBeyond(
        _ key: UnsafeRawBufferPointer, _ until: UnsafeRawBufferPointer, _ step: PackStep
    ) throws(DatabaseError) -> Bool {
        let flags = try transaction.pointee.tree(database).pointee.record.flags
        let order =
            flags.contains(.integerKeys) || flags.reversesKeys
            ? try Operations(transaction).compareKeys(database, key, until)
            : KeyOrder.compare(key, until, reversed: false)
        return step.isForward ? order >= 0 : order < 0
    }

    /// Packs what follows in the leaf where the cursor is.
    ///
    /// - Returns: whether that was the end: there is no room, or the range or the limit ends.
    private mutating func packLeaf(
        _ packing: Packing, _ writer: inout PackedList.Writer
    ) throws(DatabaseError) -> Bool {
        let tree = try begin()
        guard place == .onEntry, tree.depth > 0 else { return false }
        let source = transaction.pointee.source
        let leafStep = tree.depth - 1
        let leaf = Page(path[leafStep].page, size: source.pageSize)
        guard leaf.slotsAreInBounds else { throw losingPlace(source.badEntry(leaf)) }
        let forward = packing.step.isForward
        let distance = forward ? 1 : -1
        var index = path[leafStep].index + distance
        let first = index
        var isEnd = false
        let keyRoom = Format.keyBufferSize(pageSize: source.pageSize)
        let head = PackedList.headSize + (packing.hasEntryHeads ? PackedList.entryHeadSize : 0)
        prefetchBeginning(leaf, index, forward: forward)
        do throws(DatabaseError) {
            while index >= 0, index < leaf.count {
                // Before the length of a key is known there is room for the longest.
                guard writer.hasRoom(for: packing.overhead + keyRoom) else { break }
                prefetch(leaf, index, leafStep, forward: forward)
                let place = packing.hasKeys ? writer.end + head : UnsafeMutableRawPointer(key)
                var length = 0
                if packing.hasKeys || packing.until != nil {
                    length = leaf.copyKey(index, to: place)
                    guard length >= 0 else { throw source.badEntry(leaf) }
                    if let until = packing.until {
                        let order = KeyOrder.compare(
                            KeyBytes(start: place, count: length), until, reversed: false)
                        if forward ? order >= 0 : order < 0 {
                            isEnd = true
                            break
                        }
                    }
                }
                if packing.hasValues {
                    let value = try TreeRead.value(source, leaf, index, tree.record)
                    guard writer.hasRoom(for: packing.overhead + length + value.count) else {
                        break
                    }
                    if packing.hasEntryHeads { writer.putEntryHead() }
                    if packing.hasKeys { writer.putStringHead(length) }
                    writer.putString(value)
                } else {
                    writer.putStringHead(length)
                }
                writer.endElement()
                index += distance
                if writer.count >= packing.limit {
                    isEnd = true
                    break
                }
            }
            if index != first {
                path[leafStep].index = index - distance
                transaction.pointee.reads.cursorMoves &+= UInt64(abs(index - first))
            }
            // The cursor's own copy of the key it is on.
            _ = try entry(tree)
        } catch {
            throw losingPlace(error)
        }
        return isEnd
    }
}
