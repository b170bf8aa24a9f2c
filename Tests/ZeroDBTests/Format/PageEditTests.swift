import Testing

@testable import Simulator
@testable import ZeroDB

@Suite("Changing a page")
struct PageEditTests {
    /// A leaf and the sorted array it should be.
    private final class Leaf {
        let fixture: PageFixture
        let other: PageFixture
        let scratch: PageScratch
        var entries: [PageEntry] = []

        init(pageSize: Int) throws {
            fixture = try PageFixture(size: pageSize)
            other = try PageFixture(size: pageSize)
            scratch = PageScratch(pageSize: pageSize)
            fixture.write([])
        }

        deinit { scratch.deallocate() }

        var page: Page { fixture.page }

        func check() throws {
            try #require(page.structuralProblem() == nil)
            try #require(try fixture.entries() == entries, "\(TestSettings.rerun)")
            let used = PageEntries(page, scratch: scratch).size(0..<page.count)
            // A longer prefix can cost its own bytes, where suffixes fit in the slots anyway.
            #expect(page.liveSize + 16 >= used, "a page rebuilt is no larger")
            #expect(page.gap + page.liveSize + page.heapDead == Page.capacity(pageSize: page.size))
        }

        /// Puts an entry, in place if there is room, else by building the page anew, else by
        /// splitting it and going on with one half.
        func insert(_ entry: PageEntry, _ random: inout SeededGenerator) throws {
            let place = entries.search(entry.key)
            if place.found { return try replace(place.index, with: entry, &random) }
            entries.insert(entry, at: place.index)
            let fits = try entry.key.withUnsafeBytes { key in
                try entry.value.withUnsafeBytes { value in
                    try insert(key, LeafValue(kind: .inline, bytes: value), at: place.index)
                }
            }
            if !fits { try split(preferring: nil, with: entry, at: place.index, &random) }
        }

        private func insert(_ key: KeyBytes, _ value: LeafValue, at index: Int) throws -> Bool {
            if page.sharesPrefix(key) {
                let suffix = KeyBytes(rebasing: key.dropFirst(page.prefixLength))
                let size = Page.entrySize(
                    isLeaf: true, suffixLength: suffix.count, valueLength: value.bytes.count)
                if page.gap >= size {
                    page.insertLeafEntry(at: index, suffix: suffix, value: value)
                    return true
                }
            }
            let all = combined(key, value, at: index)
            guard all.fits(0..<all.count) else { return false }
            all.write(0..<all.count, to: page, level: 0)
            #expect(page.heapDead == 0)
            #expect(page.gap == Page.capacity(pageSize: page.size) - all.size(0..<all.count))
            return true
        }

        private func combined(_ key: KeyBytes, _ value: LeafValue, at index: Int) -> PageEntries {
            scratch.page.copyMemory(from: page.base, byteCount: page.size)
            return PageEntries(
                Page(scratch.page, size: page.size), newIndex: index, newKey: key,
                newValue: value, newChild: .none, scratch: scratch)
        }

        private func split(
            preferring preferred: Int?, with entry: PageEntry, at index: Int,
            _ random: inout SeededGenerator
        ) throws {
            try entry.key.withUnsafeBytes { key in
                try entry.value.withUnsafeBytes { value in
                    let all = combined(key, LeafValue(kind: .inline, bytes: value), at: index)
                    let cut = try #require(all.splitIndex(preferred: preferred))
                    all.write(0..<cut, to: page, level: 0)
                    all.write(cut..<all.count, to: other.page, level: 0)
                    #expect(other.page.structuralProblem() == nil)
                    try #require(
                        try fixture.entries() + other.entries() == entries, "\(TestSettings.rerun)")
                    let right = Array(entries[cut...])
                    entries.removeLast(entries.count - cut)
                    try check()
                    if random.chance(50) {
                        entries = right
                        page.base.copyMemory(from: other.page.base, byteCount: page.size)
                    }
                }
            }
        }

        func replace(
            _ index: Int, with entry: PageEntry, _ random: inout SeededGenerator
        ) throws {
            let isSameSize = entries[index].value.count == entry.value.count
            let overwritten = entry.value.withUnsafeBytes {
                page.overwriteValue(index, with: LeafValue(kind: .inline, bytes: $0))
            }
            #expect(overwritten == isSameSize)
            guard !overwritten else {
                entries[index] = entry
                return
            }
            remove(index)
            try insert(entry, &random)
        }

        func remove(_ index: Int) {
            page.removeEntry(index)
            entries.remove(at: index)
        }
    }

    @Test(
        "A leaf stays equal to a sorted array through inserts, replacements, removals and splits",
        arguments: KeyPattern.allCases, allPageSizes)
    func editsLeaf(_ pattern: KeyPattern, pageSize: Int) throws {
        var random = SeededGenerator(seed: TestSettings.seed)
        var maker = KeyMaker(pattern, keySizeMax: Format.keySizeMax(pageSize: pageSize))
        let leaf = try Leaf(pageSize: pageSize)
        for round in 0..<1500 {
            if random.chance(leaf.entries.count > 300 ? 60 : 25), !leaf.entries.isEmpty {
                leaf.remove(random.below(leaf.entries.count))
            } else {
                let key =
                    random.chance(10) && !leaf.entries.isEmpty
                    ? random.pick(leaf.entries).key : maker.next(&random)
                let room =
                    Format.inlineEntrySizeMax(pageSize: pageSize)
                    - Page.entrySize(isLeaf: true, suffixLength: key.count, valueLength: 0)
                let size = min(random.chance(20) ? room : random.below(100), room)
                try leaf.insert(PageEntry(key: key, value: random.bytes(max(0, size))), &random)
            }
            if round % 25 == 0 { try leaf.check() }
        }
        try leaf.check()
    }

    @Test(
        "A branch with one more separator splits into two that hold all children",
        arguments: KeyPattern.allCases, allPageSizes)
    func splitsBranch(_ pattern: KeyPattern, pageSize: Int) throws {
        try splitBranch(pattern, pageSize, isCounted: false)
        try splitBranch(pattern, pageSize, isCounted: true)
    }

    private func splitBranch(_ pattern: KeyPattern, _ pageSize: Int, isCounted: Bool) throws {
        var random = SeededGenerator(seed: TestSettings.seed)
        let fixture = try PageFixture(size: pageSize)
        let other = try PageFixture(size: pageSize)
        let scratch = PageScratch(pageSize: pageSize)
        defer { scratch.deallocate() }
        for _ in 0..<10 {
            var entries = [PageEntry].random(
                pattern, pageSize: pageSize, isLeaf: false, isCounted: isCounted, &random)
            guard entries.count > 3 else { continue }
            entries[0].key = []
            let index = random.within(1...(entries.count - 1))
            let new = entries.remove(at: index)
            fixture.write(entries, isLeaf: false, isCounted: isCounted)
            try #require(fixture.page.structuralProblem() == nil)
            entries.insert(new, at: index)
            try new.key.withUnsafeBytes { key in
                let all = PageEntries(
                    fixture.page, newIndex: index, newKey: key, newValue: PageEntries.noValue,
                    newChild: new.child, newEntryCount: new.entryCount, scratch: scratch)
                for cut in [1, entries.count / 2, entries.count - 1] {
                    all.write(0..<cut, to: other.page, level: 1)
                    #expect(other.page.structuralProblem() == nil)
                    #expect(try other.entries() == Array(entries[..<cut]))
                    #expect(
                        other.page.entryCount
                            == entries[..<cut].reduce(0) { $0 &+ (isCounted ? $1.entryCount : 0) })
                    #expect(all.entryCount(0..<cut) == other.page.entryCount)
                    all.write(cut..<entries.count, to: other.page, level: 1)
                    #expect(other.page.structuralProblem() == nil)
                    // The separator between the two moves up.
                    entries[cut].key = []
                    try #require(
                        try other.entries() == Array(entries[cut...]), "\(TestSettings.rerun)")
                    entries[cut].key = try restored(fixture, cut, index, new)
                }
            }
        }
    }

    private func restored(
        _ fixture: PageFixture, _ cut: Int, _ newIndex: Int, _ new: PageEntry
    ) throws -> [UInt8] {
        if cut == newIndex { return new.key }
        return try fixture.entries()[cut < newIndex ? cut : cut - 1].key
    }

    @Test("A key that does not share a long prefix splits off alone, whatever the page holds")
    func splitsOffPrefixBreaker() throws {
        for pageSize in allPageSizes {
            let leaf = try Leaf(pageSize: pageSize)
            var random = SeededGenerator(seed: TestSettings.seed)
            let prefix = [UInt8](repeating: 0x70, count: Format.keySizeMax(pageSize: pageSize) - 8)
            let room = Page.capacity(pageSize: pageSize) - prefix.count - 8
            // A slot and an empty value: all of the key is in the prefix and the slot.
            leaf.entries = (0..<UInt32(room / 10)).map { number in
                PageEntry(key: prefix + withUnsafeBytes(of: number.bigEndian) { Array($0) })
            }
            leaf.fixture.write(leaf.entries)
            try leaf.check()
            let before = leaf.entries.count
            try leaf.insert(PageEntry(key: [0x71], value: []), &random)
            #expect(leaf.entries.count == before || leaf.entries.count == 1)
        }
    }

    @Test(
        "Entries are laid in the order of their keys, and stay what they are",
        arguments: KeyPattern.allCases, allPageSizes)
    func ordersHeap(_ pattern: KeyPattern, pageSize: Int) throws {
        var random = SeededGenerator(seed: TestSettings.seed)
        var maker = KeyMaker(pattern, keySizeMax: Format.keySizeMax(pageSize: pageSize))
        let leaf = try Leaf(pageSize: pageSize)
        let scratch = UnsafeMutableRawPointer.allocate(byteCount: pageSize, alignment: 64)
        defer { scratch.deallocate() }
        for round in 0..<600 {
            if random.chance(25), !leaf.entries.isEmpty {
                leaf.remove(random.below(leaf.entries.count))
            } else {
                let key = maker.next(&random)
                guard key.count < 200 else { continue }
                try leaf.insert(
                    PageEntry(key: key, value: random.bytes(random.below(60))), &random)
            }
            guard round % 20 == 0 else { continue }
            leaf.page.orderHeap(scratch)
            try leaf.check()
            let count = leaf.page.count
            let offsets = (0..<count).map { Page.offset(UnsafeRawPointer(leaf.page.slot($0))) }
            let behind = zip(offsets, offsets.dropFirst()).count { $0 < $1 }
            #expect(count < 3 || min(behind, count - 1 - behind) * 8 <= count)
        }
    }

    @Test("The gap in a page is cleared before the page is written")
    func clearsGap() throws {
        var random = SeededGenerator(seed: TestSettings.seed)
        let fixture = try PageFixture(size: 4096)
        fixture.scramble(&random)
        fixture.write([PageEntry(key: [1], value: [2]), PageEntry(key: [3], value: [4])])
        fixture.page.clearGap()
        let page = fixture.page
        let start = page.slotsOffset + page.count * page.slotSize
        for offset in start..<(page.size - page.heapUsed) {
            #expect(page.base.load(fromByteOffset: offset, as: UInt8.self) == 0)
        }
    }

    @Test(
        "A counted branch keeps each child's count through inserts, removals and changes",
        arguments: KeyPattern.allCases, allPageSizes)
    func editsCountedBranch(_ pattern: KeyPattern, pageSize: Int) throws {
        var random = SeededGenerator(seed: TestSettings.seed)
        var maker = KeyMaker(pattern, keySizeMax: Format.keySizeMax(pageSize: pageSize))
        let fixture = try PageFixture(size: pageSize)
        let scratch = PageScratch(pageSize: pageSize)
        defer { scratch.deallocate() }
        let page = fixture.page
        var model = [
            PageEntry(key: [], child: PageReference(number: 9, transaction: 1), entryCount: 3)
        ]
        fixture.write(model, isLeaf: false, isCounted: true)
        for round in 0..<800 {
            let index = random.below(model.count)
            switch random.below(4) {
            case 0 where index > 0:
                page.removeEntry(index)
                model.remove(at: index)
            case 1:
                model[index].entryCount = random.next()
                page.setEntryCount(index, model[index].entryCount)
            default:
                let new = PageEntry(
                    key: maker.next(&random),
                    child: PageReference(number: random.next() >> 20, transaction: 7),
                    entryCount: random.next() >> 8)
                let place = model.search(new.key)
                guard !place.found, place.index > 0 else { continue }
                if insert(new, at: place.index, page, scratch) {
                    model.insert(new, at: place.index)
                }
            }
            if round % 20 == 0 {
                try #require(page.structuralProblem() == nil)
                try #require(try fixture.entries() == model, "\(TestSettings.rerun)")
                let before = random.within(0...model.count)
                #expect(
                    page.entryCount(before: before)
                        == model[..<before].reduce(0) { $0 &+ $1.entryCount })
                #expect(
                    page.gap + page.liveSize + page.heapDead == Page.capacity(pageSize: pageSize))
            }
        }
        #expect(try fixture.entries() == model, "\(TestSettings.rerun)")
    }

    /// Inserts an entry into a counted branch, which is built anew if it has no gap for it.
    ///
    /// - Returns: false if it does not fit.
    private func insert(
        _ new: PageEntry, at index: Int, _ page: Page, _ scratch: PageScratch
    ) -> Bool {
        new.key.withUnsafeBytes { key in
            if page.sharesPrefix(key) {
                let suffix = KeyBytes(rebasing: key.dropFirst(page.prefixLength))
                let size =
                    Page.entrySize(isLeaf: false, suffixLength: suffix.count, valueLength: 0) + 8
                if page.gap >= size {
                    page.insertBranchEntry(
                        at: index, suffix: suffix, child: new.child, entries: new.entryCount)
                    return true
                }
            }
            scratch.page.copyMemory(from: page.base, byteCount: page.size)
            let all = PageEntries(
                Page(scratch.page, size: page.size), newIndex: index, newKey: key,
                newValue: PageEntries.noValue, newChild: new.child, newEntryCount: new.entryCount,
                scratch: scratch)
            guard all.fits(0..<all.count) else { return false }
            all.write(0..<all.count, to: page, level: 1)
            return true
        }
    }
}
