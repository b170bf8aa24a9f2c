import Testing

@testable import Simulator
@testable import ZeroDB

/// Invariant 4: whatever a page holds, looking at it neither traps nor reads beyond it (the
/// pages around it cannot be read).
@Suite("Pages of garbage")
struct PageFuzzTests {
    /// Does with a page all that a reader does once it is loaded.
    private func read(_ page: Page, _ keys: [[UInt8]], _ buffer: UnsafeMutableRawPointer) {
        let isSound = page.structuralProblem() == nil
        // Whoever gets a page says which layout it must have.
        guard page.layout.isPossible(isLeaf: page.isLeaf) else { return }
        if page.isLeaf, page.layout.contains(.valueLeaf) {
            readValueLeaf(page, keys, buffer, isSound: isSound)
            return
        }
        for key in keys {
            key.withUnsafeBytes { key in
                let position = page.searchLeaf(key)
                #expect(position.index <= page.count)
                let child = page.searchBranch(key)
                #expect(child < max(1, page.count))
            }
        }
        guard page.slotsAreInBounds else { return }
        for index in 0..<page.count {
            let length = page.copyKey(index, to: buffer)
            #expect(length <= page.size / 2)
            if isSound { #expect(length >= 0) }
            if page.isLeaf {
                let value = page.value(index)
                if isSound { #expect(value != nil) }
                if let value, value.kind == .inlineValues { readInlineValues(value) }
            } else if isSound {
                #expect(page.child(index).number >= Format.metaPageCount)
            }
            _ = page.entryCount(index)
        }
        _ = page.gap + page.liveSize
        for key in keys { key.withUnsafeBytes { _ = page.endsBefore($0) } }
        guard page.isLeaf else { return }
        // As a commit does with a page that it has changed.
        let entries = isSound ? (0..<page.count).map { page.value($0)?.count } : []
        let scratch = UnsafeMutableRawPointer.allocate(byteCount: page.size, alignment: 64)
        defer { scratch.deallocate() }
        page.orderHeap(scratch)
        if isSound {
            #expect(page.structuralProblem() == nil)
            #expect((0..<page.count).map { page.value($0)?.count } == entries)
        }
    }

    private func readInlineValues(_ value: Page.ValueField) {
        let bytes = UnsafeRawBufferPointer(start: value.bytes, count: value.count)
        guard let values = InlineValues(bytes) else { return }
        for index in 0..<values.count { touch(values.duplicate(index)) }
    }

    private func readValueLeaf(
        _ page: Page, _ keys: [[UInt8]], _ buffer: UnsafeMutableRawPointer, isSound: Bool
    ) {
        for key in keys {
            let position = key.withUnsafeBytes { page.searchValueLeaf($0) }
            #expect(position.index <= page.count)
            if isSound { #expect(position.index >= 0) }
        }
        guard page.slotsAreInBounds else { return }
        for index in 0..<page.count {
            let duplicate = page.duplicate(index)
            touch(duplicate)
            let length = page.copyKey(index, to: buffer)
            #expect(length <= page.size / 2)
            if isSound { #expect(length >= 0 && length == duplicate?.count) }
        }
        if page.layout.contains(.packed), page.count > 0 {
            touch(page.packedValues(0..<page.count))
        }
        #expect(page.entryCount == UInt64(page.count))
    }

    /// Reads the first and the last byte, either of which may lie where reading is not allowed.
    private func touch(_ bytes: UnsafeRawBufferPointer?) {
        guard let bytes, let first = bytes.first, let last = bytes.last else { return }
        withExtendedLifetime(first ^ last) {}
    }

    private func withKeyBuffer(_ pageSize: Int, _ body: (UnsafeMutableRawPointer) throws -> Void)
        rethrows
    {
        let buffer = UnsafeMutableRawPointer.allocate(
            byteCount: Format.keyBufferSize(pageSize: pageSize), alignment: 8)
        defer { buffer.deallocate() }
        try body(buffer)
    }

    private static let probes: [[UInt8]] = [
        [0], [255, 255], Array("a key of some length".utf8), [UInt8](repeating: 0, count: 200),
        [UInt8](repeating: 255, count: 1000),
    ]

    @Test("Random bytes are read without harm", arguments: allPageSizes)
    func readsRandomBytes(pageSize: Int) throws {
        var random = SeededGenerator(seed: TestSettings.seed)
        let fixture = try PageFixture(size: pageSize)
        withKeyBuffer(pageSize) { buffer in
            for _ in 0..<TestSettings.operations(usually: 20_000_000 / pageSize) {
                fixture.scramble(&random)
                plausibleHeader(fixture.page, &random)
                read(fixture.page, Self.probes, buffer)
            }
        }
    }

    /// Some of the header's fields with values that let the rest be looked at.
    private func plausibleHeader(_ page: Page, _ random: inout SeededGenerator) {
        let base = page.base
        if random.chance(90) {
            let isLeaf = random.chance(50)
            base.storeLittleEndian(UInt8(isLeaf ? 2 : 1), at: Format.Header.kind)
            base.storeLittleEndian(UInt8(isLeaf ? 0 : 3), at: Format.Header.level)
            if random.chance(90) {
                let flags: [UInt16] = isLeaf ? [0, 0, 1, 3, 5, 7] : [0, 8]
                base.storeLittleEndian(random.pick(flags), at: Format.Header.flags)
            }
        }
        if random.chance(80) {
            let width = random.chance(50) ? random.within(1...16) : random.below(page.size)
            base.storeLittleEndian(UInt16(width), at: Format.Header.width)
        }
        if random.chance(80) {
            base.storeLittleEndian(UInt16(random.below(page.size / 8)), at: Format.Header.count)
        }
        if random.chance(80) {
            base.storeLittleEndian(
                UInt16(random.below(page.size / 8)), at: Format.Header.prefixLength)
        }
        if random.chance(80) {
            base.storeLittleEndian(UInt16(random.below(page.size)), at: Format.Header.heapUsed)
            base.storeLittleEndian(UInt16(random.below(page.size)), at: Format.Header.heapDead)
        }
    }

    @Test("A page with flipped bits is read without harm", arguments: allPageSizes)
    func readsFlippedPages(pageSize: Int) throws {
        var random = SeededGenerator(seed: TestSettings.seed)
        let fixture = try PageFixture(size: pageSize)
        withKeyBuffer(pageSize) { buffer in
            for isLeaf in [true, false] {
                for pattern in KeyPattern.allCases {
                    var entries = [PageEntry].random(
                        pattern, pageSize: pageSize, isLeaf: isLeaf, &random)
                    guard !entries.isEmpty else { continue }
                    if !isLeaf { entries[0].key = [] }
                    fixture.write(entries, isLeaf: isLeaf)
                    let good = Array(
                        UnsafeRawBufferPointer(start: fixture.page.base, count: pageSize))
                    let probes = Self.probes + entries.prefix(5).map(\.key).filter { !$0.isEmpty }
                    for _ in 0..<(2_000_000 / pageSize) {
                        flip(fixture, &random)
                        read(fixture.page, probes, buffer)
                        restore(fixture, good)
                    }
                }
            }
        }
    }

    private func flip(_ fixture: PageFixture, _ random: inout SeededGenerator) {
        for _ in 0..<random.within(1...4) {
            // Most of them where offsets and lengths are.
            let limit = random.chance(70) ? 400 : fixture.page.size
            let offset = random.within(24...(limit - 1))
            let byte: UInt8 = fixture.page.base.littleEndian(offset)
            fixture.page.base.storeLittleEndian(
                byte ^ (1 << UInt8(random.below(8))), at: offset)
        }
    }

    private func restore(_ fixture: PageFixture, _ good: [UInt8]) {
        good.withUnsafeBytes {
            UnsafeMutableRawBufferPointer(start: fixture.page.base, count: fixture.page.size)
                .copyMemory(from: $0)
        }
    }

    @Test(
        "Flipped bits in value leaves, inline values and counts do no harm", arguments: allPageSizes
    )
    func readsFlippedValues(pageSize: Int) throws {
        var random = SeededGenerator(seed: TestSettings.seed)
        let fixture = try PageFixture(size: pageSize)
        withKeyBuffer(pageSize) { buffer in
            for shape in ValueShape.all {
                writeValueLeaf(shape, fixture, &random)
                readFlipped(fixture, buffer, &random)
                writeInlineValues(shape, fixture, &random)
                readFlipped(fixture, buffer, &random)
            }
            for pattern in KeyPattern.allCases {
                var entries = [PageEntry].random(
                    pattern, pageSize: pageSize, isLeaf: false, isCounted: true, &random)
                guard !entries.isEmpty else { continue }
                entries[0].key = []
                fixture.write(entries, isLeaf: false, isCounted: true)
                readFlipped(fixture, buffer, &random)
            }
        }
    }

    private func readFlipped(
        _ fixture: PageFixture, _ buffer: UnsafeMutableRawPointer, _ random: inout SeededGenerator
    ) {
        #expect(fixture.page.structuralProblem() == nil)
        let good = Array(
            UnsafeRawBufferPointer(start: fixture.page.base, count: fixture.page.size))
        for _ in 0..<(2_000_000 / fixture.page.size) {
            flip(fixture, &random)
            read(fixture.page, Self.probes, buffer)
            restore(fixture, good)
        }
    }

    /// Fills a page with values, in no order: a search need only end.
    private func writeValueLeaf(
        _ shape: ValueShape, _ fixture: PageFixture, _ random: inout SeededGenerator
    ) {
        var maker = KeyMaker(.clustered, keySizeMax: Format.keySizeMax(pageSize: fixture.page.size))
        fixture.page.format(
            kind: .leaf, level: 0, prefix: KeyBytes(start: nil, count: 0), layout: shape.layout,
            width: shape.width)
        while true {
            let duplicate = shape.make(&maker, &random)
            guard fixture.page.gap >= Page.valueLeafEntrySize(shape.layout, length: duplicate.count)
            else {
                return
            }
            duplicate.withUnsafeBytes { fixture.page.insertDuplicate(at: 0, key: $0) }
        }
    }

    /// Fills a leaf with keys of two values each.
    private func writeInlineValues(
        _ shape: ValueShape, _ fixture: PageFixture, _ random: inout SeededGenerator
    ) {
        var maker = KeyMaker(.clustered, keySizeMax: Format.keySizeMax(pageSize: fixture.page.size))
        fixture.write([])
        let buffer = UnsafeMutableRawPointer.allocate(byteCount: 2048, alignment: 8)
        defer { buffer.deallocate() }
        while true {
            let duplicates = [shape.make(&maker, &random), shape.make(&maker, &random)]
            let size = duplicates[0].withUnsafeBytes { first in
                duplicates[1].withUnsafeBytes {
                    InlineValues.store(first, $0, width: shape.width, to: buffer)
                }
            }
            let key = random.bytes(6)
            guard
                fixture.page.gap
                    >= Page.entrySize(isLeaf: true, suffixLength: key.count, valueLength: size)
            else { return }
            let value = LeafValue(
                kind: .inlineValues, bytes: UnsafeRawBufferPointer(start: buffer, count: size))
            key.withUnsafeBytes { fixture.page.insertLeafEntry(at: 0, suffix: $0, value: value) }
        }
    }

    @Test("Random entries of the free tree are parsed without harm")
    func parsesFreeTree() {
        var random = SeededGenerator(seed: TestSettings.seed)
        for _ in 0..<100_000 {
            var key = random.bytes(random.below(16))
            if !key.isEmpty, random.chance(80) { key[0] = UInt8(random.below(3)) }
            let value = random.bytes(random.chance(30) ? FreeRegion.size : random.below(80))
            key.withUnsafeBytes { key in
                value.withUnsafeBytes {
                    guard case .available(let region) = FreeTreeEntry(key: key, value: $0)
                    else { return }
                    #expect(region.runs.reduce(0) { $0 + $1.count } == region.count)
                }
            }
        }
    }
}
