/// A tree that is being verified: what is said of it when something is wrong.
final class VerifiedTree: Sendable {
    let place: VerifyProblem.Place
    /// Of its database, if that is a named one.
    let databaseName: [UInt8]?
    /// For messages: "the main database".
    let description: String
    let record: TreeRecord
    let state: TreeState
    /// Of a value tree: the key whose values it holds, as the tree of its database has it.
    let key: [UInt8]?
    /// Of a value tree: what its record says.
    let values: ValueTree?
    /// Of a value tree: the page that has its record.
    let page: UInt64?

    init(
        _ record: TreeRecord, place: VerifyProblem.Place, name: [UInt8]? = nil,
        description: String
    ) {
        self.record = record
        self.place = place
        self.description = description
        databaseName = name
        key = nil
        values = nil
        page = nil
        var state = TreeState()
        state.record = record
        self.state = state
    }

    /// The tree of a key's values.
    init(
        _ values: ValueTree, of key: KeyBytes, in database: VerifiedTree, entry: Int,
        of page: UInt64
    ) {
        self.values = values
        self.page = page
        place = database.place
        databaseName = database.databaseName
        record = database.record
        state = values.state(in: database.record)
        self.key = Array(key)
        description = "\(database.description), the values of entry \(entry) of page \(page)"
    }

    static func main(_ record: TreeRecord) -> VerifiedTree {
        VerifiedTree(record, place: .mainDatabase, description: "the main database")
    }

    static func named(_ name: [UInt8], _ record: TreeRecord) -> VerifiedTree {
        VerifiedTree(
            record, place: .namedDatabase, name: name,
            description: "database \"\(String(decoding: name, as: UTF8.self))\"")
    }

    // MARK: What a part of it stands for

    /// About how many entries there are below a page of a level, by the record of its tree.
    static func entries(belowLevel level: Int, of record: TreeRecord) -> UInt64 {
        let leaves = max(1, record.leafPages)
        // All pages but the root are children.
        let children = record.branchPages > 0 ? (leaves + record.branchPages - 1) : 1
        let fanout = max(1, children / max(1, record.branchPages))
        var pages: UInt64 = 1
        for _ in 0..<level where pages < leaves {
            let product = pages.multipliedReportingOverflow(by: fanout)
            pages = product.overflow ? leaves : product.partialValue
        }
        pages = min(pages, leaves)
        let share = record.entries / leaves
        let product = pages.multipliedReportingOverflow(by: max(1, share))
        return product.overflow ? record.entries : min(product.partialValue, record.entries)
    }

    /// The range of keys between two of the tree, as a program knows them; nil where keys are not those of
    /// a program.
    func range(from low: KeyBytes?, to high: KeyBytes?) -> VerifyProblem.KeyRange? {
        switch place {
        case .environment, .freePages, .log: return nil
        case .mainDatabase, .namedDatabase, .catalog:
            return VerifyProblem.KeyRange(low: low.map(programKey), high: high.map(programKey))
        }
    }

    /// The range of one key.
    func range(of key: KeyBytes) -> VerifyProblem.KeyRange? {
        guard var range = range(from: key, to: nil) else { return nil }
        if record.flags.contains(.integerKeys) {
            // The next integer, if there is one.
            var next = Array(key)
            var place = next.count - 1
            while place >= 0, next[place] == 0xff {
                next[place] = 0
                place -= 1
            }
            guard place >= 0 else { return range }
            next[place] += 1
            range.high = next.withUnsafeBytes { programKey($0) }
        } else {
            range.high = (Array(key) + [0]).withUnsafeBytes { programKey($0) }
        }
        return range
    }

    /// A key or separator as a program would give it.
    private func programKey(_ key: KeyBytes) -> [UInt8] {
        var bytes = Array(key)
        guard record.flags.reversesKeys else { return bytes }
        // A separator is cut off where it tells its two sides apart.
        if record.flags.contains(.integerKeys) {
            while bytes.count < Int(record.keyWidth) { bytes.append(0) }
        }
        bytes.reverse()
        return bytes
    }
}

/// What was found in a tree, or in a part of it.
struct TreeCounts {
    var entries: UInt64 = 0
    var branchPages: UInt64 = 0
    var leafPages: UInt64 = 0
    var overflowPages: UInt64 = 0
    var keys: UInt64 = 0
    var digest = ContentDigest()
    /// Problems that were found in it.
    var problems: UInt64 = 0
    /// Those that kept from counting what is behind them.
    var losses: UInt64 = 0

    static func += (left: inout Self, right: Self) {
        left.entries &+= right.entries
        left.branchPages &+= right.branchPages
        left.leafPages &+= right.leafPages
        left.overflowPages &+= right.overflowPages
        left.keys &+= right.keys
        left.digest += right.digest
        left.problems &+= right.problems
        left.losses &+= right.losses
    }
}
