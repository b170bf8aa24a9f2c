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
}
