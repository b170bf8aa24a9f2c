import Testing

@testable import Simulator
@testable import ZeroDB

/// How the values of a page look.
struct ValueShape: Sendable, CustomStringConvertible {
    var description: String
    /// Bytes of each, 0 if they differ.
    var width = 0
    var isReversed = false

    static let all = [
        ValueShape(description: "of any size"),
        ValueShape(description: "of any size, reversed", isReversed: true),
        ValueShape(description: "of 1 byte", width: 1),
        ValueShape(description: "of 3 bytes, reversed", width: 3, isReversed: true),
        ValueShape(description: "integers of 4 bytes", width: 4, isReversed: true),
        ValueShape(description: "of 8 bytes", width: 8),
        ValueShape(description: "integers of 8 bytes", width: 8, isReversed: true),
        ValueShape(description: "of 300 bytes", width: 300),
    ]

    var layout: PageLayout {
        var layout = PageLayout.valueLeaf
        if width > 0 { layout.insert(.packed) }
        if isReversed { layout.insert(.reversed) }
        return layout
    }

    /// What orders a value.
    func key(_ duplicate: [UInt8]) -> [UInt8] { isReversed ? duplicate.reversed() : duplicate }

    func make(_ maker: inout KeyMaker, _ random: inout SeededGenerator) -> [UInt8] {
        guard width > 0 else { return random.chance(2) ? [] : maker.next(&random) }
        // Few different bytes, so that values are often neighbours or the same.
        if random.chance(50) { return random.bytes(width) }
        return (0..<width).map { _ in random.pick([0, 1, 127, 128, 255]) }
    }
}

@Suite("Pages of values")
struct ValueLeafTests {
    /// A value leaf and the sorted array it should be.
    private final class Leaf {
        let shape: ValueShape
        let fixture: PageFixture
        let other: PageFixture
        let scratch: PageScratch
        var duplicates: [[UInt8]] = []

        init(_ shape: ValueShape, pageSize: Int) throws {
            self.shape = shape
            fixture = try PageFixture(size: pageSize)
            other = try PageFixture(size: pageSize)
            scratch = PageScratch(pageSize: pageSize)
            format(fixture.page)
        }

        deinit { scratch.deallocate() }

        var page: Page { fixture.page }

        func format(_ page: Page) {
            page.format(
                kind: .leaf, level: 0, prefix: KeyBytes(start: nil, count: 0), layout: shape.layout,
                width: shape.width)
        }

        func read(_ page: Page) throws -> [[UInt8]] {
            try #require(page.structuralProblem() == nil)
            return try (0..<page.count).map { Array(try #require(page.duplicate($0))) }
        }

        func place(of duplicate: [UInt8]) -> (index: Int, found: Bool) {
            let key = shape.key(duplicate)
            let index =
                duplicates.firstIndex { keyOrder(shape.key($0), key) >= 0 } ?? duplicates.count
            return (index, index < duplicates.count && duplicates[index] == duplicate)
        }

        func check(_ probes: [[UInt8]]) throws {
            try #require(try read(page) == duplicates, "\(TestSettings.rerun)")
            #expect(page.gap + page.liveSize + page.heapDead == Page.capacity(pageSize: page.size))
            let sizes = (0..<page.count).reduce(0) { $0 + page.entrySize($1) }
            #expect(sizes == page.liveSize)
            #expect(page.entryCount == UInt64(duplicates.count))
            for duplicate in probes {
                let expected = place(of: duplicate)
                let found = shape.key(duplicate).withUnsafeBytes { page.searchValueLeaf($0) }
                try #require(
                    found.index == expected.index && found.found == expected.found,
                    "search for \(show(duplicate)); \(TestSettings.rerun)")
            }
            for index in duplicates.indices.prefix(20) {
                #expect(try fixture.key(index) == shape.key(duplicates[index]))
            }
        }

        /// Inserts a value as a tree does: in place, else into the page built anew, else into one
        /// of two halves, of which one stays.
        func insert(_ duplicate: [UInt8], _ random: inout SeededGenerator) throws {
            let place = place(of: duplicate)
            guard !place.found else { return }
            duplicates.insert(duplicate, at: place.index)
            try shape.key(duplicate).withUnsafeBytes { key in
                if page.gap >= Page.valueLeafEntrySize(shape.layout, length: key.count) {
                    page.insertDuplicate(at: place.index, key: key)
                    return
                }
                scratch.page.copyMemory(from: page.base, byteCount: page.size)
                let all = PageEntries(
                    Page(scratch.page, size: page.size), newIndex: place.index, newKey: key,
                    newValue: PageEntries.noValue, newChild: .none, scratch: scratch)
                if all.fits(0..<all.count) {
                    all.write(0..<all.count, to: page, level: 0)
                    #expect(page.heapDead == 0)
                } else {
                    try split(all, &random)
                }
            }
        }

        private func split(_ all: PageEntries, _ random: inout SeededGenerator) throws {
            let cut = try #require(all.splitIndex(preferred: nil))
            all.write(0..<cut, to: page, level: 0)
            all.write(cut..<all.count, to: other.page, level: 0)
            try #require(try read(page) + read(other.page) == duplicates, "\(TestSettings.rerun)")
            #expect(all.entryCount(0..<cut) == UInt64(cut))
            if random.chance(50) {
                duplicates.removeLast(duplicates.count - cut)
            } else {
                duplicates.removeFirst(cut)
                page.base.copyMemory(from: other.page.base, byteCount: page.size)
            }
        }

        func remove(_ index: Int) {
            page.removeEntry(index)
            duplicates.remove(at: index)
        }
    }

    @Test(
        "A value leaf stays equal to a sorted array through inserts, removals and splits",
        arguments: ValueShape.all, allPageSizes)
    func edits(_ shape: ValueShape, pageSize: Int) throws {
        for pattern in shape.width > 0 ? [.random] : KeyPattern.allCases {
            var random = SeededGenerator(seed: TestSettings.seed)
            var maker = KeyMaker(pattern, keySizeMax: Format.keySizeMax(pageSize: pageSize))
            let leaf = try Leaf(shape, pageSize: pageSize)
            for round in 0..<2000 {
                if random.chance(round < 1500 ? 20 : 80), !leaf.duplicates.isEmpty {
                    leaf.remove(random.below(leaf.duplicates.count))
                } else {
                    try leaf.insert(shape.make(&maker, &random), &random)
                }
                guard round % 50 == 0 else { continue }
                var probes = leaf.duplicates
                for _ in 0..<20 { probes.append(shape.make(&maker, &random)) }
                try leaf.check(probes)
            }
            while !leaf.duplicates.isEmpty { leaf.remove(leaf.duplicates.count - 1) }
            try leaf.check([shape.make(&maker, &random)])
        }
    }

    @Test("Two value leaves merge into one again", arguments: ValueShape.all, allPageSizes)
    func merges(_ shape: ValueShape, pageSize: Int) throws {
        var random = SeededGenerator(seed: TestSettings.seed)
        var maker = KeyMaker(.clustered, keySizeMax: Format.keySizeMax(pageSize: pageSize))
        let leaf = try Leaf(shape, pageSize: pageSize)
        for _ in 0..<300 { try leaf.insert(shape.make(&maker, &random), &random) }
        let right = try PageFixture(size: pageSize)
        let merged = try PageFixture(size: pageSize)
        for cut in [1, leaf.duplicates.count / 2, leaf.duplicates.count - 1] {
            let all = PageEntries(leaf.page, scratch: leaf.scratch)
            all.write(0..<cut, to: leaf.other.page, level: 0)
            all.write(cut..<all.count, to: right.page, level: 0)
            leaf.format(merged.page)
            for half in [leaf.other.page, right.page] {
                PageEntries(half, scratch: leaf.scratch).append(0..<half.count, to: merged.page)
            }
            try #require(try leaf.read(merged.page) == leaf.duplicates, "\(TestSettings.rerun)")
        }
    }

    @Test(
        "The gap in a value leaf is cleared before the leaf is written",
        arguments: ValueShape.all)
    func clearsGap(_ shape: ValueShape) throws {
        var random = SeededGenerator(seed: TestSettings.seed)
        let leaf = try Leaf(shape, pageSize: 4096)
        leaf.fixture.scramble(&random)
        leaf.format(leaf.page)
        var maker = KeyMaker(.few, keySizeMax: 100)
        for _ in 0..<5 { try leaf.insert(shape.make(&maker, &random), &random) }
        leaf.page.clearGap()
        let page = leaf.page
        let start = Page.headerSize + page.count * page.slotSize
        let end = page.size - page.heapUsed
        #expect(start < end)
        for offset in start..<end {
            #expect(page.base.load(fromByteOffset: offset, as: UInt8.self) == 0)
        }
        try leaf.check(leaf.duplicates)
    }

    @Test("A page with impossible flags, width or prefix is refused")
    func refusesImpossible() throws {
        let fixture = try PageFixture(size: 4096)
        let page = fixture.page
        func problem(_ layout: PageLayout, width: Int, kind: PageKind = .leaf) -> String? {
            page.format(
                kind: kind, level: kind == .leaf ? 0 : 1, prefix: KeyBytes(start: nil, count: 0),
                layout: layout, width: width)
            if kind == .branch {
                page.insertBranchEntry(
                    at: 0, suffix: KeyBytes(start: nil, count: 0),
                    child: PageReference(number: 5, transaction: 1))
            }
            return page.structuralProblem()
        }
        #expect(problem(.valueLeaf, width: 0) == nil)
        #expect(problem([.valueLeaf, .packed], width: 8) == nil)
        #expect(problem(.counted, width: 0, kind: .branch) == nil)
        #expect(problem([.valueLeaf, .packed], width: 0) != nil)
        let widthMax = Format.keySizeMax(pageSize: 4096)
        #expect(problem([.valueLeaf, .packed], width: widthMax + 1) != nil)
        #expect(problem(.valueLeaf, width: 8) != nil)
        #expect(problem(.packed, width: 8) != nil)
        #expect(problem(.reversed, width: 0) != nil)
        #expect(problem([.valueLeaf, .counted], width: 0) != nil)
        #expect(problem(.counted, width: 0) != nil)
        #expect(problem(.valueLeaf, width: 0, kind: .branch) != nil)
        #expect(problem(PageLayout(rawValue: 16), width: 0) != nil)
        #expect(problem(PageLayout(rawValue: 17), width: 0) != nil)
        #expect(problem([.valueLeaf, .packed], width: 8) == nil)
        page.set(3, at: Format.Header.prefixLength)
        #expect(page.structuralProblem() != nil)
    }
}
