import CZeroDBPlatform

/// Many entries in one move.
extension CursorState {
    /// Keys are handed out until there are so many bytes of them.
    private static let batchKeyBytes = 64 << 10
    /// And one more of the longest, and what copying one may write behind it.
    private static let batchKeysSize =
        batchKeyBytes + Format.keyBufferSize(pageSize: Format.pageSizeMax)

    /// Moves on over several entries: those after the current one, or from the first; going back,
    /// those before it, or from the last.
    ///
    /// - Parameters:
    ///   - forward: whether to go on to the keys after the current one.
    ///   - keys: receives copies that the cursor owns, valid until its next call; may be nil.
    ///   - values: receives what `move` gives; may be nil.
    ///   - capacity: room in both, at least 1.
    /// - Returns: how many there are, 0 at the end; the cursor is on the last of them.
    package mutating func readMany(
        forward: Bool, keys: UnsafeMutablePointer<zp_bytes>?,
        values: UnsafeMutablePointer<zp_bytes>?, capacity: Int
    ) throws(DatabaseError) -> Int {
        assert(capacity > 0)
        wantsValues = values != nil
        defer { wantsValues = true }
        let tree = try begin()
        let buffer: UnsafeMutableRawPointer
        if let known = batchKeys {
            buffer = known
        } else {
            buffer = .allocate(byteCount: Self.batchKeysSize, alignment: 8)
            batchKeys = buffer
        }
        do throws(DatabaseError) {
            let count: Int
            if !tree.record.flags.isSubset(of: .counted) || transaction.pointee.source.skipsDamage {
                count = try stepMany(tree, forward, buffer, keys, values, capacity)
            } else if forward {
                count = try scanMany(tree, true, buffer, keys, values, capacity)
            } else {
                count = try scanMany(tree, false, buffer, keys, values, capacity)
            }
            // The first is counted.
            if count > 1 { transaction.pointee.reads.cursorMoves &+= UInt64(count - 1) }
            return count
        } catch {
            throw losingPlace(error)
        }
    }

    /// By one move after another, whatever an entry is.
    private mutating func stepMany(
        _ tree: TreeState, _ forward: Bool, _ buffer: UnsafeMutableRawPointer,
        _ keys: UnsafeMutablePointer<zp_bytes>?, _ values: UnsafeMutablePointer<zp_bytes>?,
        _ capacity: Int
    ) throws(DatabaseError) -> Int {
        var count = 0
        var used = 0
        while count < capacity, used < Self.batchKeyBytes,
            let entry = try oneOfMany(tree, forward ? .next : .previous)
        {
            if let keys, let start = entry.key.baseAddress {
                (buffer + used).copyMemory(from: start, byteCount: entry.key.count)
                keys[count] = zp_bytes(data: buffer + used, size: entry.key.count)
                used += entry.key.count
            }
            values?[count] = zp_bytes(data: entry.value.baseAddress, size: entry.value.count)
            count += 1
        }
        return count
    }

    private mutating func oneOfMany(
        _ tree: TreeState, _ step: Move
    ) throws(DatabaseError) -> Entry? {
        if transaction.pointee.source.skipsDamage { return try move(step) }
        return tree.record.flags.contains(.duplicates)
            ? try movePair(step, tree) : try moveChecked(step, tree)
    }

    /// Leaf by leaf.
    @inline(__always)
    private mutating func scanMany(
        _ tree: TreeState, _ forward: Bool, _ buffer: UnsafeMutableRawPointer,
        _ keys: UnsafeMutablePointer<zp_bytes>?, _ values: UnsafeMutablePointer<zp_bytes>?,
        _ capacity: Int
    ) throws(DatabaseError) -> Int {
        // The first move finds the place.
        guard try moveChecked(forward ? .next : .previous, tree) != nil else { return 0 }
        let distance = forward ? 1 : -1
        let source = transaction.pointee.source
        let leafStep = tree.depth - 1
        var leaf = Page(path[leafStep].page, size: source.pageSize)
        var count = 0
        var used = 0
        prefetchBeginning(leaf, path[leafStep].index + distance, forward: forward)
        while true {
            let index = path[leafStep].index
            if let keys {
                let length = leaf.copyKey(index, to: buffer + used)
                guard length >= 0 else { throw source.badEntry(leaf) }
                keys[count] = zp_bytes(data: buffer + used, size: length)
                used += length
            }
            if let values {
                let value = try TreeRead.value(source, leaf, index, tree.record)
                values[count] = zp_bytes(data: value.baseAddress, size: value.count)
            }
            count += 1
            guard count < capacity, used < Self.batchKeyBytes else { break }
            let following = index + distance
            if following >= 0, following < leaf.count {
                path[leafStep].index = following
                prefetch(leaf, following, leafStep, forward: forward)
                continue
            }
            guard try TreeRead.moveToNeighbor(source, tree, forward: forward, path: path) else {
                break
            }
            leaf = Page(path[leafStep].page, size: source.pageSize)
            guard leaf.slotsAreInBounds, leaf.count > 0 else { throw source.badEntry(leaf) }
        }
        // The cursor's own copy of the key it is on.
        if count > 1 { _ = try entry(tree) }
        return count
    }
}
