@testable import ZeroDB

/// What a simulated program does, as its seed decides.
struct ProgramPlan: Sendable {
    let seed: UInt64
    /// Processes that have the environment open at once; one acts at a time.
    var processes = 1
    /// Threads that write at once; 1 for a program that repeats exactly.
    var writers = 1
    var usesThread = false
    var pageSize = 4096
    var durabilities: [Durability] = [.full]
    var shape = Attempt.Shape()
    /// Transactions and other actions, of all threads together.
    var steps = 40
    /// Of 100 steps, how many are what; the rest are transactions.
    var checkpointPercent = 0
    var syncPercent = 0
    var readerPercent = 5
    /// Readers that a process has at once, after which one ends before another begins.
    var readersMax = 4
    /// Of 100 times that readers change, in how many one ends instead.
    var readerEndPercent = 40
    var reopenPercent = 0
    var killPercent = 0
    var abortPercent = 3
    /// Of 100 transactions, in how many something else happens before they commit.
    var midwayPercent = 0
    /// Of 100 transactions, how many straddle the beginning of a checkpoint.
    var straddlePercent = 0
    /// Of 100 of those checkpoints, in how many the process dies when it has written the meta page.
    var deathPercent = 0
    /// Of 100 flushes, in how many something else happens meanwhile.
    var interludePercent = 30
    /// Of 100 steps, how many make the file shorter.
    var compactPercent = 0
    /// Steps that commit a transaction too large for the log.
    var giants: Set<Int> = []

    init(seed: UInt64) {
        self.seed = seed
        var random = SeededGenerator(seed: seed)
        if random.chance(25) {
            writers = random.within(2...4)
            usesThread = random.chance(50)
            checkpointPercent = random.pick([0, 3, 25])
        } else {
            processes = random.chance(20) ? 2 : 1
            usesThread = random.chance(5)
        }
        pageSize = random.pick([4096, 4096, 4096, 4096, 8192, 16384, 65536])
        durabilities = random.pick([
            [.full], [.full], [.relaxed], [.full, .relaxed], [.full, .relaxed, .none],
            [.full, .full, .full, .none], [.none],
        ])
        steps = random.pick([4, 15, 40, 40, 80, 150])
        chooseShape(&random)
        if writers == 1 { checkpointPercent = random.pick([0, 0, 3, 10]) }
        syncPercent = random.pick([0, 3])
        readerPercent = random.pick([2, 15])
        reopenPercent = random.pick([0, 0, 3, 10])
        killPercent = random.pick([0, 0, 3, 10])
        midwayPercent = random.pick([0, 5, 30])
        interludePercent = random.pick([5, 60])
        straddlePercent = random.pick([0, 3, 20])
        deathPercent = random.pick([0, 50])
        if random.chance(4) { giants = [random.below(steps)] }
        compactPercent = random.pick([0, 0, 4, 12])
    }

    /// One writer that makes durable commits, with pages of 4 KiB, and nothing else: what a test wants
    /// besides, it adds.
    static func commitsOnly(seed: UInt64) -> ProgramPlan {
        var plan = ProgramPlan(seed: seed)
        plan.writers = 1
        plan.processes = 1
        plan.usesThread = false
        plan.pageSize = 4096
        plan.durabilities = [.full]
        plan.checkpointPercent = 0
        plan.syncPercent = 0
        plan.readerPercent = 0
        plan.reopenPercent = 0
        plan.killPercent = 0
        plan.abortPercent = 0
        plan.midwayPercent = 0
        plan.straddlePercent = 0
        plan.deathPercent = 0
        plan.interludePercent = 0
        plan.compactPercent = 0
        plan.giants = []
        return plan
    }

    private mutating func chooseShape(_ random: inout SeededGenerator) {
        shape.operationsMax = random.pick([1, 4, 20, 60])
        shape.valueMax = random.pick([20, 200, 1500])
        shape.overflowPercent = random.pick([0, 2, 10])
        shape.keys = random.pick([30, 300, 2000])
        shape.namedDatabases = random.pick([0, 1, 5, 5])
        shape.structurePercent = random.pick([0, 1, 8])
        shape.nestedPercent = random.pick([0, 3, 20])
        switch random.below(20) {
        case 0:
            // Many entries.
            shape.operationsMax = 3000
            shape.keys = 5000
            shape.valueMax = 40
            shape.overflowPercent = 0
            steps = min(steps, 15)
        case 1, 2:
            // Many log segments.
            shape.operationsMax = 12
            shape.overflowPercent = 80
            shape.keys = 60
            steps = max(steps, 40)
        default: break
        }
    }

    /// Of transactions that commit while a checkpoint is under way, and must not call for the next,
    /// which waits for it.
    var smallShape: Attempt.Shape {
        var small = shape
        small.operationsMax = min(shape.operationsMax, 20)
        small.overflowPercent = 0
        small.structurePercent = 0
        return small
    }

    var options: EnvironmentOptions {
        var options = EnvironmentOptions()
        options.pageSize = pageSize
        options.maxSize = 256 << 20
        options.maxTransactionPages = 0
        options.logSize = 1 << 20
        options.usesThread = usesThread
        return options
    }
}
