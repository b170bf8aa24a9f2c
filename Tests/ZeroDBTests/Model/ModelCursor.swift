@testable import ZeroDB

/// A cursor of the engine and where it should be.
final class ModelCursor {
    var state: CursorState
    let database: Int
    /// The key it is on, or was on before that was deleted; nil if it is nowhere.
    var key: [UInt8]?

    init(_ claim: TransactionClaim, _ database: Int, _ handle: Database) {
        state = CursorState(transaction: claim.state)
        state.begin(claim.state, handle: claim.handle, database: handle.handle)
        self.database = database
    }

    deinit { state.deallocate() }
}

extension ModelRun {
    private enum Action: CaseIterable {
        case first
        case last
        case next
        case previous
        case current
        case seek
        case seekAtOrAfter
        case put
        case putNew
        case replace
        case delete
    }

    /// One use of one of a few cursors that stay open through the transaction's other writes.
    func moveCursor(
        _ database: Int, _ transaction: borrowing WriteTransaction, _ handle: Database,
        _ model: inout SortedModel, _ cursors: inout [ModelCursor]
    ) throws {
        if cursors.count < 6, random.chance(20) {
            cursors.append(ModelCursor(transaction.access.claim, database, handle))
        }
        let candidates = cursors.filter { $0.database == database }
        guard !candidates.isEmpty else { return }
        let cursor = random.pick(candidates)
        let entryCounts: [Action] = [.next, .next, .next, .previous, .previous, .previous]
        let action = random.chance(50) ? random.pick(entryCounts) : random.pick(Action.allCases)
        try use(cursor, action, &model)
    }

    private func use(
        _ cursor: ModelCursor, _ action: Action, _ model: inout SortedModel
    ) throws {
        switch action {
        case .first:
            try compare(cursor, try cursor.state.move(.first), model.first, "first")
            cursor.key = model.first?.key
        case .last:
            try compare(cursor, try cursor.state.move(.last), model.last, "last")
            cursor.key = model.last?.key
        case .next:
            let expected = cursor.key.map { model.entry(after: $0) } ?? model.first
            try compare(cursor, try cursor.state.move(.next), expected, "next")
            cursor.key = expected?.key ?? cursor.key
        case .previous:
            let expected = cursor.key.map { model.entry(before: $0) } ?? model.last
            try compare(cursor, try cursor.state.move(.previous), expected, "previous")
            cursor.key = expected?.key ?? cursor.key
        case .seek: try seek(cursor, exact: true, model)
        case .seekAtOrAfter: try seek(cursor, exact: false, model)
        case .put, .putNew: try put(cursor, &model, isNew: action == .putNew)
        case .current, .replace, .delete: try useEntry(cursor, action, &model)
        }
    }

    private func seek(_ cursor: ModelCursor, exact: Bool, _ model: SortedModel) throws {
        let key = someKey(cursor.database, model, known: 60)
        var expected = model.entry(atOrAfter: key)
        if exact, expected?.key != key { expected = nil }
        let found = try key.withBytes { key throws(DatabaseError) in
            try cursor.state.seek(key, exact: exact)
        }
        try compare(cursor, found, expected, "seek to \(show(key))")
        cursor.key = expected?.key
    }

    /// What needs an entry under the cursor.
    private func useEntry(
        _ cursor: ModelCursor, _ action: Action, _ model: inout SortedModel
    ) throws {
        guard let key = cursor.key, let value = model.value(for: key) else {
            try expectError(.badCursor, "\(action) of a cursor on no entry") {
                () throws(DatabaseError) in
                switch action {
                case .delete: try cursor.state.delete()
                case .replace:
                    try cursor.state.replaceCurrent(
                        UnsafeRawBufferPointer(rebasing: valueBuffer[..<1]))
                default: _ = try cursor.state.move(.current)
                }
            }
            return
        }
        switch action {
        case .delete:
            try cursor.state.delete()
            _ = model.delete(key)
        case .replace:
            let recipe = random.valueRecipe(pageSize: scenario.pageSize)
            try cursor.state.replaceCurrent(recipe.write(to: valueBuffer))
            model.put(key, recipe)
        default:
            let entry = SortedModel.Entry(key: key, value: value)
            try compare(cursor, try cursor.state.move(.current), entry, "current")
        }
    }

    private func put(_ cursor: ModelCursor, _ model: inout SortedModel, isNew: Bool) throws {
        let key = someKey(cursor.database, model, known: 50)
        let recipe = random.valueRecipe(pageSize: scenario.pageSize)
        let value = recipe.write(to: valueBuffer)
        let existing = try key.withBytes { key throws(DatabaseError) in
            try cursor.state.put(key, value, mode: isNew ? .noOverwrite : .overwrite)
        }
        cursor.key = key
        if isNew, let old = model.value(for: key) {
            try expect(existing.map(old.matches) == true, "the existing value is another")
            return
        }
        try expect(existing == nil, "a value of \(show(key)) is there already")
        model.put(key, recipe)
    }

    private func compare(
        _ cursor: ModelCursor, _ entry: CursorState.Entry?, _ expected: SortedModel.Entry?,
        _ what: @autoclosure () -> String
    ) throws {
        guard let entry else {
            try expect(
                expected == nil,
                "\(what()) from \(show(cursor.key)) found nothing, expected \(show(expected?.key))")
            return
        }
        guard let expected else {
            throw failure("\(what()) from \(show(cursor.key)) found \(show(Array(entry.key)))")
        }
        try expect(
            expected.key.withUnsafeBytes { keyOrder($0, entry.key) } == 0,
            "\(what()) from \(show(cursor.key)) found \(show(Array(entry.key))), expected "
                + show(expected.key))
        try expect(
            expected.value.matches(entry.value),
            "\(what()) of \(show(expected.key)): another value")
    }
}
