import Testing

@testable import Simulator
@testable import ZeroDB

/// A put that goes right behind the last entry does without a search. Whatever happens between two such
/// puts must not be taken for the end of the tree.
@Suite("Runs of ascending keys")
struct AppendRunTests {
    private typealias Content = [[UInt8]: [UInt8]]

    /// Two databases, of which one is appended to now and then the other, and a model of each.
    private final class Run {
        let environment: Environment
        let second: Database
        var random: SeededGenerator
        var contents = [Content(), Content()]
        var counters = [UInt64](repeating: 0, count: 2)
        let keyFill: Int
        let pageSize: Int

        init(_ flags: DatabaseFlags, pageSize: Int, keyFill: Int, seed: UInt64) throws {
            self.pageSize = pageSize
            self.keyFill = keyFill
            random = SeededGenerator(seed: seed)
            environment = try Environment.inMemory {
                $0.pageSize = pageSize
                $0.maxTransactionPages = 0
                $0.logSize = 1 << 20
            }
            second = try environment.write { transaction throws in
                try transaction.createMain(flags: flags)
                return try transaction.createDatabase("second", flags: flags)
            }
        }

        func database(_ number: Int) -> Database { number == 0 ? .main : second }

        func nextKey(_ number: Int) -> [UInt8] {
            counters[number] += random.chance(90) ? 1 : UInt64(1 + random.below(1000))
            let prefix = [UInt8](repeating: 0x61, count: keyFill)
            return prefix + withUnsafeBytes(of: counters[number].bigEndian) { Array($0) }
        }

        func value() -> [UInt8] {
            random.bytes(
                random.chance(2) ? random.below(3 * pageSize) : random.below(pageSize / 24))
        }

        func step(
            _ transaction: inout WriteTransaction, _ contents: inout [Content], depth: Int
        ) throws {
            let number = random.chance(85) ? 0 : 1
            let database = database(number)
            switch random.below(100) {
            case 0..<62:
                let (key, value) = (nextKey(number), value())
                if random.chance(50) {
                    try transaction.put(key, value, in: database)
                } else {
                    try transaction.append(key, value, in: database)
                }
                contents[number][key] = value
            case 62..<68:
                // Somewhere else, or over what is there.
                var key = nextKey(number)
                counters[number] -= 1
                key[key.count - 3] = UInt8(random.below(256))
                let value = value()
                try transaction.put(key, value, in: database)
                contents[number][key] = value
                let last = contents[number].keys.max { keyOrder($0, $1) < 0 }
                if last == key { counters[number] += 1 << 24 }
            case 68..<74:
                guard let key = contents[number].keys.max(by: { keyOrder($0, $1) < 0 }) else {
                    return
                }
                let isDeleted = try transaction.delete(key, in: database)
                #expect(isDeleted)
                contents[number][key] = nil
            case 74..<78:
                guard let key = contents[number].keys.randomElement(using: &random) else { return }
                let isDeleted = try transaction.delete(key, in: database)
                #expect(isDeleted)
                contents[number][key] = nil
            case 78..<82:
                // Changes nothing, but looks somewhere else.
                guard let key = contents[number].keys.randomElement(using: &random) else { return }
                let value = value()
                let isInserted = try transaction.insert(key, value, in: database)
                #expect(!isInserted)
                let isDeleted = try transaction.delete(key + [0], in: database)
                #expect(!isDeleted)
            case 82..<86:
                guard let key = contents[number].keys.randomElement(using: &random) else { return }
                // Not behind the last one.
                do {
                    try transaction.append(key, [1], in: database)
                    Issue.record("a key was appended that is not the last")
                } catch {
                    #expect(error.code == .notSorted)
                }
            case 86..<95:
                guard depth < 3 else { return }
                var inner = contents
                let isKept = random.chance(60)
                do {
                    try transaction.nested { nested throws in
                        for _ in 0..<random.below(40) {
                            try step(&nested, &inner, depth: depth + 1)
                        }
                        if !isKept { throw Abandoned() }
                    }
                    contents = inner
                } catch is Abandoned {}
            case 95..<99:
                guard let (key, value) = contents[number].randomElement(using: &random) else {
                    return
                }
                let found = try transaction.get(key, in: database)
                #expect(found == value)
            default:
                guard random.chance(15) else { return }
                try transaction.clear(database)
                contents[number] = [:]
            }
        }

        func compare() throws {
            for number in 0..<2 {
                let sorted = contents[number].sorted { keyOrder($0.key, $1.key) < 0 }
                try environment.read { transaction throws in
                    var cursor = try transaction.cursor(in: database(number))
                    var place = 0
                    while let entry = try cursor.next() {
                        try #require(place < sorted.count)
                        let found = (
                            entry.key.withUnsafeBytes { Array($0) },
                            entry.value.withUnsafeBytes { Array($0) }
                        )
                        try #require(found.0 == sorted[place].key)
                        try #require(found.1 == sorted[place].value)
                        place += 1
                    }
                    try #require(place == sorted.count)
                }
            }
            var problems: [String] = []
            _ = try environment.verify { problems.append($0.message) }
            try #require(problems == [])
        }
    }

    private struct Abandoned: Error {}

    @Test(
        "Appended runs with everything in between hold what a model says",
        arguments: [DatabaseFlags(), .counted], [4096, 65536])
    func matchesModel(flags: DatabaseFlags, pageSize: Int) throws {
        for (round, keyFill) in [0, 3, 40, 300].enumerated() {
            let run = try Run(
                flags, pageSize: pageSize, keyFill: keyFill,
                seed: TestSettings.seed + UInt64(round))
            for _ in 0..<12 {
                var contents = run.contents
                var transaction = try run.environment.beginWrite()
                for _ in 0..<run.random.below(400) {
                    try run.step(&transaction, &contents, depth: 0)
                }
                if run.random.chance(80) {
                    try transaction.commit()
                    run.contents = contents
                } else {
                    transaction.abort()
                }
                try run.compare()
            }
        }
    }

    @Test("Ascending keys leave full leaves, and long prefixes are kept once")
    func fillsLeaves() throws {
        for fill in [0, 60] {
            let environment = try Environment.inMemory { $0.maxTransactionPages = 0 }
            let prefix = [UInt8](repeating: 0x70, count: fill)
            let count: UInt64 = 20_000
            try environment.write { transaction throws in
                for number in 0..<count {
                    try transaction.put(
                        prefix + withUnsafeBytes(of: number.bigEndian) { Array($0) },
                        [UInt8](repeating: 1, count: 100))
                }
            }
            let statistics = try environment.read { try $0.statistics() }
            // A slot, the length and the value; of the keys all but some bytes is the leaf's prefix.
            let perEntry = UInt64(8 + 2 + 100 + 4)
            #expect(statistics.leafPages <= count * perEntry / 4096 * 104 / 100 + 1)
            #expect(try environment.verify().problems == 0)
        }
    }
}
