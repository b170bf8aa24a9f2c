extension FreeTree {
    /// Regions among which a commit chooses.
    private static let choiceMax: UInt64 = 512
    /// A commit that needs no more than this does not choose.
    private static let fewPages: UInt64 = 16
    /// Regions that a search for a long run looks at, besides as many as the run may fill, before
    /// the file is extended.
    private static let searchMax: UInt64 = 64

    /// The part of a file's pages that it grows by at once.
    private static let growthShare: UInt64 = 32

    /// Of the pages in use, how many hundredths may be free and the file still grow for long runs.
    private static let slackPercent: UInt64 = 50

    // MARK: Regions

    /// The first region with available pages at or after one.
    func region(atOrAfter number: UInt64) throws(DatabaseError) -> FreeRegion? {
        guard case .available(let region) = try entry(atOrAfter: availableKey(number)) else {
            return nil
        }
        return region
    }

    /// What is available in a region.
    private func region(_ number: UInt64) throws(DatabaseError) -> FreeRegion {
        if let region = try region(atOrAfter: number), region.number == number { return region }
        return FreeRegion(number: number)
    }

    private func put(_ region: FreeRegion) throws(DatabaseError) {
        let key = availableKey(region.number)
        guard region.count > 0 else {
            try delete(key)
            return
        }
        let value = buffer + Self.valueOffset
        region.store(to: value)
        _ = try writer.put(
            key, UnsafeRawBufferPointer(start: value, count: FreeRegion.size), mode: .overwrite)
    }

    /// Calls `body` for one region after the other, from one on.
    ///
    /// - Parameter body: whether to go on. It must not change the tree.
    func forEachRegion(
        from number: UInt64, _ body: (FreeRegion) -> Bool
    ) throws(DatabaseError) {
        guard try region(atOrAfter: number) != nil else { return }
        let tree = writer.tree.pointee
        let step = tree.depth - 1
        while case .available(let region) = try entry(at: path) {
            guard body(region) else { return }
            if path[step].index + 1 < Page(path[step].page, size: source.pageSize).count {
                path[step].index += 1
            } else if try !TreeRead.moveToNeighbor(source, tree, forward: true, path: path) {
                return
            }
        }
    }

    /// Makes runs available that are not, in one change a region.
    func insert(_ runs: [PageRun]) throws(DatabaseError) {
        try change(runs.sorted { $0.start < $1.start }) { region, run -> String? in
            region.insert(run) ? nil : "are free twice"
        }
    }

    /// Takes runs out of available space.
    func remove(_ runs: [PageRun]) throws(DatabaseError) {
        try change(runs) { region, run -> String? in
            region.remove(run) ? nil : "are not free"
        }
        for run in runs { try countTaken(run) }
    }

    private func countTaken(_ run: PageRun) throws(DatabaseError) {
        guard meta.pointee.availablePages >= run.count else {
            throw impossible(run, "are more than the meta page counts")
        }
        meta.pointee.availablePages -= run.count
    }

    private func checkBounds(_ run: PageRun) throws(DatabaseError) {
        guard run.isInside(meta.pointee.pageCount) else {
            throw impossible(run, "are beyond the file")
        }
    }

    /// - Parameters:
    ///   - runs: those of a region follow one another.
    ///   - body: changes a region by a run inside it, or says why it cannot.
    private func change(
        _ runs: [PageRun], _ body: (inout FreeRegion, PageRun) -> String?
    ) throws(DatabaseError) {
        var changed: FreeRegion?
        for run in runs {
            try checkBounds(run)
            var rest = run
            while rest.count > 0 {
                let number = FreeRegion.holding(rest.start)
                if let region = changed, region.number != number {
                    try put(region)
                    changed = nil
                }
                var region: FreeRegion
                if let changed { region = changed } else { region = try self.region(number) }
                let part = region.part(of: rest)
                if let problem = body(&region, part) { throw impossible(part, problem) }
                changed = region
                rest = PageRun(start: part.end, count: rest.count - part.count)
            }
        }
        if let changed { try put(changed) }
    }

    // MARK: Single pages

    /// Takes single pages: available ones from the emptiest regions at hand, where runs are
    /// longest, then new ones at the end of the file.
    ///
    /// - Parameters:
    ///   - extra: how many more to take, if there are as many: of new pages only a small part of
    ///     what the file has.
    ///   - mayGrow: whether new pages may come first, as long as a modest part of the file is free:
    ///     the more of it is, the longer are the runs.
    ///   - growsForMore: whether the file may grow for more than what is needed.
    /// - Returns: at least `count` pages, those that are needed first.
    /// - Throws: `full`; a system error if the disk is.
    func take(
        _ count: UInt64, extra: UInt64 = 0, mayGrow: Bool, growsForMore: Bool = true
    ) throws(DatabaseError) -> [PageRun] {
        let available = meta.pointee.availablePages
        var needed = count + min(extra, available - min(available, count))
        var taken: [PageRun] = []
        let free = meta.pointee.freePages
        let used = meta.pointee.pageCount - min(meta.pointee.pageCount, free)
        if limit != 0 {
            let low = try takeLow(needed, &taken)
            if low >= count { return taken }
            needed -= low
            if isStrict { throw noRoom(count) }
            // All that is left lies behind: until the next attempt commits need not look for more.
            store.shared.allocationLimit = 0
        }
        if mayGrow, taken.isEmpty, free + count < used / 100 * Self.slackPercent,
            meta.pointee.pageCount + count < pagesMax / 2
        {
            return [try extendFile(by: count)]
        }
        while needed > 0, meta.pointee.availablePages > 0 {
            let choice = try choose(needed)
            guard !choice.isEmpty else { break }
            for region in choice where needed > 0 {
                needed -= try take(needed, from: region, &taken)
            }
        }
        if needed > 0 {
            let slack = min(extra, meta.pointee.pageCount / Self.growthShare)
            let isRoom =
                growsForMore && meta.pointee.pageCount + needed + slack < pagesMax / 2
            taken.append(try extendFile(by: isRoom ? needed + slack : needed))
        }
        return taken
    }

    /// Takes a region's first available pages.
    ///
    /// - Returns: how many.
    func take(
        _ count: UInt64, from region: FreeRegion, below limit: UInt64 = .max,
        _ taken: inout [PageRun]
    ) throws(DatabaseError) -> UInt64 {
        var region = region
        var needed = count
        while needed > 0, let found = region.run(atOrAfter: region.start), found.start < limit {
            let run = PageRun(start: found.start, count: min(found.count, needed))
            try checkBounds(run)
            _ = region.remove(run)
            taken.append(run)
            needed -= run.count
        }
        try put(region)
        try countTaken(PageRun(start: region.start, count: count - needed))
        return count - needed
    }

    /// Looks at some regions from where the last choice ended. For few pages the first region
    /// will do: its entry is beside the newest pending ones, as a rule in a page of this tree that
    /// the commit changes anyway.
    ///
    /// - Returns: as many of them as have `count` pages, the emptiest first.
    private func choose(_ count: UInt64) throws(DatabaseError) -> [FreeRegion] {
        let lookMax = min(count, Self.choiceMax)
        if count <= Self.fewPages {
            guard let region = try region(atOrAfter: 0) else { return [] }
            return [region]
        }
        let first = FreeRegion.holding(meta.pointee.allocationCursor)
        var regions: [(region: FreeRegion, count: UInt64)] = []
        try forEachRegion(from: first) { region in
            regions.append((region, region.count))
            return regions.count < lookMax
        }
        if regions.count < lookMax, first > 0 {
            try forEachRegion(from: 0) { region in
                guard region.number < first else { return false }
                regions.append((region, region.count))
                return regions.count < lookMax
            }
        }
        let numbers = regions.map(\.region.number)
        let last = regions.last
        regions.sort { $0.count > $1.count }
        var chosen: [FreeRegion] = []
        var found: UInt64 = 0
        for region in regions where found < count {
            chosen.append(region.region)
            found += region.count
        }
        // As many regions are left behind as are used up.
        if chosen.count < numbers.count {
            meta.pointee.allocationCursor = numbers[chosen.count] * FreeRegion.pageCount
        } else if let last {
            meta.pointee.allocationCursor = last.region.end
        }
        return chosen
    }

    // MARK: Runs

    /// Takes pages that follow one another. Where available space has no such run, more of the
    /// pending is made available before the file grows.
    ///
    /// - Throws: `full`.
    mutating func takeRun(of count: UInt64, _ horizon: Horizon) throws(DatabaseError) -> PageRun {
        var more = max(count * 4, 64)
        if limit != 0 {
            if let run = try findLow(count) {
                try remove([run])
                return run
            }
            if isStrict { throw noRoom(count) }
        }
        while true {
            if let run = try findAnywhere(count) {
                try remove([run])
                meta.pointee.allocationCursor = run.end
                return run
            }
            let before = meta.pointee.availablePages
            try mature(horizon, wanted: before + more)
            guard meta.pointee.availablePages > before else { return try extendFile(by: count) }
            more = min(more * 4, PageReference.numberLimit)
        }
    }

    private func findAnywhere(_ count: UInt64) throws(DatabaseError) -> PageRun? {
        guard meta.pointee.availablePages >= count else { return nil }
        let cursor = FreeRegion.holding(meta.pointee.allocationCursor)
        if let run = try find(count, from: cursor) { return run }
        return cursor > 0 ? try find(count, from: 0) : nil
    }

    private func find(_ count: UInt64, from number: UInt64) throws(DatabaseError) -> PageRun? {
        var lookMax = Self.searchMax + count / FreeRegion.pageCount
        var last = number
        let found = try firstRun(of: count, from: number) { region in
            last = region.number
            lookMax -= 1
            return lookMax > 0
        }
        // The next search goes on from here: in time all regions are looked at.
        if found == nil { meta.pointee.allocationCursor = last * FreeRegion.pageCount }
        return found
    }

    /// The first available pages that follow one another, from a region on.
    ///
    /// - Parameter goesOn: whether to look behind a region that has no such end.
    func firstRun(
        of count: UInt64, from number: UInt64, while goesOn: (FreeRegion) -> Bool
    ) throws(DatabaseError) -> PageRun? {
        var found: PageRun?
        var tail = PageRun(start: 0, count: 0)
        try forEachRegion(from: number) { region in
            var page = region.start
            while let run = region.run(atOrAfter: page) {
                tail =
                    tail.end == run.start
                    ? PageRun(start: tail.start, count: tail.count + run.count) : run
                if tail.count >= count {
                    found = PageRun(start: tail.start, count: count)
                    return false
                }
                page = run.end
            }
            return goesOn(region)
        }
        return found
    }

    private func extendFile(by count: UInt64) throws(DatabaseError) -> PageRun {
        try Self.extendFile(by: count, meta, store)
    }

    /// Takes new pages at the end of the file.
    ///
    /// - Throws: `full`; a system error if the disk has no room for them.
    static func extendFile(
        by count: UInt64, _ meta: UnsafeMutablePointer<Meta>, _ store: Store
    ) throws(DatabaseError) -> PageRun {
        let start = meta.pointee.pageCount
        let pagesMax = store.pagesMax
        guard start <= pagesMax, count <= pagesMax - start else {
            throw DatabaseError(
                .full, limit: .maxSize,
                "the transaction needs \(count) new pages of \(meta.pointee.pageSize) bytes, but "
                    + "the "
                    + "environment has \(start) of the \(pagesMax) that \(c: "max_size") allows; "
                    + "open it "
                    + "with a larger \(c: "max_size")")
        }
        try store.keepRoom(forPages: start + count)
        meta.pointee.pageCount = start + count
        return PageRun(start: start, count: count)
    }
}
