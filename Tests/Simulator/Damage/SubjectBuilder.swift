@testable import ZeroDB

/// Makes an environment of a shape that follows from a seed, and notes all that it ever was.
final class SubjectBuilder {
    private final class Reader {
        let transaction: ReadTransaction

        init(_ environment: Environment) throws { transaction = try environment.beginRead() }
    }

    let pageSize: Int
    private var random: SeededGenerator
    private var fileSystem = MemoryFileSystem()
    private var environment: Environment
    private var plans: [SubjectDatabase] = []
    private var model = EnvironmentModel()
    private(set) var models: [UInt64: EnvironmentModel] = [:]
    private(set) var versions: [Int: [[UInt8]]] = [:]
    private(set) var imageBeforeCommit: [UInt8] = []
    private(set) var imageBeforeCheckpoint: [UInt8] = []
    private(set) var metaRecords: [Set<[UInt8]>] = [[], []]
    /// The data file at the last look.
    private var image: [UInt8] = []
    private var readers: [Reader] = []
    /// Whether the log lacks what was committed last.
    private var isUnlogged = false
    /// Whether a process dies at the end, with commits in the log.
    private let isKilled: Bool
    /// Whether the log gets several segments.
    private let hasLongLog: Bool
    private let commits: Int
    private let operationsMax: Int

    init(seed: UInt64, pageSize wanted: Int?) throws {
        var random = SeededGenerator(seed: seed ^ 0xda3a_6e00)
        let sizes = [4096, 4096, 4096, 4096, 4096, 8192, 8192, 16384, 32768, 65536]
        let drawn = random.pick(sizes)
        pageSize = wanted ?? drawn
        hasLongLog = random.chance(4)
        isKilled = random.chance(hasLongLog ? 90 : 35)
        commits = hasLongLog ? 10 : random.pick([0, 1, 3, 6, 6, 10, 14])
        operationsMax = random.pick([3, 20, 60, 60, 150])
        environment = try Self.open(fileSystem, pageSize)
        for name in ["", "one", "two", "three"].prefix(1 + random.below(4)) {
            plans.append(SubjectDatabase(name, pageSize: pageSize, &random))
        }
        self.random = random
    }

    private static func open(
        _ fileSystem: MemoryFileSystem, _ pageSize: Int
    ) throws -> Environment {
        try Environment(
            path: EnvironmentFiles.path, options: EnvironmentFiles.options(pageSize: pageSize),
            fileSystem: fileSystem)
    }

    func run() throws {
        try note()
        for number in 0..<commits {
            if random.chance(25), readers.count < 2 { readers.append(try Reader(environment)) }
            if random.chance(20), !readers.isEmpty { readers.removeFirst() }
            imageBeforeCommit = image
            try commit()
            try note()
            // What is committed last may stay in the log.
            guard number + 1 < commits else { break }
            switch random.below(20) {
            case 0..<6: try checkpoint()
            case 6: try reopen()
            case 7: try recover()
            default: break
            }
        }
    }

    /// Ends the program that uses the environment.
    func finish() throws -> EnvironmentFiles {
        if isKilled {
            try prepareKill()
            let files = try EnvironmentFiles(fileSystem)
            readers = []
            try environment.close()
            return files
        }
        readers = []
        try environment.close()
        noteImage()
        return try EnvironmentFiles(fileSystem)
    }

    // MARK: Events

    private func checkpoint() throws {
        try environment.checkpoint()
        isUnlogged = false
        noteImage()
    }

    private func reopen() throws {
        readers = []
        try environment.close()
        isUnlogged = false
        noteImage()
        environment = try Self.open(fileSystem, pageSize)
    }

    /// Has all that is committed survive the death of the process.
    private func prepareKill() throws {
        if isUnlogged { try checkpoint() } else { try environment.sync() }
        noteImage()
    }

    /// Lets the process die, and another one replay its log.
    private func recover() throws {
        try prepareKill()
        let left = fileSystem.copy()
        readers = []
        try environment.close()
        fileSystem = left
        environment = try Self.open(fileSystem, pageSize)
        noteImage()
    }

    /// Notes what is there now.
    private func note() throws {
        noteImage()
        models[try environment.beginRead().id] = model
    }

    private func noteImage() {
        let before = image
        image = fileSystem.contents("\(EnvironmentFiles.path)/data.zdb")?.bytes ?? []
        var isCheckpoint = false
        for page in 0..<(before.count / pageSize) where (page + 1) * pageSize <= image.count {
            let range = (page * pageSize)..<((page + 1) * pageSize)
            if before.agrees(with: image, range) { continue }
            versions[page, default: []].append(Array(before[range]))
            if page < 2 { isCheckpoint = true }
        }
        if isCheckpoint { imageBeforeCheckpoint = before }
        for page in 0..<2 {
            for copy in 0..<2 {
                let start = page * pageSize + copy * pageSize / 2
                metaRecords[page].insert(Array(image[start..<(start + Meta.size)]))
            }
        }
    }

    // MARK: Commits

    private func commit() throws {
        let durability =
            hasLongLog
            ? .full : random.pick([Durability.full, .full, .full, .relaxed, .none])
        var next = model
        var transaction = try environment.beginWrite(durability: durability)
        for _ in 0..<(hasLongLog ? 1 : random.within(1...3)) {
            let plan = random.pick(plans)
            try change(plan, &transaction, &next)
        }
        if hasLongLog { try putLong(&transaction, &next) }
        try transaction.commit()
        model = next
        if durability == .none { isUnlogged = true }
    }

    private func handle(
        _ plan: SubjectDatabase, _ transaction: inout WriteTransaction,
        _ model: inout EnvironmentModel
    ) throws -> Database {
        let isMain = plan.name.isEmpty
        if model.databases[plan.name]?.type.flags != plan.type.flags {
            model.databases[plan.name] = ReferenceModel(plan.type)
            if isMain { try transaction.createMain(flags: plan.type.flags) }
        }
        return isMain
            ? .main : try transaction.createDatabase(plan.name, flags: plan.type.flags)
    }

    private func change(
        _ plan: SubjectDatabase, _ transaction: inout WriteTransaction,
        _ model: inout EnvironmentModel
    ) throws {
        let database = try handle(plan, &transaction, &model)
        guard var entries = model.databases[plan.name] else { return }
        for _ in 0..<random.below(operationsMax + 1) {
            let key = plan.key(&random)
            switch random.below(100) {
            case 0..<75:
                let value = plan.value(&random)
                entries.put(key, value)
                try transaction.put(key, value.bytes, in: database)
            case 75..<90:
                guard let entry = entries.pick(&random) else { continue }
                if plan.type.hasDuplicates {
                    entries.delete(entry.key, entry.value)
                    try transaction.deletePair(entry.key, entry.value.bytes, in: database)
                } else {
                    entries.delete(entry.key)
                    try transaction.delete(entry.key, in: database)
                }
            case 90..<98:
                entries.delete(key)
                try transaction.delete(key, in: database)
            case 98:
                let other = plan.key(&random)
                guard entries.compareKeys(key, other) < 0 else { continue }
                entries.deleteRange(from: key, to: other)
                try transaction.delete(KeyRange(from: key, to: other), in: database)
            default:
                guard random.chance(20) else { continue }
                entries.removeAll()
                try transaction.clear(database)
            }
        }
        model.databases[plan.name] = entries
        if !plan.name.isEmpty, random.chance(3) {
            try transaction.drop(database)
            model.databases[plan.name] = nil
        }
    }

    /// Values that make the log long.
    private func putLong(
        _ transaction: inout WriteTransaction, _ model: inout EnvironmentModel
    ) throws {
        let database = try transaction.createDatabase("long")
        var entries = model.databases["long"] ?? ReferenceModel()
        for number in 0..<5 {
            let recipe = ValueRecipe(
                seed: UInt32(truncatingIfNeeded: random.next()), count: 60_000)
            let key = Array("long \(number)".utf8)
            entries.put(key, .recipe(recipe))
            try transaction.put(key, recipe.bytes, in: database)
        }
        model.databases["long"] = entries
    }
}
