/// The entries of a database, from the first to the last.
///
/// In the main database the names of others are not among them, but are listed in `named` when all entries
/// have been read.
package struct LMDBEntries {
    private let file: LMDBFile
    private let database: LMDBDatabase
    private let keyOrder: LMDBOrder
    private var walk: LMDBTreeWalk
    private var leaf: LMDBPage?
    private var index = 0
    private var lastKey: [UInt8]?
    private var values: LMDBValues?
    /// Entries and names that have been read.
    private var count: UInt64 = 0

    /// The current entry.
    package private(set) var key: ArraySlice<UInt8> = []
    /// The current entry.
    package private(set) var value: ArraySlice<UInt8> = []
    private var notes: [String] = []
    /// The databases whose names have been read.
    package private(set) var named: [LMDBDatabase] = []

    /// The entries of a database.
    ///
    /// - Throws: if it is of a kind that LMDB does not know.
    package init(_ file: LMDBFile, _ database: LMDBDatabase) throws(LMDBError) {
        self.file = file
        self.database = database
        keyOrder = LMDBOrder.ofKeys(database.flags)
        walk = LMDBTreeWalk(file, database.tree)
        guard database.tree.flags & ~LMDBTree.Flag.all == 0 else {
            throw LMDBError(
                .damaged,
                "the \(database.title) has flags \(database.tree.flags), which are not known")
        }
    }

    /// Goes on to the next entry.
    ///
    /// - Returns: false after the last.
    package mutating func next() throws(LMDBError) -> Bool {
        do throws(LMDBError) {
            return try advance()
        } catch {
            throw LMDBError(error.kind, "in the \(database.title): \(error.message)")
        }
    }

    /// What was odd and is no error. Taken once.
    package mutating func takeNotes() -> [String] {
        defer { notes = [] }
        return notes
    }

    private mutating func advance() throws(LMDBError) -> Bool {
        while true {
            if try nextValue() { return true }
            guard let node = try nextNode() else { return false }
            guard try !take(node) else { return true }
        }
    }

    /// Goes on to the next value of the current key, if it has several.
    private mutating func nextValue() throws(LMDBError) -> Bool {
        guard var values else { return false }
        guard let next = try values.next() else {
            self.values = nil
            return false
        }
        self.values = values
        value = next
        count += 1
        return true
    }

    private mutating func nextNode() throws(LMDBError) -> LMDBPage.Node? {
        if let leaf, index < leaf.count { return try node(of: leaf) }
        leaf = try walk.next()
        index = 0
        if let leaf { return try node(of: leaf) }
        try checkCount()
        return nil
    }

    /// Compares the entries with what the file says of their number. Where keys have several values, LMDB
    /// miscounts when some are deleted, and so the number says nothing about damage.
    private mutating func checkCount() throws(LMDBError) {
        guard count != database.entries else { return }
        let text = "\(count) entries were found, where it counts \(database.entries)"
        guard database.flags & LMDBTree.Flag.duplicates != 0 else {
            throw LMDBError(.damaged, text)
        }
        notes.append("in the \(database.title): \(text); LMDB is known to miscount values")
    }

    private mutating func node(of leaf: LMDBPage) throws(LMDBError) -> LMDBPage.Node {
        let number = walk.number
        defer { index += 1 }
        do throws(LMDBPage.Damage) {
            guard leaf.fixedSize == nil else {
                throw LMDBPage.Damage(text: "it has values of one size without keys")
            }
            let node = try leaf.node(index)
            guard !node.key.isEmpty else {
                throw LMDBPage.Damage(text: "entry \(index) has no key")
            }
            if let lastKey, !file.allowsAnyOrder, !keyOrder.isAscending(lastKey[...], node.key) {
                throw LMDBPage.Damage(text: "the key of entry \(index) is not after the one before")
            }
            lastKey = Array(node.key)
            return node
        } catch {
            throw file.damaged(number, error)
        }
    }

    /// Makes an entry of a node.
    ///
    /// - Returns: false if it is none: a name, or a key whose values follow.
    private mutating func take(_ node: LMDBPage.Node) throws(LMDBError) -> Bool {
        let number = walk.number
        let hasDuplicates = database.flags & LMDBTree.Flag.duplicates != 0
        switch (node.flags, hasDuplicates) {
        case (0, _):
            value = node.data.slice
        case (LMDBLayout.NodeFlag.run, false):
            value = try file.locate(number) { () throws(LMDBError) in
                try file.readRun(node)
            }
        case (LMDBLayout.NodeFlag.tree, false) where database.name == nil:
            try takeName(node, number)
            return false
        case (LMDBLayout.NodeFlag.duplicates, true):
            values = try LMDBValues(file, page: node, in: number, database.flags)
        case (LMDBLayout.NodeFlag.duplicates | LMDBLayout.NodeFlag.tree, true):
            values = try LMDBValues(file, tree: node, in: number, database.flags)
        default:
            throw file.damaged(
                number, LMDBPage.Damage(text: "an entry of this database has flags \(node.flags)"))
        }
        key = node.key
        guard values == nil else { return false }
        count += 1
        return true
    }

    private mutating func takeName(_ node: LMDBPage.Node, _ number: UInt64) throws(LMDBError) {
        guard node.data.count == file.layout.treeSize,
            let tree = LMDBTree(node.data, at: 0, file.layout)
        else {
            throw file.damaged(
                number, LMDBPage.Damage(text: "a database has \(node.data.count) bytes of data"))
        }
        var name = Array(node.key)
        if file.layout.version == 3, name.last == 0 { name.removeLast() }
        named.append(LMDBDatabase(name: name, tree: tree))
        count += 1
    }
}
