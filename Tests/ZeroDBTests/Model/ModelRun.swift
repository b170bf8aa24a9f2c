import Glibc

@testable import Simulator
@testable import ZeroDB

/// Runs a random workload against an environment and its model at once, and fails at
/// the first difference.
final class ModelRun: SteppedModelTest {
    /// What an environment's databases hold: the main one, then the named ones; nil for one that
    /// does not exist.
    typealias Databases = [ReferenceModel?]

    let scenario: ModelScenario
    var random: SeededGenerator
    var phase = ModelPhase.growing
    /// What has been committed.
    var committed: Databases
    var readers: [HeldReader] = []
    private var keyMakers: [KeyMaker]
    let valueBuffer = UnsafeMutableRawBufferPointer.allocate(byteCount: 2 << 20, alignment: 8)
    private(set) var operationsDone = 0
    let operations: Int
    private let directory: TemporaryDirectory?
    private let memory = MemoryFileSystem()
    private(set) var reopenings = 0
    private(set) var replayedRecords: UInt64 = 0
    /// How deep transactions have been nested.
    var nestedMost = 0
    private(set) var opened: Environment?

    init(_ scenario: ModelScenario) throws {
        self.scenario = scenario
        random = SeededGenerator(seed: TestSettings.seed)
        operations = TestSettings.operations(usually: scenario.operations)
        directory = scenario.isOnDisk ? try TemporaryDirectory() : nil
        let count = 1 + scenario.namedDatabases
        committed = [ReferenceModel()] + Array(repeating: nil, count: count - 1)
        keyMakers = (0..<count).map { index in
            KeyMaker(
                scenario.patterns[index % scenario.patterns.count],
                keySizeMax: Format.keySizeMax(pageSize: scenario.pageSize))
        }
    }

    deinit { valueBuffer.deallocate() }

    var progress: String { "after \(operationsDone) operations of \"\(scenario.name)\"" }

    // MARK: The workload

    func step() throws {
        let entries = committed.reduce(0) { $0 + ($1?.count ?? 0) }
        if entries > scenario.entriesMax {
            phase = .shrinking
        } else if phase != .shrinking || entries < scenario.entriesMax / 20 {
            if random.chance(3) { phase = random.pick([.growing, .growing, .mixed]) }
            if random.chance(1) { phase = .shrinking }
        }
        switch random.below(100) {
        case 0..<86: try runWriteTransaction()
        case 86..<92: try readNewest()
        case 92..<96: try holdReader()
        case 96..<98: try releaseReader()
        case 98:
            if random.chance(50) { try verify() }
            if random.chance(50) { try environment.checkpoint() } else { try environment.sync() }
        default: if random.chance(60) { try reopen() }
        }
    }

    func count(_ operations: Int = 1) { operationsDone += operations }

    func newKey(_ database: Int) -> [UInt8] { keyMakers[database].next(&random) }

    // MARK: Opening

    func open() throws {
        var options = EnvironmentOptions()
        options.pageSize = scenario.pageSize
        options.maxSize = UInt64(MemoryContents.capacity)
        options.maxTransactionPages = 0
        options.checksumMode = scenario.checksumMode
        options.logSize = scenario.logSize
        options.usesThread = scenario.usesThread
        let fileSystem: any FileSystem = directory == nil ? memory : PosixFileSystem()
        opened = try Environment(
            path: directory?.path ?? "memory", options: options, fileSystem: fileSystem)
    }

    /// Opens the environment as the death of the process would leave it, which replays the log, and
    /// checks all there is in it.
    private func replay() throws {
        var options = EnvironmentOptions()
        options.maxSize = UInt64(MemoryContents.capacity)
        options.usesThread = false
        let copy = try Environment(path: "memory", options: options, fileSystem: memory.copy())
        replayedRecords += copy.recoveryReport.records
        try HeldReader(copy, committed).compareAll(self, "after a replay")
        try expect(try copy.verify().problems == 0, "a replay leaves problems")
        try copy.close()
    }

    /// Closes and opens the environment, and checks all there is in it.
    func reopen() throws {
        while !readers.isEmpty { try releaseReader() }
        if scenario.isReplayed { try replay() }
        try environment.close()
        opened = nil
        try open()
        reopenings += 1
        try verify()
        try HeldReader(environment, committed).compareAll(self, "after reopening")
        let info = try environment.info()
        try expect(info.readers == 0, "\(info.readers) readers after reopening")
    }

    /// Every page is reachable from exactly one place (invariant 7).
    func verify() throws {
        var problems: [String] = []
        let report = try environment.verify { problems.append($0.message) }
        try expect(report.problems == 0, "verify: \(problems.prefix(5).joined(separator: "; "))")
        let entries = committed.reduce(0) { $0 + ($1?.count ?? 0) }
        try expect(
            report.entries == UInt64(entries),
            "verify counts \(report.entries) entries, expected \(entries)")
        try expect(
            report.digest.number == environmentDigest, "verify counts another digest")
        let reached = report.treePages + report.overflowPages + report.freePages
        try expect(
            report.pages == reached + Format.metaPageCount,
            "verify reaches \(reached) of \(report.pages) pages")
    }
}
