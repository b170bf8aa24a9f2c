/// Which pages of a tree are to be moved towards the beginning of the file, and where that goes on.
struct Relocation {
    /// Pages from this one on are to be moved.
    let cutoff: UInt64
    /// Whether sparse leaves are to be filled.
    let fills: Bool
    /// Large values of more pages stay where they are.
    let runMax: UInt64
    /// Pages of changed trees and values, after which a transaction ends.
    var budget: UInt64
    /// Pages that are looked at.
    var looks: Int

    /// Where it goes on: at the child, or in the leaf, that holds this key. nil at the end of the tree.
    var next: [UInt8]?

    init(cutoff: UInt64, fills: Bool, runMax: UInt64, budget: UInt64, looks: Int) {
        self.cutoff = cutoff
        self.fills = fills
        self.runMax = runMax
        self.budget = budget
        self.looks = looks
    }

    @inline(__always)
    func moves(_ reference: PageReference) -> Bool {
        !reference.isFrame && reference.number >= cutoff
    }

    func moves(_ pointer: OverflowPointer, pageSize: Int) -> Bool {
        guard !pointer.reference.isFrame else { return false }
        let pages = OverflowPointer.pageCount(length: pointer.length, pageSize: pageSize)
        return pages <= runMax && pointer.reference.number &+ pages > cutoff
    }

    /// Whether leaves have to be looked at, and not only the references to them.
    func readsLeaves(_ tree: TreeState) -> Bool {
        !tree.isValueTree
            && (tree.record.overflowPages > 0 || tree.record.flags.contains(.duplicates))
    }

    /// Whether a page has so much room that entries of the next one should fill it.
    static func isSparse(_ page: Page) -> Bool {
        page.liveSize < Page.capacity(pageSize: page.size) * 7 / 8
    }

    /// Bytes that a leaf is filled to.
    static func filled(pageSize: Int) -> Int { Page.capacity(pageSize: pageSize) * 31 / 32 }

    /// The key of a branch's entry.
    static func key(_ index: Int, of page: Page, _ source: PageSource) throws(DatabaseError)
        -> [UInt8]
    {
        var length = -1
        let key = [UInt8](
            unsafeUninitializedCapacity: Format.keyBufferSize(pageSize: page.size)
        ) { buffer, count in
            guard let start = buffer.baseAddress else { return }
            length = page.copyKey(index, to: UnsafeMutableRawPointer(start))
            count = max(0, length)
        }
        guard length >= 0 else { throw source.badEntry(page) }
        return key
    }
}

/// Looking for pages to be moved, without changing any.
extension TreeRead {
    /// Finds the first page that is to be moved.
    ///
    /// - Parameters:
    ///   - key: where to begin; nil at the beginning.
    ///   - relocation: what is looked for; counts the pages looked at. Its `next` is where the search goes
    ///     on, or the page was found; nil if the tree has no more.
    /// - Returns: whether one was found.
    static func findMovable(
        _ source: PageSource, _ tree: TreeState, from key: [UInt8]?, _ relocation: inout Relocation
    ) throws(DatabaseError) -> Bool {
        relocation.next = nil
        guard tree.depth > 0 else { return false }
        var search = MovableSearch(source: source, tree: tree, relocation: relocation)
        let result = try search.look(tree.root, level: tree.depth - 1, from: key, bound: key ?? [])
        relocation.looks = search.relocation.looks
        relocation.next = search.relocation.next
        return result == .found
    }
}

private struct MovableSearch {
    let source: PageSource
    let tree: TreeState
    var relocation: Relocation

    enum Outcome {
        case found
        case stopped
        case nothing
    }

    /// - Parameter bound: where what is below the page begins.
    mutating func look(
        _ reference: PageReference, level: Int, from key: [UInt8]?, bound: [UInt8]
    ) throws(DatabaseError) -> Outcome {
        relocation.looks -= 1
        if relocation.moves(reference) { return found(bound) }
        let page = try source.page(reference, level: level, layout: tree.layout(level: level))
        guard page.slotsAreInBounds else { throw source.badEntry(page) }
        guard level > 0 else { return try lookInLeaf(page, bound) }
        let readsLeaves = relocation.readsLeaves(tree)
        let first = try key.map { key throws(DatabaseError) in
            try key.withBytes { key throws(DatabaseError) in page.searchBranch(key) }
        }
        guard first ?? 0 >= 0 else { throw source.badEntry(page) }
        for index in (first ?? 0)..<page.count {
            let child = page.child(index)
            if level == 1, !readsLeaves, !relocation.fills {
                guard relocation.moves(child) else { continue }
                return found(try self.bound(index, of: page, bound))
            }
            let childBound = try self.bound(index, of: page, bound)
            let result = try look(
                child, level: level - 1, from: index == first ? key : nil, bound: childBound)
            if result != .nothing { return result }
            if relocation.fills, try canBeFilled(index, of: page, level) {
                return found(childBound)
            }
            if relocation.looks <= 0, index + 1 < page.count {
                relocation.next = try Relocation.key(index + 1, of: page, source)
                return .stopped
            }
        }
        return .nothing
    }

    private func bound(
        _ index: Int, of page: Page, _ bound: [UInt8]
    ) throws(DatabaseError) -> [UInt8] {
        index == 0 ? bound : try Relocation.key(index, of: page, source)
    }

    private mutating func found(_ key: [UInt8]) -> Outcome {
        relocation.next = key
        return .found
    }

    /// Whether a child is sparse and has one behind it.
    private func canBeFilled(
        _ index: Int, of page: Page, _ level: Int
    ) throws(DatabaseError) -> Bool {
        guard level == 1, index + 1 < page.count, !tree.isValueTree else { return false }
        return Relocation.isSparse(try source.page(page.child(index), level: 0))
    }

    private mutating func lookInLeaf(
        _ leaf: Page, _ bound: [UInt8]
    ) throws(DatabaseError) -> Outcome {
        guard relocation.readsLeaves(tree) else { return .nothing }
        var index = leaf.firstIndirectValue(from: 0)
        while index < leaf.count {
            guard let value = leaf.value(index) else { throw source.badEntry(leaf) }
            switch value.kind {
            case .overflow:
                let pointer = OverflowPointer(at: value.bytes)
                if relocation.moves(pointer, pageSize: source.pageSize) {
                    return found(try Relocation.key(index, of: leaf, source))
                }
            case .valueTree:
                let values = ValueTree(at: value.bytes).state(in: tree.record)
                guard values.depth > 0 else { throw source.badEntry(leaf) }
                var inner = MovableSearch(source: source, tree: values, relocation: relocation)
                // To its end: there is no place within the values of a key to go on from.
                inner.relocation.looks = .max
                let result = try inner.look(
                    values.root, level: values.depth - 1, from: nil, bound: [])
                relocation.looks -= .max - inner.relocation.looks
                if result == .found { return found(try Relocation.key(index, of: leaf, source)) }
            case .inline, .inlineValues: break
            }
            index = leaf.firstIndirectValue(from: index + 1)
        }
        return .nothing
    }
}
