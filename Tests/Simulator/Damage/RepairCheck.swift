@testable import ZeroDB

/// Repairs damaged files, and holds what is left against what there was.
///
/// What must be there is decided by `DataLayout`, which knows the pages of each entry, and by a comparison of
/// the files' bytes: neither asks the engine.
struct RepairCheck {
    private let damager: Damager
    private let expectation: DamageExpectation
    private let fileSystem: MemoryFileSystem

    init(_ damager: Damager, _ expectation: DamageExpectation) {
        self.damager = damager
        self.expectation = expectation
        fileSystem = damager.files.makeFileSystem()
    }

    private var subject: DamageSubject { damager.subject }

    /// - Returns: whether it could be repaired.
    func run() throws -> Bool {
        let report: RepairReport
        do throws(DatabaseError) {
            report = try repair()
        } catch {
            guard error.code == .corrupted || error.code == .invalidFile else {
                throw DamageFailure("a repair fails with the code \(error.code): \(error)")
            }
            guard mayRefuse else { throw DamageFailure("a repair fails: \(error)") }
            return false
        }
        try compare(report)
        let repaired = try EnvironmentFiles(fileSystem)
        let again = try repair()
        guard !again.changed, again.losses.isEmpty else {
            throw DamageFailure("a second repair does something: \(again.actions)")
        }
        let files = try EnvironmentFiles(fileSystem)
        guard files.data == repaired.data, files.log == repaired.log else {
            throw DamageFailure("a second repair changes files")
        }
        return true
    }

    private func repair() throws(DatabaseError) -> RepairReport {
        var options = RepairOptions()
        options.keepsBackup = false
        return try Environment.repair(
            path: PathBytes(EnvironmentFiles.path), options: options, fileSystem: fileSystem)
    }

    /// Whether what is damaged cannot be mended: the log, or all records of a meta page.
    private var mayRefuse: Bool {
        expectation.isHostile || expectation.isOlder || damager.files.log != subject.files.log
            || damager.damages.contains(.foreignData) || expectation.lacksMeta
    }

    // MARK: What is left

    private func compare(_ report: RepairReport) throws {
        var options = EnvironmentFiles.options(pageSize: subject.pageSize)
        options.createsIfMissing = false
        let environment: Environment
        do throws(DatabaseError) {
            environment = try Environment(
                path: EnvironmentFiles.path, options: options, fileSystem: fileSystem)
        } catch {
            throw DamageFailure("a repaired environment does not open: \(error)")
        }
        defer { try? environment.close() }
        var problems: [String] = []
        let verified = try environment.verify { problems.append($0.message) }
        guard verified.problems == 0 else {
            throw DamageFailure("a repaired environment is not sound: \(problems.prefix(3))")
        }
        // What was edited with right checksums cannot be told from what was put.
        guard !expectation.isHostile, !damager.damages.contains(.foreignData) else { return }
        let left = try contents(environment)
        try findAdded(left)
        if expectation.lacksMeta, report.losses.isEmpty {
            throw DamageFailure("a repair without a meta page tells of no loss")
        }
        guard !expectation.isOlder, !expectation.lacksMeta else { return }
        try findLost(left, report)
    }

    /// All pairs of an environment.
    private func contents(_ environment: Environment) throws -> [String: [[UInt8]: [[UInt8]]]] {
        let reader = try environment.beginRead()
        var contents: [String: [[UInt8]: [[UInt8]]]] = [:]
        for name in [""] + (try reader.databases().map(\.name)) {
            let database = name.isEmpty ? Database.main : try reader.database(name)
            var entries: [[UInt8]: [[UInt8]]] = [:]
            var cursor = try reader.cursor(in: database)
            while let entry = try cursor.next() {
                let key = entry.key.withUnsafeBytes { Array($0) }
                entries[key, default: []].append(entry.value.withUnsafeBytes { Array($0) })
            }
            contents[name] = entries
        }
        return contents
    }

    /// Looks for an entry that no state had which the files could show.
    private func findAdded(_ left: [String: [[UInt8]: [[UInt8]]]]) throws {
        // Without a meta page an older state may be all that there is.
        let states =
            expectation.lacksMeta
            ? Set(expectation.models.keys)
            : expectation.acceptable.union([subject.layout.transaction])
        var models = states.compactMap { expectation.models[$0] }
        if expectation.lacksOwnRecord { models += damager.stranger.models.values }
        for (name, entries) in left {
            for (key, values) in entries {
                for value in values {
                    let isKnown = models.contains { model in
                        model.databases[name]?.values(of: key).contains { known in
                            value.withUnsafeBytes { known.matches($0) }
                        } ?? false
                    }
                    guard isKnown else {
                        let had = expectation.models.filter { _, model in
                            model.databases[name]?.values(of: key).contains { known in
                                value.withUnsafeBytes { known.matches($0) }
                            } ?? false
                        }
                        throw DamageFailure(
                            "a repair leaves \(show(key)) in \"\(name)\", which was not there; "
                                + "transactions \(had.keys.sorted()) had it, and it was to be one of "
                                + "\(states.sorted())")
                    }
                }
            }
        }
    }

    /// Looks for an entry that was not harmed, or whose loss is not told.
    private func findLost(
        _ left: [String: [[UInt8]: [[UInt8]]]], _ report: RepairReport
    ) throws {
        // What the log has changed, if it was replayed, is not asked for.
        let states = expectation.acceptable.union([subject.layout.transaction])
        let models = states.compactMap { expectation.models[$0] }
        for (name, entries) in subject.layout.entries {
            let known = models.compactMap { $0.databases[name] }
            guard known.count == models.count, let model = known.first else { continue }
            for entry in entries {
                let values = model.values(of: entry.key).filter { value in
                    (entry.value == nil || entry.value == value.bytes)
                        && known.allSatisfy { $0.values(of: entry.key).contains(value) }
                }
                for value in values {
                    let isThere =
                        left[name]?[entry.key]?.contains { found in
                            found.withUnsafeBytes { value.matches($0) }
                        } ?? false
                    if !isThere { try checkLoss(entry, name, model, report) }
                }
            }
        }
    }

    private func checkLoss(
        _ entry: DataLayout.Entry, _ name: String, _ model: ReferenceModel, _ report: RepairReport
    ) throws {
        let what = "a repair loses \(show(entry.key)) of \"\(name)\""
        guard !expectation.damagedPages.isDisjoint(with: entry.pages) else {
            throw DamageFailure(
                "\(what), whose pages \(entry.pages) are whole; damaged are "
                    + "\(expectation.damagedPages.sorted())")
        }
        guard isTold(name, entry.key, model, report) else {
            throw DamageFailure("\(what) and does not tell, but: \(report.losses)")
        }
    }

    private func isTold(
        _ name: String, _ key: [UInt8], _ model: ReferenceModel, _ report: RepairReport
    ) -> Bool {
        // The ends need not be numbers where keys are: they are parts of keys, held in reverse.
        let order = model.type.keyWidth > 0 ? .reversedBytes : ModelOrder.ofKeys(model.type.flags)
        return report.losses.contains { loss in
            guard let database = loss.database else { return true }
            guard database == Array(name.utf8) else { return false }
            if let low = loss.low, order.compare(key, low) < 0 { return false }
            if let high = loss.high, order.compare(key, high) >= 0 { return false }
            return true
        }
    }
}
