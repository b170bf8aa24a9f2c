import Testing

@testable import Simulator
@testable import ZeroDB

@Suite("The free list")
struct FreeListTests {
    private static let pageCount: UInt64 = 4000

    /// What a free list should hold.
    private struct Model {
        var available: Set<UInt64> = []
        /// The states that have each page that was freed.
        var freed: [UInt64: StateRange] = [:]

        var isEmpty: Bool { available.isEmpty && freed.isEmpty }

        func knows(_ run: PageRun) -> Bool {
            (run.start..<run.end).contains { available.contains($0) || freed[$0] != nil }
        }
    }

    private static func pages(_ runs: [PageRun]) -> [UInt64] {
        runs.flatMap { Array($0.start..<$0.end) }
    }

    private func withFreeList(_ body: (FreeList) throws -> Void) rethrows {
        let freeList = FreeList.allocate()
        defer { freeList.deallocate() }
        try body(freeList)
    }

    private func check(_ freeList: FreeList, _ model: Model) {
        #expect(Self.pages(freeList.availableRuns) == model.available.sorted())
        #expect(freeList.availablePages == UInt64(model.available.count))
        var freed: [UInt64] = []
        freeList.forEachPending { run, range in
            for page in run.start..<run.end {
                freed.append(page)
                // The states that have pages of a group are those of all of its pages.
                guard let known = model.freed[page] else { continue }
                #expect(range.birth <= known.birth && range.end >= known.end)
            }
        }
        #expect(freed.sorted() == model.freed.keys.sorted())
        #expect(freeList.pendingPages == UInt64(model.freed.count))
    }

    private func randomRun(_ random: inout SeededGenerator, longest: Int) -> PageRun {
        let count = UInt64(1 + random.below(longest))
        let start = 2 + UInt64(random.below(Int(Self.pageCount - 2 - count)))
        return PageRun(start: start, count: count)
    }

    @Test("A free list holds the pages it should, and gives out none that is still needed")
    func holdsPages() throws {
        var random = SeededGenerator(seed: TestSettings.seed)
        var refusals = (give: 0, hold: 0)
        var matured = 0
        for _ in 0..<200 {
            try withFreeList { freeList in
                var model = Model()
                var transaction: UInt64 = 100
                var horizon = randomHorizon(transaction, &random)
                let percentGiven = random.pick([5, 30, 60])
                for _ in 0..<200 {
                    transaction += 1
                    switch random.below(100) {
                    case ..<percentGiven:
                        let run = randomRun(&random, longest: random.pick([1, 3, 40]))
                        guard !model.knows(run) else { continue }
                        if freeList.give(run) {
                            model.available.formUnion(run.start..<run.end)
                        } else {
                            refusals.give += 1
                            #expect(freeList.room == 0)
                        }
                    case ..<70:
                        let freed = freeRuns(&random, model).map { run in
                            FreedRun(pages: run, birth: transaction - UInt64(random.below(40)))
                        }.sorted { $0.birth < $1.birth }
                        guard freeList.hasRoom(freed[...], horizon) else {
                            refusals.hold += 1
                            continue
                        }
                        freeList.hold(freed[...], transaction: transaction, horizon)
                        for run in freed {
                            for page in Self.pages([run.pages]) {
                                model.freed[page] = StateRange(birth: run.birth, end: transaction)
                            }
                        }
                    case ..<80:
                        horizon = randomHorizon(transaction, &random)
                        freeList.mature(horizon)
                        let before = model.available
                        model.available = Set(Self.pages(freeList.availableRuns))
                        #expect(before.isSubset(of: model.available))
                        for page in model.available.subtracting(before) {
                            let freed = model.freed.removeValue(forKey: page)
                            let known = try #require(freed)
                            #expect(isFree(known, horizon))
                            matured += 1
                        }
                        // Whatever has been joined: none is left of a group that nobody needs.
                        guard freeList.room > 0 else { continue }
                        freeList.forEachPending { _, range in #expect(!isFree(range, horizon)) }
                    default:
                        let wanted = UInt64(random.below(20))
                        var taken: [PageRun] = []
                        let count = freeList.take(wanted, into: &taken)
                        #expect(count == min(wanted, UInt64(model.available.count)))
                        let pages = Self.pages(taken)
                        #expect(UInt64(pages.count) == count && Set(pages).count == pages.count)
                        #expect(model.available.isSuperset(of: pages))
                        model.available.subtract(pages)
                    }
                }
                check(freeList, model)
                try checkReadsBack(freeList, model)
            }
        }
        #expect(refusals.give > 0 && refusals.hold > 0 && matured > 0)
    }

    private func randomHorizon(_ transaction: UInt64, _ random: inout SeededGenerator) -> Horizon {
        let root = transaction - UInt64(random.below(20))
        let visible = transaction - UInt64(random.below(3))
        let snapshots = (0..<random.below(4)).map { _ in visible - UInt64(random.below(20)) }
        return Horizon(
            visible: visible, snapshots: snapshots, roots: (root, root + UInt64(random.below(2))))
    }

    /// Whether no snapshot and no root has a page.
    private func isFree(_ range: StateRange, _ horizon: Horizon) -> Bool {
        range.end <= horizon.visible
            && horizon.states.allSatisfy { $0 >= range.end || $0 < range.birth }
    }

    @Test("A freed page is kept as long as a state has it, and no longer")
    func keepsExactly() {
        var random = SeededGenerator(seed: TestSettings.seed)
        var kept = 0
        for _ in 0..<100 {
            withFreeList { freeList in
                var ranges: [UInt64: StateRange] = [:]
                var readers: [UInt64] = []
                var root: UInt64 = 1
                var page: UInt64 = 2
                let readersMax = 1 + random.below(3)
                for transaction in 3..<400 as Range<UInt64> {
                    let visible = transaction - 1
                    if random.chance(10) { root = visible }
                    if readers.count < readersMax, random.chance(10) { readers.append(visible) }
                    if !readers.isEmpty, random.chance(5) {
                        readers.remove(at: random.below(readers.count))
                    }
                    let horizon = Horizon(
                        visible: visible, snapshots: readers, roots: (root, root))
                    freeList.mature(horizon)
                    freeList.forEachPending { run, range in
                        guard let own = ranges[run.start] else { return }
                        #expect(range.birth <= own.birth && range.end >= own.end)
                        #expect(!isFree(own, horizon), "\(own) is kept by \(range)")
                        kept += 1
                    }
                    freeList.clearAvailable()
                    let freed = (0..<(1 + random.below(4))).map { _ in
                        let age = UInt64(random.below(random.pick([2, 20, 300])))
                        page += 2
                        return FreedRun(
                            pages: PageRun(start: page, count: 1),
                            birth: visible - min(visible, age))
                    }.sorted { $0.birth < $1.birth }
                    if !freeList.hasRoom(freed[...], horizon) { freeList.clearPending() }
                    freeList.hold(freed[...], transaction: transaction, horizon)
                    for run in freed {
                        ranges[run.pages.start] = StateRange(birth: run.birth, end: transaction)
                    }
                }
            }
        }
        #expect(kept > 1000)
    }

    @Test("A freed page of many groups is kept by no state but those between it and the next")
    func joinsNeighbours() {
        withFreeList { freeList in
            // Every commit begins a reader: no two commits free pages that the same states need.
            var readers: [UInt64] = [10]
            var pages: UInt64 = 0
            for transaction in 30..<70 as Range<UInt64> {
                let horizon = Horizon(
                    visible: transaction - 1, snapshots: readers, roots: (5, 5))
                let freed = [
                    FreedRun(pages: PageRun(start: transaction * 2, count: 1), birth: 8),
                    FreedRun(
                        pages: PageRun(start: 200 + transaction * 2, count: 1),
                        birth: transaction - 1),
                ]
                guard freeList.hasRoom(freed[...], horizon) else { break }
                freeList.hold(freed[...], transaction: transaction, horizon)
                pages += 2
                readers.append(transaction)
            }
            #expect(freeList.pendingPages == pages && pages > 20)
            // The reader of 10 needs what 8 wrote, and nothing that came after it.
            freeList.mature(Horizon(visible: 99, snapshots: [10], roots: (99, 99)))
            #expect(freeList.pendingPages == pages / 2)
            freeList.mature(Horizon(visible: 99, snapshots: [], roots: (99, 99)))
            #expect(freeList.pendingPages == 0)
        }
    }

    private func freeRuns(
        _ random: inout SeededGenerator, _ model: Model, besides others: [PageRun] = []
    ) -> [PageRun] {
        var runs: [PageRun] = []
        var used = Set(Self.pages(others))
        for _ in 0..<random.below(4) {
            let run = randomRun(&random, longest: random.pick([1, 1, 8, 9]))
            guard !model.knows(run), used.isDisjoint(with: run.start..<run.end) else { continue }
            used.formUnion(run.start..<run.end)
            runs.append(run)
        }
        return runs
    }

    private func checkReadsBack(_ freeList: FreeList, _ model: Model) throws {
        try withBytes { bytes in
            freeList.store(to: bytes)
            withFreeList { copy in
                let isLoaded = copy.load(
                    from: bytes, pageCount: Self.pageCount, transaction: 1000)
                #expect(isLoaded)
                check(copy, model)
            }
        }
    }

    private func withBytes(_ body: (UnsafeMutableRawPointer) throws -> Void) throws {
        let bytes = UnsafeMutableRawBufferPointer.allocate(
            byteCount: FreeList.size, alignment: 8)
        defer { bytes.deallocate() }
        try body(try #require(bytes.baseAddress))
    }

    @Test(
        "Pages that commits freed from the durable root are reusable after the next checkpoint"
    )
    func keepsWhatTheRootNeeds() {
        withFreeList { freeList in
            let begin = Horizon(visible: 19, snapshots: [], roots: (19, 19))
            let (old, wide) = (PageRun(start: 5, count: 1), PageRun(start: 9, count: 2))
            let young = PageRun(start: 7, count: 1)
            freeList.hold([FreedRun(pages: old, birth: 3)], transaction: 20, begin)
            freeList.hold(
                [FreedRun(pages: wide, birth: 19), FreedRun(pages: young, birth: 20)],
                transaction: 21, begin)
            // No reader; the root is older than all of it, so the young page alone is free.
            freeList.mature(Horizon(visible: 30, snapshots: [], roots: (19, 19)))
            #expect(freeList.availableRuns == [young])
            // A checkpoint of 21 is being made: until it is, the root may be the one before.
            freeList.mature(Horizon(visible: 30, snapshots: [], roots: (19, 21)))
            #expect(freeList.availablePages == 1)
            // A reader of 20 needs what 21 freed.
            freeList.mature(Horizon(visible: 30, snapshots: [20], roots: (21, 21)))
            #expect(freeList.availablePages == 1)
            freeList.mature(Horizon(visible: 30, snapshots: [21], roots: (21, 21)))
            #expect(
                freeList.availableRuns == [
                    PageRun(start: 5, count: 1), PageRun(start: 7, count: 1),
                    PageRun(start: 9, count: 2),
                ])
            #expect(freeList.pendingPages == 0)
        }
    }

    @Test("A commit gets its pages in as few runs as there are")
    func takesFewRuns() {
        withFreeList { freeList in
            for run in [(10, 1), (20, 3), (30, 6), (40, 1)] {
                let isGiven = freeList.give(PageRun(start: UInt64(run.0), count: UInt64(run.1)))
                #expect(isGiven)
            }
            var taken: [PageRun] = []
            #expect(freeList.take(3, into: &taken) == 3)
            #expect(taken == [PageRun(start: 20, count: 3)])
            #expect(freeList.take(7, into: &taken) == 7)
            #expect(taken[1...] == [PageRun(start: 30, count: 6), PageRun(start: 10, count: 1)])
            #expect(freeList.take(2, into: &taken) == 1)
            #expect(freeList.take(1, into: &taken) == 0)
        }
    }

    @Test("Bytes that cannot be a free list are refused")
    func refusesImpossible() throws {
        let word = { (start: UInt64, count: UInt64) in count << 48 | start }
        let good: [Int: UInt64] = [
            0: 4 << 32 | 2, 1: word(2, 3), 2: word(9, 1), 96: 20, 97: 7, 98: 1, 99: word(5, 4),
        ]
        #expect(try isLoaded(good))
        let last = Self.pageCount
        let changes: [(Int, UInt64)] = [
            // Numbers of runs and of words.
            (0, 4 << 32 | 96), (0, 97 << 32 | 2), (0, 3 << 32 | 2), (0, 5 << 32 | 2),
            // Available runs.
            (1, word(1, 3)), (1, word(2, 0)), (1, word(2, 4)), (2, word(last, 1)),
            (2, word(last - 1, 2)), (2, word(4, 1)),
            // The group.
            (1, word(20, 3)), (96, 31), (97, 21), (98, 0), (98, 2), (98, .max), (99, word(9, 1)),
            (99, word(1 << 47, 1)),
        ]
        for (change, value) in changes {
            var words = good
            words[change] = value
            #expect(try !isLoaded(words), "word \(change) as \(value)")
        }
    }

    private func isLoaded(_ words: [Int: UInt64]) throws -> Bool {
        var result = false
        try withBytes { bytes in
            bytes.initializeMemory(as: UInt8.self, repeating: 0, count: FreeList.size)
            for (index, word) in words { bytes.storeLittleEndian(word, at: index * 8) }
            withFreeList { freeList in
                result = freeList.load(from: bytes, pageCount: Self.pageCount, transaction: 30)
                if !result { #expect(freeList.availablePages == 0 && freeList.pendingPages == 0) }
            }
        }
        return result
    }

    @Test("Random words are refused or harmless")
    func survivesGarbage() throws {
        var random = SeededGenerator(seed: TestSettings.seed)
        for _ in 0..<5000 {
            var words: [Int: UInt64] = [0: UInt64(random.below(8)) << 32 | UInt64(random.below(4))]
            for index in [1, 2, 3] + (96..<104) {
                words[index] = random.chance(50) ? UInt64(random.below(6)) : random.next()
                if random.chance(50) { words[index] = 1 << 48 | UInt64(random.below(5000)) }
            }
            _ = try isLoaded(words)
        }
    }
}
