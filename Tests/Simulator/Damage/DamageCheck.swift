@testable import ZeroDB

/// What a case shows that must not be.
struct DamageFailure: Error, CustomStringConvertible {
    let description: String

    init(_ description: String) { self.description = description }
}

/// How a case went on.
enum DamageOutcome: String, CaseIterable, Sendable {
    case refused
    /// Reading found errors or, where checksums were made right, something else than what there was.
    case foundByReading
    case foundByVerifying
    /// A copy in the newest meta page was damaged, and the library has said so.
    case mendedByOpening
    case withoutEffect

    /// Whether all was sound after opening.
    var isSound: Bool { self == .mendedByOpening || self == .withoutEffect }
}

/// Opens damaged files, reads everything, verifies, writes, and opens them again.
struct DamageCheck {
    let damager: Damager
    let expectation: DamageExpectation
    private let fileSystem: MemoryFileSystem
    /// What the library warned of.
    private let warnings = Locked<[String]>([])
    private var random: SeededGenerator
    /// What the environment holds, as far as the damage lets it.
    private var model = EnvironmentModel()

    init(_ damager: Damager, seed: UInt64) {
        self.damager = damager
        expectation = DamageExpectation(damager)
        fileSystem = damager.files.makeFileSystem()
        random = SeededGenerator(seed: seed ^ 0xc4ec_0000)
    }

    private func open() throws(DatabaseError) -> Environment {
        var options = EnvironmentFiles.options(pageSize: damager.subject.pageSize)
        let warnings = warnings
        options.onEvent = { event in
            if event.level == .warning { warnings.withLock { $0.append(event.message) } }
        }
        if damager.random.isDrawn(20) { options.checksumMode = .full }
        return try Environment(
            path: EnvironmentFiles.path, options: options, fileSystem: fileSystem)
    }

    mutating func run() throws -> DamageOutcome {
        let environment: Environment
        do throws(DatabaseError) {
            environment = try open()
        } catch {
            try expect(error)
            guard expectation.mayRefuse || expectation.refusal != nil else {
                throw DamageFailure("nothing that counts is damaged, but opening failed: \(error)")
            }
            return .refused
        }
        if let refusal = expectation.refusal {
            throw DamageFailure("the environment opens, although \(refusal)")
        }
        let outcome = try look(environment)
        if random.chance(60) {
            try write(environment, isSound: outcome.isSound)
        } else {
            try? environment.close()
        }
        return outcome
    }

    // MARK: Errors

    /// What damage may be called.
    private func expect(_ error: DatabaseError) throws {
        var codes: [DatabaseError.Code] = [.corrupted, .invalidFile, .versionMismatch]
        if expectation.isHostile {
            // Flags and sizes that make another kind of database of one, names that lead nowhere, a file
            // that is full by its counts.
            codes += [
                .badValueSize, .incompatible, .notFound, .badDatabase, .full, .badTransaction,
                .unsupported, .keyExists, .notSorted,
            ]
        }
        guard codes.contains(error.code) else {
            throw DamageFailure("an error with the code \(error.code): \(error)")
        }
        guard !error.message.isEmpty else { throw DamageFailure("an error without words") }
    }

    // MARK: Looking

    private mutating func read(
        _ environment: Environment, model: (UInt64) -> EnvironmentModel?
    ) throws -> DamageReading {
        let reading = DamageReading(
            environment, former: damager.subject.formerKeys, &random, model: model)
        for error in reading.errors { try expect(error) }
        if !expectation.isHostile, let wrong = reading.wrong.first {
            throw DamageFailure("without an error, \(wrong)")
        }
        return reading
    }

    /// Verifies, and holds that against what reading has found.
    ///
    /// - Returns: whether all is sound.
    private func verify(
        _ environment: Environment, _ reading: DamageReading, _ model: EnvironmentModel
    ) throws -> Bool {
        var problems: [String] = []
        let report = try environment.verify { problems.append($0.message) }
        guard report.problems == 0 else { return false }
        if let error = reading.errors.first {
            throw DamageFailure("a verification finds nothing, but reading failed: \(error)")
        }
        if let wrong = reading.wrong.first {
            throw DamageFailure("a verification finds nothing, but \(wrong)")
        }
        guard report.digest.number == model.digest,
            report.entries == UInt64(model.entryCount)
        else {
            throw DamageFailure(
                "a verification finds nothing, but counts \(report.entries) entries with the digest "
                    + "\(report.digest)")
        }
        return true
    }

    private mutating func look(_ environment: Environment) throws -> DamageOutcome {
        let expectation = expectation
        let reading = try read(environment) { transaction in
            guard expectation.acceptable.contains(transaction) else { return nil }
            return expectation.models[transaction]
        }
        model = reading.transaction.flatMap { expectation.models[$0] } ?? damager.subject.model
        let isSound = try verify(environment, reading, model)
        if isSound {
            let hasWarned = !warnings.withLock(\.isEmpty)
            if let notice = expectation.notice, !hasWarned {
                throw DamageFailure("a verification finds nothing, although \(notice)")
            }
            return expectation.notice == nil ? .withoutEffect : .mendedByOpening
        }
        guard expectation.mayRefuse else {
            throw DamageFailure(
                "nothing that counts is damaged, but a verification finds something")
        }
        return reading.hasFoundSomething ? .foundByReading : .foundByVerifying
    }

    // MARK: Writing

    /// Writes, looks again, opens the environment once more and looks again.
    private mutating func write(_ environment: Environment, isSound: Bool) throws {
        for _ in 0..<random.within(1...3) {
            do throws(DatabaseError) {
                try commit(environment)
            } catch {
                try expect(error)
                if isSound { throw DamageFailure("all is sound, but a commit fails: \(error)") }
            }
        }
        try lookAgain(environment, mustBeSound: isSound, "after commits")
        let again: Environment
        do throws(DatabaseError) {
            try environment.close()
            guard random.chance(50) else { return }
            again = try open()
        } catch {
            try expect(error)
            if isSound { throw DamageFailure("all was sound, but opening again fails: \(error)") }
            return
        }
        defer { try? again.close() }
        try lookAgain(again, mustBeSound: isSound, "opened again after commits")
    }

    private mutating func lookAgain(
        _ environment: Environment, mustBeSound: Bool, _ when: String
    ) throws {
        do {
            let expected = model
            let reading = try read(environment) { _ in expected }
            let isSound = try verify(environment, reading, expected)
            if mustBeSound, !isSound { throw DamageFailure("all was sound, and is not") }
        } catch let failure as DamageFailure {
            throw DamageFailure("\(when): \(failure)")
        }
    }

    /// Changes some entries here and there.
    private mutating func commit(_ environment: Environment) throws(DatabaseError) {
        var next = model
        let durability = random.pick([Durability.full, .none])
        var transaction = try environment.beginWrite(durability: durability)
        for (name, known) in model.databases.sorted(by: { $0.key < $1.key }) {
            guard random.chance(60) else { continue }
            var entries = known
            let database = name.isEmpty ? Database.main : try transaction.database(name)
            for _ in 0..<random.within(1...4) {
                try change(&entries, database, &transaction)
            }
            if random.chance(4) {
                try transaction.clear(database)
                entries.removeAll()
            }
            next.databases[name] = entries
        }
        try transaction.commit()
        model = next
    }

    private mutating func change(
        _ entries: inout ReferenceModel, _ database: Database,
        _ transaction: inout WriteTransaction
    ) throws(DatabaseError) {
        guard let entry = entries.pick(&random) else { return }
        let type = entries.type
        switch random.below(3) {
        case 0:
            entries.delete(entry.key)
            try transaction.delete(entry.key, in: database)
        case 1 where type.hasDuplicates:
            entries.delete(entry.key, entry.value)
            try transaction.deletePair(entry.key, entry.value.bytes, in: database)
        default:
            let isOld = type.keyWidth > 0 || random.chance(50)
            let key = isOld ? entry.key : Array("new \(random.below(50))".utf8)
            var value = entry.value
            if type.hasDuplicates {
                value = .bytes(random.bytes(type.valueWidth > 0 ? type.valueWidth : 12))
            } else {
                value = .recipe(
                    ValueRecipe(
                        seed: UInt32(truncatingIfNeeded: random.next()),
                        count: random.chance(10) ? damager.subject.pageSize : random.below(60)))
            }
            entries.put(key, value)
            try transaction.put(key, value.bytes, in: database)
        }
    }
}

extension EnvironmentModel {
    /// The digest that the environment should have.
    var digest: UInt128 {
        databases.reduce(0) { $0 &+ ModelDigest.database($1.key, $1.value) }
    }
}

extension SeededGenerator {
    /// What `chance` would say, without taking a number.
    fileprivate func isDrawn(_ percent: Int) -> Bool {
        var copy = self
        return copy.chance(percent)
    }
}
