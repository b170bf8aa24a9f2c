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
        _ database: Int, _ key: UnsafeRawBufferPointer
    ) throws(DatabaseError) -> UnsafeRawBufferPointer? {
        try state.pointee.checkUsable()
        try checkKey(key)
        let tree = try state.pointee.tree(database)
        do throws(DatabaseError) {
            return try TreeRead.get(
                state.pointee.source, root: tree.pointee.root, depth: tree.pointee.depth, key: key)
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
            .badValueSize,
            "the key has \(size) bytes; with pages of \(state.pointee.source.pageSize) bytes a key "
                + "has from 1 to \(limit)")
    }

    /// An error with the name of the database it happened in.
    @inline(never)
    func inDatabase(_ error: DatabaseError, _ database: Int) -> DatabaseError {
        guard error.code == .corrupted else { return error }
        let name = state.pointee.environment.pointee.databases.describe(database)
        return DatabaseError(.corrupted, page: error.page, "in \(name): \(error.message)")
    }

    // MARK: Write

    @inline(__always)
    func writer(_ database: Int) throws(DatabaseError) -> TreeWriter {
        try state.pointee.checkUsable()
        guard let write = state.pointee.write else {
            throw DatabaseError(
                .readOnly, "a write in a read transaction; begin one without ZDB_RDONLY")
        }
        write.pointee.settle()
        let tree = try state.pointee.tree(database)
        return TreeWriter(
            source: state.pointee.source, write: write, tree: tree, transaction: state.pointee.id)
    }

    package enum PutMode {
        case overwrite
        case noOverwrite
        case append
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
                .badValueSize,
                "the value has \(value.count) bytes; the largest has \(Format.valueSizeMax)")
        }
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
        let treeMode: TreeWriter.PutMode =
            switch mode {
            case .overwrite: .overwrite
            case .noOverwrite: .noOverwrite
            case .append: .append
            }
        let mark = log(database) { $0.put(database, key, value) }
        let result: TreeWriter.PutResult
        do throws(DatabaseError) {
            result = try putDetached(writer, key, value, treeMode)
        } catch {
            throw breaking(error, database)
        }
        switch result {
        case .stored: return nil
        case .exists(let existing):
            writer.write.pointee.log.cut(to: mark)
            return existing
        case .notSorted:
            writer.write.pointee.log.cut(to: mark)
            throw DatabaseError(
                .notSorted,
                "an append of a key that is not after the last key of "
                    + state.pointee.environment.pointee.databases.describe(database))
        }
    }

    /// Puts, from a copy if what is put lies in a page that may move meanwhile.
    @inline(__always)
    private func putDetached(
        _ writer: TreeWriter, _ key: UnsafeRawBufferPointer, _ value: UnsafeRawBufferPointer,
        _ mode: TreeWriter.PutMode
    ) throws(DatabaseError) -> TreeWriter.PutResult {
        let frames = writer.write.pointee.frames
        let keyMoves = key.baseAddress.map { frames.pointee.contains($0) } ?? false
        let valueMoves = value.baseAddress.map { frames.pointee.contains($0) } ?? false
        guard keyMoves || valueMoves else { return try writer.put(key, value, mode: mode) }
        let copy = UnsafeMutableRawBufferPointer.allocate(
            byteCount: key.count + value.count, alignment: 1)
        defer { copy.deallocate() }
        copy.copyMemory(from: key)
        UnsafeMutableRawBufferPointer(rebasing: copy[key.count...]).copyMemory(from: value)
        return try writer.put(
            UnsafeRawBufferPointer(rebasing: copy[..<key.count]),
            UnsafeRawBufferPointer(rebasing: copy[key.count...]), mode: mode)
    }

    /// Deletes a key.
    ///
    /// - Returns: whether it was there.
    package func delete(
        _ database: Int, _ key: UnsafeRawBufferPointer
    ) throws(DatabaseError) -> Bool {
        let writer = try writer(database)
        try checkKey(key)
        let mark = log(database) { $0.delete(database, key) }
        do throws(DatabaseError) {
            let isDeleted = try writer.delete(key)
            if !isDeleted { writer.write.pointee.log.cut(to: mark) }
            return isDeleted
        } catch {
            throw breaking(error, database)
        }
    }

    /// Adds an operation to the transaction's log record, before it is carried out: what it names
    /// may lie in pages that it moves.
    ///
    /// - Returns: the record before, for an operation that turns out to change nothing.
    @inline(__always) @discardableResult
    func log(_ database: Int, _ operation: (inout LogBuffer) -> Void) -> LogBuffer.Mark {
        guard let write = state.pointee.write, write.pointee.log.isRecording else {
            return LogBuffer.Mark()
        }
        if database > 0, let name = state.pointee.environment.pointee.databases.name(database) {
            write.pointee.log.name(database, name)
        }
        let mark = write.pointee.log.mark
        operation(&write.pointee.log)
        return mark
    }

    @inline(never)
    func breaking(_ error: DatabaseError, _ database: Int) -> DatabaseError {
        let located = inDatabase(error, database)
        state.pointee.breakDown(located)
        return located
    }
}
