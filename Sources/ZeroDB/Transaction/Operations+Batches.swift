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
                let there = try TreeRead.getGroup(
                    source, tree.pointee.record, keys: keys + start, values: values + start,
                    count: group)
                found += there
                state.pointee.reads.gets &+= UInt64(group)
                state.pointee.reads.absentGets &+= UInt64(group - there)
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
            limit: isMissing || key.size == 0 ? nil : .keySize,
            isMissing
                ? "key \(index) has \(UInt(bitPattern: key.size)) bytes but its data is NULL"
                : "key \(index) has \(UInt(bitPattern: key.size)) bytes; with pages of "
                    + "\(state.pointee.source.pageSize) bytes a key has from 1 to \(limit)")
    }

    /// Asks for the memory that puts of some keys will come by, so that the waits for it overlap. Does
    /// nothing where that is of no use, or fails: the puts find out.
    ///
    /// - Parameter count: at most `TreeRead.groupMax`.
    package func prefetchPlaces(_ database: Int, keys: UnsafePointer<zp_bytes>, count: Int) {
        assert(count <= TreeRead.groupMax)
        guard (try? state.pointee.checkUsable()) != nil,
            let tree = try? state.pointee.tree(database),
            tree.pointee.record.flags.isSubset(of: .counted), tree.pointee.depth > 1,
            state.pointee.source.mode != .full, !isAscending(keys, count)
        else { return }
        let limit = Format.keySizeMax(pageSize: state.pointee.source.pageSize)
        for index in 0..<count {
            guard keys[index].data != nil, keys[index].size > 0, keys[index].size <= limit else {
                return
            }
        }
        withUnsafeTemporaryAllocation(of: zp_bytes.self, capacity: TreeRead.groupMax) { values in
            guard let values = values.baseAddress else { return }
            let found = try? TreeRead.getGroup(
                state.pointee.source, tree.pointee.record, keys: keys, values: values,
                count: count)
            guard found != nil else { return }
            for index in 0..<count {
                guard let value = values[index].data else { continue }
                zp_prefetch(value + 64)
                zp_prefetch(value + 128)
            }
        }
    }

    /// Keys in order go to the same pages one after the other.
    private func isAscending(_ keys: UnsafePointer<zp_bytes>, _ count: Int) -> Bool {
        for index in 1..<max(count, 1) {
            let before = KeyBytes(start: keys[index - 1].data, count: keys[index - 1].size)
            let key = KeyBytes(start: keys[index].data, count: keys[index].size)
            if KeyOrder.compare(before, key, reversed: false) > 0 { return false }
        }
        return true
    }

    // MARK: Ranges

    /// Whether a range has room for keys.
    func checkRange(
        _ database: Int, _ from: KeyBytes?, _ to: KeyBytes?
    ) throws(DatabaseError) -> Bool {
        let record = try record(database)
        for end in [from, to] {
            guard let end else { continue }
            try checkKey(end, record)
        }
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
        do throws(DatabaseError) {
            let record = writer.tree.pointee.record
            let deleted = try withStoredRange(record, from, to) { from, to throws(DatabaseError) in
                try writer.deleteRange(from: from, to: to)
            }
            if deleted == 0 {
                cutLog(to: mark)
            } else {
                state.pointee.write?.pointee.rangesDeleted &+= 1
            }
            return deleted
        } catch {
            throw failing(error, database)
        }
    }

    /// Counts the entries of a range, as `deleteRange` means it.
    ///
    /// - Complexity: O(leaves of the range); O(log n) in a counted database.
    package func countRange(
        _ database: Int, from: KeyBytes?, to: KeyBytes?
    ) throws(DatabaseError) -> UInt64 {
        let record = try record(database)
        guard try checkRange(database, from, to) else { return 0 }
        guard from != nil || to != nil else { return record.entries }
        if record.flags.contains(.counted) {
            return try countedRange(database, from: from, to: to).count
        }
        let tree = try state.pointee.tree(database).pointee
        do throws(DatabaseError) {
            return try withStoredRange(record, from, to) { from, to throws(DatabaseError) in
                try TreeRead.count(state.pointee.source, tree, from: from, to: to)
            }
        } catch {
            throw inDatabase(error, database)
        }
    }

    /// Runs a body with copies of the ends of a range as the tree holds keys: the ends may lie in
    /// pages that it changes.
    private func withStoredRange(
        _ record: TreeRecord, _ from: KeyBytes?, _ to: KeyBytes?,
        _ body: (KeyBytes?, KeyBytes?) throws(DatabaseError) -> UInt64
    ) throws(DatabaseError) -> UInt64 {
        let middle = from?.count ?? 0
        let ends = UnsafeMutableRawPointer.allocate(
            byteCount: middle + (to?.count ?? 0) + 1, alignment: 8)
        defer { ends.deallocate() }
        func held(_ key: KeyBytes?, _ place: UnsafeMutableRawPointer) -> KeyBytes? {
            guard let key else { return nil }
            KeyOrder.copyKey(of: key, reversed: record.flags.reversesKeys, to: place)
            return KeyBytes(start: place, count: key.count)
        }
        return try body(held(from, ends), held(to, ends + middle))
    }
}
