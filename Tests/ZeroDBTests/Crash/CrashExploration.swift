import Glibc

@testable import ZeroDB

/// Runs programs, cuts their power at many points, and checks many of the disks that may leave.
struct CrashExploration {
    /// How much to look at.
    struct Effort: Sendable {
        /// Crash points of a workload; all if it has fewer events.
        var points = 12
        /// Disks made from each.
        var states = 3
        /// Of 100 disks, how many are used to crash again while they recover.
        var secondCrashPercent = 10
        /// Crash points and states then.
        var secondPoints = 4
    }

    struct Totals: Sendable {
        var workloads = 0
        var points = 0
        var states = 0

        static func += (left: inout Totals, right: Totals) {
            left.workloads += right.workloads
            left.points += right.points
            left.states += right.states
        }
    }

    let effort: Effort
    private(set) var totals = Totals()

    init(_ effort: Effort) { self.effort = effort }

    /// Runs the program of a seed and explores its crashes.
    mutating func explore(seed: UInt64) throws {
        let plan = ProgramPlan(seed: seed)
        let disk = SimulatedDisk(directories: ["/machine"], isRecording: true)
        let program = SimulatedProgram(plan, disk: disk)
        do {
            try program.run()
        } catch {
            throw CrashFailure("\(error)\n\(rerun(seed, nil))\n\(plan)")
        }
        let stale = disk.volatileBytes(SimulatedProgram.lockPath)
        let image = DiskImage(
            directories: ["", "/machine"], lockPath: SimulatedProgram.lockPath, staleLock: stale)
        totals.workloads += 1
        var crashes = Crashes(
            image: image, journal: disk.journal, history: program.history, promises: Promises(),
            options: plan.options, seed: seed)
        crashes.options.usesThread = false
        try walk(&crashes, points: effort.points, states: effort.states, isSecond: false)
    }

    /// A journal and all that is known about it.
    private struct Crashes {
        let image: DiskImage
        let journal: [DiskEvent]
        let history: AttemptHistory
        var promises: Promises
        var options: EnvironmentOptions
        let seed: UInt64
        /// For messages: what was chosen above.
        var story = ""
    }

    private mutating func walk(
        _ crashes: inout Crashes, points: Int, states: Int, isSecond: Bool
    ) throws {
        var random = SeededGenerator(seed: crashes.seed ^ 0xc4a5)
        // Between two events of the disk only what was promised last counts.
        let candidates = crashes.journal.indices.filter { !crashes.journal[$0].isNote }
            + [crashes.journal.count]
        var chosen = Set(candidates)
        if !isSecond, let only = CrashSettings.point?.point {
            chosen = [only]
        } else if candidates.count > points {
            chosen = Set((0..<points).map { _ in random.pick(candidates) })
        }
        for point in 0...crashes.journal.count {
            if chosen.contains(point) {
                totals.points += 1
                try check(crashes, point, states: states, isSecond: isSecond)
            }
            guard point < crashes.journal.count else { break }
            if case .note(let note) = crashes.journal[point] {
                crashes.promises.apply(note, crashes.history)
            }
            crashes.image.apply(crashes.journal[point])
        }
    }

    private mutating func check(
        _ crashes: Crashes, _ point: Int, states: Int, isSecond: Bool
    ) throws {
        // With nothing unflushed there is but one outcome.
        let count = crashes.image.hasPending ? states : 1
        var chosen = Array(0..<count)
        if !isSecond, let only = CrashSettings.point?.state { chosen = [only] }
        for state in chosen {
            totals.states += 1
            var random = SeededGenerator(
                seed: crashes.seed &* 31 &+ UInt64(point) &* 1009 &+ UInt64(state))
            var survival = Survival(seed: random.next(), position: point)
            let crashesAgain = !isSecond && random.chance(effort.secondCrashPercent)
            let disk = crashes.image.makeDisk(&survival, isRecording: crashesAgain)
            let left = crashesAgain ? makeImage(disk, crashes.image) : nil
            let check = CrashCheck(
                history: AttemptHistory(crashes.history), promises: crashes.promises,
                options: crashes.options)
            do {
                try check.run(disk, seed: random.next())
                if let left {
                    var second = Crashes(
                        image: left, journal: disk.journal, history: check.history,
                        promises: crashes.promises, options: crashes.options, seed: random.next(),
                        story: "\(crashes.story)the first power cut at \(point).\(state), ")
                    try walk(&second, points: effort.secondPoints, states: 1, isSecond: true)
                }
            } catch {
                guard !isSecond else {
                    throw CrashFailure("\(error), after a second power cut at \(point).\(state)")
                }
                let rerun = rerun(crashes.seed, (point, state))
                throw CrashFailure(
                    "\(error), after a power cut at \(point).\(state) of "
                        + "\(crashes.journal.count)\n\(rerun)\n\(ProgramPlan(seed: crashes.seed))")
            }
        }
    }

    private func makeImage(_ disk: SimulatedDisk, _ above: DiskImage) -> DiskImage {
        DiskImage(disk, lockPath: above.lockPath, staleLock: above.staleLock)
    }

    private func rerun(_ seed: UInt64, _ point: (Int, Int)?) -> String {
        let at = point.map { " ZERODB_CRASH_POINT=\($0.0).\($0.1)" } ?? ""
        return "rerun with ZERODB_CRASH_SEED=\(seed)\(at) swift test --filter CrashSimulationTests"
    }
}
