/// What is counted of a tree or of a part of one.
struct RepairCounts: Equatable {
    var entries: UInt64 = 0
    var keys: UInt64 = 0
    var branchPages: UInt64 = 0
    var leafPages: UInt64 = 0
    var overflowPages: UInt64 = 0
    var digest = ContentDigest()

    static func += (left: inout Self, right: Self) {
        left.entries += right.entries
        left.keys += right.keys
        left.branchPages += right.branchPages
        left.leafPages += right.leafPages
        left.overflowPages += right.overflowPages
        left.digest += right.digest
    }
}

/// A sound subtree: what an entry of a branch says of it, and what is below.
struct RepairPiece {
    /// The separator in front of it: no key of it is before that.
    var low: [UInt8]
    var reference: PageReference
    var counts: RepairCounts
    /// The smallest and the largest key of it.
    var first: [UInt8]
    var last: [UInt8]
}

/// A tree being looked at.
struct RepairTree {
    enum Content {
        /// The pairs of a database.
        case pairs
        /// The records of the named databases.
        case catalog
        case freeSpace
        /// The values of a key, as the tree of the database holds that.
        case values(of: [UInt8])
    }

    /// Of the database that it belongs to: what claims pages.
    let id: UInt32
    /// Of the database; empty for the main one; nil for the catalog and the free tree.
    let name: [UInt8]?
    let content: Content
    /// Of the tree; that of a value tree has the flags of the database.
    let record: TreeRecord
    let leafLayout: PageLayout
    let branchLayout: PageLayout
    /// Bytes of a value in a packed value leaf.
    let valueWidth: Int

    init(id: UInt32, name: [UInt8]?, content: Content, record: TreeRecord) {
        self.id = id
        self.name = name
        self.content = content
        self.record = record
        leafLayout = []
        branchLayout = record.flags.branchLayout
        valueWidth = 0
    }

    /// The tree of the values of a key.
    init(values: ValueTree, of key: [UInt8], in database: RepairTree) {
        id = database.id
        name = database.name
        content = .values(of: key)
        let state = values.state(in: database.record)
        var record = state.record
        record.flags = database.record.flags
        self.record = record
        leafLayout = state.leafLayout
        branchLayout = database.branchLayout
        valueWidth = state.valueWidth
    }

    func layout(level: Int) -> PageLayout { level == 0 ? leafLayout : branchLayout }

    /// For messages.
    var title: String {
        switch content {
        case .catalog: "the catalog"
        case .freeSpace: "the free tree"
        case .pairs, .values:
            name.map { Self.title(ofDatabase: $0) } ?? "a database"
        }
    }

    static func title(ofDatabase name: [UInt8]) -> String {
        name.isEmpty ? "the main database" : "database \(show(name))"
    }

    /// A key as it was put, from how the tree holds it.
    func given(_ key: [UInt8]) -> [UInt8] {
        if case .values(let owner) = content {
            return record.flags.reversesKeys ? owner.reversed() : owner
        }
        return record.flags.reversesKeys ? key.reversed() : key
    }

    /// The first key that can come after one, both as they were given.
    func key(after given: [UInt8]) -> [UInt8] {
        record.flags.reversesKeys ? [0] + given : given + [0]
    }

    /// Bytes as a person reads them: text with escapes, or hexadecimal digits.
    static func show(_ bytes: [UInt8]) -> String {
        let isText = bytes.allSatisfy { $0 >= 0x20 && $0 < 0x7f && $0 != 0x22 }
        if isText { return "\"\(String(decoding: bytes, as: UTF8.self))\"" }
        return "0x" + bytes.map { ($0 < 16 ? "0" : "") + String($0, radix: 16) }.joined()
    }
}
