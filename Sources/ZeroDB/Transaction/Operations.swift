/// The operations of a transaction on its databases. Sizes, states and limits are checked here;
/// below, everything fits.
package struct Operations {
    let state: UnsafeMutablePointer<TransactionState>

    @inline(__always)
    package init(_ state: UnsafeMutablePointer<TransactionState>) { self.state = state }

    // MARK: Read

    /// The value of a key, nil if it is not there. Points into the map, valid until the
    /// transaction ends, or into a frame, valid until its next write.
    @inline(__always)
    package func get(
        _ database: Int, _ key: UnsafeRawBufferPointer, wanted: Bool = true
    ) throws(DatabaseError) -> UnsafeRawBufferPointer? {
        try state.pointee.checkUsable()
        try checkKey(key)
        let tree = try state.pointee.tree(database)
        // Not by `storedKey`, which would copy the record.
        let key =
            tree.pointee.record.flags.reversesKeys
            ? try reversedKey(key, tree.pointee.record) : key
        do throws(DatabaseError) {
            let value = try TreeRead.get(
                state.pointee.source, tree.pointee.record, key: key, wanted: wanted)
            state.pointee.reads.gets &+= 1
            if value == nil { state.pointee.reads.absentGets &+= 1 }
            return value
        } catch {
            throw inDatabase(error, database)
        }
    }

    @inline(__always)
    func checkKey(_ key: UnsafeRawBufferPointer) throws(DatabaseError) {
        let limit = Format.keySizeMax(pageSize: state.pointee.source.pageSize)
        guard key.count > 0, key.count <= limit else { throw badKey(key.count, limit) }
    }

    @inline(never)
    private func badKey(_ size: Int, _ limit: Int) -> DatabaseError {
        DatabaseError(
            .badValueSize, limit: size > 0 ? .keySize : nil,
            "the key has \(size) bytes; with pages of \(state.pointee.source.pageSize) bytes a key "
                + "has from 1 to \(limit)")
    }

    /// An error with the name of the database it happened in.
    @inline(never)
    func inDatabase(_ error: DatabaseError, _ database: Int) -> DatabaseError {
        guard error.code == .corrupted else { return error }
        let name = state.pointee.storeState.pointee.databases.describe(database)
        return error.located(in: name)
    }

    // MARK: Write

    @inline(__always)
    func writer(_ database: Int) throws(DatabaseError) -> TreeWriter {
        try state.pointee.checkUsable()
        guard let write = state.pointee.write else {
            throw DatabaseError(
                .readOnly, "a write in a read transaction; begin one that writes")
        }
        if write.pointee.reservation != nil { try takeInReservation() }
        let tree = try state.pointee.tree(database)
        return TreeWriter(
            source: state.pointee.source, workspace: write.pointee.workspace, tree: tree,
            transaction: state.pointee.id)
    }

    /// Checks all that a put can be refused for before it changes anything.
    @inline(__always) @discardableResult
    func checkPut(
        _ database: Int, _ key: UnsafeRawBufferPointer, _ value: UnsafeRawBufferPointer
    ) throws(DatabaseError) -> TreeWriter {
        let writer = try writer(database)
        try checkKey(key)
        guard value.count <= Format.valueSizeMax else {
            throw DatabaseError(
                .badValueSize, limit: .valueSize,
                "the value has \(value.count) bytes; the largest has \(Format.valueSizeMax)")
        }
        if !writer.tree.pointee.record.flags.isEmpty { try checkKinds(writer, key, value) }
        return writer
    }

    /// Puts a key and its value.
    ///
    /// - Returns: nil if it was put; with `noOverwrite`, the value that is there.
    /// - Throws: `notSorted` and argument errors leave the transaction usable; `transactionFull`,
    ///   `full`, `corrupted` and lack of memory break it.
    package func put(
        _ database: Int, _ key: UnsafeRawBufferPointer, _ value: UnsafeRawBufferPointer,
        mode: PutMode
    ) throws(DatabaseError) -> UnsafeRawBufferPointer? {
        let writer = try checkPut(database, key, value)
        let mark = log(database) { $0.put(database, key, value) }
        let result: TreeWriter.PutResult
        do throws(DatabaseError) {
            result = try putDetached(writer, key, value, mode)
        } catch {
            throw failing(error, database)
        }
        switch result {
        case .stored:
            state.pointee.write?.pointee.puts &+= 1
            return nil
        case .unchanged:
            cutLog(to: mark)
            return mode == .noDuplicate ? value : nil
        case .exists(let existing):
            cutLog(to: mark)
            return existing
        case .notSorted:
            cutLog(to: mark)
            throw DatabaseError(
                .notSorted,
                mode == .appendValue
                    ? "an append of a value that is not after the last value of its key in "
                        + describe(database)
                    : "an append of a key that is not after the last key of " + describe(database))
        }
    }

    /// Puts, from a copy if what is put lies in a page that may move meanwhile.
    @inline(__always)
    private func putDetached(
        _ writer: TreeWriter, _ key: UnsafeRawBufferPointer, _ value: UnsafeRawBufferPointer,
        _ mode: PutMode
    ) throws(DatabaseError) -> TreeWriter.PutResult {
        let frames = writer.workspace.pointee.frames
        let keyMoves = key.baseAddress.map { frames.pointee.contains($0) } ?? false
        let valueMoves = value.baseAddress.map { frames.pointee.contains($0) } ?? false
        guard keyMoves || valueMoves else { return try putStored(writer, key, value, mode) }
        return try withCopies(of: key, value) { key, value throws(DatabaseError) in
            try putStored(writer, key, value, mode)
        }
    }

    /// Puts, by the key as the tree holds it.
    @inline(__always)
    private func putStored(
        _ writer: TreeWriter, _ key: UnsafeRawBufferPointer, _ value: UnsafeRawBufferPointer,
        _ mode: PutMode
    ) throws(DatabaseError) -> TreeWriter.PutResult {
        let flags = writer.tree.pointee.record.flags
        if flags.isEmpty {
            let result = try writer.put(key, value, mode: mode)
            writer.noteEnd()
            return result
        }
        let held = try storedKey(key, writer.tree.pointee.record)
        takeWidths(writer, key, value)
        guard flags.contains(.duplicates) else { return try writer.put(held, value, mode: mode) }
        return try writer.putPair(held, value, mode: mode)
    }

    /// Deletes a key.
    ///
    /// - Returns: whether it was there.
    package func delete(
        _ database: Int, _ key: UnsafeRawBufferPointer
    ) throws(DatabaseError) -> Bool {
        let writer = try writer(database)
        try checkKey(key)
        let held = try storedKey(key, writer.tree.pointee.record)
        let mark = log(database) { $0.delete(database, key) }
        do throws(DatabaseError) {
            let isDeleted = try writer.delete(held)
            noteDeletion(isDeleted, mark)
            return isDeleted
        } catch {
            throw failing(error, database)
        }
    }

    /// Adds an operation to the transaction's log record, before it is carried out: what it names
    /// may lie in pages that it moves.
    ///
    /// - Returns: the record before, for an operation that turns out to change nothing.
    @inline(__always) @discardableResult
    func log(_ database: Int, _ operation: (inout LogBuffer) -> Void) -> LogBuffer.OperationMark {
        guard let write = state.pointee.write, write.pointee.log.isRecording else {
            return LogBuffer.OperationMark()
        }
        if database > 0, let name = state.pointee.storeState.pointee.databases.name(database) {
            write.pointee.log.name(database, name)
        }
        let mark = write.pointee.log.operationMark
        operation(&write.pointee.log)
        return mark
    }

    /// Takes operations back out of the log record that turned out to change nothing.
    @inline(__always)
    func noteDeletion(_ isDeleted: Bool, _ mark: LogBuffer.OperationMark) {
        guard isDeleted else { return cutLog(to: mark) }
        state.pointee.write?.pointee.deletes &+= 1
    }

    func cutLog(to mark: LogBuffer.OperationMark) {
        state.pointee.write?.pointee.log.cut(to: mark)
    }

    @inline(never)
    func failing(_ error: DatabaseError, _ database: Int) -> DatabaseError {
        let located = inDatabase(error, database)
        state.pointee.markFailed(located)
        state.pointee.store.reportRefusal(located)
        return located
    }
}
