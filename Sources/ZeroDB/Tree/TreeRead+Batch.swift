import CZeroDBPlatform

/// Looking up several keys at once.
///
/// A lookup in a large tree waits for memory most of its time: for the header and the slots of a
/// leaf, then for the entry. Here a group of keys goes down the tree together, a level at a time,
/// and what each key needs next is asked for while the others are dealt with, so that the waits
/// overlap (group prefetching: Chen, Ailamaki, Gibbons and Mowry, "Improving hash join performance
/// through prefetching", 2004). Every page is checked as a single lookup checks it.
extension TreeRead {
    /// Keys in a group: as many as the memory system keeps on its way, with some to spare.
    static let groupMax = 32

    /// Where the lookup of one key has come to.
    private struct Lookup {
        var reference: PageReference
        var leaf: UnsafeMutableRawPointer
        var search: Page.HeadSearch
    }

    /// Looks a group of keys up.
    ///
    /// - Parameters:
    ///   - keys: `count` of them, at most `groupMax`; sizes and pointers are checked.
    ///   - values: receives as many; no data and a size of 0 for a key that is not there.
    /// - Returns: how many are there.
    static func getGroup(
        _ source: PageSource, _ tree: borrowing TreeRecord, keys: UnsafePointer<zp_bytes>,
        values: UnsafeMutablePointer<zp_bytes>, count: Int
    ) throws(DatabaseError) -> Int {
        guard tree.depth > 0 else {
            for index in 0..<count { values[index] = zp_bytes(data: nil, size: 0) }
            return 0
        }
        let tree = copy tree
        if source.mode == .full {
            for index in 0..<count { try checkFences(source, tree, key: key(keys, index)) }
        }
        let result = withUnsafeTemporaryAllocation(of: Lookup.self, capacity: groupMax) {
            lookups -> Result<Int, DatabaseError> in
            do throws(DatabaseError) {
                return .success(
                    try getGroup(
                        source, tree, keys: keys, values: values, count: count, lookups))
            } catch {
                return .failure(error)
            }
        }
        return try result.get()
    }

    @inline(__always)
    private static func key(_ keys: UnsafePointer<zp_bytes>, _ index: Int) -> KeyBytes {
        KeyBytes(start: keys[index].data, count: keys[index].size)
    }

    @inline(__always)
    private static func getGroup(
        _ source: PageSource, _ tree: borrowing TreeRecord, keys: UnsafePointer<zp_bytes>,
        values: UnsafeMutablePointer<zp_bytes>, count: Int,
        _ lookups: UnsafeMutableBufferPointer<Lookup>
    ) throws(DatabaseError) -> Int {
        guard let lookups = lookups.baseAddress else { return 0 }
        for index in 0..<count { lookups[index].reference = tree.root }
        var level = Int(tree.depth) - 1
        let layout = tree.flags.branchLayout
        while level > 0 {
            for index in 0..<count {
                let page = try source.page(
                    lookups[index].reference, level: level, layout: layout)
                let child = page.searchBranch(key(keys, index))
                guard child >= 0 else { throw source.badEntry(page) }
                lookups[index].reference = page.child(child)
                source.prefetchForSearch(lookups[index].reference)
            }
            level -= 1
        }
        for index in 0..<count {
            let leaf = try source.page(lookups[index].reference, level: 0)
            lookups[index].leaf = leaf.base
            let search = leaf.searchLeafHeads(key(keys, index))
            lookups[index].search = search
            if search.goesOn {
                let entry = leaf.base + search.entryOffset
                zp_prefetch(entry)
                zp_prefetch(entry + 64)
            }
        }
        var found = 0
        for index in 0..<count {
            let leaf = Page(lookups[index].leaf, size: source.pageSize)
            let position = leaf.finish(lookups[index].search)
            guard position.found else {
                if position.index < 0 { throw source.badEntry(leaf) }
                values[index] = zp_bytes(data: nil, size: 0)
                continue
            }
            let value = try value(source, leaf, position.index, tree)
            values[index] = zp_bytes(data: value.baseAddress, size: value.count)
            found += 1
        }
        return found
    }
}
