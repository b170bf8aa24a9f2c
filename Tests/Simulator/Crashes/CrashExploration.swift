import Glibc

@testable import ZeroDB

/// Runs programs, cuts their power at many points, and checks many of the disks that may leave.
struct CrashExploration {
    /// How much to look at.
    struct Effort: Sendable {
        /// Crash points of a workload; all if it has fewer events.
        var points = 12
        /// Of 100 workloads, in how many all crash points are looked at.
        var everyPointPercent = 0
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

    /// Runs a program and explores its crashes.
    ///
    /// - Parameters:
    ///   - plan: nil for the one that the seed makes.
    ///   - suite: the tests that run it, which the message of a failure names.
    mutating func explore(
        _ plan: ProgramPlan? = nil, seed: UInt64, suite: String = "CrashSimulationTests"
    ) throws {
        let plan = plan ?? ProgramPlan(seed: seed)
        let disk = SimulatedDisk(directories: ["/machine"], isRecording: true)
        let program = SimulatedProgram(plan, disk: disk)
        do {
            try program.run()
            try explore(program, seed: seed)
        } catch {
            let place = (error as? CrashFailure)?.place.map { " ZERODB_CRASH_POINT=\($0)" } ?? ""
            throw CrashFailure(
                """
                \(error)
                rerun with ZERODB_CRASH_SEED=\(seed)\(place) swift test --filter \(suite)
                \(plan)
                """)
        }
    }

    /// Explores the crashes of a program that has run.
    mutating func explore(_ program: SimulatedProgram, seed: UInt64) throws {
        let disk = program.disk
        let image = DiskImage(
            directories: ["", "/machine"], lockPath: SimulatedProgram.lockPath,
            staleLock: disk.volatileBytes(SimulatedProgram.lockPath))
        totals.workloads += 1
        var crashes = Crashes(
            image: image, journal: disk.journal, history: program.history, promises: Promises(),
            pageSize: program.plan.pageSize, seed: seed)
        try walk(&crashes, points: effort.points, states: effort.states, isSecond: false)
    }

    /// A journal and all that is known about it.
    private struct Crashes {
        let image: DiskImage
        let journal: [DiskEvent]
        let history: AttemptHistory
        var promises: Promises
        let pageSize: Int
        let seed: UInt64
    }

    private mutating func walk(
        _ crashes: inout Crashes, points: Int, states: Int, isSecond: Bool
    ) throws {
        var random = SeededGenerator(seed: crashes.seed ^ 0xc4a5)
        // Between two events of the disk only what was promised last counts.
        let candidates =
            crashes.journal.indices.filter { !crashes.journal[$0].isNote } + [crashes.journal.count]
        // Just before a flush, or a change of names, most is at stake.
        let hot = candidates.filter { $0 == crashes.journal.count || !crashes.journal[$0].isWrite }
        var chosen = Set(candidates)
        if !isSecond, let only = CrashSettings.point?.point {
            chosen = [only]
        } else if candidates.count > points, isSecond || !random.chance(effort.everyPointPercent) {
            chosen = Set((0..<points).map { random.pick($0 % 2 == 0 ? hot : candidates) })
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
            let seed = crashes.seed &* 31 &+ UInt64(point) &* 1009 &+ UInt64(state)
            func makeDisk(isRecording: Bool) -> SimulatedDisk {
                var survival = Survival(seed: seed, position: point)
                return crashes.image.makeDisk(&survival, isRecording: isRecording)
            }
            do {
                try check(
                    makeDisk(isRecording: !isSecond), AttemptHistory(crashes.history),
                    crashes.promises, pageSize: crashes.pageSize, seed: seed, isSecond: isSecond)
            } catch {
                let which = isSecond ? "second" : "first"
                var story =
                    "\(error), after the \(which) power cut at \(point).\(state) of "
                    + "\(crashes.journal.count)"
                if !isSecond {
                    let kept = KeptState.save(
                        makeDisk(isRecording: false), crashes.history, crashes.promises,
                        pageSize: crashes.pageSize, seed: seed,
                        name: "\(crashes.seed)-\(point).\(state)")
                    story +=
                        "\nrerun with ZERODB_CRASH_STATE=\(kept ?? "(which cannot be written)")"
                }
                throw CrashFailure(story, place: "\(point).\(state)")
            }
        }
    }

    /// Checks a disk that was kept.
    mutating func check(_ kept: KeptState) throws {
        try check(
            kept.disk, kept.history, kept.promises, pageSize: kept.pageSize, seed: kept.seed,
            isSecond: false)
    }

    /// Checks a disk, and perhaps those that another power cut makes of it meanwhile.
    private mutating func check(
        _ disk: SimulatedDisk, _ history: AttemptHistory, _ promises: Promises, pageSize: Int,
        seed: UInt64, isSecond: Bool
    ) throws {
        totals.states += 1
        var random = SeededGenerator(seed: seed ^ 0x5ec0)
        let crashesAgain = !isSecond && random.chance(effort.secondCrashPercent)
        let image =
            crashesAgain
            ? DiskImage(
                disk, lockPath: SimulatedProgram.lockPath,
                staleLock: disk.volatileBytes(SimulatedProgram.lockPath)) : nil
        if !crashesAgain { disk.stopRecording() }
        let check = CrashCheck(history: history, promises: promises, pageSize: pageSize)
        try check.run(disk, seed: random.next())
        guard let image else { return }
        var second = Crashes(
            image: image, journal: disk.journal, history: history, promises: promises,
            pageSize: pageSize, seed: random.next())
        try walk(&second, points: effort.secondPoints, states: 1, isSecond: true)
    }
}
