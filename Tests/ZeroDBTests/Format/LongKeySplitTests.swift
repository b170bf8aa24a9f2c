import Testing

@testable import Simulator
@testable import ZeroDB

/// The proof in docs/internals/trees.md, on pages full of keys of every family.
@Suite("Splits of pages with long keys")
struct LongKeySplitTests {
    /// Keys of one family or of two, in order.
    private func keys(
        _ family: LongKeyFamily, _ pageSize: Int, _ random: inout SeededGenerator
    ) -> [[UInt8]] {
        let other = random.chance(50) ? family : random.pick(LongKeyFamily.allCases)
        let start = random.below(1000)
        var keys: Set<[UInt8]> = []
        for number in start..<(start + random.within(4...(random.chance(20) ? 300 : 20))) {
            let maker = LongKeyMaker(
                family: random.chance(70) ? family : other,
                sizeMax: Format.keySizeMax(pageSize: pageSize))
            keys.insert(maker.key(number))
        }
        return keys.sorted { keyOrder($0, $1) < 0 }
    }

    /// The longest run of entries from one on that fits in a page, and the page that has it.
    private func fill(
        _ fixture: PageFixture, _ entries: [PageEntry], isLeaf: Bool, isCounted: Bool
    ) -> [PageEntry] {
        var entries = entries
        if !isLeaf { entries[0].key = [] }
        var (low, high) = (1, entries.count + 1)
        while high - low > 1 {
            let middle = (low + high) / 2
            let needed = size(entries[..<middle], isLeaf: isLeaf, isCounted: isCounted)
            if needed <= fixture.page.size - 40 { low = middle } else { high = middle }
        }
        let taken = Array(entries[..<low])
        fixture.write(taken, isLeaf: isLeaf, isCounted: isCounted)
        return taken
    }

    /// Bytes that entries take, counted here.
    private func size(_ entries: ArraySlice<PageEntry>, isLeaf: Bool, isCounted: Bool) -> Int {
        let keyed = isLeaf ? entries : entries.dropFirst()
        var prefix = 0
        if let first = keyed.first?.key, let last = keyed.last?.key, keyed.count > 1 {
            prefix = zip(first, last).prefix { $0 == $1 }.count
        }
        let own = isLeaf ? 10 : isCounted ? 24 : 16
        let rests = keyed.map { max(0, $0.key.count - prefix - 4) + $0.value.count }
        return (prefix + 7) / 8 * 8 + entries.count * own + rests.reduce(0, +)
    }

    @Test(
        "A branch with any further separator has a cut that leaves two children on both sides",
        arguments: allPageSizes, LongKeyFamily.allCases)
    func splitsBranch(pageSize: Int, family: LongKeyFamily) throws {
        var random = SeededGenerator(seed: TestSettings.seed)
        let fixture = try PageFixture(size: pageSize)
        let scratch = PageScratch(pageSize: pageSize)
        defer { scratch.deallocate() }
        var splits = 0
        for round in 0..<40 {
            let isCounted = round % 2 == 0
            var entries = keys(family, pageSize, &random).map {
                PageEntry(key: $0, child: PageReference(number: 9, transaction: 1), entryCount: 1)
            }
            let new = entries.remove(at: random.within(1...(entries.count - 1)))
            // Around the new key as well as before it.
            let skipped = random.chance(50) ? 0 : random.below(max(1, entries.count / 2))
            let page = fill(
                fixture, Array(entries.dropFirst(skipped)), isLeaf: false, isCounted: isCounted)
            try #require(fixture.page.structuralProblem() == nil)
            let index = max(1, page.search(new.key).index)
            new.key.withUnsafeBytes { key in
                let all = PageEntries(
                    fixture.page, newIndex: index, newKey: key, newValue: PageEntries.noValue,
                    newChild: new.child, newEntryCount: 1, scratch: scratch)
                guard !all.fits(0..<all.count) else { return }
                splits += 1
                for preferred in [nil, 2, all.count - 2] {
                    let cut = all.splitIndex(preferred: preferred)
                    #expect(cut != nil, "\(family), round \(round); \(TestSettings.rerun)")
                    guard let cut else { continue }
                    #expect(cut >= 2 && all.count - cut >= 2)
                    #expect(all.fits(0..<cut) && all.fits(cut..<all.count))
                }
            }
        }
        #expect(splits > 0)
    }

    @Test(
        "A leaf with any further entry has a cut, unless the entry has to stand alone",
        arguments: allPageSizes, LongKeyFamily.allCases)
    func splitsLeaf(pageSize: Int, family: LongKeyFamily) throws {
        var random = SeededGenerator(seed: TestSettings.seed)
        let fixture = try PageFixture(size: pageSize)
        let scratch = PageScratch(pageSize: pageSize)
        defer { scratch.deallocate() }
        // Of a reference that has grown, too.
        let valueMax = 64
        for _ in 0..<40 {
            var entries = keys(family, pageSize, &random).map {
                PageEntry(key: $0, value: random.bytes(random.below(valueMax + 1)))
            }
            let new = entries.remove(at: random.below(entries.count))
            let skipped = random.chance(50) ? 0 : random.below(max(1, entries.count / 2))
            let page = fill(
                fixture, Array(entries.dropFirst(skipped)), isLeaf: true, isCounted: false)
            try #require(fixture.page.structuralProblem() == nil)
            let index = page.search(new.key).index
            new.key.withUnsafeBytes { key in
                new.value.withUnsafeBytes { value in
                    let all = PageEntries(
                        fixture.page, newIndex: index, newKey: key,
                        newValue: LeafValue(kind: .inline, bytes: value), newChild: .none,
                        scratch: scratch)
                    guard !all.fits(0..<all.count) else { return }
                    if let cut = all.splitIndex(preferred: nil) {
                        #expect(all.fits(0..<cut) && all.fits(cut..<all.count))
                        return
                    }
                    // Then the three parts fit, and the entry is more than half a page.
                    #expect(index > 0 && index < page.count, "\(TestSettings.rerun)")
                    #expect(all.fits(0..<index) && all.fits((index + 1)..<all.count))
                    let size = Page.entrySize(
                        isLeaf: true, suffixLength: new.key.count, valueLength: new.value.count)
                    #expect(size > Format.inlineEntrySizeMax(pageSize: pageSize))
                }
            }
        }
    }
}
