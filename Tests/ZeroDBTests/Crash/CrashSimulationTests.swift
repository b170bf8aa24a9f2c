import Glibc
import Testing

@testable import Simulator
@testable import ZeroDB

/// Invariants 1, 2 and 6 on a simulated disk: programs that do a bit of everything lose their
/// power at any point, and the disk keeps any subset of what was not flushed.
@Suite("Simulated crashes")
struct CrashSimulationTests {
    /// Workloads are dealt out to as many threads.
    static let lanes = 2

    /// A long run, or one that looks for a certain failure.
    private static let isLong = CrashSettings.workloads != nil || CrashSettings.seed != nil

    private static var effort: CrashExploration.Effort {
        var effort = CrashExploration.Effort()
        if isLong {
            effort.points = 40
            effort.states = 4
            effort.everyPointPercent = 5
        }
        return effort
    }

    @Test(
        "After a power cut the commits up to some point are there, with every durable one",
        arguments: 0..<lanes)
    func keepsPromises(_ lane: Int) throws {
        var exploration = CrashExploration(Self.effort)
        var failures = 0
        for (index, seed) in CrashSettings.seeds(usually: 40).enumerated()
        where index % Self.lanes == lane {
            do {
                try exploration.explore(seed: seed)
            } catch {
                Issue.record("workload \(seed): \(error)")
                failures += 1
                // More of the same says nothing new.
                if failures == 5 { break }
            }
            if Self.isLong, exploration.totals.workloads % 100 == 0 {
                print("crash simulation, lane \(lane): \(exploration.totals)")
            }
        }
        if Self.isLong { print("crash simulation, lane \(lane): \(exploration.totals)") }
    }

    @Test(
        "A disk that failed is checked again",
        .enabled(if: CrashSettings.stateDirectory != nil, "ZERODB_CRASH_STATE names none"))
    func checksKeptState() throws {
        let directory = try #require(CrashSettings.stateDirectory)
        var exploration = CrashExploration(Self.effort)
        try exploration.check(try KeptState(directory))
    }
}
