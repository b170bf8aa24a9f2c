/// The leaves of a tree, from the first to the last.
struct LMDBTreeWalk {
    private let file: LMDBFile
    private let tree: LMDBTree
    private var stack: [Level] = []
    private var hasBegun = false

    private struct Level {
        let page: LMDBPage
        let number: UInt64
        var index = 0
    }

    init(_ file: LMDBFile, _ tree: LMDBTree) {
        self.file = file
        self.tree = tree
    }

    /// The page that the walk is on.
    var number: UInt64 { stack.last?.number ?? tree.root }

    /// The next leaf; nil after the last.
    mutating func next() throws(LMDBError) -> LMDBPage? {
        if !hasBegun {
            hasBegun = true
            guard try begin() else { return nil }
            return try descend()
        }
        _ = stack.popLast()
        while let level = stack.last {
            if level.index + 1 < level.page.count {
                stack[stack.count - 1].index += 1
                return try descend()
            }
            stack.removeLast()
        }
        return nil
    }

    /// - Returns: whether the tree has pages.
    private mutating func begin() throws(LMDBError) -> Bool {
        if tree.root == file.layout.noPage {
            guard tree.depth == 0, tree.entries == 0 else {
                throw LMDBError(
                    .damaged,
                    "a tree without a root has \(tree.depth) levels, \(tree.entries) entries")
            }
            return false
        }
        guard 1...LMDBTree.depthMax ~= tree.depth else {
            throw LMDBError(.damaged, "a tree with a root has \(tree.depth) levels")
        }
        try push(tree.root)
        return true
    }

    /// Goes down to the first leaf below where the walk is.
    private mutating func descend() throws(LMDBError) -> LMDBPage? {
        while let level = stack.last, !level.page.isLeaf {
            let child: UInt64
            do throws(LMDBPage.Damage) {
                child = try level.page.node(level.index).child
            } catch {
                throw file.damaged(level.number, error)
            }
            try push(child)
        }
        return stack.last?.page
    }

    private mutating func push(_ number: UInt64) throws(LMDBError) {
        let isLeaf = stack.count == tree.depth - 1
        let bytes = try file.read(page: number, pages: 1, count: file.pageSize)
        let flags = isLeaf ? LMDBLayout.PageFlag.leaf : LMDBLayout.PageFlag.branch
        do throws(LMDBPage.Damage) {
            let page = try LMDBPage(
                LMDBBytes(bytes), file.layout, number: number, flags: flags)
            stack.append(Level(page: page, number: number))
        } catch {
            throw file.damaged(number, error)
        }
    }
}
