import Testing

@testable import Simulator
@testable import ZeroDB

/// An environment, what it should hold, and readers that hold some of its states.
final class SnapshotProgram {
    /// The values that each key should have.
    typealias Contents = [Int: Set<Int>]

    /// A read transaction and what it should see.
    final class Reader {
        let transaction: ReadTransaction
        let contents: Contents

        init(_ environment: Environment, _ contents: Contents) throws {
            transaction = try environment.beginRead()
            self.contents = contents
        }
    }

    let load: SnapshotSpaceTests.Load
    private let fileSystem: any FileSystem
    private(set) var environment: Environment
    private(set) var readers: [Reader] = []
    private var contents: Contents = [:]
    var random = SeededGenerator(seed: TestSettings.seed)
    private var version = 0
    private var commits = 0

    /// Fills an environment, and makes a checkpoint.
    init(_ load: SnapshotSpaceTests.Load, _ fileSystem: any FileSystem) throws {
        self.load = load
        self.fileSystem = fileSystem
        environment = try Self.open(fileSystem)
        let perCommit = max(1, load.keys / 30)
        for first in stride(from: 0, to: load.keys, by: perCommit) {
            try write { program, transaction, database in
                for key in first..<min(load.keys, first + perCommit) {
                    for _ in 0..<load.values {
                        try program.change(key, in: &transaction, database)
                    }
                }
            }
        }
        try environment.checkpoint()
    }

    private static func open(_ fileSystem: any FileSystem) throws -> Environment {
        try Environment.inMemory(fileSystem) {
            $0.logSize = 1 << 30
            $0.maxReaders = 2000
            $0.maxTransactionPages = 0
        }
    }

    /// Ends all readers and opens the environment anew.
    func reopen() throws {
        readers = []
        try environment.close()
        environment = try Self.open(fileSystem)
    }

    // MARK: Writing

    private func write(
        _ body: (SnapshotProgram, inout WriteTransaction, Database) throws -> Void
    ) throws {
        var transaction = try environment.beginWrite(durability: load.durability)
        let database = try transaction.createDatabase(
            "database", flags: load.values > 1 ? [.duplicates] : [])
        try body(self, &transaction, database)
        try transaction.commit()
    }

    private static func key(_ key: Int) -> [UInt8] { Array("key \(key)".utf8) }

    private func value(_ version: Int) -> [UInt8] {
        let isLarge = version % 100 < load.largePercent
        let count = isLarge ? 5000 + version % 7 * 3000 : load.valueSize
        return Array("\(version)".utf8) + Array(repeating: UInt8(version & 0xff), count: count)
    }

    /// Gives a key another value, or one value more or less.
    private func change(
        _ key: Int, in transaction: inout WriteTransaction, _ database: Database
    ) throws {
        guard load.values > 1 else {
            version += 1
            try transaction.put(Self.key(key), value(version), in: database)
            contents[key] = [version]
            return
        }
        let number = random.below(2 * load.values)
        if contents[key]?.contains(number) == true {
            try transaction.deletePair(Self.key(key), value(number), in: database)
            contents[key]?.remove(number)
        } else {
            try transaction.put(Self.key(key), value(number), in: database)
            contents[key, default: []].insert(number)
        }
    }

    func commit() throws {
        try write { program, transaction, database in
            for _ in 0..<load.operations {
                let key = random.below(load.keys)
                if contents[key] != nil, random.chance(load.deletePercent) {
                    try transaction.delete(Self.key(key), in: database)
                    contents[key] = nil
                } else {
                    try program.change(key, in: &transaction, database)
                }
            }
        }
        commits += 1
        if commits % load.commitsPerCheckpoint == 0 { try environment.checkpoint() }
    }

    /// Writes some pages more in one transaction.
    func fill(pages: UInt64) throws {
        try environment.write { transaction in
            // Two values fill a leaf.
            let value = [UInt8](repeating: 3, count: 1900)
            for number in 0..<(2 * pages) {
                try transaction.append(KeyMaker.bigEndian(number), value)
            }
        }
    }

    // MARK: Readers

    func beginReader() throws { readers.append(try Reader(environment, contents)) }

    func endReader(_ index: Int) { readers.remove(at: index) }

    /// Compares what readers see with what they should: all of it for a few of them, and all of them in turn.
    func checkReaders() throws {
        for reader in readers.count > 12 ? Array(readers.shuffled(using: &random)[..<12]) : readers
        {
            let database = try reader.transaction.database("database")
            var pairs = 0
            for (key, values) in reader.contents {
                let found = try reader.transaction.values(of: Self.key(key), in: database, load)
                let expected = values.map(value).sorted { $0.lexicographicallyPrecedes($1) }
                #expect(found == expected, "key \(key)")
                pairs += values.count
            }
            #expect(try reader.transaction.statistics(of: database).entries == UInt64(pairs))
        }
    }

    // MARK: Pages

    func pageCount() throws -> UInt64 { try environment.info().pageCount }

    /// The pages that the readers' snapshots and the newest state reach, each counted once.
    func reachedPages() throws -> UInt64 {
        var reached: Set<UInt64> = [0, 1]
        let newest = try environment.beginRead()
        Self.reach(newest, &reached)
        for reader in readers { Self.reach(reader.transaction, &reached) }
        return UInt64(reached.count)
    }

    private static func reach(
        _ transaction: borrowing ReadTransaction, _ reached: inout Set<UInt64>
    ) {
        let state = transaction.access.claim.state
        let freeList = FreeList.allocate()
        defer { freeList.deallocate() }
        var pages: [PageRun] = []
        // Its free list is gone: what the verifier says of free pages counts for nothing here.
        let verification = Verification(
            state.pointee.source, state.pointee.meta, freeList
        ) { run in
            pages.append(run)
        } onProblem: {
            #expect($0.kind != .checksum, "\($0.message)")
        }
        #expect(throws: Never.self) { try verification.run() }
        for run in pages { reached.formUnion(run.start..<run.end) }
    }

    /// The file is at most a quarter larger than what is reached.
    func expectFit(_ when: String) throws {
        let reached = try reachedPages()
        let pages = try pageCount()
        #expect(
            Double(pages) <= 1.25 * Double(reached),
            "\(when): \(pages) pages, \(reached) of them reached")
    }
}

extension ReadTransaction {
    fileprivate borrowing func values(
        of key: [UInt8], in database: Database, _ load: SnapshotSpaceTests.Load
    ) throws -> [[UInt8]] {
        guard load.values > 1 else { return try get(key, in: database).map { [$0] } ?? [] }
        return try values(for: key, in: database)
    }
}
