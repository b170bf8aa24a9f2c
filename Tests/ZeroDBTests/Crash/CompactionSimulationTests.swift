import Testing

@testable import Simulator
@testable import ZeroDB

/// Invariants 1, 2 and 6 where the file becomes shorter, grows again, and becomes shorter: beside readers of
/// states from when it was longer, with processes that die in the middle, and with the power cut then.
@Suite("Simulated crashes beside compactions")
struct CompactionSimulationTests {
    private func explore(_ seed: UInt64, _ change: (inout ProgramPlan) -> Void) throws {
        var plan = ProgramPlan.commitsOnly(seed: seed)
        plan.steps = 40
        // Much comes and goes: clearing a database leaves most of the file free.
        plan.shape = Attempt.Shape(
            operationsMax: 60, valueMax: 900, overflowPercent: 4, keys: 150, namedDatabases: 2,
            structurePercent: 4)
        plan.checkpointPercent = 5
        plan.readerPercent = 10
        plan.midwayPercent = 10
        plan.straddlePercent = 5
        plan.interludePercent = 30
        plan.compactPercent = 30
        change(&plan)
        var effort = CrashExploration.Effort()
        effort.points = 120
        effort.states = 2
        effort.secondCrashPercent = 5
        var exploration = CrashExploration(effort)
        try exploration.explore(plan, seed: seed, suite: "CompactionSimulationTests")
    }

    @Test(
        "A shorter file holds every state that a power cut leaves, and every snapshot",
        arguments: CrashSettings.seeds(usually: 4, percent: 10))
    func keepsStates(_ seed: UInt64) throws { try explore(seed) { _ in } }

    @Test(
        "Two processes cut the file off and make it longer in turn",
        arguments: CrashSettings.seeds(usually: 4, percent: 10))
    func cutsInTurn(_ seed: UInt64) throws {
        try explore(seed) {
            $0.processes = 2
            $0.deathPercent = 30
            $0.durabilities = [.full, .relaxed, .none]
        }
    }

    @Test(
        "A process that dies in a compaction loses nothing",
        arguments: CrashSettings.seeds(usually: 4, percent: 10))
    func diesInside(_ seed: UInt64) throws {
        try explore(seed) {
            $0.processes = 2
            $0.killPercent = 15
            $0.reopenPercent = 5
            $0.durabilities = [.full, .relaxed]
        }
    }
}
