@testable import Simulator
@testable import ZeroDB

extension ModelRun {
    /// One write transaction, committed or aborted.
    func runWriteTransaction() throws {
        let durability = random.pick(scenario.durabilities)
        var transaction = try environment.beginWrite(durability: durability)
        let id = transaction.id
        var draft = committed
        try makeChanges(transactionSize(), &transaction, &draft)
        try compareDigests(transaction, draft)
        if random.chance(phase == .shrinking ? 3 : 0) {
            try empty(random.below(draft.count), &transaction, &draft)
        }
        guard random.chance(85) else {
            transaction.abort()
            return
        }
        try transaction.commit()
        committed = draft
        let info = try environment.info()
        try expect(
            info.digest.number == environmentDigest,
            "the digest of the environment is not that of its databases")
        // A transaction that changed nothing makes no new state, and one of a compaction in the background
        // may follow.
        let newest = info.lastTransaction
        try expect(
            newest == id || newest == id - 1 || (scenario.usesThread && newest > id),
            "transaction \(info.lastTransaction) is visible after committing \(id)")
        try expect(
            info.fileSize >= info.pageCount * UInt64(info.pageSize),
            "the file has \(info.fileSize) bytes for \(info.pageCount) pages")
    }

    /// The digest that the environment should have.
    var environmentDigest: UInt128 {
        committed.enumerated().reduce(0) { sum, database in
            guard let model = database.element else { return sum }
            return sum
                &+ ModelDigest.database(
                    database.offset == 0 ? "" : name(database.offset), model)
        }
    }

    private func compareDigests(
        _ transaction: borrowing WriteTransaction, _ draft: Databases
    ) throws {
        for (database, model) in draft.enumerated() {
            guard let model else { continue }
            let digest = try transaction.statistics(of: try handle(database, transaction)).digest
            try expect(
                digest.number == model.digest,
                "the digest of database \(database) is not that of its entries before a commit")
        }
    }

    /// So many operations in a transaction, some of them in others nested in it.
    func makeChanges(
        _ operations: Int, _ transaction: inout WriteTransaction, _ draft: inout Databases,
        depth: Int = 0
    ) throws {
        var cursors: [ModelCursor] = []
        let end = operationsDone + operations
        while operationsDone < end {
            if depth < scenario.nestingMax, random.below(scenario.nestingRarity) == 0 {
                try runNested(end - operationsDone, &transaction, &draft, depth: depth + 1)
            }
            let database = random.below(draft.count)
            try ensureExists(database, &transaction, &draft)
            try change(database, &transaction, &draft, &cursors)
        }
    }

    private func transactionSize() -> Int {
        switch random.below(100) {
        case 0..<50: random.within(1...10)
        case 50..<85: random.within(10...100)
        case 85..<98: random.within(100...max(100, scenario.transactionMax / 10))
        default: random.within(100...scenario.transactionMax)
        }
    }

    private func ensureExists(
        _ database: Int, _ transaction: inout WriteTransaction, _ draft: inout Databases
    ) throws {
        guard draft[database] == nil else { return }
        let name = name(database)
        try expectError(.notFound, "opening \(name), which does not exist") {
            () throws(DatabaseError) in _ = try transaction.database(name)
        }
        _ = try transaction.createDatabase(name)
        draft[database] = ReferenceModel()
    }

    private func change(
        _ database: Int, _ transaction: inout WriteTransaction, _ draft: inout Databases,
        _ cursors: inout [ModelCursor]
    ) throws {
        count()
        guard var model = draft[database] else { return }
        // One reference to the model's chunks, or every change would copy them.
        draft[database] = nil
        defer { draft[database] = model }
        let handle = try handle(database, transaction)
        // A long transaction shall not delete all there is and then go on with nothing.
        let isSmall = model.count < scenario.entriesMax / 40 / (1 + scenario.namedDatabases)
        let phase = phase == .shrinking && isSmall && random.chance(80) ? .growing : phase
        switch ModelOperation.pick(phase, &random) {
        case .put:
            let key = someKey(database, model, known: 40)
            let recipe = random.valueRecipe(pageSize: scenario.pageSize)
            try transaction.put(key, recipe.write(to: valueBuffer), in: handle)
            model.put(key, .recipe(recipe))
        case .insert:
            let key = someKey(database, model, known: 50)
            let recipe = random.valueRecipe(pageSize: scenario.pageSize)
            let isNew = try transaction.insert(key, recipe.write(to: valueBuffer), in: handle)
            try expect(isNew != model.contains(key), "insert of \(show(key)) returned \(isNew)")
            if isNew { model.put(key, .recipe(recipe)) }
        case .append: try append(database, &transaction, handle, &model)
        case .delete:
            let key = someKey(database, model, known: 90)
            let wasThere = try transaction.delete(key, in: handle)
            try expect(wasThere == model.delete(key), "delete of \(show(key)) returned \(wasThere)")
        case .deleteRun:
            let start = someKey(database, model, known: 50)
            for _ in 0..<random.within(2...40) {
                guard let key = model.entry(atOrAfter: start)?.key else { break }
                try expect(try transaction.delete(key, in: handle), "\(show(key)) is not there")
                model.delete(key)
                count()
            }
        case .get:
            let key = someKey(database, model, known: 80)
            try compareValue(of: key, transaction, handle, model)
        case .statistics:
            let entries = try transaction.statistics(of: handle).entries
            try expect(
                entries == UInt64(model.count), "\(entries) entries, expected \(model.count)")
        case .cursor:
            try useCursor(database, transaction, handle, &model, &cursors)
        }
    }

    private func append(
        _ database: Int, _ transaction: inout WriteTransaction, _ handle: Database,
        _ model: inout ReferenceModel
    ) throws {
        let recipe = random.valueRecipe(pageSize: scenario.pageSize)
        let value = recipe.write(to: valueBuffer)
        var key = newKey(database)
        if let last = model.last?.key {
            if random.chance(20) {
                let tooLow = random.chance(50) ? last : model.pick(&random)?.key ?? last
                try expectError(.notSorted, "appending \(show(tooLow)) after \(show(last))") {
                    () throws(DatabaseError) in
                    try transaction.append(tooLow, value, in: handle)
                }
                return
            }
            // The last key and something more, or if that is too long, nothing.
            let limit = Format.keySizeMax(pageSize: scenario.pageSize)
            guard last.count + 2 <= limit else { return }
            key = last + [random.byte(), random.byte()]
            if random.chance(50), let highest = last.first, highest < 255 {
                key[0] = highest + (random.chance(1) ? 1 : 0)
            }
        }
        try transaction.append(key, value, in: handle)
        model.put(key, .recipe(recipe))
    }

    func compareValue<T: Transaction & ~Copyable>(
        of key: [UInt8], _ transaction: borrowing T, _ handle: Database, _ model: ReferenceModel
    ) throws {
        let expected = model.value(for: key)
        guard let value = try transaction.value(for: key, in: handle) else {
            try expect(expected == nil, "\(show(key)) is not there")
            return
        }
        guard let expected else { throw failure("\(show(key)) is there") }
        let isRight = value.withUnsafeBytes { expected.matches($0) }
        try expect(isRight, "\(show(key)) has another value than \(expected)")
    }

    /// Deletes every entry of a database.
    private func empty(
        _ database: Int, _ transaction: inout WriteTransaction, _ draft: inout Databases
    ) throws {
        guard let model = draft[database] else { return }
        let handle = try handle(database, transaction)
        let backwards = random.chance(50)
        var keys = model.map(\.key)
        if backwards { keys.reverse() }
        for key in keys {
            try expect(try transaction.delete(key, in: handle), "\(show(key)) is not there")
        }
        count(keys.count)
        let statistics = try transaction.statistics(of: handle)
        try expect(
            statistics.depth == 0 && statistics.entries == 0 && statistics.leafPages == 0
                && statistics.branchPages == 0 && statistics.overflowPages == 0,
            "an emptied database has \(statistics)")
        draft[database] = ReferenceModel()
    }
}
