import Glibc

@testable import ZeroDB

/// A program that goes on when calls of the operating system fail, and checks that the engine
/// does too.
extension SimulatedProgram {
    enum Step: Sendable {
        case commit(Durability, isGiant: Bool)
        case checkpoint
        case compact
        case sync
        /// Closes the environment and opens it again.
        case reopen
        /// Opens it again after the process has died: there is something to recover.
        case die
    }

    /// All of the write path: the first segment and later ones, checkpoints with and without
    /// segments to recycle, recovery, all durabilities.
    static let script: [Step] = {
        let full = Step.commit(.full, isGiant: false)
        let relaxed = Step.commit(.relaxed, isGiant: false)
        let none = Step.commit(.none, isGiant: false)
        let some = [full, relaxed, full, full]
        return some + [.sync, none, full, .checkpoint] + some + some + [.die] + some + [
            relaxed, .die,
        ]
            + some + [.reopen, none, .sync] + some + some + some + [
                .checkpoint, full, .reopen, full, .compact, full, .compact, full,
            ]
    }()

    /// Takes the steps of a script, while a trap makes calls fail.
    ///
    /// - Returns: how many calls of the seam counted.
    func run(_ script: [Step], _ trap: Trap?) throws -> Int {
        let seat = Seat(nextProcess())
        disk.arm(trap)
        try openDespiteFaults(seat)
        for step in script {
            disk.advanceClock(milliseconds: random.below(50))
            try take(step, seat)
        }
        let calls = disk.callCount
        disk.arm(nil)
        try seat.close()
        return calls
    }

    private func openDespiteFaults(_ seat: Seat) throws {
        for attempt in 0..<4 {
            // A lasting fault is repaired in the end.
            if attempt == 2 { disk.arm(nil) }
            do throws(DatabaseError) {
                seat.environment = try Environment(
                    path: Self.directory, options: plan.options, fileSystem: seat.process)
                return
            } catch {
                try check(
                    disk.failureCount > 0 && [.system, .panic].contains(error.code),
                    "opening fails with \(error.code): \(error)")
                seat.process = nextProcess()
            }
        }
        throw CrashFailure("the environment does not open on a healthy disk")
    }

    private func take(_ step: Step, _ seat: Seat) throws {
        for attempt in 0..<5 {
            if attempt == 3 { disk.arm(nil) }
            let failuresBefore = disk.failureCount
            defer { hasFailed = hasFailed || disk.failureCount > 0 }
            do {
                try takeOnce(step, seat)
                return
            } catch let error as DatabaseError {
                // What failed behind a commit that was done poisons the next.
                let isFollow = error.code == .panic && (hasFailed || disk.failureCount > 0)
                try check(
                    isFollow || (disk.failureCount > failuresBefore && error.code == .system),
                    "\(step) fails with \(error.code) though no call failed now: \(error)")
                try checkReading(seat)
                if error.code == .panic { try leavePoison(seat) }
            }
        }
        throw CrashFailure("\(step) fails on a healthy disk")
    }

    private func takeOnce(_ step: Step, _ seat: Seat) throws {
        guard let environment = seat.environment else { return }
        switch step {
        case .commit(let durability, let isGiant):
            lastCommitted = try tryOnce(
                environment, in: seat.process, durability, expecting: nil, seed: random.next(),
                isGiant: isGiant)
        case .checkpoint:
            let before = lastCommitted
            try environment.checkpoint()
            if let before { note(.durable(before)) }
        case .compact:
            var options = Compaction.Options()
            options.gainMin = 1
            options.gainShare = 1 << 20
            options.slackMin = 0
            options.punchesHoles = true
            options.holeMin = 1
            _ = try environment.compact(options)
        case .sync:
            let before = lastCommitted
            try environment.sync()
            if let before { note(.durable(before)) }
        case .reopen:
            let failuresBefore = disk.failureCount
            // What the trap makes fail here is reported, and the next opening finds what it left.
            try seat.close(mayFail: true)
            if let lastCommitted, disk.failureCount == failuresBefore {
                note(.durable(lastCommitted))
            }
            try reopen(seat)
        case .die:
            disk.kill(seat.process.number)
            try seat.close()
            try reopen(seat)
        }
    }

    private func reopen(_ seat: Seat) throws {
        seat.process = nextProcess()
        try openDespiteFaults(seat)
        guard let environment = seat.environment else { return }
        let reader = try HeldReader(environment)
        try check(reader)
        lastCommitted = reader.number
    }

    /// Readers go on whatever has failed.
    private func checkReading(_ seat: Seat) throws {
        guard let environment = seat.environment else { return }
        let reader: HeldReader
        do {
            reader = try HeldReader(environment)
        } catch {
            throw CrashFailure("no reader can begin after a failure: \(error)")
        }
        try check(reader)
        note(.seen(reader.number))
    }

    /// Invariant 3: after a failed flush nothing is written before all is opened again.
    private func leavePoison(_ seat: Seat) throws {
        guard let environment = seat.environment else { return }
        var refusal: DatabaseError?
        do throws(DatabaseError) {
            let transaction = try environment.beginWrite()
            transaction.abort()
        } catch {
            refusal = error
        }
        try check(
            refusal?.code == .panic,
            "a poisoned environment lets a writer begin: \(refusal?.message ?? "no error")")
        try seat.close()
        try reopen(seat)
    }
}
