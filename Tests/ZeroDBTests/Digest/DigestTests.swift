import Testing

@testable import Simulator
@testable import ZeroDB

/// What the digest of content promises. That it is right after every kind of change is shown by the
/// model tests, which compare it all the time.
@Suite("Content digests")
struct DigestTests {
    private struct TakenBack: Error {}

    private func digest(_ environment: Environment) throws -> ContentDigest {
        try environment.read { try $0.statistics().digest }
    }

    /// Key and value of a number, of different lengths.
    private static func pair(_ number: UInt64) -> (key: [UInt8], value: [UInt8]) {
        var random = SeededGenerator(seed: number)
        let key = KeyMaker.bigEndian(random.next()) + KeyMaker.bigEndian(number)
        return (key, KeyMaker.bigEndian(random.next()) + key.prefix(Int(number % 17)))
    }

    @Test("A million entries have one digest, however they came to be", .timeLimit(.minutes(1)))
    func millionEntries() throws {
        let count: UInt64 = 1_000_000
        let first = try Environment.inMemory { $0.maxTransactionPages = 0 }
        try first.write { writer throws in
            for number in 0..<count {
                let pair = Self.pair(number)
                try writer.put(pair.key, pair.value)
            }
        }
        let second = try Environment.inMemory {
            $0.pageSize = 16384
            $0.maxTransactionPages = 0
        }
        // Backwards, in several transactions and nested ones, beside entries that go again.
        let parts: UInt64 = 10
        for part in (0..<parts).reversed() {
            let numbers = (count / parts * part)..<(count / parts * (part + 1))
            try second.write { writer throws in
                for number in numbers.reversed() {
                    let pair = Self.pair(number)
                    if number % 16 == 0 { try writer.put(pair.key + [1], pair.value) }
                    if number % 32 == 0 { try writer.put(pair.key, Array("other".utf8)) }
                    if number % 1000 == 7 {
                        try writer.nested { try $0.put(pair.key, pair.value) }
                        do {
                            try writer.nested { nested throws in
                                try nested.put(pair.key, [1, 2, 3])
                                try nested.delete(Self.pair(number + 1).key)
                                throw TakenBack()
                            }
                        } catch is TakenBack {}
                    } else {
                        try writer.put(pair.key, pair.value)
                    }
                }
                for number in numbers where number % 16 == 0 {
                    try writer.delete(Self.pair(number).key + [1])
                }
            }
        }
        let expected = try digest(first)
        #expect(try digest(second) == expected)
        #expect(try first.info().digest == second.info().digest)
        #expect(try second.verify().problems == 0)

        // One bit of any key or value.
        var random = SeededGenerator(seed: 5)
        for _ in 0..<100 {
            let (key, value) = Self.pair(random.next() % count)
            var (otherKey, otherValue) = (key, value)
            let bit = random.below((key.count + value.count) * 8)
            if bit / 8 < key.count {
                otherKey[bit / 8] ^= 1 << UInt8(bit % 8)
            } else {
                otherValue[bit / 8 - key.count] ^= 1 << UInt8(bit % 8)
            }
            try second.write { writer throws in
                if otherKey != key { try writer.delete(key) }
                try writer.put(otherKey, otherValue)
            }
            #expect(try digest(second) != expected)
            try second.write { writer throws in
                if otherKey != key { try writer.delete(otherKey) }
                try writer.put(key, value)
            }
            #expect(try digest(second) == expected)
        }
    }

    @Test("Where a key ends and its value begins is part of the digest")
    func boundaries() throws {
        let environment = try Environment.inMemory()
        try environment.write { try $0.put("ab", "c") }
        let first = try digest(environment)
        try environment.write { writer throws in
            try writer.clear()
            try writer.put("a", "bc")
        }
        #expect(try digest(environment) != first)
        try environment.write { try $0.clear() }
        #expect(try digest(environment) == ContentDigest(low: 0, high: 0))
    }

    @Test("A value has the same digest in a leaf and in an overflow run")
    func largeValues() throws {
        let value = [UInt8](repeating: 7, count: 5000)
        let small = try Environment.inMemory()
        let large = try Environment.inMemory { $0.pageSize = 65536 }
        for environment in [small, large] {
            try environment.write { writer throws in
                try writer.put("large", value)
                try writer.put("larger", value + value)
                try writer.put("larger", value)
                try writer.put("deleted", value)
                try writer.delete("deleted")
            }
        }
        #expect(try small.read { try $0.statistics().overflowPages } > 0)
        #expect(try large.read { try $0.statistics().overflowPages } == 0)
        #expect(try digest(small) == digest(large))
        #expect(
            try digest(small).number == ModelDigest.pair(Array("large".utf8), value)
                &+ ModelDigest.pair(Array("larger".utf8), value))
    }

    @Test(
        "A value that is filled in place counts as it is at the end",
        arguments: [10, 5000, 100_000])
    func reserved(count: Int) throws {
        let environment = try Environment.inMemory()
        let put = try Environment.inMemory()
        func fill(_ writer: inout WriteTransaction, _ byte: UInt8) throws {
            try writer.put("key", reserving: count) { space in
                for offset in 0..<count {
                    space.storeBytes(of: byte, toByteOffset: offset, as: UInt8.self)
                }
            }
        }
        func expected(_ byte: UInt8) -> UInt128 {
            ModelDigest.pair(Array("key".utf8), [UInt8](repeating: byte, count: count))
        }
        try environment.write { writer throws in
            try fill(&writer, 1)
            #expect(try writer.statistics().digest.number == expected(1))
            try fill(&writer, 2)
            #expect(try writer.statistics().digest.number == expected(2))
            do {
                try writer.nested { nested throws in
                    try fill(&nested, 3)
                    #expect(try nested.statistics().digest.number == expected(3))
                    throw TakenBack()
                }
            } catch is TakenBack {}
            #expect(try writer.statistics().digest.number == expected(2))
            try writer.nested { try fill(&$0, 4) }
            #expect(try writer.statistics().digest.number == expected(4))
            try fill(&writer, 5)
        }
        #expect(try digest(environment).number == expected(5))
        try environment.write { try $0.put("key", [UInt8](repeating: 6, count: count)) }
        try put.write { try $0.put("key", [UInt8](repeating: 6, count: count)) }
        #expect(try environment.info().digest == put.info().digest)
        for durability in [Durability.full, .none] {
            var writer = try environment.beginWrite(durability: durability)
            try fill(&writer, 7)
            try writer.commit()
            #expect(try digest(environment).number == expected(7))
            #expect(try environment.verify().problems == 0)
        }
    }

    @Test("Filling space goes on being counted after the statistics have been asked for")
    func reservedAndAsked() throws {
        let environment = try Environment.inMemory()
        var writer = try environment.beginWrite()
        let operations = writer.access.operations
        let key = Array("key".utf8)
        let reserved = try key.withBytes { key throws(DatabaseError) in
            try operations.reserve(0, key, count: 3000, mode: .overwrite)
        }
        guard case .space(let space) = reserved else { return }
        space[0] = 1
        let first = try writer.statistics().digest
        space[1] = 2
        let second = try writer.statistics().digest
        #expect(first != second)
        space[2] = 3
        try writer.put("other", "value")
        try writer.commit()
        let value: [UInt8] = [1, 2, 3] + [UInt8](repeating: 0, count: 2997)
        #expect(
            try digest(environment).number == ModelDigest.pair(key, value)
                &+ ModelDigest.pair(Array("other".utf8), Array("value".utf8)))
        #expect(try environment.verify().problems == 0)
    }

    @Test("An environment's digest is that of its databases with their names and flags")
    func environments() throws {
        let environment = try Environment.inMemory()
        let empty = try environment.info().digest
        #expect(empty.number == ModelDigest.database("", ReferenceModel()))
        try environment.write { _ = try $0.createDatabase("a") }
        let one = try environment.info().digest
        #expect(one.number == empty.number &+ ModelDigest.database("a", ReferenceModel()))
        try environment.write { writer throws in
            let database = try writer.database("a")
            try writer.put("key", "value", in: database)
            _ = try writer.rename(database, to: "b")
        }
        var model = ReferenceModel()
        model.put(Array("key".utf8), .bytes(Array("value".utf8)))
        #expect(
            try environment.info().digest.number
                == empty.number &+ ModelDigest.database("b", model))
        try environment.write { try $0.drop(try $0.database("b")) }
        #expect(try environment.info().digest == empty)
        try environment.write { _ = try $0.createDatabase("a", flags: .duplicates) }
        #expect(try environment.info().digest != one)
        try environment.close()
    }

    @Test("What a transaction has changed does not show in the digest of an older snapshot")
    func snapshots() throws {
        let environment = try Environment.inMemory()
        try environment.write { try $0.put("key", "1") }
        let reader = try environment.beginRead()
        let before = try reader.statistics().digest
        try environment.write { try $0.put("key", "2") }
        #expect(try reader.statistics().digest == before)
        #expect(try digest(environment) != before)
    }
}
