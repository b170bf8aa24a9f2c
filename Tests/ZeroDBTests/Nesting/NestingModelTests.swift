import Testing

@testable import Simulator
@testable import ZeroDB

/// Transactions nested at random, committed and aborted, against a stack of models: what one sees
/// and what is left of it, with cursors of the outer ones in between, in the environment and after a
/// replay of its log.
@Suite("Nested transactions against a stack of models")
struct NestingModelTests {
    static let scenarios = [
        ModelScenario(
            name: "nested five deep", namedDatabases: 2, operations: 150_000, nestingMax: 5,
            nestingRarity: 8, logSize: 64 << 20, isReplayed: true),
        ModelScenario(
            name: "nested five deep, many databases", patterns: [.few, .extremes],
            namedDatabases: 40, operations: 80_000, nestingMax: 5, nestingRarity: 8,
            logSize: 64 << 20, isReplayed: true),
        ModelScenario(
            name: "nested three deep, large trees", patterns: [.random, .clustered],
            namedDatabases: 1, operations: 150_000, transactionMax: 30_000, entriesMax: 60_000,
            nestingMax: 3, nestingRarity: 30),
        ModelScenario(
            name: "nested three deep, all durabilities", namedDatabases: 2, operations: 60_000,
            nestingMax: 3, nestingRarity: 15, durabilities: [.full, .relaxed, .none],
            logSize: 1 << 20, usesThread: true),
        ModelScenario(
            name: "nested five deep, 64 KiB pages", pageSize: 65536, namedDatabases: 1,
            operations: 60_000, nestingMax: 5, nestingRarity: 10, isReplayed: true),
    ]

    @Test("Nested transactions agree with a stack of models", arguments: scenarios)
    func agrees(_ scenario: ModelScenario) throws {
        let run = try ModelRun(scenario)
        try run.run()
        #expect(run.nestedMost == scenario.nestingMax)
        #expect(!scenario.isReplayed || run.replayedRecords > 0 || TestSettings.isShortened)
    }
}
