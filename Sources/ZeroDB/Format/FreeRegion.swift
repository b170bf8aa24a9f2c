/// A stretch of the file, and which of its pages are available: what one entry of the free tree says.
struct FreeRegion {
    /// Pages `number * pageCount` to before `(number + 1) * pageCount`.
    let number: UInt64
    /// A bit for each page, 1 if it is available; the lowest bit of the first word is the first.
    private var words: SIMD8<UInt64>

    static let pageCount: UInt64 = 512
    /// Bytes of the bitmap on disk.
    static let size = 64

    /// A region without available pages.
    init(number: UInt64) {
        self.number = number
        words = .zero
    }

    /// - Returns: nil if no entry can say that.
    init?(number: UInt64, at bytes: UnsafeRawBufferPointer) {
        guard bytes.count == Self.size, let start = bytes.baseAddress,
            number < PageReference.numberLimit / Self.pageCount
        else { return nil }
        self.init(number: number)
        for index in words.indices { words[index] = start.littleEndian(index * 8) }
    }

    func store(to bytes: UnsafeMutableRawPointer) {
        for index in words.indices { bytes.storeLittleEndian(words[index], at: index * 8) }
    }

    static func holding(_ page: UInt64) -> UInt64 { page / pageCount }

    var start: UInt64 { number * Self.pageCount }
    var end: UInt64 { start + Self.pageCount }

    /// Pages that are available.
    var count: UInt64 {
        var count = 0
        for index in words.indices { count += words[index].nonzeroBitCount }
        return UInt64(count)
    }

    /// Whether all available pages can be of an environment with so many pages.
    func isInside(_ pageCount: UInt64) -> Bool {
        let isMeta = start == 0 && words[0] & (1 << Format.metaPageCount - 1) != 0
        return !isMeta && run(atOrAfter: max(start, pageCount)) == nil
    }

    /// The part of a run that begins in this region and ends in it at the latest.
    func part(of run: PageRun) -> PageRun {
        PageRun(start: run.start, count: min(run.count, end - run.start))
    }

    /// - Parameter run: inside this region.
    /// - Returns: false if some of it is available already.
    mutating func insert(_ run: PageRun) -> Bool {
        change(run) { word, mask in
            guard word & mask == 0 else { return false }
            word |= mask
            return true
        }
    }

    /// - Parameter run: inside this region.
    /// - Returns: false if some of it is not available.
    mutating func remove(_ run: PageRun) -> Bool {
        change(run) { word, mask in
            guard word & mask == mask else { return false }
            word &= ~mask
            return true
        }
    }

    private mutating func change(
        _ run: PageRun, _ body: (inout UInt64, UInt64) -> Bool
    ) -> Bool {
        assert(run.start >= start && run.end <= end)
        var bit = run.start - start
        let last = bit + run.count
        while bit < last {
            let length = min(last - bit, 64 - bit % 64)
            let mask = (~UInt64(0) >> (64 - length)) << (bit % 64)
            guard body(&words[Int(bit / 64)], mask) else { return false }
            bit += length
        }
        return true
    }

    /// The first run of available pages that starts at or after a page of this region.
    func run(atOrAfter page: UInt64) -> PageRun? {
        guard let first = firstBit(from: page - start, inverted: false) else { return nil }
        let last = firstBit(from: first, inverted: true) ?? Self.pageCount
        return PageRun(start: start + first, count: last - first)
    }

    /// Where the available pages begin that reach to before a page; that page if there are none.
    ///
    /// - Parameter page: one of this region, or the first behind it.
    func startOfRun(endingAt page: UInt64) -> UInt64 {
        var bit = page - start
        while bit > 0 {
            let index = Int((bit - 1) / 64)
            // The word's bits below `bit`, at its top.
            let taken = ~(words[index] << (63 - (bit - 1) % 64))
            let length = min(UInt64(taken.leadingZeroBitCount), (bit - 1) % 64 + 1)
            bit -= length
            if bit % 64 != 0 || length == 0 { break }
        }
        return start + bit
    }

    private func firstBit(from bit: UInt64, inverted: Bool) -> UInt64? {
        guard bit < Self.pageCount else { return nil }
        var index = Int(bit / 64)
        var mask = ~UInt64(0) << (bit % 64)
        while index < words.scalarCount {
            let word = (inverted ? ~words[index] : words[index]) & mask
            if word != 0 { return UInt64(index * 64 + word.trailingZeroBitCount) }
            mask = ~0
            index += 1
        }
        return nil
    }

    /// All runs of available pages.
    var runs: [PageRun] {
        var runs: [PageRun] = []
        var page = start
        while let run = run(atOrAfter: page) {
            runs.append(run)
            page = run.end
        }
        return runs
    }
}
