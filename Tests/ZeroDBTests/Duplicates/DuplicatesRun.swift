@testable import Simulator
@testable import ZeroDB

/// Runs a random workload on databases of all types and on their models at once, and fails
/// at the first difference.
final class DuplicatesRun: SteppedModelTest {
    /// What the databases hold, the main one first; nil for one that does not exist.
    typealias Databases = [ReferenceModel?]

    let scenario: DuplicatesScenario
    var random = SeededGenerator(seed: TestSettings.seed)
    /// What has been committed.
    private(set) var committed: Databases
    private var readers: [DuplicatesReader] = []
    private var makers: [PairMaker]
    private(set) var operationsDone = 0
    let operations: Int
    private let memory = MemoryFileSystem()
    private(set) var replayedRecords: UInt64 = 0
    /// The most values that a key has had.
    var valuesMost = 0
    /// Whether there are more pairs than shall be, and fewer are being made.
    private(set) var isShrinking = false
    private(set) var opened: Environment?

    init(_ scenario: DuplicatesScenario) {
        self.scenario = scenario
        operations = TestSettings.operations(usually: scenario.operations)
        committed = scenario.types.map { _ in nil }
        makers = scenario.types.enumerated().map { number, type in
            PairMaker(
                type, number: number, pageSize: scenario.pageSize,
                keysWithDuplicates: scenario.keysWithDuplicates)
        }
    }

    var progress: String { "after \(operationsDone) operations of \"\(scenario.name)\"" }

    // MARK: The workload

    func step() throws {
        let pairs = committed.reduce(0) { $0 + ($1?.count ?? 0) }
        if pairs > scenario.pairsMax { isShrinking = true }
        if pairs < scenario.pairsMax / 10 { isShrinking = false }
        switch random.below(100) {
        case 0..<85: try runTransaction()
        case 85..<91:
            if readers.count < 4 { readers.append(try DuplicatesReader(environment, self)) }
        case 91..<97: try releaseReader()
        case 97: try environment.checkpoint()
        case 98: try verify(environment, "in between")
        default: if random.chance(60) { try reopen() }
        }
    }

    func count(_ operations: Int = 1) { operationsDone += operations }

    func newKey(_ database: Int) -> [UInt8] { makers[database].key(&random) }

    func newValue(_ database: Int) -> [UInt8] { makers[database].value(&random) }

    /// One of the values of a key, or any.
    func someValue(_ database: Int, _ model: ReferenceModel, _ key: [UInt8]) -> ModelValue {
        if model.type.hasDuplicates, random.chance(50) {
            let range = model.range(of: key)
            let count = model[range].count
            if count > 0 {
                return model[rank: model.rank(of: range.lowerBound) + random.below(count)].value
            }
        }
        return .bytes(newValue(database))
    }

    private func runTransaction() throws {
        var transaction = try environment.beginWrite(durability: random.pick(scenario.durabilities))
        var draft = committed
        let size = random.chance(80) ? random.within(1...30) : random.within(30...600)
        try makeChanges(size, &transaction, &draft, depth: 0)
        for (database, model) in draft.enumerated() {
            guard let model else { continue }
            let handle = try handle(database, transaction)
            try expect(
                try transaction.statistics(of: handle).digest.number == model.digest,
                "the digest of database \(database) is not that of its pairs before a commit")
        }
        guard random.chance(85) else {
            transaction.abort()
            return
        }
        try transaction.commit()
        committed = draft
    }

    // MARK: Reading

    /// Ends one of the readers, after making sure that nothing in its snapshot has changed.
    private func releaseReader() throws {
        guard !readers.isEmpty else { return }
        try readers.remove(at: random.below(readers.count)).compareAll(self, "in an old snapshot")
    }

    // MARK: Opening

    private var options: EnvironmentOptions {
        var options = EnvironmentOptions()
        options.pageSize = scenario.pageSize
        options.maxSize = UInt64(MemoryContents.capacity)
        options.maxTransactionPages = 0
        options.logSize = scenario.logSize
        options.usesThread = false
        return options
    }

    func open() throws {
        opened = try Environment(path: "memory", options: options, fileSystem: memory)
    }

    /// Opens the environment as the death of the process would leave it, which replays the log, and
    /// checks all there is in it.
    private func replay() throws {
        let copy = try Environment(path: "memory", options: options, fileSystem: memory.copy())
        replayedRecords += copy.recoveryReport.records
        try DuplicatesReader(copy, self).compareAll(self, "after a replay")
        try verify(copy, "after a replay")
        try copy.close()
    }

    /// Closes and opens the environment, and checks all there is in it.
    func reopen() throws {
        while !readers.isEmpty { try releaseReader() }
        if scenario.isReplayed { try replay() }
        try environment.close()
        opened = nil
        try open()
        try verify(environment, "after reopening")
        try DuplicatesReader(environment, self).compareAll(self, "after reopening")
    }

    /// The digest that the environment should have.
    private var environmentDigest: UInt128 {
        committed.enumerated().reduce(0) { sum, database in
            let model = database.element ?? (database.offset == 0 ? ReferenceModel() : nil)
            guard let model else { return sum }
            return sum
                &+ ModelDigest.database(
                    database.offset == 0 ? "" : name(database.offset), model)
        }
    }

    private func verify(_ environment: Environment, _ when: String) throws {
        var problems: [String] = []
        let report = try environment.verify { problems.append($0.message) }
        try expect(
            report.problems == 0, "verify \(when): \(problems.prefix(5).joined(separator: "; "))")
        let pairs = committed.reduce(0) { $0 + ($1?.count ?? 0) }
        try expect(
            report.entries == UInt64(pairs),
            "verify counts \(report.entries) entries \(when), expected \(pairs)")
        let digest = environmentDigest
        try expect(report.digest.number == digest, "verify counts another digest \(when)")
        try expect(
            try environment.info().digest.number == digest,
            "the digest of the environment is not that of its databases \(when)")
    }

    // MARK: Comparing

    func split(_ bytes: [UInt8], width: Int) -> [[UInt8]] {
        stride(from: 0, to: bytes.count, by: width).map {
            Array(bytes[$0..<min($0 + width, bytes.count)])
        }
    }
}
