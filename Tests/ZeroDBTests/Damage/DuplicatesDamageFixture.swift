import Testing

@testable import Simulator
@testable import ZeroDB

/// A small environment in memory with databases of all types, to be damaged, opened and repaired
/// many times.
final class DuplicatesDamageFixture {
    /// The first is that of the main database.
    static let types = [
        DatabaseType([.duplicates, .counted]),
        DatabaseType(
            [.duplicates, .fixedSizeDuplicates, .integerDuplicates, .integerKeys, .counted],
            keyWidth: 4, valueWidth: 8),
        DatabaseType(
            [.duplicates, .fixedSizeDuplicates, .reverseDuplicates, .reverseKeys], valueWidth: 20),
        DatabaseType([.counted]),
        DatabaseType([.integerKeys], keyWidth: 8),
    ]

    static let path = "env"
    let fileSystem = MemoryFileSystem()
    private(set) var models = types.map { ReferenceModel($0) }
    private(set) var file = MemoryContents()
    private(set) var image: [UInt8] = []
    let map: PageMap
    private let options: EnvironmentOptions

    init() throws {
        var options = EnvironmentOptions()
        options.maxSize = 1 << 20
        options.maxReaders = 2
        options.usesThread = false
        self.options = options
        let environment = try Environment(path: Self.path, options: options, fileSystem: fileSystem)
        try Self.build(environment, &models)
        try environment.close()
        file = try #require(fileSystem.contents("\(Self.path)/data.zdb"))
        image = file.bytes
        map = try PageMap(file)
        removeLog()
    }

    /// All is in the data file: what the log still has is not needed, and slow to look through.
    private func removeLog() {
        for name in (try? fileSystem.list("\(Self.path)/log")) ?? [] {
            try? fileSystem.remove("\(Self.path)/log/\(name)")
        }
    }

    /// Keys with one value, with inline values, with value trees of one level and of more; branches
    /// with counts.
    private static func build(_ environment: Environment, _ models: inout [ReferenceModel]) throws {
        var random = SeededGenerator(seed: 11)
        for commit in 0..<2 {
            var transaction = try environment.beginWrite()
            for (number, type) in types.enumerated() {
                if number == 0 { try transaction.createMain(flags: type.flags) }
                let handle: Database =
                    number == 0
                    ? .main : try transaction.createDatabase(name(number), flags: type.flags)
                for pair in pairs(type, commit, &random) {
                    _ = try pair.key.withBytes { key throws(DatabaseError) in
                        try pair.value.bytes.withBytes { value throws(DatabaseError) in
                            try transaction.access.operations.put(
                                handle.handle, key, value, mode: .overwrite)
                        }
                    }
                    models[number].put(pair.key, pair.value)
                }
            }
            try transaction.commit()
            try environment.checkpoint()
        }
    }

    private static func pairs(
        _ type: DatabaseType, _ commit: Int, _ random: inout SeededGenerator
    ) -> [ReferenceModel.Entry] {
        guard type.hasDuplicates else {
            return (0..<150).map { _ in
                let number = UInt64(random.below(400))
                let key = ModelOrder.bytes(
                    of: number, width: type.keyWidth == 0 ? 6 : type.keyWidth)
                return ReferenceModel.Entry(key: key, value: .bytes(random.bytes(random.below(20))))
            }
        }
        var pairs: [ReferenceModel.Entry] = []
        // Many values, some, one.
        for (number, count) in [type.valueWidth == 8 ? 300 : 90, 9, 1, 40].enumerated() {
            let key =
                type.keyWidth > 0
                ? ModelOrder.bytes(of: UInt64(number) << 9, width: type.keyWidth)
                : Array("key \(number)".utf8)
            for _ in 0..<count {
                let size = type.valueWidth > 0 ? type.valueWidth : random.below(60)
                pairs.append(ReferenceModel.Entry(key: key, value: .bytes(random.bytes(size))))
            }
        }
        return pairs
    }

    static func name(_ number: Int) -> String { "database \(number)" }

    func restore() { file.restore(image) }

    /// Puts the checksum of a page right.
    func reseal(_ page: Int) {
        let base = file.base + page * map.pageSize
        let checksum = Checksum.ofPage(base, length: map.pageSize, seed: map.meta.checksumSeed)
        base.storeLittleEndian(checksum, at: 0)
    }

    /// The pages in use that are laid out in some way.
    func pages(_ layout: PageLayout, kind: PageKind = .leaf) -> [Page] {
        (2..<map.pageCount).map { Page(file.base + $0 * map.pageSize, size: map.pageSize) }
            .filter {
                !map.isFree(Int($0.number)) && $0.kind == kind && $0.layout == layout
            }
    }

    // MARK: Looking

    /// Opens the environment, comes to every pair in all the ways there are, verifies.
    ///
    /// - Parameter onProblem: called for what verifying finds.
    func look(
        mode: ChecksumMode = .fast, onProblem: @escaping (String) -> Void = { _ in }
    ) -> DamageFixture.Findings {
        var findings = DamageFixture.Findings()
        var options = options
        options.checksumMode = mode
        do throws(DatabaseError) {
            let environment = try Environment(
                path: Self.path, options: options, fileSystem: fileSystem)
            findings.couldOpen = true
            try read(environment, &findings)
            findings.problems = try environment.verify { onProblem($0.message) }.problems
            try environment.close()
        } catch {
            findings.errors.append(error)
        }
        return findings
    }

    private func read(
        _ environment: Environment, _ findings: inout DamageFixture.Findings
    ) throws(DatabaseError) {
        let transaction = try environment.beginRead()
        for (number, model) in models.enumerated() {
            do throws(DatabaseError) {
                let handle: Database =
                    number == 0 ? .main : try transaction.database(Self.name(number))
                let cursor = ModelCursor(transaction.access.claim, number, handle)
                try scan(cursor, model, &findings)
                try visit(cursor, model, &findings)
            } catch {
                if error.code == .notFound || error.code == .incompatible {
                    findings.wrong.append("\(error)")
                } else {
                    findings.errors.append(error)
                }
            }
        }
    }

    private func isPair(_ entry: CursorState.Entry?, _ pair: ReferenceModel.Entry?) -> Bool {
        guard let entry, let pair else { return entry == nil && pair == nil }
        return entry.key.elementsEqual(pair.key) && pair.value.matches(entry.value)
    }

    /// Both ways, as far as it is right.
    private func scan(
        _ cursor: ModelCursor, _ model: ReferenceModel, _ findings: inout DamageFixture.Findings
    ) throws(DatabaseError) {
        let pairs = Array(model)
        for pair in pairs + [nil] {
            guard isPair(try cursor.state.move(.next), pair) else {
                findings.wrong.append("a scan of \(model.type) went wrong")
                return
            }
        }
        _ = try cursor.state.move(.last)
        for pair in pairs.reversed().dropFirst().map({ Optional($0) }) + [nil] {
            guard isPair(try cursor.state.move(.previous), pair) else {
                findings.wrong.append("a scan of \(model.type) went wrong backwards")
                return
            }
        }
    }

    private func visit(
        _ cursor: ModelCursor, _ model: ReferenceModel, _ findings: inout DamageFixture.Findings
    ) throws(DatabaseError) {
        for rank in stride(from: 0, to: model.count, by: 23) {
            let pair = model[rank: rank]
            if model.type.hasDuplicates {
                let entry = try pair.key.withBytes { key throws(DatabaseError) in
                    try pair.value.bytes.withBytes { value throws(DatabaseError) in
                        try cursor.state.seek(key, value: value, exact: true)
                    }
                }
                let count = entry == nil ? 0 : try cursor.state.count()
                if !isPair(entry, pair) || count != UInt64(model.values(of: pair.key).count) {
                    findings.wrong.append("a pair of \(model.type) is missing")
                }
            }
            if model.type.isCounted {
                guard isPair(try cursor.state.seek(rank: UInt64(rank)), pair),
                    try cursor.state.rank() == UInt64(rank)
                else {
                    findings.wrong.append("a rank of \(model.type) is another")
                    continue
                }
            }
            guard model.type.flags.contains(.fixedSizeDuplicates) else { continue }
            _ = try cursor.state.move(.firstValue)
            var entry = try cursor.state.multiple(.fromCurrent)
            var found: [UInt8] = []
            while let some = entry, found.count < 100_000 {
                found += Array(some.value)
                entry = try cursor.state.multiple(.next)
            }
            if found != model.values(of: pair.key).flatMap(\.bytes) {
                findings.wrong.append("several values of \(model.type) are others")
            }
        }
    }

    // MARK: Writing

    /// Changes a damaged environment in many places; whatever happens is an error or success.
    func write(_ random: inout SeededGenerator, mode: ChecksumMode) {
        var options = options
        options.checksumMode = mode
        do throws(DatabaseError) {
            let environment = try Environment(
                path: Self.path, options: options, fileSystem: fileSystem)
            for _ in 0..<3 {
                do throws(DatabaseError) {
                    try writeOnce(environment, &random)
                } catch {
                    #expect(Self.isExpected(error), "\(error.code): \(error)")
                }
            }
            _ = try environment.verify()
            try environment.close()
        } catch {
            #expect(Self.isExpected(error), "\(error.code): \(error)")
        }
        removeLog()
    }

    /// Damage, and what it may make of a database: none, another type, one of other sizes, full.
    private static func isExpected(_ error: DatabaseError) -> Bool {
        DamageFixture.isAboutDamage(error)
            || [.notFound, .incompatible, .badValueSize, .badCursor, .badTransaction, .full]
                .contains(error.code)
    }

    private func writeOnce(
        _ environment: Environment, _ random: inout SeededGenerator
    ) throws(DatabaseError) {
        var transaction = try environment.beginWrite()
        for (number, model) in models.enumerated() where random.chance(70) {
            let handle: Database =
                number == 0 ? .main : try transaction.database(Self.name(number))
            let operations = transaction.access.operations
            let cursor = ModelCursor(transaction.access.claim, number, handle)
            for _ in 0..<random.within(1...25) {
                let pair = model[rank: random.below(model.count)]
                var value = pair.value.bytes
                if random.chance(60) { value = random.bytes(value.count) }
                try change(operations, handle.handle, pair.key, value, cursor, &random)
            }
            if random.chance(5) { try transaction.clear(handle) }
        }
        try transaction.commit()
    }

    private func change(
        _ operations: Operations, _ handle: Int, _ key: [UInt8], _ value: [UInt8],
        _ cursor: ModelCursor, _ random: inout SeededGenerator
    ) throws(DatabaseError) {
        let action = random.below(8)
        let steps = random.within(1...8)
        try key.withBytes { key throws(DatabaseError) in
            try value.withBytes { value throws(DatabaseError) in
                switch action {
                case 0: _ = try operations.delete(handle, key)
                case 1, 2: _ = try operations.delete(handle, key, value: value)
                case 3: _ = try operations.countRange(handle, from: key, to: nil)
                case 4:
                    guard try cursor.state.seek(key, exact: false) != nil else { return }
                    for _ in 0..<steps where try cursor.state.move(.next) != nil {
                        if steps % 2 == 0 { try cursor.state.delete() }
                    }
                case 5:
                    guard try cursor.state.move(.last) != nil else { return }
                    for _ in 0..<steps { _ = try cursor.state.move(.previous) }
                default: _ = try operations.put(handle, key, value, mode: .overwrite)
                }
            }
        }
    }
}
