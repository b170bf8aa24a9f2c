import Testing

@testable import Simulator
@testable import ZeroDB

/// Databases of all types at random, against the reference model: what transactions, cursors and
/// counts return, in the environment, in old snapshots, and after a replay of its log.
@Suite("Databases of all types against the reference model")
struct DuplicatesModelTests {
    static let scenarios = [
        DuplicatesScenario(name: "one value a key, all orders", types: DatabaseType.single),
        DuplicatesScenario(
            name: "several values a key", types: DatabaseType.several, operations: 120_000),
        DuplicatesScenario(
            name: "several values a key, counted", types: DatabaseType.severalCounted,
            operations: 120_000),
        DuplicatesScenario(
            name: "all types, all durabilities",
            types: [DatabaseType(.duplicates)] + DatabaseType.single
                + DatabaseType.several + DatabaseType.severalCounted,
            logSize: 1 << 20, durabilities: [.full, .relaxed, .none], isReplayed: false),
        DuplicatesScenario(
            name: "few keys with thousands of values",
            types: [
                DatabaseType(
                    [.duplicates, .fixedSizeDuplicates, .integerDuplicates, .counted], valueWidth: 8
                ),
                DatabaseType([.duplicates, .counted]),
            ], operations: 100_000, pairsMax: 60_000, keysWithDuplicates: 4),
        DuplicatesScenario(
            name: "all types, 16 KiB pages",
            types: DatabaseType.severalCounted + DatabaseType.single, pageSize: 16384),
        DuplicatesScenario(
            name: "all types, 64 KiB pages",
            types: DatabaseType.several + DatabaseType.severalCounted,
            pageSize: 65536),
    ]

    @Test("The engine agrees with the reference model, duplicates and all", arguments: scenarios)
    func agrees(_ scenario: DuplicatesScenario) throws {
        let run = DuplicatesRun(scenario)
        try run.run()
        #expect(!scenario.isReplayed || run.replayedRecords > 0 || TestSettings.isShortened)
        #expect(run.valuesMost > 500 || scenario.types.allSatisfy { !$0.hasDuplicates })
    }
}
