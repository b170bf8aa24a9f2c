extension LMDBFile {
    /// Reads the lists of free pages, so that no tree can lead to one unnoticed: it would be a page of an
    /// older commit.
    func readFreePages() throws(LMDBError) {
        do throws(LMDBError) {
            var walk = LMDBTreeWalk(self, meta.free)
            while let leaf = try walk.next() {
                for index in 0..<leaf.count {
                    let bytes = try freeList(leaf, index, walk.number)
                    try add(LMDBBytes(Array(bytes)), walk.number)
                }
            }
        } catch {
            throw LMDBError(error.kind, "in the lists of free pages: \(error.message)")
        }
    }

    private func freeList(
        _ leaf: LMDBPage, _ index: Int, _ number: UInt64
    ) throws(LMDBError) -> ArraySlice<UInt8> {
        let node: LMDBPage.Node
        do throws(LMDBPage.Damage) {
            guard leaf.fixedSize == nil else {
                throw LMDBPage.Damage(text: "it has no keys")
            }
            node = try leaf.node(index)
        } catch {
            throw damaged(number, error)
        }
        if node.flags == 0 { return node.data.slice }
        guard node.flags == LMDBLayout.NodeFlag.run else {
            throw damaged(
                number, LMDBPage.Damage(text: "entry \(index) has flags \(node.flags)"))
        }
        return try locate(number) { () throws(LMDBError) in try readRun(node) }
    }

    /// Takes a list: how many numbers it has, and the numbers; there may be room behind them.
    private func add(_ list: LMDBBytes, _ number: UInt64) throws(LMDBError) {
        let word = layout.word
        guard let count = list.number(at: 0, size: word), count <= (list.count - word) / word else {
            throw damaged(
                number, LMDBPage.Damage(text: "a list of \(list.count) bytes is too short"))
        }
        for index in 0..<Int(count) {
            guard let page = list.number(at: (index + 1) * word, size: word) else { continue }
            guard page >= 2, page <= meta.lastPage, visited.insert(page) else {
                throw damaged(
                    number,
                    LMDBPage.Damage(text: "page \(page) is free, and is not there or in use"))
            }
        }
    }
}
