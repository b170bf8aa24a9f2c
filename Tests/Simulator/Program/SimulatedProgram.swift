import Glibc

@testable import ZeroDB

/// A program that uses an environment on a simulated disk, and writes down what it was told.
///
/// It checks on the way all that holds without a crash: a writer starts from the newest commit,
/// a reader's snapshot stays as it is, and what was durable is there when a process dies.
final class SimulatedProgram: @unchecked Sendable {
    /// A process with the environment open, or about to open it.
    final class Seat: @unchecked Sendable {
        var process: SimulatedProcess
        var environment: Environment?
        var readers: [HeldReader] = []

        init(_ process: SimulatedProcess) { self.process = process }

        /// Closes the environment. A process that has died cannot write its last.
        ///
        /// - Parameter mayFail: whether a call of another may have failed.
        func close(mayFail: Bool = false) throws(DatabaseError) {
            do throws(DatabaseError) {
                try environment?.close()
            } catch {
                guard error.code != .busy, mayFail || process.isDead else { throw error }
            }
            environment = nil
        }
    }

    /// A reader with the number of the transaction it sees.
    final class HeldReader {
        let transaction: ReadTransaction
        let number: Int

        init(_ environment: Environment) throws {
            transaction = try environment.beginRead()
            number = try transaction.lastAttempt()
        }
    }

    /// A transaction that has done all it does, but for its commit.
    final class OpenAttempt {
        let attempt: Attempt
        fileprivate(set) var transaction: WriteTransaction?
        fileprivate let process: SimulatedProcess
        private let claim: TransactionClaim
        /// How its commit went, if it has been called.
        fileprivate(set) var outcome: Result<Void, any Error>?

        fileprivate init(
            _ attempt: Attempt, _ transaction: consuming WriteTransaction,
            _ process: SimulatedProcess
        ) {
            self.attempt = attempt
            claim = transaction.access.claim
            self.transaction = .some(transaction)
            self.process = process
        }

        /// While it is open: pages that its commit frees, besides those of the trees that commits change,
        /// and bytes of its log record so far.
        var size: (freedPages: UInt64, logBytes: UInt64) {
            guard let write = claim.state.pointee.write else { return (0, 0) }
            let freed = write.pointee.workspace.pointee.freed
            return (freed.reduce(0) { $0 + $1.pages.count }, UInt64(write.pointee.log.count))
        }
    }

    static let directory = "/machine/environment"
    static let lockPath = directory + "/lock.zdb"

    let plan: ProgramPlan
    let disk: SimulatedDisk
    let history: AttemptHistory
    private(set) var promises = Promises()
    /// Guards `history` and `promises`.
    let mutex = Locked<Void>(())
    var random: SeededGenerator
    var flushRandom: SeededGenerator
    /// Whether this is in the middle of a flush.
    var isInterlude = false
    var interludeFailure: (any Error)?
    /// The one that acts now.
    var acting: Seat?
    /// The newest transaction of an interlude.
    var newestOfInterlude: Int?
    /// Commits that were tried in interludes. One whose process dies may have made the file longer.
    var triesOfInterlude = 0
    /// The transaction that is to commit while a checkpoint is under way.
    var straddling: OpenAttempt?
    /// Whether a checkpoint is being made after one whose process has died.
    var isTakingOver = false
    var seats: [Seat] = []
    private var processesMade = 0
    /// The newest commit, if no process has died since.
    var newest: Int? = 0
    /// The newest transaction whose commit has returned to a thread in this phase.
    var lastCommitted: Int?
    /// Whether a call was made to fail, ever.
    var hasFailed = false

    /// - Parameter disk: an empty one.
    init(_ plan: ProgramPlan, disk: SimulatedDisk) {
        self.plan = plan
        self.disk = disk
        history = AttemptHistory()
        random = SeededGenerator(seed: plan.seed ^ 0x5157)
        flushRandom = SeededGenerator(seed: plan.seed ^ 0xf1)
    }

    func note(_ note: ProgramNote) {
        mutex.withLock { _ in
            promises.apply(note, history)
            disk.note(note)
        }
    }

    func check(_ condition: Bool, _ what: @autoclosure () -> String) throws {
        if !condition { throw CrashFailure(what()) }
    }

    // MARK: Processes

    func nextProcess() -> SimulatedProcess {
        processesMade += 1
        return SimulatedProcess(disk, number: processesMade)
    }

    /// Opens the environment in a process; in another one each time that one dies.
    func open(_ seat: Seat) throws {
        while true {
            do throws(DatabaseError) {
                seat.environment = try Environment(
                    path: Self.directory, options: plan.options, fileSystem: seat.process)
            } catch {
                try check(seat.process.isDead, "the environment does not open: \(error)")
                seat.process = nextProcess()
                continue
            }
            break
        }
    }

    /// After a death: lets go of what the process had, and begins another one.
    func replace(_ seat: Seat) throws {
        seat.readers = []
        try seat.close()
        seat.process = nextProcess()
        newest = nil
        try open(seat)
    }

    // MARK: One thread

    /// Does all that the plan asks for, one process at a time.
    func run() throws {
        if plan.writers > 1 {
            try runThreads()
            return
        }
        for _ in 0..<plan.processes {
            let seat = Seat(nextProcess())
            seats.append(seat)
            try open(seat)
        }
        actDuringFlushes()
        for step in 0..<plan.steps {
            let seat = random.pick(seats)
            acting = seat
            do {
                try act(seat, step)
            } catch {
                guard seat.process.isDead else { throw error }
            }
            if let interludeFailure { throw interludeFailure }
            for seat in seats where seat.process.isDead { try replace(seat) }
        }
        disk.arm(nil)
        disk.duringFlush = nil
        for seat in seats { try close(seat) }
    }

    /// What a process took with it when it died is unknown, even if it was closing.
    private func forgetNewest() {
        newest = nil
        newestOfInterlude = nil
    }

    private func act(_ seat: Seat, _ step: Int) throws {
        guard let environment = seat.environment else { return }
        // Relaxed commits are flushed after 100 ms.
        disk.advanceClock(milliseconds: random.below(50))
        var dice = random.below(100)
        func falls(_ percent: Int) -> Bool {
            dice -= percent
            return dice < 0
        }
        if falls(plan.killPercent) {
            disk.arm(
                Trap(
                    number: random.within(1...60),
                    effect: random.chance(50) ? .killBefore : .killAfter))
        }
        newestOfInterlude = nil
        defer { newest = newestOfInterlude ?? newest }
        if plan.giants.contains(step) {
            try transact(seat, environment, isGiant: true)
        } else if falls(plan.checkpointPercent) {
            let before = newest
            try environment.checkpoint()
            if let before { note(.durable(before)) }
        } else if falls(plan.syncPercent) {
            let before = newest
            try environment.sync()
            if let before { note(.durable(before)) }
        } else if falls(plan.readerPercent) {
            try changeReaders(seat, environment)
        } else if falls(plan.reopenPercent) {
            try close(seat)
            if seat.process.isDead { forgetNewest() }
            seat.process = nextProcess()
            try open(seat)
        } else if falls(plan.compactPercent) {
            try compact(environment)
        } else {
            try transact(seat, environment, isGiant: false)
        }
    }

    /// Makes the file shorter, in steps as small as can be.
    func compact(_ environment: Environment) throws {
        var options = Compaction.Options()
        options.budget = random.pick([3, 8, 24])
        options.gainMin = 1
        options.gainShare = 1 << 20
        options.slackMin = random.pick([0, 8])
        options.pagesMax = random.pick([.max, .max, 20])
        options.punchesHoles = random.chance(50)
        options.holeMin = 1
        let before = newest
        let triesBefore = triesOfInterlude
        let result = try environment.compact(options)
        // Nothing that it does changes what was committed.
        if let before, newestOfInterlude == nil {
            let found = try environment.read { try $0.lastAttempt() }
            try check(found == before, "compacted with transaction \(before), found \(found)")
        }
        try check(
            result.bytesAfter <= result.bytesBefore || plan.writers > 1
                || triesOfInterlude > triesBefore,
            "the file had \(result.bytesBefore) bytes, and has \(result.bytesAfter)")
    }

    /// Closes an environment. The last one to do it leaves everything durable.
    private func close(_ seat: Seat) throws {
        for reader in seat.readers { try check(reader) }
        seat.readers = []
        try seat.close()
        guard !seat.process.isDead, seats.count == 1, let newest else { return }
        note(.durable(newest))
    }

    func changeReaders(_ seat: Seat, _ environment: Environment) throws {
        if seat.readers.count >= plan.readersMax
            || (!seat.readers.isEmpty && random.chance(plan.readerEndPercent))
        {
            let reader = seat.readers.remove(at: random.below(seat.readers.count))
            try check(reader)
        } else {
            let reader = try HeldReader(environment)
            if let newest {
                try check(
                    reader.number == newest,
                    "a reader sees transaction \(reader.number), the newest is \(newest)")
            }
            note(.seen(reader.number))
            seat.readers.append(reader)
        }
    }

    /// Invariant 6: a snapshot does not change.
    func check(_ reader: borrowing HeldReader) throws {
        let contents = mutex.withLock { _ in history.contents(after: reader.number) }
        if let problem = try reader.transaction.difference(
            from: contents, number: reader.number)
        {
            throw CrashFailure("the snapshot of transaction \(reader.number): \(problem)")
        }
    }

    private func transact(_ seat: Seat, _ environment: Environment, isGiant: Bool) throws {
        let durability = random.pick(plan.durabilities)
        let isAborted = random.chance(plan.abortPercent)
        let straddles = !isGiant && !isAborted && random.chance(plan.straddlePercent)
        let base = newest
        newest = nil
        guard straddles else {
            newest = try tryOnce(
                environment, in: seat.process, durability, expecting: base, seed: random.next(),
                isGiant: isGiant, isAborted: isAborted, midway: { _ in try self.actMidway() })
            return
        }
        var hasDied = false
        newest = try tryOnce(
            environment, in: seat.process, durability, expecting: base, seed: random.next(),
            shape: plan.smallShape,
            midway: { open in hasDied = try self.straddle(open, seat, base: base) })
        if hasDied { try takeOver(environment) }
    }

    /// Runs one transaction.
    ///
    /// - Parameters:
    ///   - shape: of another one than the plan's transactions.
    ///   - midway: runs before it commits; may commit it.
    /// - Returns: the number of the newest transaction after it.
    @discardableResult
    func tryOnce(
        _ environment: Environment, in process: SimulatedProcess, _ durability: Durability,
        expecting base: Int?, seed: UInt64, shape: Attempt.Shape? = nil, isGiant: Bool = false,
        isAborted: Bool = false, midway: (OpenAttempt) throws -> Void = { _ in }
    ) throws -> Int {
        var transaction = try environment.beginWrite(durability: durability)
        let found = try transaction.lastAttempt()
        if let base {
            try check(found == base, "a writer starts from transaction \(found), not \(base)")
        }
        let (attempt, problem) = mutex.withLock { _ in
            let problem = promises.problem(with: found, history)
            let attempt = history.begin(
                after: found, durability, shape ?? plan.shape, seed: seed, isGiant: isGiant)
            return (attempt, problem)
        }
        if let problem { throw CrashFailure("without a power cut, \(problem)") }
        try transaction.perform(attempt)
        let open = OpenAttempt(attempt, transaction, process)
        try midway(open)
        if isAborted {
            open.transaction = nil
            note(.undone(attempt.number))
            return found
        }
        try commit(open)
        return attempt.number
    }

    /// Commits an attempt, unless it has been tried already.
    ///
    /// - Throws: what the commit has thrown, now or before.
    func commit(_ open: OpenAttempt) throws {
        if let transaction = open.transaction.take() {
            do {
                try commit(transaction, of: open)
                open.outcome = .success(())
            } catch {
                open.outcome = .failure(error)
            }
        }
        try open.outcome?.get()
    }

    private func commit(
        _ transaction: consuming WriteTransaction, of open: OpenAttempt
    ) throws(DatabaseError) {
        let attempt = open.attempt
        note(.committing(attempt.number))
        do throws(DatabaseError) {
            try transaction.commit()
        } catch {
            // A commit that fails has not happened, unless the failure leaves that unknown.
            if error.code != .panic, !open.process.isDead { note(.undone(attempt.number)) }
            throw error
        }
        if attempt.durability == .full { note(.durable(attempt.number)) }
    }
}
