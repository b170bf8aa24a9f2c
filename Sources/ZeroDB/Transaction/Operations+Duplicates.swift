/// What operations do for databases that are not plain: keys held in reverse or of one size,
/// several values a key, counts.
extension Operations {
    @inline(never)
    func describe(_ database: Int) -> String {
        state.pointee.storeState.pointee.databases.describe(database)
    }

    /// A key as the tree holds it: its bytes, reversed where that is what orders them.
    ///
    /// - Returns: the key itself, or a copy valid until the transaction's next call.
    /// - Throws: `badValueSize` for an integer key of another size than the tree's.
    @inline(__always)
    func storedKey(
        _ key: KeyBytes, _ record: borrowing TreeRecord
    ) throws(DatabaseError) -> KeyBytes {
        guard record.flags.reversesKeys else { return key }
        return try reversedKey(key, record)
    }

    @inline(never)
    func reversedKey(
        _ key: KeyBytes, _ record: borrowing TreeRecord
    ) throws(DatabaseError) -> KeyBytes {
        try checkInteger(key, record)
        let copy = state.pointee.needKeyBuffer()
        KeyOrder.copyKey(of: key, reversed: true, to: copy)
        return KeyBytes(start: copy, count: key.count)
    }

    /// - Throws: `badValueSize` where keys are integers and this one has another size than the tree's.
    private func checkInteger(
        _ key: KeyBytes, _ record: borrowing TreeRecord
    ) throws(DatabaseError) {
        guard record.flags.contains(.integerKeys) else { return }
        let width = record.entries > 0 ? Int(record.keyWidth) : 0
        guard key.count == 4 || key.count == 8, width == 0 || width == key.count else {
            throw badInteger("key", key.count, width)
        }
    }

    /// Checks that a key is one that the database could hold: integers of another size have no place
    /// in its order.
    ///
    /// - Throws: `badValueSize`.
    func checkKey(
        _ key: KeyBytes, _ record: borrowing TreeRecord
    ) throws(DatabaseError) {
        try checkKey(key)
        try checkInteger(key, record)
    }

    private func badInteger(_ what: String, _ size: Int, _ width: Int) -> DatabaseError {
        DatabaseError(
            .badValueSize,
            "the \(what) has \(size) bytes; in a database of integers it has "
                + (width > 0 ? "\(width), as the others there" : "4 or 8"))
    }

    /// Checks what the kind of the database demands of a put.
    @inline(never)
    func checkKinds(
        _ writer: TreeWriter, _ key: KeyBytes, _ value: UnsafeRawBufferPointer
    ) throws(DatabaseError) {
        let record = writer.tree.pointee.record
        try checkInteger(key, record)
        if record.flags.contains(.duplicates) { try checkDuplicate(value, record) }
    }

    /// Checks the size of a value where a key may have several.
    ///
    /// - Throws: `badValueSize`.
    func checkDuplicate(
        _ value: UnsafeRawBufferPointer, _ record: borrowing TreeRecord
    ) throws(DatabaseError) {
        let limit = Format.keySizeMax(pageSize: state.pointee.source.pageSize)
        guard value.count <= limit else {
            throw DatabaseError(
                .badValueSize, limit: .keySize,
                "the value has \(value.count) bytes; with \(c: "ZDB_DUPSORT") and pages of "
                    + "\(state.pointee.source.pageSize) bytes the largest has \(limit)")
        }
        guard record.flags.contains(.fixedSizeDuplicates) else { return }
        let width = record.entries > 0 ? Int(record.valueWidth) : 0
        if record.flags.contains(.integerDuplicates) {
            guard value.count == 4 || value.count == 8, width == 0 || width == value.count else {
                throw badInteger("value", value.count, width)
            }
            return
        }
        guard value.count > 0, width == 0 || value.count == width else {
            throw DatabaseError(
                .badValueSize,
                "the value has \(value.count) bytes; with \(c: "ZDB_DUPFIXED") it has "
                    + (width > 0 ? "\(width), as the others there" : "1 or more"))
        }
    }

    /// Lets the first entry decide on the sizes of all.
    func takeWidths(_ writer: TreeWriter, _ key: KeyBytes, _ value: UnsafeRawBufferPointer) {
        let record = withUnsafeMutablePointer(to: &writer.tree.pointee.record) { $0 }
        guard record.pointee.entries == 0 else { return }
        if record.pointee.flags.contains(.integerKeys) {
            record.pointee.keyWidth = UInt8(truncatingIfNeeded: key.count)
        }
        if record.pointee.flags.contains(.fixedSizeDuplicates) {
            record.pointee.valueWidth = UInt16(truncatingIfNeeded: value.count)
        }
    }

    /// Deletes one value of a key; without duplicates the key, whatever its value.
    ///
    /// - Returns: whether it was there.
    package func delete(
        _ database: Int, _ key: UnsafeRawBufferPointer, value: UnsafeRawBufferPointer
    ) throws(DatabaseError) -> Bool {
        let writer = try writer(database)
        guard writer.tree.pointee.record.flags.contains(.duplicates) else {
            return try delete(database, key)
        }
        try checkKey(key)
        try checkDuplicate(value, writer.tree.pointee.record)
        return try withCopies(of: key, value) { key, value throws(DatabaseError) in
            let stored = try storedKey(key, writer.tree.pointee.record)
            let mark = log(database) { $0.deletePair(database, key, value) }
            do throws(DatabaseError) {
                let isDeleted = try writer.deletePair(stored, value)
                noteDeletion(isDeleted, mark)
                return isDeleted
            } catch {
                throw failing(error, database)
            }
        }
    }

    /// Whether keys may have several values.
    @inline(__always)
    package func hasDuplicates(_ database: Int) throws(DatabaseError) -> Bool {
        try state.pointee.checkUsable()
        return try state.pointee.tree(database).pointee.record.flags.contains(.duplicates)
    }

    /// - Throws: `incompatible` if keys have one value each.
    func checkDuplicates(_ database: Int) throws(DatabaseError) {
        guard try hasDuplicates(database) else {
            throw DatabaseError(
                .incompatible,
                "\(describe(database)) was made without \(c: "ZDB_DUPSORT"): its keys have one "
                    + "value each")
        }
    }

    // MARK: Counts

    /// - Throws: `incompatible` if branches do not count their entries.
    func checkCounted(
        _ record: borrowing TreeRecord, _ database: Int
    ) throws(DatabaseError) {
        guard record.flags.contains(.counted) else {
            throw DatabaseError(
                .incompatible,
                "\(describe(database)) was made without \(c: "ZDB_COUNTED"): it does not know its "
                    + "ranks")
        }
    }

    /// The entries before a key, and whether it is there.
    ///
    /// - Complexity: O(log n).
    package func rank(
        _ database: Int, _ key: UnsafeRawBufferPointer
    ) throws(DatabaseError) -> (rank: UInt64, found: Bool) {
        try state.pointee.checkUsable()
        try checkKey(key)
        let tree = try state.pointee.tree(database).pointee
        try checkCounted(tree.record, database)
        let key = try storedKey(key, tree.record)
        guard tree.depth > 0 else { return (0, false) }
        do throws(DatabaseError) {
            let path = state.pointee.needPath()
            let position = try TreeRead.descend(state.pointee.source, tree, to: key, path: path)
            return (TreeRead.rank(state.pointee.source, tree, path: path), position.found)
        } catch {
            throw inDatabase(error, database)
        }
    }

    /// Counts a range of a counted database.
    func countedRange(
        _ database: Int, from: UnsafeRawBufferPointer?, to: UnsafeRawBufferPointer?
    ) throws(DatabaseError) -> (first: UInt64, count: UInt64) {
        var end = try record(database).entries
        if let to { end = try rank(database, to).rank }
        var first: UInt64 = 0
        if let from { first = try rank(database, from).rank }
        return (first, end > first ? end - first : 0)
    }

    /// Divides a range into parts of equal numbers of entries.
    ///
    /// - Parameter onPart: called with the first key of each part but the first; returns whether to
    ///   go on.
    package func splitRange(
        _ database: Int, from: UnsafeRawBufferPointer?, to: UnsafeRawBufferPointer?, parts: Int,
        onPart: (UnsafeRawBufferPointer) -> Bool
    ) throws(DatabaseError) {
        try state.pointee.checkUsable()
        try checkCounted(try record(database), database)
        guard try checkRange(database, from, to) else { return }
        let (first, count) = try countedRange(database, from: from, to: to)
        guard count > 0 else { return }
        let tree = try state.pointee.tree(database).pointee
        let source = state.pointee.source
        let path = state.pointee.needPath()
        let keySize = Format.keyBufferSize(pageSize: source.pageSize)
        let buffer = UnsafeMutableRawPointer.allocate(byteCount: 3 * keySize, alignment: 8)
        defer { buffer.deallocate() }
        let (key, given) = (buffer, buffer + 2 * keySize)
        var last = buffer + keySize
        var lastLength = -1
        var current = key
        do throws(DatabaseError) {
            for part in 0..<max(1, parts) {
                let (high, low) = count.multipliedFullWidth(by: UInt64(part))
                let rank = first &+ UInt64(parts).dividingFullWidth((high, low)).quotient
                guard try TreeRead.descend(source, tree, toRank: rank, path: path) != nil else {
                    return
                }
                let step = path[tree.depth - 1]
                let leaf = Page(step.page, size: source.pageSize)
                let length = leaf.copyKey(step.index, to: current)
                guard length >= 0 else { throw source.badEntry(leaf) }
                let keyBytes = KeyBytes(start: current, count: length)
                // A key with many values is not divided: it may be the first of several parts.
                if part == 0
                    || KeyOrder.compare(
                        KeyBytes(start: last, count: lastLength), keyBytes, reversed: false) != 0
                {
                    if part > 0 {
                        var shown = keyBytes
                        if tree.record.flags.reversesKeys {
                            KeyOrder.copyKey(of: keyBytes, reversed: true, to: given)
                            shown = KeyBytes(start: given, count: length)
                        }
                        guard onPart(shown) else { return }
                    }
                    lastLength = length
                    swap(&last, &current)
                }
            }
        } catch {
            throw inDatabase(error, database)
        }
    }

    // MARK: Order

    /// Orders two keys as a database does.
    ///
    /// - Throws: `badValueSize` for a key that the database could not hold, and for two that it could
    ///   not hold together.
    package func compareKeys(
        _ database: Int, _ left: UnsafeRawBufferPointer, _ right: UnsafeRawBufferPointer
    ) throws(DatabaseError) -> Int {
        let record = try record(database)
        try checkKey(left, record)
        try checkKey(right, record)
        if record.flags.contains(.integerKeys), left.count != right.count {
            throw differentSizes("keys", left.count, right.count)
        }
        return KeyOrder.compare(left, right, reversed: record.flags.reversesKeys)
    }

    /// Orders two values of a key.
    ///
    /// - Throws: `incompatible` if keys have one value each; `badValueSize` as `compareKeys`.
    package func compareValues(
        _ database: Int, _ left: UnsafeRawBufferPointer, _ right: UnsafeRawBufferPointer
    ) throws(DatabaseError) -> Int {
        let record = try record(database)
        guard record.flags.contains(.duplicates) else {
            throw DatabaseError(
                .incompatible,
                "\(describe(database)) was made without \(c: "ZDB_DUPSORT"): its values have no "
                    + "order")
        }
        try checkDuplicate(left, record)
        try checkDuplicate(right, record)
        if record.flags.contains(.fixedSizeDuplicates), left.count != right.count {
            throw differentSizes("values", left.count, right.count)
        }
        return KeyOrder.compare(left, right, reversed: record.flags.reversesValues)
    }

    private func differentSizes(_ what: String, _ left: Int, _ right: Int) -> DatabaseError {
        DatabaseError(
            .badValueSize,
            "the \(what) have \(left) and \(right) bytes; in this database all have one size")
    }
}
