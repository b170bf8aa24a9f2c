import Testing

@testable import Simulator
@testable import ZeroDB

/// The data file becomes shorter, and nothing in it changes.
@Suite("Compaction")
struct CompactionTests {
    private func open(
        _ fileSystem: any FileSystem = MemoryFileSystem(),
        _ change: (inout EnvironmentOptions) -> Void = { _ in }
    ) throws -> Environment {
        try Environment.inMemory(fileSystem) { options in
            options.maxTransactionPages = 0
            options.logSize = 1 << 20
            options.usesThread = false
            change(&options)
        }
    }

    private func value(_ seed: Int, _ count: Int) -> [UInt8] {
        ValueRecipe(seed: UInt32(seed), count: count).bytes
    }

    struct Load: Sendable, CustomStringConvertible {
        var name: String
        var size: Int
        var keys: Int
        var pageSize = 4096
        var flags: DatabaseFlags = []

        var description: String { name }
    }

    static let loads = [
        Load(name: "small values", size: 150, keys: 20_000),
        Load(name: "values near the limit of a leaf", size: 900, keys: 4000),
        Load(name: "large values", size: 9000, keys: 1000),
        Load(name: "counted", size: 150, keys: 20_000, flags: .counted),
        Load(name: "large pages", size: 150, keys: 20_000, pageSize: 16384),
    ]

    @Test(
        "What was deleted at random comes back to the file system", arguments: loads)
    func shrinks(_ load: Load) throws {
        let environment = try open { $0.pageSize = load.pageSize }
        var random = SeededGenerator(seed: TestSettings.seed)
        var keys = (0..<load.keys).map { "key \($0 &* 7919 % load.keys) \($0)" }
        let database = try environment.write {
            try $0.createDatabase("database", flags: load.flags)
        }
        for part in stride(from: 0, to: keys.count, by: 500) {
            try environment.write { transaction throws in
                for key in part..<min(part + 500, keys.count) {
                    try transaction.put(keys[key], value(key, load.size), in: database)
                }
            }
        }
        var numbers = Array(keys.indices)
        numbers.shuffle(using: &random)
        let kept = Set(numbers.prefix(keys.count / 20))
        for part in stride(from: 0, to: keys.count, by: 500) {
            try environment.write { transaction throws in
                for key in part..<min(part + 500, keys.count) where !kept.contains(key) {
                    try transaction.delete(keys[key], in: database)
                }
            }
        }
        let before = try environment.info()
        let result = try environment.compact()
        let after = try environment.info()
        #expect(result.isFinished)
        #expect(result.bytesBefore == before.fileSize && result.bytesAfter == after.fileSize)
        #expect(after.fileSize == after.pageCount * UInt64(load.pageSize))
        let live = kept.reduce(0) { $0 + keys[$1].utf8.count + load.size }
        let overhead = load.size > 4096 ? 1.5 : 1.35
        let slack = (32 + 16) * load.pageSize
        #expect(
            Double(after.fileSize) < Double(live) * overhead + Double(slack) + 40_000,
            "\(before.fileSize) bytes became \(after.fileSize), for \(live) of keys and values")
        #expect(try environment.verify().problems == 0)
        try environment.read { transaction throws in
            #expect(try transaction.statistics(of: database).entries == UInt64(kept.count))
            for key in kept.sorted().prefix(300) {
                #expect(try transaction.get(keys[key], in: database) == value(key, load.size))
            }
        }
        // There is nothing left to do, and the file can grow again.
        #expect(try environment.compact().pagesMoved < 64)
        try environment.write { transaction throws in
            for key in 0..<2000 { try transaction.put("more \(key)", value(key, 150)) }
        }
        #expect(try environment.verify().problems == 0)
        keys = []
    }

    /// A read transaction that can be let go of.
    private final class Reader {
        let transaction: ReadTransaction

        init(_ environment: Environment) throws { transaction = try environment.beginRead() }
    }

    @Test("A reader keeps the file as long as its snapshot, and reads it unchanged")
    func keepsReaders() throws {
        let environment = try open()
        try environment.write { transaction throws in
            for key in 0..<5000 { try transaction.put("key \(key)", value(key, 200)) }
        }
        try environment.checkpoint()
        var reader: Reader? = try Reader(environment)
        let before = try environment.info().fileSize
        for part in 0..<10 {
            try environment.write { transaction throws in
                for key in 0..<5000 where key % 10 == part && key % 50 != 0 {
                    try transaction.delete("key \(key)")
                }
            }
        }
        #expect(try environment.compact().isFinished == false)
        #expect(try environment.info().fileSize >= before)
        for key in 0..<5000 {
            #expect(try reader?.transaction.get("key \(key)") == value(key, 200))
        }
        reader = nil
        #expect(try environment.compact().isFinished)
        let after = try environment.info().fileSize
        #expect(after * 5 < before, "\(before) bytes became \(after)")
        #expect(try environment.verify().problems == 0)
    }

    /// Number of pages of each state that there was.
    private struct PageCounts {
        var counts: [UInt64: UInt64] = [:]

        mutating func note(_ store: Store) throws {
            let meta = try store.tipMeta()
            counts[meta.transaction] = meta.pageCount
        }

        /// The pages that a state has.
        subscript(state: UInt64) -> UInt64 { counts[state] ?? 0 }
    }

    @Test("The file is never shorter than the state that a power cut would leave")
    func keepsDurableState() throws {
        let environment = try open()
        let store = environment.store
        var counts = PageCounts()
        var cuts = 0
        for round in 0..<4 {
            try environment.write { transaction throws in
                for key in 0..<3000 { try transaction.put("key \(key)", value(key + round, 200)) }
            }
            try environment.write { transaction throws in
                for key in 0..<3000 where key % 50 != 0 { try transaction.delete("key \(key)") }
            }
            try environment.checkpoint()
            try counts.note(store)
            let compaction = Compaction(store, Compaction.Options())
            while case .worked = try compaction.step() {
                try counts.note(store)
                // As another thread or process does it at any moment.
                let isShorter = try store.tipMeta().pageCount < counts[store.shared.checkpoint]
                store.cutOffTail()
                cuts += isShorter ? 1 : 0
                let size = try store.dataFile.size()
                let needed = counts[store.shared.checkpoint] * UInt64(store.pageSize)
                #expect(size >= needed, "\(size) bytes, and the checkpoint has \(needed)")
            }
            compaction.end()
        }
        #expect(cuts > 4, "no state was shorter than the checkpoint")
        #expect(try environment.verify().problems == 0)
    }

    @Test("The file is never shorter than a snapshot that is being read")
    func keepsSnapshots() throws {
        let environment = try open()
        let store = environment.store
        try environment.write { transaction throws in
            for key in 0..<3000 { try transaction.put("key \(key)", value(key, 200)) }
        }
        try environment.write { transaction throws in
            for key in 0..<3000 where key % 50 != 0 { try transaction.delete("key \(key)") }
        }
        // Its reader needs no page at the end, as all there are free. But its state has them.
        var reader: Reader?
        var needed: UInt64 = 0
        let compaction = Compaction(store, Compaction.Options())
        defer { compaction.end() }
        while true {
            if needed == 0 { reader = try Reader(environment) }
            let before = try store.tipMeta().pageCount
            guard case .worked = try compaction.step() else { break }
            if needed == 0, try store.tipMeta().pageCount * 2 < before {
                needed = before * UInt64(store.pageSize)
            }
            try environment.checkpoint()
            let size = try store.dataFile.size()
            #expect(size >= needed, "\(size) bytes, and a reader's state has \(needed)")
        }
        #expect(needed > 0, "no step made the state shorter")
        #expect(try reader?.transaction.get("key 50") == value(50, 200))
        reader = nil
        store.cutOffTail()
        let size = try store.dataFile.size()
        #expect(try size == store.tipMeta().pageCount * UInt64(store.pageSize))
        #expect(size * 2 < needed)
        #expect(try environment.verify().problems == 0)
    }

    @Test("A process whose file another has cut off makes it long enough again")
    func growsAgainElsewhere() throws {
        let disk = SimulatedDisk(directories: ["/machine"], isRecording: false)
        var options = EnvironmentOptions()
        options.usesThread = false
        options.maxSize = UInt64(SimulatedMemory.capacity)
        let environments = try (1...2).map {
            try Environment(
                path: "/machine/env", options: options,
                fileSystem: SimulatedProcess(disk, number: $0))
        }
        for round in 0..<3 {
            for environment in environments {
                try environment.write { transaction throws in
                    for key in 0..<2000 { try transaction.put("key \(key)", value(key, 300)) }
                }
                #expect(try environments[0].read { try $0.get("key 7") } == value(7, 300))
                #expect(try environments[1].read { try $0.get("key 7") } == value(7, 300))
            }
            try environments[round % 2].write { transaction throws in
                for key in 0..<2000 where key % 40 != 7 { try transaction.delete("key \(key)") }
            }
            let result = try environments[1 - round % 2].compact()
            #expect(result.isFinished && result.bytesAfter * 5 < result.bytesBefore)
            for environment in environments {
                #expect(try environment.verify().problems == 0)
                #expect(try environment.read { try $0.get("key 7") } == value(7, 300))
            }
        }
    }

    @Test("Values of many sizes, duplicates and many databases are moved")
    func movesEverything() throws {
        let environment = try open()
        var random = SeededGenerator(seed: TestSettings.seed)
        let history = AttemptHistory()
        var last = 0
        let shape = Attempt.Shape(
            operationsMax: 300, valueMax: 1000, overflowPercent: 8, keys: 2000, namedDatabases: 5,
            structurePercent: 1)
        for round in 0..<60 {
            var transaction = try environment.beginWrite()
            let attempt = history.begin(after: last, .full, shape, seed: random.next())
            try transaction.perform(attempt)
            try transaction.commit()
            last = attempt.number
            guard round % 6 == 5 else { continue }
            var options = Compaction.Options()
            options.gainMin = 1
            options.gainShare = 1 << 20
            options.budget = random.pick([2, 9, 40])
            _ = try environment.compact(options)
            #expect(try environment.verify().problems == 0)
            let reader = try environment.beginRead()
            let problem = try reader.difference(
                from: history.contents(after: last), number: last)
            #expect(problem == nil)
        }
    }

    @Test("A compaction ends at its bounds")
    func respectsBounds() throws {
        let environment = try open()
        try environment.write { transaction throws in
            for key in 0..<20_000 { try transaction.put("key \(key)", value(key, 150)) }
        }
        try environment.write { transaction throws in
            for key in 0..<20_000 where key % 3 != 0 { try transaction.delete("key \(key)") }
        }
        let before = try environment.info().fileSize
        let few = try environment.compact(
            {
                var options = CompactionOptions()
                options.maxPages = 30
                return options
            }())
        #expect(few.pagesMoved >= 30 && few.pagesMoved < 90 && !few.isFinished)
        var options = CompactionOptions()
        options.targetSize = before * 3 / 4
        let enough = try environment.compact(options)
        #expect(enough.isFinished)
        #expect(enough.bytesAfter <= before * 4 / 5 && enough.bytesAfter >= before * 7 / 10)
        #expect(try environment.verify().problems == 0)
    }

    @Test("A compaction is refused where nothing may be written, and beside an own transaction")
    func refuses() throws {
        let fileSystem = MemoryFileSystem()
        let environment = try open(fileSystem)
        try environment.write { try $0.put("key", "value") }
        let transaction = try environment.beginWrite()
        do throws(DatabaseError) {
            try environment.compact()
            Issue.record("a compaction beside an own transaction")
        } catch {
            #expect(error.code == .busy)
        }
        transaction.abort()
        try environment.close()
        let reader = try open(fileSystem) { $0.isReadOnly = true }
        do throws(DatabaseError) {
            try reader.compact()
            Issue.record("a compaction without the right to write")
        } catch {
            #expect(error.code == .readOnly)
        }
    }
}
