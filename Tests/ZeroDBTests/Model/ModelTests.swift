import Testing

@testable import Simulator
@testable import ZeroDB

@Suite("Random operations against the reference model")
struct ModelTests {
    /// More than a million operations in all.
    static let scenarios = [
        ModelScenario(name: "4 KiB pages, all patterns", operations: 250_000),
        ModelScenario(
            name: "4 KiB pages, all durabilities", namedDatabases: 2, operations: 150_000,
            durabilities: [.full, .relaxed, .none], logSize: 1 << 20, usesThread: true),
        ModelScenario(
            name: "4 KiB pages, many databases", patterns: [.few, .random, .extremes],
            namedDatabases: 60, operations: 150_000),
        ModelScenario(
            name: "4 KiB pages, ascending and descending", patterns: [.ascending, .descending],
            namedDatabases: 1, operations: 100_000),
        ModelScenario(
            name: "4 KiB pages, long keys", patterns: [.long, .clustered], namedDatabases: 2,
            operations: 100_000),
        ModelScenario(
            name: "4 KiB pages, every access checked", namedDatabases: 1, operations: 60_000,
            checksumMode: .full),
        ModelScenario(
            name: "4 KiB pages, huge transactions", patterns: [.random, .clustered],
            namedDatabases: 1, operations: 300_000, transactionMax: 150_000,
            entriesMax: 100_000),
        ModelScenario(name: "16 KiB pages, all patterns", pageSize: 16384, operations: 150_000),
        ModelScenario(name: "64 KiB pages, all patterns", pageSize: 65536, operations: 150_000),
        ModelScenario(
            name: "on disk", namedDatabases: 2, operations: 30_000, isOnDisk: true),
    ]

    @Test("The engine agrees with the reference model", arguments: scenarios)
    func agrees(_ scenario: ModelScenario) throws {
        let run = try ModelRun(scenario)
        try run.run()
    }

    @Test("A transaction of 150 000 random puts commits whole")
    func commitsHugeTransaction() throws {
        let files = MemoryFileSystem()
        var options = EnvironmentOptions()
        options.maxSize = 1 << 30
        options.maxTransactionPages = 0
        let environment = try Environment(path: "memory", options: options, fileSystem: files)
        var random = SeededGenerator(seed: TestSettings.seed)
        var model = ReferenceModel()
        let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: 256, alignment: 8)
        defer { buffer.deallocate() }
        var transaction = try environment.beginWrite()
        for _ in 0..<150_000 {
            let key = random.bytes(24)
            let recipe = ValueRecipe(
                seed: UInt32(truncatingIfNeeded: random.next()), count: random.below(200))
            try transaction.put(key, recipe.write(to: buffer))
            model.put(key, .recipe(recipe))
        }
        try transaction.commit()
        #expect(try environment.verify().problems == 0)
        try environment.read { reader in
            for entry in model {
                let value = try reader.get(entry.key)
                #expect(value == entry.value.bytes, "\(TestSettings.rerun)")
            }
        }
    }
}
