import Testing

@testable import ZeroDB

/// Databases of all kinds at random, against sorted lists of pairs: what transactions, cursors and
/// counts tell, in the environment, in old snapshots, and after a replay of its log.
@Suite("Databases of all kinds against sorted lists of pairs")
struct KindModelTests {
    static let scenarios = [
        KindScenario(name: "one value a key, all orders", kinds: DatabaseKind.single),
        KindScenario(
            name: "several values a key", kinds: DatabaseKind.several, operations: 120_000),
        KindScenario(
            name: "several values a key, counted", kinds: DatabaseKind.severalCounted,
            operations: 120_000),
        KindScenario(
            name: "all kinds, all durabilities",
            kinds: [DatabaseKind(.duplicates)] + DatabaseKind.single
                + DatabaseKind.several + DatabaseKind.severalCounted,
            logSize: 1 << 20, durabilities: [.full, .relaxed, .none], isReplayed: false),
        KindScenario(
            name: "few keys with thousands of values",
            kinds: [
                DatabaseKind(
                    [.duplicates, .fixedSizeDuplicates, .integerDuplicates, .counted], valueWidth: 8
                ),
                DatabaseKind([.duplicates, .counted]),
            ], operations: 100_000, pairsMax: 60_000, keysOfSets: 4),
        KindScenario(
            name: "all kinds, 16 KiB pages",
            kinds: DatabaseKind.severalCounted + DatabaseKind.single, pageSize: 16384),
        KindScenario(
            name: "all kinds, 64 KiB pages",
            kinds: DatabaseKind.several + DatabaseKind.severalCounted,
            pageSize: 65536),
    ]

    @Test("The engine does what sorted lists of pairs do", arguments: scenarios)
    func agrees(_ scenario: KindScenario) throws {
        let run = KindRun(scenario)
        try run.run()
        #expect(!scenario.isReplayed || run.replayedRecords > 0)
        #expect(run.valuesMost > 500 || scenario.kinds.allSatisfy { !$0.hasDuplicates })
    }
}
