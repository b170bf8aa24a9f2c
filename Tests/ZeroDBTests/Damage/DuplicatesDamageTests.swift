import Testing

@testable import Simulator
@testable import ZeroDB

/// The claims of `DamageTests` and `HostileFileTests`, for databases with duplicates, other orders
/// and counts.
@Suite("Damage to databases of all types")
struct DuplicatesDamageTests {
    private func check(
        _ findings: DamageFixture.Findings, matters: Bool, _ what: @autoclosure () -> String
    ) throws {
        if let wrong = findings.wrong.first {
            throw ModelFailure(description: "\(what()): \(wrong)")
        }
        if let error = findings.errors.first(where: { !DamageFixture.isAboutDamage($0) }) {
            throw ModelFailure(description: "\(what()): \(error.code): \(error)")
        }
        if matters, !findings.isNoticed {
            throw ModelFailure(description: "\(what()): verify notices nothing")
        }
    }

    @Test("The fixture has pages of all layouts, and nothing is wrong with it")
    func isWhole() throws {
        let fixture = try DuplicatesDamageFixture()
        try check(fixture.look(), matters: false, "undamaged")
        #expect(fixture.look().errors.isEmpty && fixture.look().problems == 0)
        #expect(!fixture.pages(.valueLeaf).isEmpty)
        #expect(!fixture.pages([.valueLeaf, .packed, .reversed]).isEmpty)
        #expect(!fixture.pages(.counted, kind: .branch).isEmpty)
        #expect(!fixture.pages([], kind: .branch).isEmpty)
    }

    @Test("No flipped byte leads to a wrong value")
    func flipsBytes() throws {
        let fixture = try DuplicatesDamageFixture()
        var random = SeededGenerator(seed: TestSettings.seed)
        let pageSize = fixture.map.pageSize
        for offset in (2 * pageSize)..<fixture.file.count where fixture.map.matters(offset) {
            // Headers and the first slots or values, and some of the rest.
            guard offset % pageSize < 96 || random.below(24) == 0 else { continue }
            fixture.file[offset] ^= 1 << UInt8(random.below(8))
            try check(fixture.look(), matters: true, "byte \(offset)")
            fixture.file[offset] = fixture.image[offset]
        }
    }

    @Test("Flipped bytes without checksums do no harm to the process")
    func flipsWithoutChecksums() throws {
        let fixture = try DuplicatesDamageFixture()
        var random = SeededGenerator(seed: TestSettings.seed)
        for offset in (2 * 4096)..<fixture.file.count where fixture.map.matters(offset) {
            guard offset % 4096 < 160 || random.below(16) == 0 else { continue }
            fixture.file[offset] ^= 1 << UInt8(random.below(8))
            _ = fixture.look(mode: .none)
            if random.chance(10) {
                fixture.write(&random, mode: .none)
                fixture.restore()
            }
            fixture.file[offset] = fixture.image[offset]
        }
    }

    @Test("Changed pages with correct checksums do no harm to the process")
    func readsResealedPages() throws {
        let fixture = try DuplicatesDamageFixture()
        var random = SeededGenerator(seed: TestSettings.seed)
        for _ in 0..<TestSettings.operations(usually: 4000) {
            for _ in 0..<random.within(1...2) {
                let page = random.within(2...(fixture.map.pageCount - 1))
                guard !fixture.map.isFree(page) else { continue }
                change(fixture.file.base + page * 4096, &random)
                fixture.reseal(page)
            }
            _ = fixture.look()
            fixture.write(&random, mode: .fast)
            fixture.restore()
        }
    }

    /// Puts numbers that hurt where they may hurt most.
    private func change(_ page: UnsafeMutableRawPointer, _ random: inout SeededGenerator) {
        for _ in 0..<random.within(1...3) {
            let heap = random.chance(50)
            let offset = heap ? random.within(300...4088) : random.within(26...300)
            switch random.below(7) {
            case 0: page.storeLittleEndian(UInt16.max, at: offset)
            case 1: page.storeLittleEndian(UInt64.max, at: offset)
            case 2: page.storeLittleEndian(UInt64(1) << UInt64(random.below(64)), at: offset)
            case 3: page.storeLittleEndian(UInt16(random.below(4096)), at: offset)
            case 4: page.storeLittleEndian(UInt64(0), at: offset)
            case 5: page.storeLittleEndian(UInt16(random.below(20)), at: offset)
            default: page.storeLittleEndian(random.byte(), at: offset)
            }
        }
    }

    // MARK: One thing wrong

    /// Expects verifying to report a page that has been damaged in some words, and neither reading
    /// nor writing to do harm.
    private func expectProblem(
        _ words: String, _ fixture: DuplicatesDamageFixture, _ page: Page, _ what: String
    ) {
        fixture.reseal(Int(page.number))
        var problems: [String] = []
        _ = fixture.look { problems.append($0) }
        #expect(problems.contains { $0.contains(words) }, "\(what): \(problems)")
        var random = SeededGenerator(seed: TestSettings.seed)
        for _ in 0..<20 {
            // Writes put the file right or make it worse; what is wrong is put back.
            let damaged = fixture.file.bytes
            fixture.write(&random, mode: .fast)
            fixture.file.restore(damaged)
        }
        fixture.restore()
    }

    @Test("Wrong counts in branches are named", arguments: [0, 1, UInt64.max, 1 << 63, 77])
    func namesWrongCounts(_ count: UInt64) throws {
        let fixture = try DuplicatesDamageFixture()
        for number in fixture.pages(.counted, kind: .branch).indices {
            let page = fixture.pages(.counted, kind: .branch)[number]
            for index in 0..<page.count where page.entryCount(index) != count {
                page.setEntryCount(index, count)
                expectProblem("entries below child", fixture, page, "child \(index)")
            }
        }
    }

    @Test("Values out of order are named")
    func namesDisorder() throws {
        let fixture = try DuplicatesDamageFixture()
        for layout: PageLayout in [.valueLeaf, [.valueLeaf, .packed, .reversed]] {
            for page in fixture.pages(layout) where page.count > 1 {
                let size = page.slotSize
                let first = Array(UnsafeRawBufferPointer(start: page.slot(0), count: size))
                page.slot(0).copyMemory(from: page.slot(1), byteCount: size)
                page.slot(1).copyMemory(from: first, byteCount: size)
                expectProblem("is not after the one before it", fixture, page, "\(layout)")
            }
        }
    }

    @Test("A repeated value is named")
    func namesRepetition() throws {
        let fixture = try DuplicatesDamageFixture()
        for layout: PageLayout in [.valueLeaf, [.valueLeaf, .packed, .reversed]] {
            let page = try #require(fixture.pages(layout).first)
            page.slot(1).copyMemory(from: page.slot(0), byteCount: page.slotSize)
            expectProblem("is not after the one before it", fixture, page, "\(layout)")
        }
    }

    @Test("A value leaf of a wrong width is named", arguments: [1, 2, 4, 7, 9, 16, 1024])
    func namesWrongWidth(_ width: Int) throws {
        let fixture = try DuplicatesDamageFixture()
        for page in fixture.pages([.valueLeaf, .packed, .reversed]) {
            page.set(width, at: Format.Header.width)
            page.set(min(page.count, 4000 / width), at: Format.Header.count)
            expectProblem("bytes", fixture, page, "a width of \(width)")
        }
        let page = try #require(fixture.pages(.valueLeaf).first)
        page.set(width, at: Format.Header.width)
        expectProblem("bytes and slots", fixture, page, "a width of \(width)")
    }

    /// Visits the leaf entries whose value is of one kind.
    private func forEachValue(
        _ kind: ValueKind, _ fixture: DuplicatesDamageFixture,
        _ body: (Page, Page.ValueField) throws -> Void
    ) throws {
        var found = 0
        for number in fixture.pages([]).indices {
            let page = fixture.pages([])[number]
            for index in 0..<page.count {
                guard let value = page.value(index), value.kind == kind else { continue }
                found += 1
                try body(page, value)
            }
        }
        #expect(found > 0)
    }

    @Test("Inline values with a wrong count are refused", arguments: [0, 1, 1000, 65535])
    func namesWrongInlineCount(_ count: Int) throws {
        let fixture = try DuplicatesDamageFixture()
        try forEachValue(.inlineValues, fixture) { page, value in
            value.bytes.storeLittleEndian(UInt16(count), at: 0)
            expectProblem("impossible", fixture, page, "a count of \(count)")
        }
    }

    @Test("Inline values of a wrong width or in a wrong order are named")
    func namesWrongInlineValues() throws {
        let fixture = try DuplicatesDamageFixture()
        try forEachValue(.inlineValues, fixture) { page, value in
            let values = try #require(
                InlineValues(UnsafeRawBufferPointer(start: value.bytes, count: value.count)))
            guard values.width > 1 else {
                // The second value ends before the first.
                value.bytes.storeLittleEndian(UInt16(0), at: 6)
                expectProblem("value", fixture, page, "an end before the beginning")
                return
            }
            let (first, second) = (
                Array(try #require(values.duplicate(0))), Array(try #require(values.duplicate(1)))
            )
            (value.bytes + 4).copyMemory(from: second + first, byteCount: 2 * values.width)
            expectProblem("is not after the one before it", fixture, page, "values out of order")
            value.bytes.storeLittleEndian(UInt16(values.count * 2), at: 0)
            value.bytes.storeLittleEndian(UInt16(values.width / 2), at: 2)
            expectProblem("bytes", fixture, page, "values of half the width")
        }
    }

    @Test(
        "A value tree with wrong counts is named", arguments: [1, 2, 100_000, 1 << 59])
    func namesWrongTreeCounts(_ count: UInt64) throws {
        let fixture = try DuplicatesDamageFixture()
        try forEachValue(.valueTree, fixture) { page, value in
            for field in [8, 16, 24] {
                value.bytes.storeLittleEndian(count + 3, at: field)
                expectProblem("counts", fixture, page, "a count of \(count + 3) at \(field)")
            }
        }
    }

    @Test("A value tree with a wrong root is named")
    func namesLoops() throws {
        let fixture = try DuplicatesDamageFixture()
        try forEachValue(.valueTree, fixture) { page, value in
            let tree = ValueTree(at: value.bytes)
            let roots =
                fixture.pages([]) + fixture.pages(.valueLeaf)
                + fixture.pages(.counted, kind: .branch) + fixture.pages([], kind: .branch)
            for root in roots where root.number != tree.root.number {
                for depth in [UInt8(root.level + 1), 1, 32] {
                    // The leaf itself, other databases' leaves, others' trees.
                    value.bytes.storeLittleEndian(
                        PageReference(number: root.number, transaction: root.transaction).raw, at: 0
                    )
                    value.bytes.storeLittleEndian(depth, at: 32)
                    fixture.reseal(Int(page.number))
                    let findings = fixture.look()
                    #expect(findings.problems > 0, "page \(root.number) as a value tree")
                    var random = SeededGenerator(seed: root.number)
                    fixture.write(&random, mode: .fast)
                    fixture.restore()
                }
            }
        }
    }

    @Test("A branch whose children are all the same is named, and reading or freeing it ends")
    func namesRepeatedChildren() throws {
        let fixture = try DuplicatesDamageFixture()
        for layout: PageLayout in [.counted, []] {
            for number in fixture.pages(layout, kind: .branch).indices {
                let page = fixture.pages(layout, kind: .branch)[number]
                for index in 1..<page.count { page.setChild(index, page.child(0)) }
                expectProblem("also reachable from another place", fixture, page, "\(layout)")
            }
        }
    }
}
