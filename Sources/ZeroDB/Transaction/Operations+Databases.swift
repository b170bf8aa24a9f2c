/// The operations of a transaction on databases as a whole: opening, making, emptying, dropping,
/// renaming and listing them.
extension Operations {
    // MARK: Open

    /// The handle of a named database.
    ///
    /// - Parameter flags: what it must be, or is made as; empty for whatever it is.
    /// - Throws: `notFound`; `incompatible` if it is something else, or flags do not go together;
    ///   `readOnly` if it would have to be made; `badArgument`.
    package func openDatabase(
        _ name: UnsafeRawBufferPointer, flags: DatabaseFlags = [], create: Bool
    ) throws(DatabaseError) -> Int {
        try state.pointee.checkUsable()
        try checkFlags(flags)
        let handle = try self.handle(named: name)
        let names = state.pointee.storeState.pointee.databases
        if try state.pointee.lookUp(handle, name: name) {
            try checkKind(handle, is: flags)
            return handle
        }
        let described = names.describe(handle)
        guard create else {
            throw DatabaseError(
                .notFound,
                "\(described) does not exist; open it with \(c: "ZDB_CREATE") to make it")
        }
        let write = try writeState(
            "\(described) does not exist and a read transaction cannot make it")
        write.pointee.log.name(handle, name)
        write.pointee.log.create(handle, flags)
        state.pointee.createTree(handle, flags: flags)
        return handle
    }

    /// The main database's handle. Plain and empty, it may be made into something else.
    ///
    /// - Throws: as `openDatabase`.
    package func openMain(
        flags: DatabaseFlags = [], create: Bool
    ) throws(DatabaseError) -> Int {
        try state.pointee.checkUsable()
        try checkFlags(flags)
        let record = try state.pointee.tree(0).pointee.record
        guard create, record.flags.isEmpty, record.entries == 0, !flags.isEmpty else {
            try checkKind(0, is: flags)
            return 0
        }
        let write = try writeState(
            "the main database is plain and a read transaction cannot make it one "
                + flags.inWords)
        write.pointee.log.create(0, flags)
        var changed = record
        changed.flags = flags
        state.pointee.setTree(0, changed)
        return 0
    }

    /// What a database is.
    package func flags(of database: Int) throws(DatabaseError) -> DatabaseFlags {
        try record(database).flags
    }

    /// The handle of a name, whether there is such a database or not.
    private func handle(named name: UnsafeRawBufferPointer) throws(DatabaseError) -> Int {
        guard name.count > 0, name.count <= Format.databaseNameSizeMax else {
            throw DatabaseError(
                .badArgument, limit: name.count > 0 ? .nameSize : nil,
                "the database's name has \(name.count) bytes; it must have from 1 to "
                    + "\(Format.databaseNameSizeMax)")
        }
        return try state.pointee.store.databaseHandle(name)
    }

    private func writeState(
        _ refusal: @autoclosure () -> String
    ) throws(DatabaseError) -> UnsafeMutablePointer<WriteState> {
        guard let write = state.pointee.write else { throw DatabaseError(.readOnly, refusal()) }
        try takeInReservation()
        return write
    }

    private func checkFlags(_ flags: DatabaseFlags) throws(DatabaseError) {
        guard let problem = flags.inconsistency else { return }
        throw DatabaseError(.incompatible, "the database's flags do not go together: \(problem)")
    }

    private func checkKind(_ handle: Int, is flags: DatabaseFlags) throws(DatabaseError) {
        let found = try record(handle).flags
        guard !flags.isEmpty, flags != found else { return }
        let names = state.pointee.storeState.pointee.databases
        throw DatabaseError(
            .incompatible,
            "\(names.describe(handle)) is \(found.inWords); it cannot be opened as one that is "
                + "\(flags.inWords)"
                + (handle == 0 && found.isEmpty
                    ? "; \(c: "ZDB_CREATE") makes it so while it is empty" : ""))
    }

    // MARK: Clear, drop, rename

    /// Deletes all entries of a database.
    ///
    /// - Returns: how many there were.
    /// - Complexity: O(branch pages); with overflow runs or duplicates O(pages).
    @discardableResult
    package func clear(_ database: Int) throws(DatabaseError) -> UInt64 {
        let writer = try writer(database)
        let entries = writer.tree.pointee.record.entries
        guard writer.tree.pointee.depth > 0 else { return 0 }
        log(database) { $0.clear(database) }
        do throws(DatabaseError) {
            try writer.clear()
        } catch {
            throw failing(error, database)
        }
        state.pointee.write?.pointee.rangesDeleted &+= 1
        return entries
    }

    /// Deletes a named database.
    ///
    /// - Throws: `incompatible` for the main database; `badDatabase`; `readOnly`.
    package func drop(_ database: Int) throws(DatabaseError) {
        let writer = try namedWriter(database, "dropped; clear it instead")
        log(database) { $0.drop(database) }
        do throws(DatabaseError) {
            try writer.clear()
        } catch {
            throw failing(error, database)
        }
        state.pointee.setTree(database, nil)
    }

    /// Gives a named database another name.
    ///
    /// - Returns: the handle of the new name; the old one stands for nothing now.
    /// - Throws: `keyExists` if there is a database of that name; as `drop`; `badArgument`.
    package func rename(
        _ database: Int, to name: UnsafeRawBufferPointer
    ) throws(DatabaseError) -> Int {
        _ = try namedWriter(database, "given a name")
        let renamed = try handle(named: name)
        guard try !state.pointee.lookUp(renamed, name: name) else {
            let names = state.pointee.storeState.pointee.databases
            throw DatabaseError(
                .keyExists,
                "\(names.describe(database)) cannot be renamed: \(names.describe(renamed)) exists "
                    + "already; drop or rename that one first")
        }
        // Looking up may have moved the trees.
        let tree = try record(database)
        log(database) { $0.rename(database, to: name) }
        state.pointee.setTree(database, nil)
        state.pointee.setTree(renamed, tree)
        return renamed
    }

    /// What writes to a database that has a name.
    private func namedWriter(
        _ database: Int, _ refused: StaticString
    ) throws(DatabaseError) -> TreeWriter {
        let writer = try writer(database)
        guard database != 0 else {
            throw DatabaseError(.incompatible, "the main database cannot be \(refused)")
        }
        return writer
    }

    // MARK: List

    /// The named databases that the transaction sees, in the order of their names.
    ///
    /// - Complexity: O(databases).
    package func list() throws(DatabaseError) -> [(name: [UInt8], statistics: DatabaseStatistics)] {
        try state.pointee.checkUsable()
        try takeInReservation(isOver: false)
        let pageSize = state.pointee.source.pageSize
        let names = state.pointee.storeState.pointee.databases
        var records: [(name: [UInt8], record: TreeRecord)] = []
        // What this transaction has changed is not in the catalog before its commit.
        var hidden: Set<[UInt8]> = []
        for handle in state.pointee.dirtyDatabases() {
            guard let name = names.name(handle) else { continue }
            hidden.insert(Array(name))
            records.append((Array(name), state.pointee.trees[handle].record))
        }
        for handle in state.pointee.droppedDatabases() {
            if let name = names.name(handle) { hidden.insert(Array(name)) }
        }
        try forEachInCatalog { name, record in
            if !hidden.contains(name) { records.append((name, record)) }
        }
        if !hidden.isEmpty { records.sort { $0.name.lexicographicallyPrecedes($1.name) } }
        return records.map { ($0.name, DatabaseStatistics($0.record, pageSize: pageSize)) }
    }

    private func forEachInCatalog(
        _ body: ([UInt8], TreeRecord) -> Void
    ) throws(DatabaseError) {
        let source = state.pointee.source
        var catalog = TreeState()
        catalog.record = state.pointee.write?.pointee.catalog.record ?? state.pointee.meta.catalog
        guard catalog.record.isPlausible || state.pointee.write != nil else {
            throw SharedState.damaged(
                "the record of transaction \(state.pointee.id) does not check")
        }
        guard catalog.depth > 0 else { return }
        if source.skipsDamage { return try forEachSoundInCatalog(catalog, body) }
        let path = Path.allocate(capacity: Format.depthMax + 1)
        let key = UnsafeMutableRawPointer.allocate(
            byteCount: Format.keyBufferSize(pageSize: source.pageSize), alignment: 8)
        defer {
            path.deallocate()
            key.deallocate()
        }
        try TreeRead.descend(
            source, catalog, to: .first, path: path, from: 0, reference: catalog.root)
        var leavesLeft = TreeRead.leavesMax(source)
        repeat {
            try TreeRead.countLeaf(&leavesLeft, source, path[catalog.depth - 1].reference)
            let leaf = Page(path[catalog.depth - 1].page, size: source.pageSize)
            for index in 0..<leaf.count {
                let length = leaf.copyKey(index, to: key)
                guard length > 0 else { throw source.badEntry(leaf) }
                let name = KeyBytes(start: key, count: length)
                let bytes = try TreeRead.value(source, leaf, index, catalog.record)
                body(Array(name), try TransactionState.record(in: bytes, of: name))
            }
        } while try TreeRead.moveToNeighbor(source, catalog, forward: true, path: path)
    }

    // MARK: Statistics

    /// The record of a database: its counts.
    func record(_ database: Int) throws(DatabaseError) -> TreeRecord {
        try state.pointee.checkUsable()
        return try state.pointee.tree(database).pointee.record
    }

    package func statistics(_ database: Int) throws(DatabaseError) -> DatabaseStatistics {
        try state.pointee.checkUsable()
        try takeInReservation(isOver: false)
        return DatabaseStatistics(
            try record(database), pageSize: state.pointee.source.pageSize)
    }
}

/// Counts of one database, kept up to date by its changes.
public struct DatabaseStatistics: Sendable, Equatable {
    /// Bytes in a page.
    public var pageSize: Int
    /// Levels of the tree; 0 if it is empty.
    public var depth: Int
    /// Pairs of key and value.
    public var entries: UInt64
    /// Different keys.
    public var keys: UInt64
    /// Pages that hold separators and references to other pages.
    public var branchPages: UInt64
    /// Pages that hold entries, those with the values of one key included.
    public var leafPages: UInt64
    /// Pages in overflow runs.
    public var overflowPages: UInt64
    /// All its pages.
    public var pages: UInt64 { branchPages &+ leafPages &+ overflowPages }
    /// What the database is.
    public var flags: DatabaseFlags
    /// Of all pairs of key and value: the same in every database with the same content.
    public var digest: ContentDigest

    init(_ record: TreeRecord, pageSize: Int) {
        self.pageSize = pageSize
        depth = Int(record.depth)
        entries = record.entries
        keys = record.flags.contains(.duplicates) ? record.keys : record.entries
        branchPages = record.branchPages
        leafPages = record.leafPages
        overflowPages = record.overflowPages
        flags = record.flags
        digest = record.digest
    }
}
