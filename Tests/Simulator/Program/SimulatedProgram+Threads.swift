import Glibc
import Synchronization

@testable import ZeroDB

extension SimulatedProgram {
    /// Writers that share an environment, and a reader, in phases: after each the environment is
    /// closed, or its process dies in the middle.
    func runThreads() throws {
        let phases = plan.killPercent + plan.reopenPercent > 0 ? 3 : 1
        let seat = Seat(nextProcess())
        disk.duringFlush = { [weak self] _ in self?.letOthersWork() }
        for phase in 0..<phases {
            try open(seat)
            guard let environment = seat.environment else { return }
            let dies = plan.killPercent > 0 && phase < phases - 1
            if dies { disk.arm(Trap(number: random.within(1...1500), effect: .killBefore)) }
            try runPhase(
                seat.process, environment, steps: max(1, plan.steps / phases / plan.writers))
            disk.arm(nil)
            try seat.close()
            if !seat.process.isDead {
                let last = mutex.withLock { _ in lastCommitted }
                // The last to close leaves everything durable.
                if let last { note(.durable(last)) }
            }
            seat.process = nextProcess()
        }
    }

    /// While the medium works, other threads go on for none, some or many events of the disk.
    private func letOthersWork() {
        let before = disk.eventCount
        var random = SeededGenerator(seed: UInt64(before))
        let events = random.pick([0, 3, 30, 100])
        for _ in 0..<(events * 20) where disk.eventCount < before + events { sched_yield() }
    }

    private func runPhase(
        _ process: SimulatedProcess, _ environment: Environment, steps: Int
    ) throws {
        let failure = Locked<(any Error)?>(nil)
        let working = Atomic<Int>(plan.writers)
        let seeds = (0...plan.writers).map { _ in random.next() }
        mutex.withLock { _ in lastCommitted = nil }
        let failures = runOnThreads(plan.writers + 1) { [self] index in
            do {
                if index == plan.writers {
                    while working.load(ordering: .relaxed) > 0 { try observe(environment) }
                } else {
                    defer { working.subtract(1, ordering: .relaxed) }
                    try write(process, environment, steps, seed: seeds[index])
                }
            } catch {
                if !process.isDead { failure.withLock { $0 = $0 ?? error } }
            }
        }
        if let error = failure.withLock({ $0 }) { throw error }
        if let failed = failures.first { throw CrashFailure(failed) }
    }

    private func observe(_ environment: Environment) throws {
        let reader = try HeldReader(environment)
        note(.seen(reader.number))
        for _ in 0..<20 { sched_yield() }
        guard reader.number % 8 == 0 else { return }
        let contents = mutex.withLock { _ in history.contents(after: reader.number) }
        let problem = try reader.transaction.difference(from: contents, number: reader.number)
        if let problem {
            throw CrashFailure("the snapshot of transaction \(reader.number): \(problem)")
        }
    }

    private func write(
        _ process: SimulatedProcess, _ environment: Environment, _ steps: Int, seed: UInt64
    ) throws {
        var random = SeededGenerator(seed: seed)
        for _ in 0..<steps {
            disk.advanceClock(milliseconds: random.below(50))
            switch random.below(100) {
            case ..<plan.checkpointPercent: try environment.checkpoint()
            case ..<(plan.checkpointPercent + plan.syncPercent):
                let before = mutex.withLock { _ in lastCommitted }
                try environment.sync()
                if let before { note(.durable(before)) }
            case ..<(plan.checkpointPercent + plan.syncPercent + plan.compactPercent / 2):
                var options = Compaction.Options()
                options.budget = random.pick([3, 24])
                options.gainMin = 1
                options.gainShare = 1 << 20
                options.slackMin = 8
                options.punchesHoles = random.chance(50)
                options.holeMin = 1
                _ = try environment.compact(options)
            default:
                let number = try tryOnce(
                    environment, in: process, random.pick(plan.durabilities), expecting: nil,
                    seed: random.next(), isAborted: random.chance(plan.abortPercent))
                mutex.withLock { _ in
                    guard
                        history.attempts[number].depth
                            > lastCommitted.map({ history.attempts[$0].depth }) ?? 0
                    else { return }
                    lastCommitted = number
                }
            }
        }
    }
}
