import Testing

@testable import Simulator
@testable import ZeroDB

/// Invariant 4, where no checksum helps: with checks turned off, and in files whose checksums were
/// put right. Values may be wrong then; nothing may crash, hang or read elsewhere.
@Suite("Damage that no checksum shows")
struct HostileFileTests {
    @Test("Flipped bytes without checksums do no harm to the process")
    func flipsWithoutChecksums() throws {
        let fixture = try DamageFixture()
        var random = SeededGenerator(seed: TestSettings.seed)
        let map = try #require(fixture.map)
        for offset in 0..<fixture.file.count where map.matters(offset) {
            fixture.file[offset] ^= 1 << UInt8(random.below(8))
            let findings = fixture.look(mode: .none)
            // A flipped flag makes another kind of database of one: keys do not suit it then.
            let error = findings.errors.first {
                !DamageFixture.isAboutDamage($0)
                    && ![.badValueSize, .incompatible].contains($0.code)
            }
            if let error {
                throw ModelFailure(description: "byte \(offset): \(error)")
            }
            fixture.file[offset] = fixture.image[offset]
        }
    }

    @Test(
        "Writing to a damaged environment does no harm to the process",
        arguments: [ChecksumMode.none, .fast])
    func writesWithoutChecksums(_ mode: ChecksumMode) throws {
        let fixture = try DamageFixture()
        var random = SeededGenerator(seed: TestSettings.seed)
        for _ in 0..<TestSettings.operations(usually: 600) {
            for _ in 0..<random.within(1...8) {
                let offset = random.within(2 * 4096...(fixture.file.count - 1))
                fixture.file[offset] ^= 1 << UInt8(random.below(8))
            }
            fixture.write(&random, mode: mode)
            fixture.restore()
        }
    }

    @Test("Changed pages with correct checksums do no harm to the process")
    func readsResealedPages() throws {
        let fixture = try DamageFixture()
        let map = try #require(fixture.map)
        var random = SeededGenerator(seed: TestSettings.seed)
        for _ in 0..<TestSettings.operations(usually: 1500) {
            for _ in 0..<random.within(1...3) {
                let page = random.within(2...(map.pageCount - 1))
                guard !map.isFree(page) else { continue }
                change(fixture, page, &random)
                reseal(fixture, page, map)
            }
            _ = fixture.look()
            fixture.write(&random, mode: .fast)
            fixture.restore()
        }
    }

    /// Puts numbers that hurt where they may hurt most.
    private func change(
        _ fixture: DamageFixture, _ page: Int, _ random: inout SeededGenerator
    ) {
        let base = fixture.file.base + page * fixture.options.pageSize
        for _ in 0..<random.within(1...3) {
            let limit = random.chance(50) ? 300 : fixture.options.pageSize - 8
            let offset = random.within(24...limit)
            switch random.below(6) {
            case 0: base.storeLittleEndian(UInt16.max, at: offset)
            case 1: base.storeLittleEndian(UInt64.max, at: offset)
            case 2: base.storeLittleEndian(UInt64(1) << UInt64(random.below(64)), at: offset)
            case 3: base.storeLittleEndian(UInt16(random.below(4096)), at: offset)
            case 4: base.storeLittleEndian(UInt64(0), at: offset)
            default: base.storeLittleEndian(random.byte(), at: offset)
            }
        }
    }

    private func reseal(_ fixture: DamageFixture, _ page: Int, _ map: PageMap) {
        let base = fixture.file.base + page * map.pageSize
        var length = map.pageSize
        if base.littleEndian(Format.Header.kind, as: UInt8.self) == PageKind.overflow.rawValue {
            let value: UInt64 = base.littleEndian(Format.OverflowHeader.length)
            length = min(Page.headerSize + Int(value & 0xffff), fixture.file.count - page * 4096)
        }
        let checksum = Checksum.ofPage(base, length: length, seed: map.meta.checksumSeed)
        base.storeLittleEndian(checksum, at: 0)
    }

    @Test("Changed meta records with correct checksums do no harm")
    func readsResealedMetas() throws {
        let fixture = try DamageFixture()
        var random = SeededGenerator(seed: TestSettings.seed)
        let copies = [0, 2048, 4096, 6144]
        for _ in 0..<TestSettings.operations(usually: 3000) {
            var bytes = Array(fixture.image[..<8192])
            let field = 24 + 8 * random.below(36)
            let number: UInt64 =
                switch random.below(5) {
                case 0: UInt64.max
                case 1: 1 << UInt64(random.below(64))
                case 2: UInt64(random.below(40))
                case 3: 1 << 47 | UInt64(random.below(10))
                default: random.next()
                }
            for copy in copies {
                withUnsafeBytes(of: number.littleEndian) {
                    bytes.replaceSubrange((copy + field)..<(copy + field + 8), with: $0)
                }
                sealRecord(&bytes, at: copy)
            }
            fixture.file.restore(bytes + fixture.image[8192...])
            _ = fixture.look()
            fixture.write(&random, mode: .fast)
        }
    }
}
