/// The values of a key that has several, from the first to the last: in a page within the entry, or in a
/// tree of their own.
struct LMDBValues {
    private let file: LMDBFile
    private let order: LMDBOrder
    /// Of the page with the key.
    private let keyPage: UInt64
    /// Bytes of each value, if all have one size.
    private let fixedSize: Int?
    private let entries: UInt64
    private var walk: LMDBTreeWalk?
    private var leaf: LMDBPage?
    private var index = 0
    private var count: UInt64 = 0
    private var last: ArraySlice<UInt8>?

    /// The values in a page within an entry.
    init(
        _ file: LMDBFile, page node: LMDBPage.Node, in number: UInt64, _ flags: UInt16
    ) throws(LMDBError) {
        let leaf: LMDBPage
        do throws(LMDBPage.Damage) {
            let expected = LMDBLayout.PageFlag.leaf | LMDBLayout.PageFlag.subPage
            leaf = try LMDBPage(node.data, file.layout, number: nil, flags: expected)
            try Self.check(leaf, fixedSize: leaf.fixedSize, flags)
        } catch {
            throw file.damaged(number, LMDBPage.Damage(text: "a page within it: \(error.text)"))
        }
        self.file = file
        order = LMDBOrder.ofValues(flags)
        keyPage = number
        fixedSize = leaf.fixedSize
        entries = UInt64(leaf.count)
        self.leaf = leaf
    }

    /// The values in a tree.
    init(
        _ file: LMDBFile, tree node: LMDBPage.Node, in number: UInt64, _ flags: UInt16
    ) throws(LMDBError) {
        guard node.data.count == file.layout.treeSize,
            let tree = LMDBTree(node.data, at: 0, file.layout), tree.depth > 0, tree.entries > 0
        else { throw file.damaged(number, LMDBPage.Damage(text: "a tree of values is none")) }
        self.file = file
        order = LMDBOrder.ofValues(flags)
        keyPage = number
        fixedSize = flags & LMDBTree.Flag.fixedSize == 0 ? nil : Int(clamping: tree.pad)
        entries = tree.entries
        walk = LMDBTreeWalk(file, tree)
    }

    /// The next value; nil after the last.
    mutating func next() throws(LMDBError) -> ArraySlice<UInt8>? {
        if leaf.map({ index < $0.count }) != true {
            guard try nextLeaf() else { return nil }
        }
        guard let leaf else { return nil }
        do throws(LMDBPage.Damage) {
            let value = try value(of: leaf)
            if let last, !file.allowsAnyOrder, !order.isAscending(last, value) {
                throw LMDBPage.Damage(text: "value \(index) of a key is not after the one before")
            }
            last = value
            index += 1
            count += 1
            return value
        } catch {
            throw file.damaged(walk?.number ?? keyPage, error)
        }
    }

    private mutating func nextLeaf() throws(LMDBError) -> Bool {
        index = 0
        leaf = try walk?.next()
        guard let leaf else {
            guard count == entries else {
                throw file.damaged(
                    keyPage,
                    LMDBPage.Damage(text: "\(count) values of a key, where it counts \(entries)"))
            }
            return false
        }
        do throws(LMDBPage.Damage) {
            try Self.check(
                leaf, fixedSize: fixedSize, fixedSize == nil ? 0 : LMDBTree.Flag.fixedSize)
        } catch {
            throw file.damaged(walk?.number ?? keyPage, error)
        }
        return true
    }

    private static func check(
        _ leaf: LMDBPage, fixedSize: Int?, _ flags: UInt16
    ) throws(LMDBPage.Damage) {
        let isFixed = flags & LMDBTree.Flag.fixedSize != 0
        guard leaf.fixedSize == fixedSize, isFixed == (fixedSize != nil) else {
            throw LMDBPage.Damage(text: "its values have another size than others of the key")
        }
    }

    private func value(of leaf: LMDBPage) throws(LMDBPage.Damage) -> ArraySlice<UInt8> {
        guard leaf.fixedSize == nil else { return leaf.fixedKey(index) }
        let node = try leaf.node(index)
        guard node.flags == 0, node.size == 0 else {
            throw LMDBPage.Damage(text: "value \(index) of a key has data of its own")
        }
        return node.key
    }
}
