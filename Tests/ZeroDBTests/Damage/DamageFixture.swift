import Testing

@testable import Simulator
@testable import ZeroDB

/// A small environment in memory, to be damaged, opened and put right again, many times.
final class DamageFixture {
    /// A committed state: entries of the main database, then of the named ones.
    typealias State = [ReferenceModel]

    let fileSystem = MemoryFileSystem()
    /// All states, the newest last.
    private(set) var states: [State] = []
    /// The data file as it was after each state.
    private(set) var images: [[UInt8]] = []
    private(set) var file = MemoryContents()
    private(set) var map: PageMap?
    var options = EnvironmentOptions()
    /// What looks are taken through.
    lazy var lens: any FileSystem = fileSystem

    private static let names = ["fruit", "numbers"]
    static let path = "env"

    init(pageSize: Int = 4096, commits: Int = 8, entries: Int = 100) throws {
        options.pageSize = pageSize
        options.maxSize = 1 << 20
        options.maxReaders = 2
        options.usesThread = false
        try build(commits: commits, entries: entries)
        file = try #require(fileSystem.contents("\(Self.path)/data.zdb"))
        map = try PageMap(file)
        // All is in the data file: what the log still has is not needed, and slow to look through.
        for name in try fileSystem.list("\(Self.path)/log") {
            try fileSystem.remove("\(Self.path)/log/\(name)")
        }
    }

    /// Several databases, values in leaves and in runs, free pages, more than one level.
    private func build(commits: Int, entries: Int) throws {
        var random = SeededGenerator(seed: 5)
        var state: State = [ReferenceModel(), ReferenceModel(), ReferenceModel()]
        let environment = try Environment(
            path: Self.path, options: options, fileSystem: fileSystem)
        for commit in 0..<commits {
            var transaction = try environment.beginWrite()
            for place in state.indices {
                let handle =
                    place == 0 ? .main : try transaction.createDatabase(Self.names[place - 1])
                // The main database gets a branch above its leaves.
                for _ in 0..<(place == 0 ? 2 * entries / commits : entries / commits / 2) {
                    let key = Array("\(["apple", "number"][place % 2]) \(random.below(500))".utf8)
                    let size = random.chance(90) ? random.below(60) : random.below(400)
                    let recipe = ValueRecipe(
                        seed: UInt32(truncatingIfNeeded: random.next()), count: size)
                    try transaction.put(key, recipe.bytes, in: handle)
                    state[place].put(key, .recipe(recipe))
                }
                let large = Array("large".utf8)
                if commit == 0, place == 0 {
                    let recipe = ValueRecipe(seed: 1, count: 3 * options.pageSize / 2)
                    try transaction.put(large, recipe.bytes, in: handle)
                    state[place].put(large, .recipe(recipe))
                }
                for _ in 0..<(entries / commits / 4) {
                    guard let key = state[place].pick(&random)?.key, key != large else { continue }
                    try transaction.delete(key, in: handle)
                    _ = state[place].delete(key)
                }
            }
            try transaction.commit()
            try environment.checkpoint()
            states.append(state)
            images.append(fileSystem.contents("\(Self.path)/data.zdb")?.bytes ?? [])
        }
        try environment.close()
    }

    var newest: State { states[states.count - 1] }
    var image: [UInt8] { images[images.count - 1] }

    func restore() { file.restore(image) }

    // MARK: Looking

    /// What a look at a damaged environment found.
    struct Findings {
        /// Errors met, opening included.
        var errors: [DatabaseError] = []
        var couldOpen = false
        /// What was wrong without an error: an entry that differs, is missing or is too much.
        var wrong: [String] = []
        var problems: UInt64 = 0

        var isNoticed: Bool { !couldOpen || problems > 0 }
    }

    /// Opens the environment, gets every key of a state, scans both ways, verifies.
    func look(_ state: State? = nil, mode: ChecksumMode = .fast, verifies: Bool = true) -> Findings
    {
        var findings = Findings()
        let state = state ?? newest
        var options = options
        options.checksumMode = mode
        do throws(DatabaseError) {
            let environment = try Environment(
                path: Self.path, options: options, fileSystem: lens)
            findings.couldOpen = true
            try read(environment, state, &findings)
            if verifies { findings.problems = try environment.verify().problems }
            try environment.close()
        } catch {
            findings.errors.append(error)
        }
        return findings
    }

    private func read(
        _ environment: Environment, _ state: State, _ findings: inout Findings
    ) throws(DatabaseError) {
        let transaction = try environment.beginRead()
        for (place, model) in state.enumerated() {
            var handle = Database.main
            if place > 0 {
                do throws(DatabaseError) {
                    handle = try transaction.database(Self.names[place - 1])
                } catch {
                    if error.code == .notFound {
                        findings.wrong.append("database \(Self.names[place - 1]) is missing")
                    } else {
                        findings.errors.append(error)
                    }
                    continue
                }
            }
            getAll(transaction, handle, model, &findings)
            scan(transaction, handle, model, forward: true, &findings)
            scan(transaction, handle, model, forward: false, &findings)
        }
    }

    private func getAll(
        _ transaction: borrowing ReadTransaction, _ handle: Database, _ model: ReferenceModel,
        _ findings: inout Findings
    ) {
        for expected in model {
            do throws(DatabaseError) {
                guard let value = try transaction.value(for: expected.key, in: handle) else {
                    findings.wrong.append("\(show(expected.key)) is missing")
                    continue
                }
                if !value.withUnsafeBytes({ expected.value.matches($0) }) {
                    findings.wrong.append("\(show(expected.key)) has another value")
                }
            } catch {
                findings.errors.append(error)
            }
        }
    }

    private func scan(
        _ transaction: borrowing ReadTransaction, _ handle: Database, _ model: ReferenceModel,
        forward: Bool, _ findings: inout Findings
    ) {
        do throws(DatabaseError) {
            var cursor = try transaction.cursor(in: handle)
            var index = forward ? model.startIndex : model.endIndex
            while true {
                guard let entry = try Self.step(&cursor, forward: forward) else { break }
                let next = forward ? model.entry(at: index) : model.entry(before: index)
                guard let expected = next else {
                    findings.wrong.append("a scan found more than there is")
                    return
                }
                let isRight = entry.key.withUnsafeBytes { key in
                    expected.key.withUnsafeBytes { keyOrder(key, $0) } == 0
                }
                if !isRight || !entry.value.withUnsafeBytes({ expected.value.matches($0) }) {
                    findings.wrong.append("a scan came to another entry than \(show(expected.key))")
                    return
                }
                index = forward ? model.index(after: index) : model.index(before: index)
            }
            if index != (forward ? model.endIndex : model.startIndex) {
                findings.wrong.append("a scan found less than there is")
            }
        } catch {
            findings.errors.append(error)
        }
    }

    @_lifetime(&cursor)
    private static func step(
        _ cursor: inout Cursor, forward: Bool
    ) throws(DatabaseError) -> Cursor.Entry? {
        if forward { return try cursor.next() }
        return try cursor.previous()
    }

    // MARK: Writing

    /// Changes a damaged environment in many places; whatever happens is an error or success.
    func write(_ random: inout SeededGenerator, mode: ChecksumMode) {
        var options = options
        options.checksumMode = mode
        do throws(DatabaseError) {
            let environment = try Environment(
                path: Self.path, options: options, fileSystem: fileSystem)
            for _ in 0..<3 { try? writeOnce(environment, &random) }
            _ = try environment.verify()
            _ = try environment.info()
            try environment.close()
        } catch {
            #expect(Self.isAboutDamage(error), "\(error.code): \(error)")
        }
        for name in (try? fileSystem.list("\(Self.path)/log")) ?? [] {
            try? fileSystem.remove("\(Self.path)/log/\(name)")
        }
    }

    private func writeOnce(
        _ environment: Environment, _ random: inout SeededGenerator
    ) throws(DatabaseError) {
        var transaction = try environment.beginWrite()
        for (place, model) in newest.enumerated() {
            let handle =
                place == 0 ? .main : try transaction.createDatabase(Self.names[place - 1])
            for _ in 0..<12 {
                guard let key = model.pick(&random)?.key else { continue }
                switch random.below(3) {
                case 0: try transaction.delete(key, in: handle)
                case 1: try transaction.put(key, random.bytes(random.below(200)), in: handle)
                default: try transaction.put(key + [random.byte()], [1, 2, 3], in: handle)
                }
            }
            if place == 0 {
                try transaction.delete("large")
                try transaction.put("larger", random.bytes(9000))
            }
        }
        try transaction.commit()
    }

    static func isAboutDamage(_ error: DatabaseError) -> Bool {
        [.corrupted, .invalidFile, .versionMismatch].contains(error.code)
    }
}
