// As a program sees the library: without @testable.
import Testing
import ZeroDB

@testable import Simulator

@Suite("The entries of a range, from Swift")
struct EntriesTests {
    private let directory: TemporaryDirectory
    private let environment: Environment

    /// An entry, copied.
    private struct Pair: Equatable {
        var key: [UInt8]
        var value: [UInt8]
    }

    init() throws {
        directory = try TemporaryDirectory()
        environment = try directory.open()
    }

    // MARK: What there must be

    /// A type of database, with its order written once more in plain Swift.
    private struct OrderedType: CustomTestStringConvertible, Sendable {
        var name: String
        var flags: DatabaseFlags
        var makeKey: @Sendable (Int) -> [UInt8]
        var isBefore: @Sendable ([UInt8], [UInt8]) -> Bool
        var testDescription: String { name }
    }

    private static let types: [OrderedType] = {
        @Sendable func text(_ number: Int) -> [UInt8] { Array("key \(number)".utf8) }
        @Sendable func number(_ number: Int) -> [UInt8] {
            withUnsafeBytes(of: UInt64(number * 257).littleEndian) { Array($0) }
        }
        @Sendable func shortNumber(_ number: Int) -> [UInt8] {
            withUnsafeBytes(of: UInt32(number * 257).littleEndian) { Array($0) }
        }
        let byBytes: @Sendable ([UInt8], [UInt8]) -> Bool = { $0.lexicographicallyPrecedes($1) }
        let byReversedBytes: @Sendable ([UInt8], [UInt8]) -> Bool = {
            $0.reversed().lexicographicallyPrecedes($1.reversed())
        }
        let asNumbers: @Sendable ([UInt8], [UInt8]) -> Bool = { value($0) < value($1) }
        return [
            OrderedType(name: "plain", flags: [], makeKey: text, isBefore: byBytes),
            OrderedType(name: "counted", flags: .counted, makeKey: text, isBefore: byBytes),
            OrderedType(
                name: "reversed", flags: .reverseKeys, makeKey: text, isBefore: byReversedBytes),
            OrderedType(
                name: "integers of 8 bytes", flags: .integerKeys, makeKey: number,
                isBefore: asNumbers),
            OrderedType(
                name: "integers of 4 bytes", flags: .integerKeys, makeKey: shortNumber,
                isBefore: asNumbers),
            OrderedType(name: "duplicates", flags: .duplicates, makeKey: text, isBefore: byBytes),
            OrderedType(
                name: "reversed with duplicates, counted",
                flags: [.reverseKeys, .duplicates, .counted], makeKey: text,
                isBefore: byReversedBytes),
            OrderedType(
                name: "integers with duplicates of one size",
                flags: [.integerKeys, .duplicates, .fixedSizeDuplicates], makeKey: number,
                isBefore: asNumbers),
        ]
    }()

    private static func value(_ littleEndian: [UInt8]) -> UInt64 {
        littleEndian.reversed().reduce(0) { $0 << 8 | UInt64($1) }
    }

    /// Puts entries for all even numbers: a single value, a few, or with duplicates now and then so
    /// many that they fill several pages.
    private func fill(
        _ type: OrderedType, _ transaction: inout WriteTransaction
    ) throws -> (Database, [Pair]) {
        let database = try transaction.createDatabase("entries", flags: type.flags)
        var pairs: [Pair] = []
        for number in stride(from: 0, to: 600, by: 2) {
            let key = type.makeKey(number)
            let many = number % 150 == 0 ? 1500 : number % 5
            let count = type.flags.contains(.duplicates) ? max(1, many) : 1
            for copy in 0..<count {
                let value = Array("value \(10_000 + copy)".utf8)
                try transaction.put(key, value, in: database)
                pairs.append(Pair(key: key, value: value))
            }
        }
        // A stable sort: the values of a key were put in their order.
        return (database, pairs.sorted { type.isBefore($0.key, $1.key) })
    }

    private func expected(_ pairs: [Pair], _ range: KeyRange, _ type: OrderedType) -> [Pair] {
        pairs.filter { pair in
            if let from = range.from, type.isBefore(pair.key, from) { return false }
            if let to = range.to, !type.isBefore(pair.key, to) { return false }
            return true
        }
    }

    /// Ends before, between and after the keys, on keys, equal, and the wrong way round.
    private func ranges(_ type: OrderedType) -> [KeyRange] {
        var generator = SeededGenerator(seed: TestSettings.seed)
        var ranges: [KeyRange] = [.all, KeyRange(from: type.makeKey(0), to: type.makeKey(0))]
        for number in [0, 1, 2, 299, 300, 301, 598, 599] {
            ranges.append(KeyRange(from: type.makeKey(number)))
            ranges.append(KeyRange(to: type.makeKey(number)))
        }
        for _ in 0..<40 {
            ranges.append(
                KeyRange(
                    from: type.makeKey(generator.below(700)), to: type.makeKey(generator.below(700))
                ))
        }
        return ranges
    }

    private func collect(_ entries: consuming Entries) throws -> [Pair] {
        var pairs: [Pair] = []
        while let entry = try entries.next() { pairs.append(copy(entry)) }
        // The end stays the end.
        let goesOn = try entries.next() != nil
        #expect(!goesOn)
        return pairs
    }

    private func copy(_ entry: borrowing Cursor.Entry) -> Pair {
        Pair(
            key: entry.key.withUnsafeBytes { Array($0) },
            value: entry.value.withUnsafeBytes { Array($0) })
    }

    private func check(
        _ transaction: borrowing some Transaction & ~Copyable, _ database: Database,
        _ pairs: [Pair], _ type: OrderedType
    ) throws {
        for range in ranges(type) {
            let expected = expected(pairs, range, type)
            let forward = try collect(try transaction.entries(range, in: database))
            try #require(
                forward == expected, "\(type.name), \(range): forwards; \(TestSettings.rerun)")
            let backward = try collect(
                try transaction.entries(range, in: database, reversed: true))
            try #require(
                backward == expected.reversed(),
                "\(type.name), \(range): reversed; \(TestSettings.rerun)")
            #expect(try transaction.count(range, in: database) == UInt64(expected.count))
        }
    }

    // MARK: Claims

    @Test(
        "Ranges of every type of database are walked in both directions, before and after a commit",
        arguments: types)
    private func walks(_ type: OrderedType) throws {
        var transaction = try environment.beginWrite()
        let (database, pairs) = try fill(type, &transaction)
        #expect(pairs.count > (type.flags.contains(.duplicates) ? 6000 : 299))
        try check(transaction, database, pairs, type)
        try transaction.commit()
        let reader = try environment.beginRead()
        try check(reader, database, pairs, type)
    }

    @Test("Reversed, the entries begin with the last value of the last key before the end")
    func beginsWithLastPair() throws {
        var transaction = try environment.beginWrite()
        let database = try transaction.createDatabase("pairs", flags: .duplicates)
        for key in ["a", "b", "c"] {
            for number in 1...3 { try transaction.put(key, "\(key)\(number)", in: database) }
        }
        for (end, first) in [("c", "b3"), ("bb", "b3"), ("b", "a3"), ("z", "c3")] {
            var entries = try transaction.entries(
                KeyRange(to: end), in: database, reversed: true)
            guard let entry = try entries.next() else {
                Issue.record("there is nothing before \(end)")
                continue
            }
            let found = copy(entry)
            #expect(found.value == Array(first.utf8), "before \(end)")
        }
        var entries = try transaction.entries(
            KeyRange(from: "b", to: "c"), in: database, reversed: true)
        var values: [String] = []
        while let entry = try entries.next() {
            values.append(String(decoding: copy(entry).value, as: UTF8.self))
        }
        #expect(values == ["b3", "b2", "b1"])
    }

    @Test("An empty database has no entries, in either direction")
    func findsNothing() throws {
        var transaction = try environment.beginWrite()
        for flags: DatabaseFlags in [[], .duplicates, .integerKeys, .reverseKeys, .counted] {
            let database = try transaction.createDatabase("\(flags.rawValue)", flags: flags)
            let end: [UInt8] = [1, 0, 0, 0]
            for range in [.all, KeyRange(from: end), KeyRange(to: end)] {
                for reversed in [false, true] {
                    let found = try collect(
                        try transaction.entries(range, in: database, reversed: reversed))
                    #expect(found.isEmpty)
                }
            }
        }
    }

    @Test("A range end that cannot be a key is refused at either end")
    func refusesEnds() throws {
        var transaction = try environment.beginWrite()
        let plain = try transaction.createDatabase("plain")
        let numbers = try transaction.createDatabase("numbers", flags: .integerKeys)
        try transaction.put([1, 0, 0, 0], "one", in: numbers)
        try transaction.put("key", "value", in: plain)
        let long = [UInt8](repeating: 7, count: environment.maxKeySize + 1)
        for (database, end) in [
            (plain, []), (plain, long), (numbers, [UInt8](repeating: 1, count: 8)),
        ] {
            for range in [KeyRange(from: end, to: nil), KeyRange(from: nil, to: end)] {
                for reversed in [false, true] {
                    do throws(DatabaseError) {
                        _ = try transaction.entries(range, in: database, reversed: reversed)
                        Issue.record("\(range) was taken")
                    } catch {
                        #expect(error.code == .badValueSize)
                    }
                    do throws(DatabaseError) {
                        _ = try transaction.count(range, in: database)
                        Issue.record("\(range) was counted")
                    } catch {
                        #expect(error.code == .badValueSize)
                    }
                }
            }
        }
    }

    @Test("A body gets each remaining entry, and its error is passed on")
    func givesEach() throws {
        struct Enough: Error {}
        try environment.write { transaction throws in
            for letter in ["a", "b", "c", "d"] { try transaction.put(letter, letter) }
        }
        let reader = try environment.beginRead()
        var entries = try reader.entries(KeyRange(from: "b"))
        _ = try entries.next()
        var rest: [[UInt8]] = []
        // There is no loop over what is no sequence.
        // swift-format-ignore: ReplaceForEachWithForLoop
        try entries.forEach { rest.append(copy($0).key) }
        #expect(rest == [Array("c".utf8), Array("d".utf8)])
        var seen = 0
        #expect(throws: Enough.self) {
            // swift-format-ignore: ReplaceForEachWithForLoop
            try reader.entries().forEach { _ in
                seen += 1
                if seen == 2 { throw Enough() }
            }
        }
        #expect(seen == 2)
    }

    @Test("The type of its ends makes no difference to a range")
    func makesRanges() {
        let bytes = Array("key".utf8)
        #expect(KeyRange(from: "key") == KeyRange(from: bytes, to: nil))
        #expect(KeyRange(to: "key".utf8) == KeyRange(from: nil, to: bytes))
        #expect(KeyRange(from: "key", to: bytes[...]) == KeyRange(from: bytes, to: bytes))
        #expect(KeyRange() == .all)
    }
}
