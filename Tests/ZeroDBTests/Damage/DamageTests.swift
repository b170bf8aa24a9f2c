import Testing

@testable import Simulator
@testable import ZeroDB

/// Whatever happens to the bytes of a data file while no process has it open, what is read is right
/// or an error, and `verify` notices what matters.
@Suite("Damage to the data file")
struct DamageTests {
    /// What must hold of a look at damage, if checksums are checked.
    private func check(
        _ findings: DamageFixture.Findings, matters: Bool, _ what: @autoclosure () -> String
    ) throws {
        // Plain comparisons: expectations would take most of the time.
        if let wrong = findings.wrong.first {
            throw ModelFailure(description: "\(what()): \(wrong)")
        }
        for error in findings.errors {
            if !DamageFixture.isAboutDamage(error) {
                throw ModelFailure(description: "\(what()): \(error.code): \(error)")
            }
            if error.code == .corrupted, error.page == nil {
                throw ModelFailure(description: "\(what()): an error without a page: \(error)")
            }
        }
        if matters, !findings.isNoticed {
            throw ModelFailure(description: "\(what()): verify notices nothing")
        }
    }

    enum Change: CaseIterable, Sendable {
        case randomBit
        case allBits
    }

    @Test("No flipped byte leads to a wrong value", arguments: Change.allCases)
    func flipsEveryByte(_ change: Change) throws {
        let fixture = try DamageFixture()
        let map = try #require(fixture.map)
        var random = SeededGenerator(seed: TestSettings.seed)
        try check(fixture.look(), matters: false, "undamaged")
        for offset in 0..<fixture.file.count {
            let matters = map.matters(offset)
            // Few of the bytes of free pages.
            guard matters || offset < 2 * map.pageSize || offset % 16 == 0 else { continue }
            let mask: UInt8 = change == .allBits ? 0xff : 1 << UInt8(random.below(8))
            fixture.file[offset] ^= mask
            let findings = fixture.look()
            let what = "byte \(offset) (page \(offset / map.pageSize)) xor \(mask)"
            try check(findings, matters: matters, what)
            if !matters, !findings.couldOpen || !findings.errors.isEmpty {
                throw ModelFailure(
                    description: "\(what) is damaged without effect: \(findings.errors)")
            }
            fixture.file[offset] ^= mask
        }
        try check(fixture.look(), matters: false, "put right again")
    }

    @Test("No flipped byte of larger pages leads to a wrong value", arguments: [16384, 65536])
    func flipsBytesOfLargerPages(pageSize: Int) throws {
        let fixture = try DamageFixture(pageSize: pageSize, commits: 3, entries: 40)
        let map = try #require(fixture.map)
        var random = SeededGenerator(seed: TestSettings.seed)
        for offset in 0..<fixture.file.count {
            // Headers and slots, and some of the rest.
            guard offset % pageSize < 200 || random.below(pageSize / 512) == 0 else { continue }
            fixture.file[offset] ^= 1 << UInt8(random.below(8))
            try check(fixture.look(), matters: map.matters(offset), "byte \(offset)")
            fixture.file[offset] = fixture.image[offset]
        }
    }

    @Test("No zeroed sector leads to a wrong value")
    func zeroesSectors() throws {
        let fixture = try DamageFixture()
        let map = try #require(fixture.map)
        for sector in 0..<(fixture.file.count / 512) {
            let range = (sector * 512)..<((sector + 1) * 512)
            let matters = range.contains { map.matters($0) && fixture.image[$0] != 0 }
            for offset in range { fixture.file[offset] = 0 }
            try check(fixture.look(), matters: matters, "sector \(sector) zeroed")
            fixture.restore()
        }
    }

    @Test("A truncated file is refused, wherever it ends")
    func truncates() throws {
        let fixture = try DamageFixture()
        let size = fixture.file.count
        let pageSize = fixture.options.pageSize
        for page in 0...(size / pageSize) {
            for end in [page * pageSize - 1, page * pageSize, page * pageSize + 1, page * 2048]
            where end >= 0 && end < size {
                fixture.file.count = end
                let findings = fixture.look()
                try check(findings, matters: true, "cut off at \(end)")
                try #require(!findings.couldOpen, "cut off at \(end) of \(size)")
                fixture.restore()
            }
        }
    }

    @Test("Swapped pages are noticed")
    func swapsPages() throws {
        let fixture = try DamageFixture()
        let map = try #require(fixture.map)
        let pageSize = map.pageSize
        for first in 0..<map.pageCount {
            for second in 0..<map.pageCount where first != second {
                // The bytes of one at the place of the other too.
                copyPage(fixture.image, first, to: second, fixture, pageSize)
                let matters = map.matters(second * pageSize)
                try check(fixture.look(), matters: matters, "page \(first) at \(second)")
                if second > first {
                    copyPage(fixture.image, second, to: first, fixture, pageSize)
                    let anyMatters = matters || map.matters(first * pageSize)
                    try check(
                        fixture.look(), matters: anyMatters, "pages \(first), \(second) swapped")
                }
                fixture.restore()
            }
        }
    }

    private func copyPage(
        _ image: [UInt8], _ from: Int, to: Int, _ fixture: DamageFixture, _ pageSize: Int
    ) {
        for offset in 0..<pageSize {
            fixture.file[to * pageSize + offset] = image[from * pageSize + offset]
        }
    }

    @Test("An older version of a page in its place, a lost write, is noticed")
    func losesWrites() throws {
        let fixture = try DamageFixture()
        let map = try #require(fixture.map)
        let pageSize = map.pageSize
        for (age, old) in fixture.images.enumerated().dropLast() {
            for page in 2..<min(map.pageCount, old.count / pageSize) {
                let range = (page * pageSize)..<((page + 1) * pageSize)
                guard old[range] != fixture.image[range] else { continue }
                copyPage(old, page, to: page, fixture, pageSize)
                let matters = map.matters(page * pageSize)
                try check(fixture.look(), matters: matters, "page \(page) of image \(age)")
                fixture.restore()
            }
        }
    }

    @Test("An older meta page in its place shows an older state, whole, or an error")
    func losesMetaWrites() throws {
        let fixture = try DamageFixture()
        let pageSize = fixture.options.pageSize
        for (age, old) in fixture.images.enumerated().dropLast() {
            for page in 0..<2 {
                copyPage(old, page, to: page, fixture, pageSize)
                // The two newest checkpoints are in the file; older ones' pages may be used anew.
                let isWhole = fixture.states.suffix(2).contains { state in
                    let findings = fixture.look(state)
                    return findings.wrong.isEmpty && findings.errors.isEmpty
                        && findings.problems == 0
                }
                let isRefused = fixture.look().errors.contains(where: DamageFixture.isAboutDamage)
                #expect(isWhole || isRefused, "meta page \(page) of image \(age)")
                fixture.restore()
            }
        }
    }

    @Test("A file of zeros, of noise, or of nothing is no environment")
    func refusesOtherFiles() throws {
        let fixture = try DamageFixture()
        var random = SeededGenerator(seed: TestSettings.seed)
        let size = fixture.file.count
        for content in [
            [], [0], [UInt8](repeating: 0, count: size), random.bytes(size), random.bytes(700),
            Array("SQLite format 3\0".utf8),
        ] {
            fixture.file.restore(content)
            let findings = fixture.look()
            #expect(!findings.couldOpen)
            #expect(findings.errors.allSatisfy(DamageFixture.isAboutDamage))
        }
    }
}
