/// A set of page numbers.
struct PageSet {
    private var words: [UInt64]
    let count: UInt64

    /// - Parameter count: the numbers are below.
    init(count: UInt64) {
        self.count = count
        words = Array(repeating: 0, count: Int(count / 64 + 1))
    }

    func contains(_ page: UInt64) -> Bool {
        page < count && words[Int(page / 64)] & (1 << (page % 64)) != 0
    }

    func intersects(_ run: PageRun) -> Bool { inside(run).contains(where: contains) }

    /// - Returns: false if it was in already, or cannot be.
    @discardableResult
    mutating func insert(_ page: UInt64) -> Bool {
        guard page < count, !contains(page) else { return false }
        words[Int(page / 64)] |= 1 << (page % 64)
        return true
    }

    mutating func insert(_ run: PageRun) { for page in inside(run) { insert(page) } }

    mutating func remove(_ page: UInt64) {
        guard page < count else { return }
        words[Int(page / 64)] &= ~(1 << (page % 64))
    }

    /// What of a run can be in it.
    private func inside(_ run: PageRun) -> Range<UInt64> {
        run.start..<min(run.end, max(run.start, count))
    }
}
