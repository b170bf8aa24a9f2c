/// A meta page: where the trees of a commit are.
struct LMDBMeta: Equatable {
    let layout: LMDBLayout
    let pageSize: Int
    let environmentFlags: UInt16
    /// Of the lists of free pages.
    let free: LMDBTree
    let main: LMDBTree
    let lastPage: UInt64
    let transaction: UInt64

    static let pageSizes = (8...16).map { 1 << $0 }

    /// Reads the first meta page, by which the layout of a file is known.
    ///
    /// - Parameter bytes: of the file, from its beginning.
    init(first bytes: LMDBBytes) throws(LMDBError) {
        var version: UInt32?
        for layout in LMDBLayout.all {
            let magic = bytes.long(at: layout.headerSize)
            guard magic == LMDBLayout.magic else {
                if magic == LMDBLayout.magic.byteSwapped {
                    throw LMDBError(
                        .unsupported,
                        "it was written on a big-endian machine; use mdb_dump there, and load the dump"
                    )
                }
                continue
            }
            let found = bytes.long(at: layout.headerSize + 4)
            version = version ?? found
            guard found == layout.version else { continue }
            self = try LMDBMeta(bytes, layout, page: 0)
            return
        }
        guard let version else {
            throw LMDBError(.notLMDB, "it is no file of LMDB, or its first page is damaged")
        }
        throw LMDBError(
            .unsupported,
            "it has version \(version) of LMDB's format; 1 (LMDB 0.9) and 3 (1.0) are read")
    }

    /// Reads a meta page.
    ///
    /// - Parameters:
    ///   - bytes: from the beginning of the page.
    ///   - page: its number.
    init(_ bytes: LMDBBytes, _ layout: LMDBLayout, page: UInt64) throws(LMDBError) {
        let start = layout.headerSize
        let word = layout.word
        let trees = start + 8 + 2 * word
        let end = trees + 2 * layout.treeSize
        guard bytes.number(at: 0, size: word) == page,
            let flags = bytes.short(at: start - 6), flags & LMDBLayout.PageFlag.meta != 0,
            bytes.long(at: start) == LMDBLayout.magic,
            bytes.long(at: start + 4) == layout.version,
            let free = LMDBTree(bytes, at: trees, layout),
            let main = LMDBTree(bytes, at: trees + layout.treeSize, layout),
            let lastPage = bytes.number(at: end, size: word),
            let transaction = bytes.number(at: end + word, size: word)
        else { throw Self.damaged(page, "it is no meta page of \(layout.title)") }
        let pageSize = Int(clamping: free.pad)
        guard Self.pageSizes.contains(pageSize) else {
            throw Self.damaged(page, "it says that a page has \(free.pad) bytes")
        }
        self.layout = layout
        self.pageSize = pageSize
        environmentFlags = free.flags
        self.free = free
        self.main = main
        self.lastPage = lastPage
        self.transaction = transaction
    }

    static func damaged(_ page: UInt64, _ text: String) -> LMDBError {
        LMDBError(.damaged, "page \(page) (meta): \(text)")
    }

    /// The newer of both, as LMDB takes it.
    static func newest(_ first: LMDBMeta, _ second: LMDBMeta) throws(LMDBError) -> LMDBMeta {
        guard first.pageSize == second.pageSize,
            first.environmentFlags == second.environmentFlags
        else { throw damaged(1, "it and page 0 say different things of all pages") }
        let (low, high) = first.transaction < second.transaction ? (first, second) : (second, first)
        // Transaction N writes meta page N % 2; both have none at first.
        guard high.transaction - low.transaction <= 1,
            high.transaction == low.transaction
                ? high.transaction == 0 : first.transaction.isMultiple(of: 2)
        else {
            throw damaged(
                1,
                "it has transaction \(second.transaction) and page 0 has \(first.transaction), which do not "
                    + "follow one another")
        }
        return high
    }
}
