import Glibc
import Synchronization
import Testing

@testable import Simulator
@testable import ZeroDB

/// Invariant 3 where more than one waits: a flush that fails has failed for all of them, in every
/// process, also for those that would have gone on to flush or write a meta page themselves.
///
/// The simulated disk does what a kernel does: it forgets what a failed flush was to write, and
/// the next flush of the same file succeeds.
@Suite("Simulated flushes that fail while others wait")
struct FailedFlushSimulationTests {
    /// Two processes with an environment that holds a few commits.
    private struct Stage {
        let program: SimulatedProgram
        let seats: [SimulatedProgram.Seat]
        let environments: [Environment]
        /// The last transaction.
        private(set) var newest = 0
        private var random: SeededGenerator

        init(seed: UInt64) throws {
            var plan = ProgramPlan(seed: seed)
            plan.writers = 1
            plan.usesThread = false
            plan.pageSize = 4096
            plan.shape = Attempt.Shape(
                operationsMax: 30, valueMax: 500, overflowPercent: 5, keys: 80, namedDatabases: 2)
            random = SeededGenerator(seed: seed)
            program = SimulatedProgram(
                plan, disk: SimulatedDisk(directories: ["/machine"], isRecording: true))
            seats = [
                SimulatedProgram.Seat(program.nextProcess()),
                SimulatedProgram.Seat(program.nextProcess()),
            ]
            for seat in seats { try program.open(seat) }
            environments = seats.compactMap(\.environment)
            for _ in 0..<5 { try commit(.full) }
        }

        var disk: SimulatedDisk { program.disk }
        var tip: UInt64 { environments[0].store.shared.tip }

        mutating func commit(_ durability: Durability) throws {
            newest = try program.tryOnce(
                environments[0], in: seats[0].process, durability, expecting: newest,
                seed: random.next())
        }

        mutating func nextSeed() -> UInt64 { random.next() }

        /// No process can write, and every process can read what was visible before the failure.
        func expectPoison(visible: Int) throws {
            expectNoFlush()
            for environment in environments {
                expectPanic("a writer began") { try environment.beginWrite().abort() }
                expectPanic("a flush succeeded") { try environment.sync() }
                expectPanic("a checkpoint was made") { try environment.checkpoint() }
                #expect(try SimulatedProgram.HeldReader(environment).number == visible)
            }
        }

        /// Nothing was flushed after the failure: the kernel would have said that all is well.
        func expectNoFlush() {
            let later = disk.journal.drop { !$0.isFailedFlush }
            #expect(later.first != nil, "no flush has failed")
            let flushes = later.count { $0.isFlush }
            #expect(flushes == 0, "a flush was made after one that failed")
        }

        func expectPanic(_ success: Comment, _ body: () throws -> Void) {
            do {
                try body()
                Issue.record(success)
            } catch {
                #expect((error as? DatabaseError)?.code == .panic, "\(error)")
            }
        }

        func close() throws {
            for seat in seats {
                try seat.environment?.close()
                seat.environment = nil
            }
        }

        /// Closes everything, opens it again, and then cuts the power at many points.
        ///
        /// - Parameter reads: whether a process goes on reading meanwhile: the poison ends with the last
        ///   that can write.
        func finish(reads: Bool = false) throws {
            var options = program.plan.options
            options.isReadOnly = true
            var reader: Environment?
            var held: SimulatedProgram.HeldReader?
            if reads {
                let environment = try Environment(
                    path: SimulatedProgram.directory, options: options,
                    fileSystem: program.nextProcess())
                held = try SimulatedProgram.HeldReader(environment)
                reader = environment
            }
            try close()
            let again = SimulatedProgram.Seat(program.nextProcess())
            try program.open(again)
            let environment = try #require(again.environment)
            try program.tryOnce(
                environment, in: again.process, .full, expecting: nil, seed: program.plan.seed)
            if let held, let reader {
                #expect(try held.transaction.lastAttempt() == held.number)
                #expect(try SimulatedProgram.HeldReader(reader).number > held.number)
            }
            held = nil
            try environment.close()
            try reader?.close()
            var effort = CrashExploration.Effort()
            effort.points = 25
            effort.secondCrashPercent = 0
            var exploration = CrashExploration(effort)
            try exploration.explore(program, seed: program.plan.seed)
        }
    }

    /// What waits for the checkpoint that fails.
    enum Waiting: CaseIterable, Sendable {
        case checkpoint
        /// What it makes durable is not in the log.
        case sync
        /// It cannot be logged, and so becomes a checkpoint.
        case commit
    }

    @Test(
        "A checkpoint that waited for a failed one writes nothing",
        arguments: Waiting.allCases, [1, 2])
    func checkpointAfterFailure(_ waiting: Waiting, failingFlush: Int) throws {
        for reads in [false, true] {
            try failCheckpoint(waiting, failingFlush: failingFlush, reads: reads)
        }
    }

    private func failCheckpoint(_ waiting: Waiting, failingFlush: Int, reads: Bool) throws {
        var stage = try Stage(seed: TestSettings.seed)
        if waiting != .checkpoint { try stage.commit(.none) }
        let visible = stage.newest
        let disk = stage.disk
        let other = stage.environments[1]
        let failure = Locked<DatabaseError?>(nil)
        disk.beforeLock = { byte in
            guard byte == LockByte.checkpoint else { return }
            disk.beforeLock = nil
            disk.arm(Trap(number: failingFlush, effect: .fail(EIO), calls: [.sync]))
            do throws(DatabaseError) {
                try other.checkpoint()
            } catch {
                failure.withLock { $0 = error }
            }
            disk.arm(nil)
        }
        stage.expectPanic("it succeeded, \(waiting)") {
            switch waiting {
            case .checkpoint: try stage.environments[0].checkpoint()
            case .sync: try stage.environments[0].sync()
            case .commit: try stage.commit(.full)
            }
        }
        #expect(failure.withLock { $0?.code } == .panic)
        let journal = disk.journal
        let writes = journal.drop { !$0.isFailedFlush }.count { $0.isWrite }
        #expect(writes == 0, "something was written")
        try stage.expectPoison(visible: visible)
        try stage.finish(reads: reads)
    }

    @Test("A failed flush of the log fails every commit that waits for it")
    func logFlushFailure() throws {
        // Whether those that wait wake up before the one that failed goes on is the scheduler's
        // choice: they must not be told that all is well in either case.
        for round in 1...10 {
            let stage = try failLogFlush(seed: TestSettings.seed &+ UInt64(round))
            if round <= 2 { try stage.finish(reads: round == 2) } else { try stage.close() }
        }
    }

    /// Lets some threads wait for a flush that fails.
    private func failLogFlush(seed: UInt64) throws -> Stage {
        let durabilities: [Durability] = [.full, .full, .relaxed, .full, .full]
        var stage = try Stage(seed: seed)
        let (visible, disk) = (stage.newest, stage.disk)
        let (program, environment, process) = (
            stage.program, stage.environments[0], stage.seats[0].process
        )
        let before = stage.tip
        let tip: @Sendable () -> UInt64 = { environment.store.shared.tip }
        // Threads commit one after the other, so that all courses are alike; the last one flushes.
        let turn = Atomic<Int>(0)
        let ended = Atomic<Int>(0)
        let outcomes = Locked<[Int: DatabaseError.Code]>([:])
        disk.arm(Trap(number: 1, effect: .fail(EIO), calls: [.sync]))
        disk.duringFlush = { _ in
            disk.duringFlush = nil
            for index in 1..<durabilities.count {
                turn.store(index, ordering: .releasing)
                while tip() < before + UInt64(index) + 1, ended.load(ordering: .relaxed) == 0 {
                    sched_yield()
                }
            }
            turn.store(durabilities.count, ordering: .releasing)
        }
        let seeds = durabilities.map { _ in stage.nextSeed() }
        onThreads(durabilities.count + 1) { index in
            while turn.load(ordering: .acquiring) < index { sched_yield() }
            defer { ended.add(1, ordering: .relaxed) }
            do {
                if index == durabilities.count {
                    try environment.sync()
                } else {
                    try program.tryOnce(
                        environment, in: process, durabilities[index], expecting: nil,
                        seed: seeds[index])
                }
            } catch let error as DatabaseError {
                outcomes.withLock { $0[index] = error.code }
            }
        }
        for index in 0...durabilities.count {
            #expect(outcomes.withLock { $0[index] } == .panic, "thread \(index)")
        }
        try stage.expectPoison(visible: visible)
        return stage
    }

    /// What a failing flush is for.
    enum Failing: CaseIterable, Sendable {
        /// A commit that no reader has seen.
        case commit
        /// A commit that readers have seen already.
        case sync
    }

    @Test(
        "A transaction that was open when a flush failed does not commit",
        arguments: Failing.allCases, [Durability.full, .relaxed, .none])
    func openTransaction(_ failing: Failing, _ durability: Durability) throws {
        for isLarge in [false, true] {
            for seatIndex in 0...1 {
                try checkOpenTransaction(failing, durability, isLarge: isLarge, seatIndex)
            }
        }
    }

    /// - Parameters:
    ///   - isLarge: whether the transaction needs the next segment of the log.
    ///   - seatIndex: its process; the flush fails in the first.
    private func checkOpenTransaction(
        _ failing: Failing, _ durability: Durability, isLarge: Bool, _ seatIndex: Int
    ) throws {
        var stage = try Stage(seed: TestSettings.seed)
        if failing == .sync { try stage.commit(.relaxed) }
        let visible = stage.newest
        let disk = stage.disk
        let program = stage.program
        let environments = stage.environments
        let processes = stage.seats.map(\.process)
        let shape = isLarge ? Self.largeShape : program.plan.shape
        let seed = isLarge ? Self.largeSeed : stage.nextSeed()
        let failingSeed = stage.nextSeed()
        let mayBegin = Atomic<Bool>(false)
        let hasFailed = Atomic<Bool>(false)
        disk.arm(Trap(number: 1, effect: .fail(EIO), calls: [.sync]))
        disk.duringFlush = { _ in
            disk.duringFlush = nil
            mayBegin.store(true, ordering: .releasing)
            while !disk.isHeld(anyOf: [LockByte.writer]) { sched_yield() }
        }
        let outcomes = Locked<[Int: DatabaseError.Code]>([:])
        onThreads(2) { index in
            do {
                if index == 0 {
                    defer { hasFailed.store(true, ordering: .releasing) }
                    switch failing {
                    case .sync: try environments[0].sync()
                    case .commit:
                        try program.tryOnce(
                            environments[0], in: processes[0], .full, expecting: nil,
                            seed: failingSeed)
                    }
                } else {
                    while !mayBegin.load(ordering: .acquiring) { sched_yield() }
                    try program.tryOnce(
                        environments[seatIndex], in: processes[seatIndex], durability,
                        expecting: nil, seed: seed, shape: shape,
                        midway: { _ in
                            while !hasFailed.load(ordering: .acquiring) { sched_yield() }
                        })
                }
            } catch let error as DatabaseError {
                outcomes.withLock { $0[index] = error.code }
            }
        }
        #expect(
            outcomes.withLock { $0 } == [0: .panic, 1: .panic],
            "large: \(isLarge), process \(seatIndex)")
        try stage.expectPoison(visible: visible)
        try stage.finish(reads: isLarge)
    }

    @Test(
        "A commit and the end of a segment flush one after the other, so neither misses a failure",
        arguments: [1, 2])
    func segmentEnd(failingFlush: Int) throws {
        let stage = try Stage(seed: TestSettings.seed)
        let disk = stage.disk
        let program = stage.program
        let environment = stage.environments[0]
        let process = stage.seats[0].process
        // So many sectors that some are lost.
        var shape = Self.largeShape
        shape.operationsMax = 4
        let smallShape = shape
        let seed = Self.seed(of: shape, bytes: 20_000..<100_000)
        let mayBegin = Atomic<Bool>(false)
        let hasEnded = Atomic<Bool>(false)
        // The first is that of a commit; the second that of the segment which the other's record
        // does not fit in any more.
        disk.arm(Trap(number: failingFlush, effect: .fail(EIO), calls: [.sync]))
        disk.duringFlush = { _ in
            disk.duringFlush = nil
            mayBegin.store(true, ordering: .releasing)
            // The other should wait for the end of this flush: it has time to come so far.
            for _ in 0..<20_000 where failingFlush == 1 || disk.failureCount == 0 {
                sched_yield()
            }
        }
        disk.afterFailedFlush = {
            while failingFlush == 2, !hasEnded.load(ordering: .acquiring) { sched_yield() }
        }
        let outcomes = Locked<[Int: DatabaseError.Code]>([:])
        onThreads(2) { index in
            let isFirst = index == 0
            while !isFirst, !mayBegin.load(ordering: .acquiring) { sched_yield() }
            defer { if isFirst { hasEnded.store(true, ordering: .releasing) } }
            do {
                try program.tryOnce(
                    environment, in: process, .full, expecting: nil,
                    seed: isFirst ? seed : Self.largeSeed,
                    shape: isFirst ? smallShape : Self.largeShape)
            } catch let error as DatabaseError {
                outcomes.withLock { $0[index] = error.code }
            }
        }
        // The other has not happened; or has not begun to commit when the flush failed.
        let other = try #require(outcomes.withLock { $0[1] })
        #expect([.system, .panic].contains(other))
        #expect(outcomes.withLock { $0[0] } == (failingFlush == 1 ? .panic : nil))
        stage.expectNoFlush()
        // Whatever the first was told is true after a power cut.
        try stage.finish()
    }

    @Test("A flush does not count if one in another process failed while it ran")
    func overlappingProcesses() throws {
        var stage = try Stage(seed: TestSettings.seed)
        let visible = stage.newest
        let disk = stage.disk
        let other = stage.environments[1]
        let failure = Locked<DatabaseError?>(nil)
        disk.duringFlush = { _ in
            disk.duringFlush = nil
            disk.arm(Trap(number: 1, effect: .fail(EIO), calls: [.sync]))
            do throws(DatabaseError) {
                try other.sync()
            } catch {
                failure.withLock { $0 = error }
            }
        }
        stage.expectPanic("a commit succeeded") { try stage.commit(.full) }
        #expect(failure.withLock { $0?.code } == .panic)
        for environment in stage.environments {
            #expect(try SimulatedProgram.HeldReader(environment).number == visible)
        }
        try stage.finish()
    }

    /// Of transactions that need the next segment of the log.
    private static let largeShape = Attempt.Shape(
        operationsMax: 200, overflowPercent: 100, keys: 80, namedDatabases: 0)

    private static let largeSeed = seed(of: largeShape, bytes: 1_200_000..<4_000_000)

    /// A seed of an attempt that puts so many bytes.
    private static func seed(of shape: Attempt.Shape, bytes wanted: Range<Int>) -> UInt64 {
        var seed = TestSettings.seed
        while true {
            let attempt = Attempt(
                number: 1, base: 0, depth: 1, durability: .full, shape: shape, seed: seed)
            var bytes = 0
            attempt.perform { operation in
                if case .put(_, _, .recipe(let value)) = operation { bytes += Int(value.count) }
            }
            if wanted.contains(bytes) { return seed }
            seed += 1
        }
    }

    @Test(
        "A process with commits that did not wait hears of a failed flush of another when it closes",
        arguments: [Durability.full, .relaxed, .none])
    func tellsOfAnothersFailureAtClose(_ durability: Durability) throws {
        let disk = SimulatedDisk(directories: ["/machine"], isRecording: false)
        var options = EnvironmentOptions()
        options.usesThread = false
        options.maxSize = UInt64(SimulatedMemory.capacity)
        let environments = try (1...2).map {
            try Environment(
                path: "/machine/env", options: options,
                fileSystem: SimulatedProcess(disk, number: $0))
        }
        try environments[0].write { try $0.put("key", "before") }
        var transaction = try environments[1].beginWrite(durability: durability)
        try transaction.put("key", "value")
        try transaction.commit()
        disk.arm(Trap(number: 1, effect: .fail(5), calls: [.sync]))
        #expect(throws: DatabaseError.self) {
            try environments[0].write { try $0.put("another", "value") }
        }
        disk.arm(nil)
        var found: DatabaseError.Code?
        do throws(DatabaseError) { try environments[1].close() } catch { found = error.code }
        #expect(found == (durability == .full ? nil : .panic))
    }
}
