import Glibc
import Testing

@testable import Simulator
@testable import ZeroDB

/// What is wrong with an archive is found by a verification and by each restore that reads it: none ever
/// succeeds with a wrong result.
@Suite("Damaged archives")
struct ArchiveDamageTests {
    /// An archive of several copies and files of the log.
    struct Fixture {
        let place: TemporaryDirectory
        let archive: String
        let workload: ArchiveWorkload
        let names: [String]
        let newest: UInt64
        let first: UInt64

        init(seed: UInt64) throws {
            place = try TemporaryDirectory()
            archive = place.path + ".archive"
            workload = try ArchiveTests.run(place, seed: seed, transactions: 150, isSmall: true)
            let listing = try Environment.listing(archive)
            names = try ArchiveDirectory(PathBytes(archive), creates: false, PosixFileSystem())
                .directory.list().filter { $0.hasSuffix(".zdba") }.sorted()
            newest = listing.summary.transaction
            first = listing.summary.spans.first?.first ?? 0
        }

        func path(_ name: String) -> String { archive + "/" + name }

        func read(_ name: String) throws -> [UInt8] {
            try #require(TestFile.read(path(name)))
        }
    }

    /// A change of one file or two.
    enum Damage: CaseIterable {
        case flippedBit, missing, swapped, cutOff, longer, older, emptied, zeroed
    }

    private static func damage(
        _ fixture: Fixture, _ damage: Damage, _ random: inout SeededGenerator
    ) throws -> [String: [UInt8]] {
        let files = fixture.names.filter { $0 != ArchiveState.indexName }
        let name = damage == .flippedBit ? random.pick(fixture.names) : random.pick(files)
        let before = try fixture.read(name)
        var saved = [name: before]
        var bytes = before
        switch damage {
        case .flippedBit: bytes[random.below(bytes.count)] ^= 1 << UInt8(random.below(8))
        case .missing:
            #expect(unlink(fixture.path(name)) == 0)
            return saved
        case .swapped:
            let other = random.pick(files.filter { $0 != name })
            saved[other] = try fixture.read(other)
            bytes = saved[other] ?? []
            TestFile.write(before, to: fixture.path(other))
        case .cutOff: bytes.removeLast(1 + random.below(bytes.count - 1))
        case .longer: bytes += random.bytes(1 + random.below(100))
        case .older:
            // The contents of the file of the same kind in front of it, under its name.
            let index = files.firstIndex(of: name) ?? 0
            bytes = try fixture.read(files[index > 0 ? index - 1 : index + 1])
        case .emptied: bytes = []
        case .zeroed:
            let start = random.below(bytes.count)
            let end = min(bytes.count, start + 1 + random.below(5000))
            guard bytes[start..<end].contains(where: { $0 != 0 }) else {
                bytes[start] ^= 1
                break
            }
            for index in start..<end { bytes[index] = 0 }
        }
        TestFile.write(bytes, to: fixture.path(name))
        return saved
    }

    private static func isFound(byVerifying archive: String) throws -> Bool {
        do {
            var verification = ArchiveVerification(try Environment.listing(archive))
            return try verification.run({ _ in }, { _, _ in true }) > 0
        } catch {
            return [.corrupted, .versionMismatch].contains(error.code)
        }
    }

    /// Nothing is restored, or exactly what was asked for.
    private static func expectRightOrNothing(
        _ fixture: Fixture, _ transaction: UInt64, _ target: String, _ what: String,
        mustFail: Bool
    ) {
        do {
            let report = try Environment.restore(
                fixture.archive, to: target, .transaction(transaction))
            #expect(
                report.digest == fixture.workload.states[transaction]?.digest,
                "\(what), transaction \(transaction)")
            #expect(report.transaction == transaction, "\(what)")
            #expect(!mustFail, "\(what), transaction \(transaction)")
        } catch {}
    }

    @Test func everyDamageIsFound() throws {
        let cases = getenv("ZERODB_ARCHIVE_CASES").flatMap { Int(String(cString: $0)) } ?? 1000
        var random = SeededGenerator(seed: 77)
        let fixture = try Fixture(seed: 7)
        let whole = try Environment.listing(fixture.archive)
        let known = fixture.workload.states.keys.filter { $0 >= fixture.first }.sorted()
        for number in 0..<cases {
            let kind = Damage.allCases[number % Damage.allCases.count]
            let saved = try Self.damage(fixture, kind, &random)
            let what = "case \(number), \(kind) of \(saved.keys.sorted())"
            #expect(try Self.isFound(byVerifying: fixture.archive), "\(what)")
            if number % 4 < 2 {
                let target = fixture.place.path + ".target.\(number)"
                let transaction = random.pick(known)
                let isRead = try RestorePlan(whole, .transaction(transaction), history: nil).files
                    .contains { saved[$0] != nil }
                Self.expectRightOrNothing(
                    fixture, transaction, target, what, mustFail: isRead)
            }
            for (name, bytes) in saved { TestFile.write(bytes, to: fixture.path(name)) }
        }
        #expect(try !Self.isFound(byVerifying: fixture.archive))
    }

    @Test func aMissingIndexIsNoEmptyArchive() throws {
        let fixture = try Fixture(seed: 8)
        try #require(unlink(fixture.path(ArchiveState.indexName)) == 0)
        #expect(throws: DatabaseError.self) {
            try Environment.restore(fixture.archive, to: fixture.place.path + ".target")
        }
        let environment = try Environment(path: fixture.place.path)
        #expect(throws: DatabaseError.self) { try environment.archive(to: fixture.archive) }
        try environment.close()
    }

    @Test func aFileThatTheIndexDoesNotNameYetCounts() throws {
        let fixture = try Fixture(seed: 9)
        let index = try fixture.read(ArchiveState.indexName)
        let environment = try Environment(path: fixture.place.path)
        try environment.write { try $0.put([1], [2]) }
        let archiver = try environment.archiver(to: fixture.archive, ArchiveOptions())
        try archiver.follow()
        try archiver.finish({ _ in }, { _ in true })
        let digest = try environment.store.tipMeta().digest
        // As if the writer had been killed in between.
        TestFile.write(index, to: fixture.path(ArchiveState.indexName))
        #expect(
            try Environment.restore(fixture.archive, to: fixture.place.path + ".1").digest == digest
        )
        try environment.write { try $0.put([1], [3]) }
        try archiver.finish({ _ in }, { _ in true })
        #expect(
            try Environment.restore(fixture.archive, to: fixture.place.path + ".2").digest
                == environment.store.tipMeta().digest)
        try environment.close()
    }
}

/// Whole files.
enum TestFile {
    static func read(_ path: String) -> [UInt8]? {
        guard let file = fopen(path, "r") else { return nil }
        defer { fclose(file) }
        fseek(file, 0, SEEK_END)
        var bytes = [UInt8](repeating: 0, count: ftell(file))
        rewind(file)
        return fread(&bytes, 1, bytes.count, file) == bytes.count ? bytes : nil
    }

    static func write(_ bytes: [UInt8], to path: String) {
        guard let file = fopen(path, "w") else { return }
        defer { fclose(file) }
        _ = fwrite(bytes, 1, bytes.count, file)
    }
}
