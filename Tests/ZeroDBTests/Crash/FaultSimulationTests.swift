import Glibc
import Testing

@testable import Simulator
@testable import ZeroDB

/// Invariants 3 and 8 on a simulated disk: every call of the seam fails in turn, and then the
/// power too.
@Suite("Simulated failures of the disk")
struct FaultSimulationTests {
    /// How calls fail.
    enum Failure: String, CaseIterable, Sendable {
        case once
        case fromThenOn
        case fullDiskOnce
        case fullDiskFromThenOn
        case flushesOnce
        case flushesFromThenOn

        func trap(at number: Int) -> Trap {
            switch self {
            case .once: Trap(number: number, effect: .fail(EIO), storedPercent: 30)
            case .fromThenOn:
                Trap(number: number, effect: .fail(EIO), isLasting: true, storedPercent: 70)
            case .fullDiskOnce:
                Trap(number: number, effect: .fail(ENOSPC), calls: growing, storedPercent: 50)
            case .fullDiskFromThenOn:
                Trap(number: number, effect: .fail(ENOSPC), calls: growing, isLasting: true)
            case .flushesOnce: Trap(number: number, effect: .fail(EIO), calls: flushing)
            case .flushesFromThenOn:
                Trap(number: number, effect: .fail(EIO), calls: flushing, isLasting: true)
            }
        }

        private var growing: Set<SeamCall> { [.write, .truncate, .makeDirectory, .rename] }
        private var flushing: Set<SeamCall> { [.sync, .syncDirectory] }
    }

    @Test(
        "Whichever call fails, acknowledged commits survive and failed ones are absent",
        arguments: Failure.allCases)
    func survivesFailures(_ failure: Failure) throws {
        let seed = CrashSettings.seed ?? TestSettings.seed
        // Without a failure, to count the calls.
        let calls = try run(seed, failure, at: .max).calls
        #expect(calls > 20)
        var numbers = Array(1...calls)
        if let only = CrashSettings.call {
            numbers = [only]
        } else if CrashSettings.workloads == nil {
            // Not all each time: the seed says which.
            var random = SeededGenerator(seed: seed &+ UInt64(calls))
            numbers = (0..<12).map { _ in random.pick(numbers) }
        }
        for number in numbers {
            do {
                let (program, _) = try run(seed, failure, at: number)
                var effort = CrashExploration.Effort()
                effort.points = CrashSettings.workloads == nil ? 3 : 6
                effort.states = 2
                var exploration = CrashExploration(effort)
                try exploration.explore(program, seed: seed &+ UInt64(number))
            } catch {
                let place =
                    (error as? CrashFailure)?.place.map { " ZERODB_CRASH_POINT=\($0)" } ?? ""
                Issue.record(
                    """
                    \(failure), call \(number): \(error)
                    rerun with ZERODB_CRASH_SEED=\(seed) ZERODB_CRASH_CALL=\(number)\(place) \
                    swift test --filter FaultSimulationTests
                    """)
                return
            }
        }
    }

    private func run(
        _ seed: UInt64, _ failure: Failure, at number: Int
    ) throws -> (program: SimulatedProgram, calls: Int) {
        var plan = ProgramPlan(seed: seed)
        plan.writers = 1
        plan.usesThread = false
        plan.shape = Attempt.Shape(
            operationsMax: 30, valueMax: 500, overflowPercent: 15, keys: 80, namedDatabases: 2)
        let disk = SimulatedDisk(directories: ["/machine"], isRecording: true)
        let program = SimulatedProgram(plan, disk: disk)
        let calls = try program.run(SimulatedProgram.script, failure.trap(at: number))
        return (program, calls)
    }
}
