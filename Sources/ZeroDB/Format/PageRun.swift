/// A run of pages.
struct PageRun: Equatable {
    var start: UInt64
    var count: UInt64

    var end: UInt64 { start + count }

    /// Pages of a run that a word can hold.
    static let wordCountMax: UInt64 = 0xffff

    init(start: UInt64, count: UInt64) {
        self.start = start
        self.count = count
    }

    /// Reads a run as it is on disk: 48 bits of page number, 16 of length.
    init(word: UInt64) {
        start = word & PageReference.numberMask
        count = word >> 48
    }

    /// Whether it can be a run of an environment with so many pages.
    func isInside(_ pageCount: UInt64) -> Bool {
        start >= Format.metaPageCount && count > 0 && start <= pageCount
            && count <= pageCount - start
    }

    /// The run as it is on disk, if it has no more pages than `wordCountMax`.
    var word: UInt64 { count << 48 | start }
}
