import Testing

@testable import Simulator
@testable import ZeroDB

/// Random changes to whole databases, ranges and single entries, against the reference model: in
/// snapshots held open, after aborts, clean closes and crashes.
final class DatabaseModelRun: ModelTest {
    /// By name; the main database has the empty one.
    typealias State = [String: ReferenceModel]

    /// A snapshot and what it should hold.
    private final class HeldReader {
        let transaction: ReadTransaction
        let state: State

        init(_ environment: Environment, _ state: State) throws {
            transaction = try environment.beginRead()
            self.state = state
        }
    }

    private static let names = ["", "a", "b", "c", "d", "e"]
    private static let entriesMax = 1500

    private let options: EnvironmentOptions
    private var random = SeededGenerator(seed: TestSettings.seed)
    private var files = MemoryFileSystem()
    private var environment: Environment
    private var committed: State = ["": ReferenceModel()]
    private var readers: [HeldReader] = []
    private var keyMakers: [String: KeyMaker] = [:]
    private let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: 2 << 20, alignment: 8)
    private(set) var recoveries = 0
    private(set) var operations = 0

    init(pageSize: Int) throws {
        var options = EnvironmentOptions()
        options.pageSize = pageSize
        options.maxSize = UInt64(MemoryContents.capacity)
        options.maxTransactionPages = 0
        options.logSize = 4 << 20
        options.usesThread = false
        self.options = options
        environment = try Environment(path: "memory", options: options, fileSystem: files)
        for (index, name) in Self.names.enumerated() {
            let pattern = KeyPattern.allCases[index % KeyPattern.allCases.count]
            keyMakers[name] = KeyMaker(
                pattern, keySizeMax: Format.keySizeMax(pageSize: pageSize))
        }
    }

    deinit { buffer.deallocate() }

    var progress: String { "after \(operations) operations" }

    // MARK: The workload

    func run(operations wanted: Int) throws {
        while operations < wanted {
            switch random.below(100) {
            case 0..<74: try write()
            case 74..<82: readers.append(try HeldReader(environment, committed))
            case 82..<90:
                if !readers.isEmpty {
                    let held = readers.remove(at: random.below(readers.count))
                    try compare(held.transaction, held.state, "a held snapshot")
                }
            case 90..<94: try compare(try environment.beginRead(), committed, "the newest state")
            case 94..<96: try environment.checkpoint()
            case 96..<98: try verify()
            case 98: try reopen(crashing: false)
            default: try reopen(crashing: true)
            }
        }
        try reopen(crashing: true)
        try reopen(crashing: false)
    }

    private func verify() throws {
        var problems: [String] = []
        let report = try environment.verify { problems.append("\($0.page ?? 0): \($0.message)") }
        try expect(problems.isEmpty, "verify: \(problems.prefix(5))")
        let digest = committed.reduce(0) { $0 &+ ModelDigest.database($1.key, $1.value) }
        try expect(
            report.digest.number == digest,
            "verify counts the digest \(report.digest), not that of the databases")
        try expect(
            try environment.info().digest.number == digest,
            "the digest of the environment is not that of its databases")
    }

    /// Closes and opens the environment, or opens a copy of its files as a crash leaves them.
    private func reopen(crashing: Bool) throws {
        for held in readers { try compare(held.transaction, held.state, "a held snapshot") }
        readers = []
        if crashing {
            let left = MemoryFileSystem()
            let segments = try files.list("memory/log").map { "memory/log/\($0)" }
            for path in ["memory/data.zdb"] + segments {
                if let bytes = files.contents(path)?.bytes {
                    left.setContents(path, MemoryContents(bytes))
                }
            }
            try environment.close()
            files = left
            recoveries += 1
        } else {
            try environment.close()
        }
        environment = try Environment(path: "memory", options: options, fileSystem: files)
        try verify()
        try compare(
            try environment.beginRead(), committed, crashing ? "after a crash" : "after closing")
    }

    private func compare(
        _ transaction: borrowing ReadTransaction, _ state: State, _ what: String
    ) throws {
        let names = try transaction.databases().map { $0.name }
        let expected = state.keys.filter { !$0.isEmpty }.sorted()
        try expect(names == expected, "\(what) has databases \(names), expected \(expected)")
        for (name, model) in state {
            let database = name.isEmpty ? Database.main : try transaction.database(name)
            let entries = try transaction.statistics(of: database).entries
            try expect(entries == UInt64(model.count), "\(what): \(name) counts \(entries)")
            var cursor = try transaction.cursor(in: database)
            var index = model.startIndex
            var wrong: String?
            _ = try cursor.forNext(Int.max) { entry throws(DatabaseError) in
                guard wrong == nil else { return }
                guard let expected = model.entry(at: index) else {
                    wrong = "there are more entries"
                    return
                }
                let key = entry.key.withUnsafeBytes { Array($0) }
                let isRight = entry.value.withUnsafeBytes { expected.value.matches($0) }
                if key != expected.key { wrong = "\(show(key)) is not \(show(expected.key))" }
                if !isRight { wrong = "\(show(key)) has another value" }
                index = model.index(after: index)
            }
            try expect(
                wrong == nil && index == model.endIndex, "\(what), \(name): \(wrong ?? "too few")")
        }
    }

    // MARK: A write transaction

    private func write() throws {
        var transaction = try environment.beginWrite()
        var draft = committed
        let count = random.pick([1, 3, 10, 40, 200])
        for _ in 0..<count {
            operations += 1
            let name = random.pick(Self.names)
            if draft[name] == nil {
                try expectError(.notFound, "opening \(name)") { () throws(DatabaseError) in
                    _ = try transaction.database(name)
                }
                let flags: DatabaseFlags = random.chance(30) ? .counted : []
                _ = try transaction.createDatabase(name, flags: flags)
                draft[name] = ReferenceModel(DatabaseType(flags))
                continue
            }
            let database = name.isEmpty ? Database.main : try transaction.database(name)
            switch random.below(1000) {
            case 0..<8: try clear(name, database, &transaction, &draft)
            case 8..<18 where !name.isEmpty: try drop(name, database, &transaction, &draft)
            case 18..<40 where !name.isEmpty: try rename(name, database, &transaction, &draft)
            case 40..<50:
                let names = try transaction.databases().map { $0.name }
                try expect(names == draft.keys.filter { !$0.isEmpty }.sorted(), "lists \(names)")
            default:
                guard var model = draft.removeValue(forKey: name) else { continue }
                defer { draft[name] = model }
                try change(name, database, &transaction, &model)
            }
        }
        if random.chance(85) {
            try transaction.commit()
            committed = draft
        } else {
            transaction.abort()
        }
    }

    private func clear(
        _ name: String, _ database: Database, _ transaction: inout WriteTransaction,
        _ draft: inout State
    ) throws {
        try transaction.clear(database)
        let left = try transaction.statistics(of: database)
        try expect(
            left.entries == 0 && left.depth == 0 && left.leafPages == 0 && left.branchPages == 0
                && left.overflowPages == 0, "\(name) was cleared and has \(left)")
        draft[name]?.removeAll()
    }

    private func drop(
        _ name: String, _ database: Database, _ transaction: inout WriteTransaction,
        _ draft: inout State
    ) throws {
        try transaction.drop(database)
        draft[name] = nil
        try expectError(.badDatabase, "counting what was dropped") { () throws(DatabaseError) in
            _ = try transaction.count(in: database)
        }
    }

    private func rename(
        _ name: String, _ database: Database, _ transaction: inout WriteTransaction,
        _ draft: inout State
    ) throws {
        let target = random.pick(Self.names.filter { !$0.isEmpty })
        guard draft[target] == nil else {
            try expectError(.keyExists, "renaming \(name) to \(target)") {
                () throws(DatabaseError) in _ = try transaction.rename(database, to: target)
            }
            return
        }
        let renamed = try transaction.rename(database, to: target)
        try expect(try transaction.database(target) == renamed, "two handles of \(target)")
        draft[target] = draft.removeValue(forKey: name)
    }

    private func someKey(_ name: String, _ model: ReferenceModel) -> [UInt8] {
        if random.chance(60), let known = model.pick(&random) { return known.key }
        return keyMakers[name]?.next(&random) ?? [0]
    }

    private func change(
        _ name: String, _ database: Database, _ transaction: inout WriteTransaction,
        _ model: inout ReferenceModel
    ) throws {
        let key = someKey(name, model)
        let recipe = random.valueRecipe(pageSize: options.pageSize)
        let wantsDelete = model.count > Self.entriesMax
        switch random.below(100) {
        case 0..<40 where !wantsDelete:
            try transaction.put(key, recipe.write(to: buffer), in: database)
            model.put(key, .recipe(recipe))
        case 40..<60 where !wantsDelete:
            try transaction.put(key, reserving: Int(recipe.count), in: database) { space in
                space.withUnsafeMutableBytes { _ = recipe.write(to: $0) }
            }
            model.put(key, .recipe(recipe))
        case 60..<70:
            let wasThere = try transaction.delete(key, in: database)
            try expect(wasThere == model.delete(key), "delete of \(show(key)): \(wasThere)")
        case 70..<80: try getMany(name, database, transaction, model)
        case 80..<90:
            let range = someRange(name, model)
            let count = try transaction.count(range, in: database)
            let expected = UInt64(model[model.range(from: range.from, to: range.to)].count)
            try expect(count == expected, "\(range) has \(count) entries, expected \(expected)")
        default:
            let range = someRange(name, model)
            let count = model[model.range(from: range.from, to: range.to)].count
            guard wantsDelete || count < 200 || random.chance(5) else { return }
            let deleted = try transaction.delete(range, in: database)
            try expect(deleted == UInt64(count), "deleted \(deleted), expected \(count)")
            model.deleteRange(from: range.from, to: range.to)
            let left = try transaction.count(range, in: database)
            try expect(left == 0, "\(left) entries are left of a range that was deleted")
        }
    }

    private func someRange(_ name: String, _ model: ReferenceModel) -> KeyRange {
        KeyRange(
            from: random.chance(80) ? someKey(name, model) : nil,
            to: random.chance(80) ? someKey(name, model) : nil)
    }

    private func getMany(
        _ name: String, _ database: Database, _ transaction: borrowing WriteTransaction,
        _ model: ReferenceModel
    ) throws {
        let keys = (0..<random.below(100)).map { _ in someKey(name, model) }
        let values = try transaction.get(keys, in: database)
        try expect(values.count == keys.count, "\(values.count) values")
        for (key, value) in zip(keys, values) {
            let expected = model.value(for: key)
            let isRight =
                value.map { value in
                    value.withUnsafeBytes { expected?.matches($0) ?? false }
                } ?? (expected == nil)
            try expect(isRight, "\(show(key)) has another value")
        }
    }
}

@Suite("Random changes to whole databases and ranges")
struct DatabaseModelTests {
    @Test("The engine agrees with the reference model", arguments: [4096, 16384, 65536])
    func agrees(pageSize: Int) throws {
        let run = try DatabaseModelRun(pageSize: pageSize)
        try run.run(operations: TestSettings.operations(usually: 30_000))
        #expect(run.recoveries > 0)
    }
}
