import Glibc
import Testing

@testable import ZeroDB

/// Invariants 1, 2 and 6 on a simulated disk: programs that do a bit of everything lose their
/// power at any point, and the disk keeps any subset of what was not flushed.
@Suite("Simulated crashes")
struct CrashSimulationTests {
    /// Workloads are dealt out to as many threads.
    static let lanes = 2

    @Test(
        "After a power cut there is a beginning of the commits with all that was durable",
        arguments: 0..<lanes)
    func keepsPromises(_ lane: Int) throws {
        let isLong = CrashSettings.workloads != nil || CrashSettings.seed != nil
        var effort = CrashExploration.Effort()
        if isLong {
            effort.points = 40
            effort.states = 4
        }
        var exploration = CrashExploration(effort)
        var failures = 0
        for (index, seed) in CrashSettings.seeds(usually: 40).enumerated()
        where index % Self.lanes == lane {
            do {
                try exploration.explore(seed: seed)
            } catch {
                Issue.record("workload \(seed): \(error)")
                failures += 1
                // More of the same helps nobody.
                if failures == 5 { break }
            }
            if isLong, exploration.totals.workloads % 100 == 0 {
                print("crash simulation, lane \(lane): \(exploration.totals)")
            }
        }
        if isLong { print("crash simulation, lane \(lane): \(exploration.totals)") }
    }
}
