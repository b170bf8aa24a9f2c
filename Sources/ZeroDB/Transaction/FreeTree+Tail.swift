/// What makes the file shorter: taking the lowest pages that there are, and cutting off those at the end.
extension FreeTree {
    /// Regions that a search for low pages looks at.
    private static let lowRegionsMax = 512

    /// Takes the lowest available pages, as far as they lie below `limit`.
    ///
    /// - Returns: how many.
    func takeLow(_ count: UInt64, _ taken: inout [PageRun]) throws(DatabaseError) -> UInt64 {
        var regions: [FreeRegion] = []
        var found: UInt64 = 0
        try forEachRegion(from: 0) { region in
            guard region.start < limit else { return false }
            regions.append(region)
            found += region.count
            return found < count && regions.count < Self.lowRegionsMax
        }
        var needed = count
        for region in regions where needed > 0 {
            needed -= try take(needed, from: region, below: limit, &taken)
        }
        // The last region may reach beyond the limit, and others not have been looked at.
        return count - needed
    }

    /// The lowest available pages that follow one another and end at `limit` at the latest.
    func findLow(_ count: UInt64) throws(DatabaseError) -> PageRun? {
        let found = try firstRun(of: count, from: 0) { $0.end < limit }
        return found.flatMap { $0.end <= limit ? $0 : nil }
    }

    func noRoom(_ count: UInt64) -> DatabaseError {
        DatabaseError(
            .full, "no \(count) free pages below page \(limit) for pages of the end of the file")
    }

    /// Cuts available pages at the end of the file off: they are no pages of the state any more.
    ///
    /// - Parameters:
    ///   - pageCountMin: how many pages are to be left at least.
    ///   - cutMin: how many are to be cut off at least, or none are.
    func cutTail(to pageCountMin: UInt64, atLeast cutMin: UInt64) throws(DatabaseError) {
        let start = max(try availableTail(), pageCountMin)
        let end = meta.pointee.pageCount
        guard start < end, end - start >= cutMin else { return }
        try remove([PageRun(start: start, count: end - start)])
        meta.pointee.pageCount = start
    }

    /// Where the available pages begin that reach to the end of the file; its end if there are none.
    private func availableTail() throws(DatabaseError) -> UInt64 {
        var start = meta.pointee.pageCount
        while start > Format.metaPageCount {
            let number = FreeRegion.holding(start - 1)
            guard let region = try region(atOrAfter: number), region.number == number else { break }
            let first = region.startOfRun(endingAt: start)
            guard first < start else { break }
            start = first
            if first > region.start { break }
        }
        return start
    }
}
