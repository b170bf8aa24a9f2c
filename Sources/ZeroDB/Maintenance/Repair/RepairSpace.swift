/// The free pages of a repaired state, recorded anew: all pages that its trees do not use are
/// available.
struct RepairSpace {
    private var runs: [PageRun] = []

    /// - Parameters:
    ///   - owners: of the state's pages; 0 for free ones.
    init(_ owners: [UInt32]) {
        var start: Int?
        for page in Int(Format.metaPageCount)..<max(owners.count + 1, Int(Format.metaPageCount)) {
            let isFree = page < owners.count && owners[page] == 0
            if isFree, start == nil { start = page }
            if !isFree, let first = start {
                runs.append(PageRun(start: UInt64(first), count: UInt64(page - first)))
                start = nil
            }
        }
    }

    /// Records the free pages: in the free list if there is room, else in a new free tree behind
    /// all pages.
    func store(
        in meta: inout Meta, _ freeList: FreeList, _ walk: RepairWalk
    ) throws(DatabaseError) {
        freeList.clear()
        meta.free = TreeRecord()
        meta.availablePages = 0
        meta.pendingPages = 0
        meta.youngPages = 0
        meta.freeListAvailable = 0
        meta.freeListPending = 0
        let words = runs.flatMap(Self.words)
        if words.count < FreeList.runsMax {
            for run in words where !freeList.give(run) {
                throw DatabaseError(.corrupted, "the free list has no room for free pages")
            }
            meta.freeListAvailable = UInt32(clamping: freeList.availablePages)
            guard UInt64(meta.freeListAvailable) == freeList.availablePages else {
                throw DatabaseError(
                    .corrupted, "there are more free pages than the free list counts")
            }
            return
        }
        meta.free = try walk.write(entries(), like: TreeRecord())
        meta.availablePages = runs.reduce(0) { $0 + $1.count }
    }

    /// A run as parts that a word can hold.
    private static func words(_ run: PageRun) -> [PageRun] {
        stride(from: run.start, to: run.end, by: UInt64.Stride(PageRun.wordCountMax)).map {
            PageRun(start: $0, count: min(PageRun.wordCountMax, run.end - $0))
        }
    }

    /// The entries of the free tree, in their order.
    private func entries() -> [(key: [UInt8], value: [UInt8])] {
        var entries: [(key: [UInt8], value: [UInt8])] = []
        var region: FreeRegion?
        for run in runs {
            var rest = run
            while rest.count > 0 {
                let number = FreeRegion.holding(rest.start)
                if let full = region, full.number != number {
                    entries.append(Self.entry(full))
                    region = nil
                }
                var current = region ?? FreeRegion(number: number)
                let part = current.part(of: rest)
                _ = current.insert(part)
                region = current
                rest = PageRun(start: part.end, count: rest.count - part.count)
            }
        }
        if let region { entries.append(Self.entry(region)) }
        return entries
    }

    private static func entry(_ region: FreeRegion) -> (key: [UInt8], value: [UInt8]) {
        var value = [UInt8](repeating: 0, count: FreeRegion.size)
        value.withUnsafeMutableBytes { bytes in
            if let start = bytes.baseAddress { region.store(to: start) }
        }
        var key = [UInt8](repeating: 0, count: FreeTreeEntry.keySizeMax)
        let size = key.withUnsafeMutableBytes { bytes in
            bytes.baseAddress.map { FreeTreeEntry.storeAvailableKey(region.number, to: $0).count }
                ?? 0
        }
        return (Array(key.prefix(size)), value)
    }
}
