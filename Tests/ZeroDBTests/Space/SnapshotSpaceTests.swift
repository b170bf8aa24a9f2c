import Testing

@testable import Simulator
@testable import ZeroDB

/// Old readers cost what they see, and nothing that came after: the pages that the snapshots and the newest
/// state reach are counted, and compared with the file.
@Suite("Space between snapshots")
struct SnapshotSpaceTests {
    /// What the transactions do.
    struct Load: Sendable, CustomTestStringConvertible {
        var name: String
        var testDescription: String { name }
        var keys = 20_000
        var valueSize = 300
        /// Operations of a transaction.
        var operations = 1
        /// Of 100 operations, how many delete.
        var deletePercent = 0
        /// Of 100 values, how many are too large for a page.
        var largePercent = 0
        /// Values that each key has at first, of twice as many that it may have.
        var values = 1
        var commits = 12_000
        /// Commits from one checkpoint to the next.
        var commitsPerCheckpoint = 150
        var durability = Durability.relaxed
    }

    static let loads = [
        Load(name: "puts of one key"),
        Load(name: "puts and deletes of one key", deletePercent: 40),
        Load(
            name: "values in overflow runs", keys: 3000, largePercent: 20, commits: 6000,
            commitsPerCheckpoint: 60),
        Load(name: "trees of values", keys: 100, valueSize: 40, values: 500),
        Load(
            name: "puts of thirty keys", operations: 30, commits: 1500, commitsPerCheckpoint: 15),
        Load(name: "few checkpoints", commitsPerCheckpoint: 900),
        Load(name: "no log", durability: Durability.none),
    ]

    /// Ten readers at ten moments.
    private static let readersMax = 10

    private func program(_ load: Load) throws -> SnapshotProgram {
        try SnapshotProgram(load, MemoryFileSystem())
    }

    @Test("The file is little larger than the pages that its snapshots reach", arguments: loads)
    func keepsWhatSnapshotsReach(_ load: Load) throws {
        let program = try program(load)
        for number in 0..<Self.readersMax {
            try program.beginReader()
            for _ in 0..<(load.commits / Self.readersMax) { try program.commit() }
            // At every moment, not only in the end.
            try program.expectFit("with \(number + 1) readers")
        }
        try program.checkReaders()
        // As they come to their end, in any order, what they alone had is used again.
        let pages = try program.pageCount()
        while !program.readers.isEmpty {
            program.endReader(program.random.below(program.readers.count))
            for _ in 0..<(load.commits / Self.readersMax / 2) { try program.commit() }
            try program.checkReaders()
        }
        #expect(try program.pageCount() <= pages + pages / 50)
        #expect(try program.environment.verify().problems == 0)
        // In the end all but the newest state may be had in one go.
        try program.environment.checkpoint()
        let reached = try program.reachedPages()
        try program.fill(pages: (try program.pageCount() - reached) * 8 / 10)
        #expect(try program.pageCount() <= pages + pages / 50)
        #expect(try program.environment.verify().problems == 0)
    }

    @Test("One reader costs no more than one state", arguments: loads)
    func keepsOneSnapshot(_ load: Load) throws {
        let program = try program(load)
        try program.beginReader()
        for _ in 0..<4 {
            for _ in 0..<(load.commits / 2) { try program.commit() }
            try program.expectFit("beside one reader")
        }
        try program.checkReaders()
    }

    @Test("Readers that come and go beside an old one leave the file as it is", arguments: [1, 3])
    func followsReaders(_ old: Int) throws {
        let program = try program(Load(name: "", commits: 0))
        for _ in 0..<old {
            try program.beginReader()
            for _ in 0..<1500 { try program.commit() }
        }
        for round in 0..<60 {
            try program.beginReader()
            for _ in 0..<100 { try program.commit() }
            if program.readers.count > old + 5 { program.endReader(old) }
            if round % 20 == 19 { try program.expectFit("in round \(round)") }
        }
        try program.checkReaders()
    }

    @Test("What was freed in earlier sessions is used again beside a reader")
    func remembersWritersInFiles() throws {
        let program = try program(Load(name: "", keys: 8000))
        for round in 0..<6 {
            for _ in 0..<3 {
                try program.beginReader()
                for _ in 0..<700 { try program.commit() }
            }
            try program.expectFit("in session \(round)")
            try program.checkReaders()
            try program.reopen()
        }
        #expect(try program.environment.verify().problems == 0)
    }

    @Test("A thousand snapshots are kept exactly, and no commit looks at all that they keep")
    func keepsManySnapshots() throws {
        let program = try program(Load(name: "", keys: 4000))
        for _ in 0..<1000 {
            try program.beginReader()
            for _ in 0..<10 { try program.commit() }
        }
        try program.expectFit("with a thousand readers")
        for _ in 0..<500 { program.endReader(program.random.below(program.readers.count)) }
        let pages = try program.pageCount()
        for _ in 0..<3000 { try program.commit() }
        #expect(try program.pageCount() <= pages + pages / 50)
        try program.checkReaders()
    }

    @Test(
        "A tree that is cleared beside an old reader is used again as far as it is younger",
        arguments: [0, 1, 70_000] as [UInt64])
    func clearsBetweenSnapshots(_ later: UInt64) throws {
        let environment = try Environment.inMemory {
            $0.logSize = 1 << 30
            $0.maxTransactionPages = 0
        }
        let value = [UInt8](repeating: 7, count: 300)
        func fill(_ database: String) throws {
            try environment.write { transaction in
                let database = try transaction.createDatabase(database)
                for key in 0..<4000 { try transaction.put("key \(key)", value, in: database) }
            }
        }
        try fill("before")
        try commit(environment, times: later)
        let reader = try environment.beginRead()
        for round in 0..<12 as Range<UInt64> {
            try fill("table")
            try environment.checkpoint()
            try environment.write { transaction in
                let table = try transaction.createDatabase("table")
                if (round + later) % 2 == 0 {
                    try transaction.clear(table)
                } else {
                    try transaction.drop(table)
                }
            }
            try environment.checkpoint()
        }
        let full = try environment.read { transaction throws in
            try transaction.statistics(of: transaction.database("before")).leafPages
        }
        let pages = try environment.info().pageCount
        #expect(pages < full * 4, "\(full) leaves, \(pages) pages")
        #expect(try reader.get("key 1", in: reader.database("before")) == value)
        #expect(try environment.verify().problems == 0)
    }
    private func commit(_ environment: Environment, times: UInt64) throws {
        for number in 0..<times {
            var transaction = try environment.beginWrite(durability: Durability.none)
            try transaction.put("number", "\(number)")
            try transaction.commit()
        }
    }

    @Test("A page whose reference could be that of a younger one is not taken for it")
    func doesNotGuessWriters() throws {
        let environment = try Environment.inMemory {
            $0.logSize = 1 << 30
            $0.maxTransactionPages = 0
        }
        func value(_ version: Int) -> [UInt8] { [UInt8](repeating: UInt8(version), count: 300) }
        try environment.write { transaction in
            let table = try transaction.createDatabase("table")
            for key in 0..<2000 { try transaction.put("key \(key)", value(1), in: table) }
        }
        try commit(environment, times: 30_000)
        let reader = try environment.beginRead()
        // References have the low 16 bits of a transaction only.
        try commit(environment, times: 40_000)
        try environment.write { transaction in
            let table = try transaction.createDatabase("table")
            try transaction.put("key 7", value(2), in: table)
        }
        try environment.checkpoint()
        try environment.write { transaction in
            try transaction.clear(transaction.createDatabase("table"))
        }
        try environment.checkpoint()
        for round in 3..<6 {
            try environment.write { transaction in
                let other = try transaction.createDatabase("other")
                for key in 0..<2000 { try transaction.put("key \(key)", value(round), in: other) }
            }
            try environment.checkpoint()
        }
        let table = try reader.database("table")
        for key in 0..<2000 {
            #expect(try reader.get("key \(key)", in: table) == value(1))
        }
        #expect(try environment.verify().problems == 0)
    }
}
