// As a program sees the library: without @testable.
import Testing
import ZeroDB

@Suite("Several values for a key, from Swift")
struct DuplicatesTests {
    private let directory: TemporaryDirectory
    private let environment: Environment
    private let pairs: Database

    init() throws {
        directory = try TemporaryDirectory()
        environment = try directory.open()
        pairs = try environment.write { transaction throws in
            let pairs = try transaction.createDatabase("pairs", flags: .duplicates)
            for key in ["b", "d"] {
                for number in [3, 1, 5] { try transaction.put(key, "\(key)\(number)", in: pairs) }
            }
            try transaction.put("c", "only", in: pairs)
            return pairs
        }
    }

    private func value(_ entry: Cursor.Entry?) -> String? {
        guard let entry else { return nil }
        return entry.value.withUnsafeBytes { String(decoding: $0, as: UTF8.self) }
    }

    private func texts(_ values: [[UInt8]]) -> [String] {
        values.map { String(decoding: $0, as: UTF8.self) }
    }

    @Test("The values of a key come in order, and a get returns the first")
    func ordersValues() throws {
        try environment.read { reader throws in
            #expect(texts(try reader.values(for: "b", in: pairs)) == ["b1", "b3", "b5"])
            #expect(texts(try reader.values(for: "c", in: pairs)) == ["only"])
            #expect(try reader.values(for: "a", in: pairs).isEmpty)
            #expect(try reader.get("d", in: pairs) == Array("d1".utf8))
            #expect(try reader.statistics(of: pairs).entries == 7)
            #expect(try reader.statistics(of: pairs).keys == 3)
            #expect(try reader.compareValues("b1", "b3", in: pairs) < 0)
            #expect(try reader.compareValues("b3", "b3", in: pairs) == 0)
        }
    }

    @Test("Without duplicates a key has one value")
    func hasOneValue() throws {
        try environment.write { writer throws in
            try writer.put("key", "old")
            try writer.put("key", "new")
            #expect(texts(try writer.values(for: "key")) == ["new"])
            #expect(try writer.values(for: "other").isEmpty)
        }
    }

    @Test("Pairs are put, appended and deleted one by one")
    func changesPairs() throws {
        try environment.write { writer throws in
            #expect(try writer.insertPair("b", "b2", in: pairs))
            #expect(try !writer.insertPair("b", "b2", in: pairs))
            try writer.appendPair("b", "b6", in: pairs)
            #expect(try writer.deletePair("b", "b3", in: pairs))
            #expect(try !writer.deletePair("b", "b3", in: pairs))
            #expect(try !writer.deletePair("z", "b3", in: pairs))
            #expect(texts(try writer.values(for: "b", in: pairs)) == ["b1", "b2", "b5", "b6"])
            #expect(try writer.delete("b", in: pairs))
            #expect(try writer.values(for: "b", in: pairs).isEmpty)
            #expect(try writer.statistics(of: pairs).entries == 4)
        }
        expectFailure(.notSorted) {
            try environment.write { try $0.appendPair("d", "d4", in: pairs) }
        }
        #expect(try environment.verify().problems == 0)
    }

    @Test("A cursor moves among the values of a key, and from key to key")
    func movesAmongValues() throws {
        let reader = try environment.beginRead()
        var cursor = try reader.cursor(in: pairs)
        #expect(value(try cursor.nextKey()) == "b1")
        #expect(try cursor.valueCount() == 3)
        #expect(value(try cursor.nextValue()) == "b3")
        #expect(value(try cursor.lastValue()) == "b5")
        #expect(value(try cursor.nextValue()) == nil)
        #expect(value(try cursor.current()) == "b5")
        #expect(value(try cursor.previousValue()) == "b3")
        #expect(value(try cursor.firstValue()) == "b1")
        #expect(value(try cursor.previousValue()) == nil)
        #expect(value(try cursor.current()) == "b1")
        #expect(value(try cursor.nextKey()) == "only")
        #expect(try cursor.valueCount() == 1)
        #expect(value(try cursor.nextValue()) == nil)
        #expect(value(try cursor.nextKey()) == "d1")
        #expect(value(try cursor.nextKey()) == nil)
        #expect(value(try cursor.previousKey()) == "only")
        #expect(value(try cursor.previousKey()) == "b5")
        #expect(value(try cursor.previousKey()) == nil)
        var other = try reader.cursor(in: pairs)
        #expect(value(try other.previousKey()) == "d5")
    }

    @Test("A cursor finds a pair, or the first value at or after one")
    func seeksPairs() throws {
        let reader = try environment.beginRead()
        var cursor = try reader.cursor(in: pairs)
        #expect(value(try cursor.seek(to: "b", value: "b3")) == "b3")
        #expect(value(try cursor.seek(to: "b", value: "b4")) == nil)
        #expect(value(try cursor.seek(to: "a", value: "b3")) == nil)
        #expect(value(try cursor.seek(to: "b", valueAtOrAfter: "b4")) == "b5")
        #expect(value(try cursor.seek(to: "b", valueAtOrAfter: "b6")) == nil)
        #expect(value(try cursor.seek(to: "a", valueAtOrAfter: "b1")) == nil)
        // Nowhere now: the next is the first.
        #expect(value(try cursor.next()) == "b1")
    }

    @Test("Without duplicates, operations on values are refused; moving from key to key is not")
    func refusesWithoutDuplicates() throws {
        try environment.write { writer throws in
            try writer.put("one", "1")
            try writer.put("two", "2")
        }
        expectFailure(.incompatible) { _ = try environment.write { try $0.insertPair("one", "2") } }
        expectFailure(.incompatible) { try environment.write { try $0.appendPair("one", "2") } }
        expectFailure(.incompatible) { _ = try environment.write { try $0.deletePair("one", "1") } }
        let reader = try environment.beginRead()
        expectFailure(.incompatible) { _ = try reader.compareValues("1", "2") }
        var cursor = try reader.cursor()
        #expect(value(try cursor.nextKey()) == "1")
        do throws(DatabaseError) {
            _ = try cursor.nextValue()
            Issue.record("there is a next value")
        } catch {
            #expect(error.code == .incompatible)
        }
        do throws(DatabaseError) {
            _ = try cursor.valueCount()
            Issue.record("there are values to count")
        } catch {
            #expect(error.code == .incompatible)
        }
        do throws(DatabaseError) {
            _ = try cursor.seek(to: "one", value: "1")
            Issue.record("there is a pair to find")
        } catch {
            #expect(error.code == .incompatible)
        }
        #expect(value(try cursor.nextKey()) == "2")
        #expect(value(try cursor.previousKey()) == "1")
    }
}
