@testable import ZeroDB

/// Opens what a power cut has left, and looks whether all promises are kept.
struct CrashCheck {
    let history: AttemptHistory
    let promises: Promises
    let pageSize: Int

    private static let path = SimulatedProgram.directory

    private func open(_ disk: SimulatedDisk, _ process: Int) throws -> Environment {
        var options = EnvironmentOptions()
        options.pageSize = pageSize
        options.maxSize = 256 << 20
        options.maxTransactionPages = 0
        options.logSize = 1 << 20
        options.usesThread = false
        do throws(DatabaseError) {
            return try Environment(
                path: Self.path, options: options,
                fileSystem: SimulatedProcess(disk, number: process))
        } catch {
            throw CrashFailure("the environment does not open: \(error)")
        }
    }

    /// Recovers, compares, writes, closes and opens again.
    ///
    /// - Parameter seed: of what is written.
    /// - Returns: the promises after each note on the disk, should there be another power cut.
    func run(_ disk: SimulatedDisk, seed: UInt64) throws {
        var promises = promises
        let environment = try open(disk, 1)
        let found = try compare(environment)
        if let problem = promises.problem(with: found, history) { throw CrashFailure(problem) }
        disk.note(.seen(found))
        promises.promise(history.newestFull(in: found), history)
        let last = try write(environment, after: found, on: disk, seed: seed, &promises)
        do throws(DatabaseError) {
            try environment.close()
        } catch {
            throw CrashFailure("closing after the crash: \(error)")
        }
        disk.note(.durable(last))
        let again = try open(disk, 2)
        let present = try compare(again)
        if present != last {
            throw CrashFailure("closed with transaction \(last), opened again with \(present)")
        }
        try again.close()
    }

    private func write(
        _ environment: Environment, after found: Int, on disk: SimulatedDisk, seed: UInt64,
        _ promises: inout Promises
    ) throws -> Int {
        var random = SeededGenerator(seed: seed)
        var last = found
        let shape = Attempt.Shape(operationsMax: random.pick([0, 5, 200]), keys: 300)
        for _ in 0..<random.within(1...4) {
            let durability = random.pick([Durability.full, .full, .relaxed, .none])
            do throws(DatabaseError) {
                // A program may well do again what it lost, and then its log records are as
                // long as those that lie behind the end of the log.
                let lost = random.chance(50) ? history.first(after: last) : nil
                let attempt = history.begin(
                    after: last, durability, lost?.shape ?? shape,
                    seed: lost?.seed ?? random.next())
                disk.note(.committing(attempt.number))
                try commit(attempt, in: environment)
                if durability == .full { disk.note(.durable(attempt.number)) }
                last = attempt.number
            } catch {
                throw CrashFailure("writing after the crash: \(error)")
            }
        }
        _ = try compare(environment, expecting: last)
        return last
    }

    private func commit(
        _ attempt: Attempt, in environment: Environment
    ) throws(DatabaseError) {
        var transaction = try environment.beginWrite(durability: attempt.durability)
        do {
            try transaction.perform(attempt)
        } catch let error as DatabaseError {
            throw error
        } catch {
            throw DatabaseError(.badArgument, "\(error)")
        }
        try transaction.commit()
    }

    /// Verifies an environment and compares it with what should be there.
    ///
    /// - Returns: the number of its last transaction.
    @discardableResult
    private func compare(_ environment: Environment, expecting number: Int? = nil) throws -> Int {
        var problems: [String] = []
        let report = try environment.verify { problems.append($0.message) }
        if report.problems > 0 {
            throw CrashFailure("\(report.problems) problems, \(problems.prefix(3))")
        }
        let reader = try environment.beginRead()
        let found = try reader.lastAttempt()
        guard history.contains(found) else {
            throw CrashFailure("transaction \(found) is there, which never was")
        }
        if let number, found != number {
            throw CrashFailure("transaction \(found) is the last one, not \(number)")
        }
        let contents = history.contents(after: found)
        if let problem = try reader.difference(from: contents, number: found) {
            throw CrashFailure("after transaction \(found), \(problem)")
        }
        guard report.databases == contents.namedCount else {
            throw CrashFailure(
                "after transaction \(found) there are \(report.databases) databases instead of "
                    + "\(contents.namedCount)")
        }
        let digest = contents.digest(withNumber: found)
        guard report.digest.number == digest, try environment.info().digest.number == digest else {
            throw CrashFailure(
                "after transaction \(found) the environment has the digest \(report.digest), which is not "
                    + "that of its databases")
        }
        return found
    }
}
