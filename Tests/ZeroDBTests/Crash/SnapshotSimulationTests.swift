import Testing

@testable import Simulator
@testable import ZeroDB

/// Invariants 1, 2 and 6 where pages are used again between the snapshots of readers that live for long,
/// across many checkpoints, in several processes, some of which die.
@Suite("Simulated crashes beside old readers")
struct SnapshotSimulationTests {
    private func explore(_ seed: UInt64, _ change: (inout ProgramPlan) -> Void) throws {
        var plan = ProgramPlan.commitsOnly(seed: seed)
        plan.processes = 2
        plan.steps = 150
        plan.shape = Attempt.Shape(
            operationsMax: 4, valueMax: 300, overflowPercent: 3, keys: 300, namedDatabases: 1,
            structurePercent: 2)
        plan.checkpointPercent = 12
        plan.readerPercent = 15
        plan.readersMax = 10
        plan.readerEndPercent = 25
        plan.straddlePercent = 10
        plan.interludePercent = 5
        change(&plan)
        var effort = CrashExploration.Effort()
        effort.points = 60
        effort.states = 2
        effort.secondCrashPercent = 20
        if CrashSettings.workloads != nil || CrashSettings.seed != nil {
            effort.everyPointPercent = 20
        }
        var exploration = CrashExploration(effort)
        try exploration.explore(plan, seed: seed, suite: "SnapshotSimulationTests")
    }

    @Test(
        "What lies between the snapshots of ten readers is used again, and nothing else",
        arguments: CrashSettings.seeds(usually: 4, percent: 10))
    func reusesBetweenSnapshots(_ seed: UInt64) throws {
        try explore(seed) { _ in }
    }

    @Test(
        "Large transactions leave old readers what they see",
        arguments: CrashSettings.seeds(usually: 2, percent: 5))
    func reusesInLargeTransactions(_ seed: UInt64) throws {
        try explore(seed) {
            $0.steps = 60
            $0.durabilities = [.full, .relaxed, .none]
            $0.shape.operationsMax = 400
            $0.shape.keys = 3000
            $0.shape.structurePercent = 1
        }
    }

    @Test(
        "Readers of a process that lives outlast writers that die",
        arguments: CrashSettings.seeds(usually: 4, percent: 10))
    func outlastsWriters(_ seed: UInt64) throws {
        try explore(seed) {
            $0.processes = 3
            $0.killPercent = 4
            $0.reopenPercent = 3
            $0.deathPercent = 30
            $0.durabilities = [.full, .relaxed]
        }
    }
}
