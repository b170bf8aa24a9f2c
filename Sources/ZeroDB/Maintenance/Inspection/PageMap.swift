/// What each page of an environment is for.
public struct PageMap: Sendable {
    /// Whose state it is.
    public var transaction: UInt64
    /// Bytes in a page.
    public var pageSize: Int
    /// Pages of the state.
    public var pageCount: UInt64
    /// Pages of the file, behind those of the state too.
    public var filePages: UInt64
    /// The use of each page, up to the last of the file.
    public var uses: [PageUse]
    /// How full the pages of each kind are.
    public var fill: [PageUse: FillHistogram]
    /// What is wrong, the first hundred.
    public var problems: [String]
    /// How much is.
    public var problemCount: UInt64
    /// What keeps more from being shown.
    public var notes: [String]

    /// Pages of a use.
    public func count(_ use: PageUse) -> UInt64 { counts[Int(use.rawValue)] }
    private let counts: [UInt64]

    /// Pages that a map can have: 16 TiB of the smallest.
    static let pagesMax: UInt64 = 1 << 32

    /// - Throws: `unsupported` for a file of more than four thousand million pages; ENOMEM; a system error.
    init(_ subject: PageSubject) throws(DatabaseError) {
        let walk = try PageWalk(subject)
        walk.run()
        let meta = subject.meta
        transaction = meta.transaction
        pageSize = subject.source.pageSize
        pageCount = meta.pageCount
        filePages = try subject.filePages
        let last = max(pageCount, filePages)
        guard last <= Self.pagesMax else {
            throw DatabaseError(.unsupported, "a map of \(last) pages is too large to be made")
        }
        uses = (0..<last).map { walk.use(of: $0) }
        var counts = [UInt64](repeating: 0, count: PageUse.allCases.count)
        for use in uses { counts[Int(use.rawValue)] += 1 }
        self.counts = counts
        fill = walk.fill
        problems = walk.problems
        problemCount = walk.problemCount
        notes = subject.notes
        guard subject.isUnchanged else {
            throw DatabaseError(
                .busy, "the environment was changed while it was looked at; try again")
        }
    }
}
