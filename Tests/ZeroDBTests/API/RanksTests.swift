// As a program sees the library: without @testable.
import Testing
import ZeroDB

@Suite("Ranks, from Swift")
struct RanksTests {
    private let directory: TemporaryDirectory
    private let environment: Environment
    private let counted: Database

    /// Three digits, so that keys are in the order of their numbers.
    private static let keys = (100..<900).map { "\($0)" }

    init() throws {
        directory = try TemporaryDirectory()
        environment = try directory.open()
        counted = try environment.write { transaction throws in
            let counted = try transaction.createDatabase("counted", flags: .counted)
            for key in Self.keys { try transaction.put(key, "value", in: counted) }
            return counted
        }
    }

    @Test("A key's rank is how many entries come before it, there or not")
    func ranks() throws {
        let reader = try environment.beginRead()
        for (rank, key) in Self.keys.enumerated() {
            #expect(try reader.rank(of: key, in: counted) == UInt64(rank))
            #expect(try reader.rank(of: key + "x", in: counted) == UInt64(rank + 1))
        }
        #expect(try reader.rank(of: "0", in: counted) == 0)
        var cursor = try reader.cursor(in: counted)
        for rank in [0, 1, 399, 798, 799] {
            if let entry = try cursor.seek(toRank: UInt64(rank)) {
                let key = entry.key.withUnsafeBytes { String(decoding: $0, as: UTF8.self) }
                #expect(key == Self.keys[rank])
            } else {
                Issue.record("there is no entry of rank \(rank)")
            }
            #expect(try cursor.rank() == UInt64(rank))
        }
        for rank in [800, UInt64.max] {
            let isThere = try cursor.seek(toRank: rank) != nil
            #expect(!isThere)
        }
        do throws(DatabaseError) {
            _ = try cursor.rank()
            Issue.record("a cursor on no entry has a rank")
        } catch {
            #expect(error.code == .badCursor)
        }
    }

    @Test("Parts of a range are equal, follow one another, and are the range together")
    func splits() throws {
        let reader = try environment.beginRead()
        let ranges: [KeyRange] = [
            .all, KeyRange(from: "300"), KeyRange(to: "300"), KeyRange(from: "250", to: "777"),
        ]
        for range in ranges {
            let total = try reader.count(range, in: counted)
            for parts in [1, 2, 3, 7, 64] {
                let split = try reader.split(range, into: parts, in: counted)
                #expect(split.count == parts)
                #expect(split.first?.from == range.from && split.last?.to == range.to)
                var counts: [UInt64] = []
                for (index, part) in split.enumerated() {
                    if index > 0 { #expect(part.from != nil && part.from == split[index - 1].to) }
                    counts.append(try reader.count(part, in: counted))
                }
                #expect(counts.reduce(0, +) == total)
                let least = try #require(counts.min())
                let most = try #require(counts.max())
                #expect(most - least <= 1, "\(range) in \(parts): \(counts)")
            }
        }
    }

    @Test("Where there are fewer keys than parts, there are fewer parts, and never none")
    func splitsFewKeys() throws {
        let reader = try environment.beginRead()
        let few = KeyRange(from: "500", to: "503")
        #expect(try reader.split(few, into: 10, in: counted).count == 3)
        let none = KeyRange(from: "500x", to: "501")
        #expect(try reader.split(none, into: 10, in: counted) == [none])
        let turned = KeyRange(from: "600", to: "500")
        #expect(try reader.split(turned, into: 10, in: counted) == [turned])
        #expect(try reader.split(.all, into: 0, in: counted) == [.all])
    }

    @Test("The values of one key stay in one part")
    func keepsPairsTogether() throws {
        try environment.write { writer throws in
            let pairs = try writer.createDatabase("pairs", flags: [.counted, .duplicates])
            for number in 0..<2000 { try writer.put("many", "\(number)", in: pairs) }
            for key in ["a", "b", "x", "y"] { try writer.put(key, "1", in: pairs) }
            #expect(try writer.rank(of: "x", in: pairs) == 2002)
            var counts: [UInt64] = []
            for part in try writer.split(into: 4, in: pairs) {
                counts.append(try writer.count(part, in: pairs))
            }
            #expect(counts.reduce(0, +) == 2004)
            #expect(counts.contains { $0 >= 2000 })
        }
    }

    @Test("A database that is not counted has no ranks")
    func refusesUncounted() throws {
        try environment.write { try $0.put("key", "value") }
        let reader = try environment.beginRead()
        expectFailure(.incompatible) { _ = try reader.rank(of: "key") }
        expectFailure(.incompatible) { _ = try reader.split(into: 2) }
        expectFailure(.badValueSize) { _ = try reader.rank(of: "", in: counted) }
        var cursor = try reader.cursor()
        do throws(DatabaseError) {
            _ = try cursor.seek(toRank: 0)
            Issue.record("a rank was found")
        } catch {
            #expect(error.code == .incompatible)
        }
    }
}
