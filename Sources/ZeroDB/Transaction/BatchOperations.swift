import CZeroDBPlatform

/// Operations on many entries in one call.
extension Operations {
    /// Looks many keys up at once.
    ///
    /// - Parameters:
    ///   - keys: in any order.
    ///   - values: receive what `get` gives, no data and a size of 0 for a key that is not there.
    /// - Returns: how many are there.
    /// - Throws: as `get`; the values are undefined then.
    package func getMany(
        _ database: Int, keys: UnsafePointer<zp_bytes>, values: UnsafeMutablePointer<zp_bytes>,
        count: Int
    ) throws(DatabaseError) -> Int {
        try state.pointee.checkUsable()
        let tree = try state.pointee.tree(database)
        let source = state.pointee.source
        let limit = Format.keySizeMax(pageSize: source.pageSize)
        var found = 0
        var start = 0
        while start < count {
            let group = min(count - start, TreeRead.groupMax)
            for index in start..<(start + group) {
                let key = keys[index]
                guard key.data != nil, key.size > 0, key.size <= limit else {
                    throw badKey(key, limit, at: index)
                }
            }
            guard tree.pointee.record.flags.isSubset(of: .counted) else {
                found += try getEach(database, keys + start, values + start, group)
                start += group
                continue
            }
            do throws(DatabaseError) {
                found += try TreeRead.getGroup(
                    source, root: tree.pointee.root, depth: tree.pointee.depth,
                    keys: keys + start, values: values + start, count: group)
            } catch {
                throw inDatabase(error, database)
            }
            start += group
        }
        return found
    }

    /// One after another, where keys are ordered in another way or have several values.
    private func getEach(
        _ database: Int, _ keys: UnsafePointer<zp_bytes>, _ values: UnsafeMutablePointer<zp_bytes>,
        _ count: Int
    ) throws(DatabaseError) -> Int {
        var found = 0
        for index in 0..<count {
            let key = KeyBytes(start: keys[index].data, count: keys[index].size)
            let value = try get(database, key)
            values[index] = zp_bytes(data: value?.baseAddress, size: value?.count ?? 0)
            if value != nil { found += 1 }
        }
        return found
    }

    @inline(never)
    private func badKey(_ key: zp_bytes, _ limit: Int, at index: Int) -> DatabaseError {
        let isMissing = key.data == nil && key.size != 0
        return DatabaseError(
            isMissing ? .badArgument : .badValueSize,
            isMissing
                ? "key \(index) has \(UInt(bitPattern: key.size)) bytes but its data is NULL"
                : "key \(index) has \(UInt(bitPattern: key.size)) bytes; with pages of "
                    + "\(state.pointee.source.pageSize) bytes a key has from 1 to \(limit)")
    }

    // MARK: Ranges

    /// Orders two keys as a database does.
    package func compareKeys(
        _ database: Int, _ left: KeyBytes, _ right: KeyBytes
    ) throws(DatabaseError) -> Int {
        _ = try record(database)
        return ZeroDB.compareKeys(left, right)
    }

    /// Whether a range has room for keys.
    private func checkRange(
        _ database: Int, _ from: KeyBytes?, _ to: KeyBytes?
    ) throws(DatabaseError) -> Bool {
        if let from { try checkKey(from) }
        if let to { try checkKey(to) }
        guard let from, let to else { return true }
        return try compareKeys(database, from, to) < 0
    }

    /// Deletes the entries of a range.
    ///
    /// - Parameters:
    ///   - from: the first key; nil for the beginning.
    ///   - to: the key after the last; nil for the end.
    /// - Returns: how many there were.
    /// - Throws: as `delete`.
    package func deleteRange(
        _ database: Int, from: KeyBytes?, to: KeyBytes?
    ) throws(DatabaseError) -> UInt64 {
        let writer = try writer(database)
        guard try checkRange(database, from, to) else { return 0 }
        guard from != nil || to != nil else { return try clear(database) }
        let mark = log(database) { $0.deleteRange(database, from: from, to: to) }
        // The ends may lie in pages that go.
        let ends = UnsafeMutableRawBufferPointer.allocate(
            byteCount: (from?.count ?? 0) + (to?.count ?? 0), alignment: 1)
        defer { ends.deallocate() }
        let middle = from?.count ?? 0
        let first = from.map { from in
            ends.copyMemory(from: from)
            return KeyBytes(rebasing: ends[..<middle])
        }
        let last = to.map { to in
            UnsafeMutableRawBufferPointer(rebasing: ends[middle...]).copyMemory(from: to)
            return KeyBytes(rebasing: ends[middle...])
        }
        do throws(DatabaseError) {
            let deleted = try writer.deleteRange(from: first, to: last)
            if deleted == 0 { writer.write.pointee.log.cut(to: mark) }
            return deleted
        } catch {
            throw breaking(error, database)
        }
    }

    /// Counts the entries of a range, as `deleteRange` means it.
    ///
    /// - Complexity: O(leaves of the range).
    package func countRange(
        _ database: Int, from: KeyBytes?, to: KeyBytes?
    ) throws(DatabaseError) -> UInt64 {
        let record = try record(database)
        guard try checkRange(database, from, to) else { return 0 }
        guard from != nil || to != nil else { return record.entries }
        let tree = try state.pointee.tree(database).pointee
        do throws(DatabaseError) {
            return try TreeRead.count(state.pointee.source, tree, from: from, to: to)
        } catch {
            throw inDatabase(error, database)
        }
    }
}
