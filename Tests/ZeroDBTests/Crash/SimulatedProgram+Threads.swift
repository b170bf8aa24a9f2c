import Glibc
import Synchronization

@testable import ZeroDB

extension SimulatedProgram {
    /// Runs a body in several threads at once.
    static func concurrently(_ count: Int, _ body: @escaping @Sendable (Int) -> Void) {
        final class Start: Sendable {
            let index: Int
            let body: @Sendable (Int) -> Void

            init(_ index: Int, _ body: @escaping @Sendable (Int) -> Void) {
                self.index = index
                self.body = body
            }
        }
        var threads: [pthread_t] = []
        for index in 0..<count {
            var thread = pthread_t()
            let start = Unmanaged.passRetained(Start(index, body))
            let result = pthread_create(
                &thread, nil,
                { argument in
                    guard let argument else { return nil }
                    let start = Unmanaged<Start>.fromOpaque(argument).takeRetainedValue()
                    start.body(start.index)
                    return nil
                }, start.toOpaque())
            precondition(result == 0, "a thread cannot be started: \(SystemCall.describe(result))")
            threads.append(thread)
        }
        for thread in threads { pthread_join(thread, nil) }
    }

    /// Writers that share an environment, and a reader, in phases: after each the environment is
    /// closed, or its process dies in the middle.
    func runThreads() throws {
        let phases = plan.killPercent + plan.reopenPercent > 0 ? 3 : 1
        let seat = Seat(nextProcess())
        // While the medium works, other threads come to their turns.
        disk.duringFlush = { for _ in 0..<30 { sched_yield() } }
        for phase in 0..<phases {
            try open(seat)
            guard let environment = seat.environment else { return }
            let dies = plan.killPercent > 0 && phase < phases - 1
            if dies { disk.arm(Trap(number: random.within(1...1500), effect: .killBefore)) }
            try runPhase(
                seat.process, environment, steps: max(1, plan.steps / phases / plan.writers))
            disk.arm(nil)
            try environment.close()
            seat.environment = nil
            if !seat.process.isDead {
                let last = mutex.withLock { _ in lastCommitted }
                // The last to close leaves everything durable.
                if let last { note(.durable(last)) }
            }
            seat.process = nextProcess()
        }
    }

    private func runPhase(
        _ process: SimulatedProcess, _ environment: Environment, steps: Int
    ) throws {
        let failure = Mutex<(any Error)?>(nil)
        let working = Atomic<Int>(plan.writers)
        let seeds = (0...plan.writers).map { _ in random.next() }
        mutex.withLock { _ in lastCommitted = nil }
        Self.concurrently(plan.writers + 1) { [self] index in
            do {
                if index == plan.writers {
                    while working.load(ordering: .relaxed) > 0 { try observe(environment) }
                } else {
                    defer { working.subtract(1, ordering: .relaxed) }
                    try write(environment, steps, seed: seeds[index])
                }
            } catch {
                if !process.isDead { failure.withLock { $0 = $0 ?? error } }
            }
        }
        if let error = failure.withLock({ $0 }) { throw error }
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

    private func write(_ environment: Environment, _ steps: Int, seed: UInt64) throws {
        var random = SeededGenerator(seed: seed)
        for _ in 0..<steps {
            disk.advanceClock(milliseconds: random.below(50))
            switch random.below(100) {
            case ..<plan.checkpointPercent: try environment.checkpoint()
            case ..<(plan.checkpointPercent + plan.syncPercent):
                let before = mutex.withLock { _ in lastCommitted }
                try environment.sync()
                if let before { note(.durable(before)) }
            default:
                let number = try tryOnce(
                    environment, random.pick(plan.durabilities), expecting: nil,
                    seed: random.next(), isAborted: random.chance(plan.abortPercent))
                mutex.withLock { _ in
                    guard history.attempts[number].depth
                        > lastCommitted.map({ history.attempts[$0].depth }) ?? 0
                    else { return }
                    lastCommitted = number
                }
            }
        }
    }
}
