import Testing

@testable import Simulator
@testable import ZeroDB

@Suite("The free list")
struct FreeListTests {
    private static let pageCount: UInt64 = 4000

    /// What a free list should hold.
    private struct Model {
        var available: Set<UInt64> = []
        /// The transaction that may have freed each page last, and its oldest writer.
        var freed: [UInt64: (transaction: UInt64, birth: UInt64?)] = [:]

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
        freeList.forEachPending { run, _, birth in
            for page in run.start..<run.end {
                freed.append(page)
                // A group counts as old as its oldest page.
                let known = model.freed[page]
                #expect((birth == nil) == (known?.birth == nil))
                if let birth, let own = known?.birth { #expect(birth <= own) }
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
                        let old = freeRuns(&random, model)
                        let young = freeRuns(&random, model, besides: old)
                        guard freeList.hasRoom(old: old[...], young: young[...]) else {
                            refusals.hold += 1
                            continue
                        }
                        let birth = transaction - UInt64(random.below(8))
                        freeList.hold(old[...], transaction: transaction, birth: nil)
                        freeList.hold(young[...], transaction: transaction, birth: birth)
                        for page in Self.pages(old) { model.freed[page] = (transaction, nil) }
                        for page in Self.pages(young) { model.freed[page] = (transaction, birth) }
                    case ..<80:
                        let root = transaction - UInt64(random.below(20))
                        let visible = transaction - UInt64(random.below(3))
                        let snapshots = (0..<random.below(4)).map { _ in
                            visible - UInt64(random.below(20))
                        }
                        let horizon = Horizon(
                            visible: visible, snapshots: snapshots.sorted(),
                            roots: (root, root + UInt64(random.below(2))))
                        freeList.mature(horizon)
                        let before = model.available
                        model.available = Set(Self.pages(freeList.availableRuns))
                        #expect(before.isSubset(of: model.available))
                        for page in model.available.subtracting(before) {
                            let freed = model.freed.removeValue(forKey: page)
                            let known = try #require(freed)
                            #expect(isFree(known.transaction, known.birth, horizon))
                            matured += 1
                        }
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

    /// Whether no snapshot and no root has a page that one transaction wrote and another freed.
    private func isFree(_ transaction: UInt64, _ birth: UInt64?, _ horizon: Horizon) -> Bool {
        let states = horizon.snapshots + [horizon.roots.0, horizon.roots.1]
        return transaction <= horizon.visible
            && states.allSatisfy { $0 >= transaction || $0 < birth ?? 0 }
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
            freeList.hold([PageRun(start: 5, count: 1)], transaction: 20, birth: nil)
            freeList.hold([PageRun(start: 9, count: 2)], transaction: 21, birth: nil)
            freeList.hold([PageRun(start: 7, count: 1)], transaction: 21, birth: 20)
            // No reader; the root is older than all of it, so the young page alone is free.
            freeList.mature(Horizon(visible: 30, snapshots: [], roots: (19, 19)))
            #expect(freeList.availableRuns == [PageRun(start: 7, count: 1)])
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
            0: 4 << 32 | 2, 1: word(2, 3), 2: word(9, 1), 96: 20, 97: 0, 98: 1, 99: word(5, 4),
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
