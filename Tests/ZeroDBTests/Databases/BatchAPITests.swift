// As a program sees the library: without @testable.
import Testing
import ZeroDB

@Suite("Many entries in one call, from Swift")
struct BatchAPITests {
    private let directory: TemporaryDirectory
    private let environment: Environment

    init() throws {
        directory = try TemporaryDirectory()
        environment = try directory.open()
        try environment.write { writer throws in
            for number in 100..<900 { try writer.put("\(number)", "value \(number)") }
        }
    }

    @Test("Many keys are looked up at once, in their order")
    func getsMany() throws {
        try environment.read { reader throws in
            let keys = (0..<1000).reversed().map { "\($0)" }
            let values = try reader.get(keys)
            for (key, value) in zip(keys, values) {
                #expect(value == (key.count == 3 && key < "900" ? Array("value \(key)".utf8) : nil))
            }
            #expect(try reader.get([String]()) == [])
            #expect(try reader.get([[0x31, 0x30, 0x30]]).first == Array("value 100".utf8))
        }
        let reader = try environment.beginRead()
        #expect(throws: DatabaseError.self) { _ = try reader.get(["100", ""]) }
    }

    @Test("A range is counted and deleted")
    func countsAndDeletesRanges() throws {
        try environment.write { writer throws in
            #expect(try writer.count() == 800)
            #expect(try writer.count(KeyRange(from: "200", to: "300")) == 100)
            #expect(try writer.count(KeyRange(from: "850")) == 50)
            #expect(try writer.count(KeyRange(to: "150")) == 50)
            #expect(try writer.count(KeyRange(from: "300", to: "200")) == 0)
            #expect(try writer.delete(KeyRange(from: "200", to: "300")) == 100)
            #expect(try writer.count(KeyRange(from: "200", to: "300")) == 0)
            #expect(try writer.get("300") != nil)
            #expect(try writer.delete(.all) == 700)
            #expect(try writer.statistics().entries == 0)
        }
    }

    @Test("A value is written in place")
    func reserves() throws {
        try environment.write { writer throws in
            try writer.put("space", reserving: 5000) { space in
                space.storeBytes(of: 7, toByteOffset: 0, as: UInt8.self)
                space.storeBytes(of: 9, toByteOffset: 4999, as: UInt8.self)
            }
            try writer.put("after", "it")
        }
        try environment.read { reader throws in
            let value = try #require(try reader.get("space"))
            #expect(value.count == 5000 && value.first == 7 && value.last == 9)
            #expect(value.dropFirst().dropLast().allSatisfy { $0 == 0 })
        }
    }

    @Test("A cursor returns entries in runs and stays on the last")
    func runs() throws {
        let reader = try environment.beginRead()
        var cursor = try reader.cursor()
        var seen: [String] = []
        let first = try cursor.forNext(300) { entry throws(DatabaseError) in
            seen.append(entry.key.withUnsafeBytes { String(decoding: $0, as: UTF8.self) })
        }
        #expect(first == 300 && seen == (100..<400).map { "\($0)" })
        if let entry = try cursor.current() {
            let isLast = entry.key.withUnsafeBytes { Array($0) } == Array("399".utf8)
            #expect(isLast)
        }
        let rest = try cursor.forNext(Int.max) { _ throws(DatabaseError) in }
        let none = try cursor.forNext(10) { _ throws(DatabaseError) in }
        #expect(rest == 500 && none == 0)
    }

    @Test("Keys are ordered by their bytes")
    func compares() throws {
        try environment.read { reader throws in
            #expect(try reader.compareKeys("a", "ab") < 0)
            #expect(try reader.compareKeys("b", "ab") > 0)
            #expect(try reader.compareKeys("ab", "ab") == 0)
        }
    }

    @Test("A database does not order integers of another size")
    func refusesToCompareSizes() throws {
        var transaction = try environment.beginWrite()
        let integers = try transaction.createDatabase("integers", flags: .integerKeys)
        func refuses(_ left: Int, _ right: Int) -> Bool {
            do throws(DatabaseError) {
                _ = try transaction.compareKeys(
                    [UInt8](repeating: 0, count: left), [UInt8](repeating: 0, count: right),
                    in: integers)
                return false
            } catch {
                return error.code == .badValueSize
            }
        }
        #expect(!refuses(4, 4) && !refuses(8, 8))
        #expect(refuses(4, 8) && refuses(8, 4) && refuses(3, 3))
        try transaction.put([UInt8](repeating: 1, count: 8), "eight", in: integers)
        #expect(!refuses(8, 8))
        #expect(refuses(4, 8) && refuses(8, 4) && refuses(4, 4))
    }
}
