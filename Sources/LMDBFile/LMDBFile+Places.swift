extension LMDBFile {
    /// The longest value that is read: as long as the longest of ZeroDB.
    static var valueSizeMax: Int { 1 << 31 }

    /// What is wrong with a page, with its place.
    func damaged(_ page: UInt64, _ damage: LMDBPage.Damage) -> LMDBError {
        LMDBError(.damaged, place(page) + damage.text)
    }

    /// Runs a body whose errors are about what a page refers to.
    func locate<Result>(
        _ page: UInt64, _ body: () throws(LMDBError) -> Result
    ) throws(LMDBError) -> Result {
        do throws(LMDBError) {
            return try body()
        } catch {
            throw LMDBError(error.kind, place(page) + error.message)
        }
    }

    private func place(_ page: UInt64) -> String {
        let (byte, overflows) = page.multipliedReportingOverflow(by: UInt64(pageSize))
        return overflows ? "page \(page): " : "page \(page) at byte \(byte): "
    }

    /// Reads a value that is in an overflow run.
    func readRun(_ node: LMDBPage.Node) throws(LMDBError) -> ArraySlice<UInt8> {
        let word = layout.word
        guard let first = node.data.number(at: 0, size: word), node.size <= Self.valueSizeMax else {
            throw LMDBError(.damaged, "a value has \(node.size) bytes")
        }
        let header = layout.headerSize
        let needed = UInt64((header - 1 + node.size) / pageSize + 1)
        if layout.version == 3 {
            guard let pages = node.data.number(at: 2 * word, size: word), pages >= needed else {
                throw LMDBError(.damaged, "a value of \(node.size) bytes has too few pages")
            }
        }
        let bytes = LMDBBytes(
            try read(page: first, pages: needed, count: header + node.size))
        let kind = bytes.short(at: header - 6).map { $0 & LMDBLayout.PageFlag.kindBits }
        guard bytes.number(at: 0, size: word) == first, kind == LMDBLayout.PageFlag.overflow,
            let pages = bytes.long(at: header - 4), UInt64(pages) >= needed
        else {
            throw LMDBError(.damaged, "page \(first) does not begin a run of \(needed) pages")
        }
        return LMDBBytes(bytes, header..<header + node.size)?.slice ?? []
    }
}
