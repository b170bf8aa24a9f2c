import Testing

@testable import ZeroDB

/// Invariant 4: whatever a page holds, looking at it neither traps nor reads outside it (the
/// pages around it cannot be read).
@Suite("Pages of garbage")
struct PageFuzzTests {
    /// Does with a page all that a reader does once it is loaded.
    private func read(_ page: Page, _ keys: [[UInt8]], _ buffer: UnsafeMutableRawPointer) {
        let isSound = page.structuralProblem() == nil
        for key in keys {
            key.withUnsafeBytes { key in
                let position = page.searchLeaf(key)
                #expect(position.index <= page.count)
                let child = page.searchBranch(key)
                #expect(child < max(1, page.count))
            }
        }
        guard page.slotsAreInside else { return }
        for index in 0..<page.count {
            let length = page.copyKey(index, to: buffer)
            #expect(length <= page.size / 4)
            if isSound { #expect(length >= 0) }
            if page.isLeaf {
                let value = page.value(index)
                if isSound { #expect(value != nil) }
            } else if isSound {
                #expect(page.child(index).number >= Format.metaPageCount)
            }
        }
        _ = page.gap + page.liveSize
    }

    private func withKeyBuffer(_ pageSize: Int, _ body: (UnsafeMutableRawPointer) throws -> Void)
        rethrows
    {
        let buffer = UnsafeMutableRawPointer.allocate(byteCount: pageSize / 4 + 16, alignment: 8)
        defer { buffer.deallocate() }
        try body(buffer)
    }

    private static let probes: [[UInt8]] = [
        [0], [255, 255], Array("a key of some length".utf8), [UInt8](repeating: 0, count: 200),
        [UInt8](repeating: 255, count: 1000),
    ]

    @Test("Random bytes are looked at without harm", arguments: allPageSizes)
    func readsRandomBytes(pageSize: Int) throws {
        var random = SeededGenerator(seed: TestSettings.seed)
        let fixture = try PageFixture(size: pageSize)
        withKeyBuffer(pageSize) { buffer in
            for _ in 0..<(TestSettings.operations(usually: 20_000_000) / pageSize) {
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

    @Test("Flipped bits in a good page are looked at without harm", arguments: allPageSizes)
    func readsFlippedPages(pageSize: Int) throws {
        var random = SeededGenerator(seed: TestSettings.seed)
        let fixture = try PageFixture(size: pageSize)
        try withKeyBuffer(pageSize) { buffer in
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
                        for _ in 0..<random.within(1...4) {
                            // Most of them where offsets and lengths are.
                            let limit = random.chance(70) ? min(400, pageSize) : pageSize
                            let offset = random.within(24...(limit - 1))
                            let byte: UInt8 = fixture.page.base.littleEndian(offset)
                            fixture.page.base.storeLittleEndian(
                                byte ^ (1 << UInt8(random.below(8))), at: offset)
                        }
                        read(fixture.page, probes, buffer)
                        try #require(
                            good.withUnsafeBytes { $0.count } == pageSize)
                        good.withUnsafeBytes { image in
                            UnsafeMutableRawBufferPointer(
                                start: fixture.page.base, count: pageSize
                            ).copyMemory(from: image)
                        }
                    }
                }
            }
        }
    }

    @Test("Random entries of the free-space tree are parsed without harm")
    func parsesFreeSpace() {
        var random = SeededGenerator(seed: TestSettings.seed)
        for _ in 0..<100_000 {
            var key = random.bytes(random.below(16))
            if !key.isEmpty, random.chance(80) { key[0] = UInt8(random.below(3)) }
            let value = random.bytes(random.chance(30) ? FreeRegion.size : random.below(80))
            key.withUnsafeBytes { key in
                value.withUnsafeBytes {
                    guard case .available(let region) = FreeSpace.parse(key: key, value: $0)
                    else { return }
                    #expect(region.runs.reduce(0) { $0 + $1.count } == region.count)
                }
            }
        }
    }
}
