import Glibc
import LMDBFile
import Testing

@testable import Simulator

/// The reader of LMDB's files.
@Suite("Files of LMDB")
struct LMDBFileTests {
    @Test("Every layout is read as LMDB reads it", arguments: LMDBFixture.names)
    func readsAll(_ name: String) throws {
        let expected = try LMDBFixture.content()
        let found = try LMDBFixture.read(LMDBFixture.path(name))
        #expect(found.map(\.name) == expected.map(\.name))
        for (database, other) in zip(found, expected) { #expect(database == other) }
    }

    @Test("What is no file of LMDB is refused")
    func refusesOthers() throws {
        let directory = try TemporaryDirectory()
        for bytes in [[], [UInt8](repeating: 0, count: 8192), Array("text".utf8)] {
            try LMDBFixture.write(bytes, to: directory.path)
            #expect(throws: LMDBError.self) { try LMDBFixture.read(directory.path) }
        }
        #expect(throws: LMDBError.self) { try LMDBFixture.read(directory.path + "-absent") }
    }

    @Test("Encrypted pages and pages with checksums are refused by name")
    func refusesForms() throws {
        let directory = try TemporaryDirectory()
        let original = try LMDBFixture.bytes(LMDBFixture.path("1.0-64"))
        var encrypted = original
        // The flags of the first tree of both meta pages.
        for page in [0, 4096] { encrypted[page + 24 + 24 + 5] |= 0x20 }
        var summed = original
        summed[4094] = 32
        for (bytes, word) in [(encrypted, "encrypted"), (summed, "checksums")] {
            try LMDBFixture.write(bytes, to: directory.path)
            let error = #expect(throws: LMDBError.self) { try LMDBFixture.read(directory.path) }
            #expect(error?.message.contains(word) == true)
        }
    }

    @Test("Versions that are not known, and big-endian machines, are named")
    func refusesVersions() throws {
        let directory = try TemporaryDirectory()
        let original = try LMDBFixture.bytes(LMDBFixture.path("0.9-64"))
        var newer = original
        newer[20] = 9
        var swapped = original
        swapped.replaceSubrange(16..<20, with: [0xbe, 0xef, 0xc0, 0xde])
        for (bytes, word) in [(newer, "version 9"), (swapped, "big-endian")] {
            try LMDBFixture.write(bytes, to: directory.path)
            let error = #expect(throws: LMDBError.self) { try LMDBFixture.read(directory.path) }
            #expect(error?.message.contains(word) == true, "\(word): \(error?.message ?? "")")
        }
    }

    @Test("A program that writes meanwhile is noticed")
    func noticesWriters() throws {
        let directory = try TemporaryDirectory()
        var bytes = try LMDBFixture.bytes(LMDBFixture.path("0.9-64"))
        try LMDBFixture.write(bytes, to: directory.path)
        let file = try LMDBFile(path: directory.path)
        try file.checkUnchanged()
        // The transaction of the second meta page.
        bytes[4096 + 16 + 24 + 96 + 8] += 2
        try LMDBFixture.write(bytes, to: directory.path)
        #expect(throws: LMDBError.self) { try file.checkUnchanged() }
    }

    // MARK: Damage

    private static let cases = getenv("ZERODB_LMDB_CASES").flatMap { Int(String(cString: $0)) }

    @Test("Damage is an error, or the entries are right", arguments: LMDBFixture.names)
    func noticesDamage(_ name: String) throws {
        let directory = try TemporaryDirectory()
        let original = try LMDBFixture.bytes(LMDBFixture.path(name))
        let expected = try LMDBFixture.content()
        let pageSize = name.hasSuffix("small") ? 1024 : 4096
        var errors = 0
        let count = Self.cases.map { $0 / LMDBFixture.names.count } ?? 100
        for seed in 0..<UInt64(count) {
            let damaged = LMDBMutation(
                original, pageSize: pageSize, seed: TestSettings.seed &* 1_000_000 &+ seed)
            try LMDBFixture.write(damaged.bytes, to: directory.path)
            let found: [LMDBFixture.Content]
            do {
                found = try LMDBFixture.read(directory.path)
            } catch {
                errors += 1
                continue
            }
            let differences = Self.differences(found, expected)
            #expect(
                differences <= damaged.differencesMax,
                "case \(seed): \(damaged.description): \(differences) entries differ")
        }
        if Self.cases != nil { print("\(name): \(count) cases, \(errors) errors") }
    }

    /// Keys and values that are not what they should be.
    private static func differences(
        _ found: [LMDBFixture.Content], _ expected: [LMDBFixture.Content]
    ) -> Int {
        guard found.count == expected.count else { return .max }
        var values = 0
        var keys: Set<Substring> = []
        for (database, other) in zip(found, expected) {
            guard database.entries.count == other.entries.count else { return .max }
            for (entry, right) in zip(database.entries, other.entries) where entry != right {
                let parts = entry.split(separator: " ", omittingEmptySubsequences: false)
                let rightParts = right.split(separator: " ", omittingEmptySubsequences: false)
                // All values of a key have another key if its only copy has.
                if parts[0] != rightParts[0] { keys.insert(rightParts[0]) }
                if parts[1] != rightParts[1] { values += 1 }
            }
        }
        return keys.count + values
    }
}
