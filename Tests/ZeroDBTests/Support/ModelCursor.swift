@testable import Simulator
@testable import ZeroDB

/// A cursor of the engine and where it should be.
final class ModelCursor {
    var state: CursorState
    let database: Int
    /// The entry it is on, or was on before that was deleted; nil if it is nowhere. Without
    /// duplicates its key alone says where, as the value may have been replaced.
    var entry: ReferenceModel.Entry?

    init(_ claim: TransactionClaim, _ database: Int, _ handle: Database) {
        state = CursorState(transaction: claim.state)
        state.begin(claim.state, handle: claim.handle, database: handle.handle)
        self.database = database
    }

    deinit { state.deallocate() }

    /// Where a move should lead.
    enum Expected: Equatable {
        case entry(ReferenceModel.Entry)
        /// There is nothing in that direction, and the cursor stays.
        case nothing
        case error(DatabaseError.Code)

        init(_ entry: ReferenceModel.Entry?) { self = entry.map { .entry($0) } ?? .nothing }
    }

    /// Where the entry is that the cursor is on; nil if it is on none.
    func index(in model: ReferenceModel) -> ReferenceModel.Index? {
        entry.flatMap { model.find($0.key, $0.value) }
    }

    /// The entry after or before the one that the cursor is on or was on.
    func neighbor(_ model: ReferenceModel, forward: Bool) -> ReferenceModel.Entry? {
        guard let entry else { return forward ? model.first : model.last }
        return forward ? model.entry(after: entry) : model.entry(before: entry)
    }

    func expected(_ move: CursorState.Move, _ model: ReferenceModel) -> Expected {
        switch move {
        case .first: return Expected(model.first)
        case .last: return Expected(model.last)
        case .next: return Expected(neighbor(model, forward: true))
        case .previous: return Expected(neighbor(model, forward: false))
        case .current:
            guard let index = index(in: model) else { return .error(.badCursor) }
            return .entry(model[index])
        }
    }
}

extension ModelTest {
    func isEntry(_ found: CursorState.Entry, _ expected: ReferenceModel.Entry) -> Bool {
        expected.key.withUnsafeBytes { keyOrder($0, found.key) == 0 }
            && expected.value.matches(found.value)
    }

    /// Moves a cursor and compares where it comes to.
    func check(
        _ cursor: ModelCursor, _ expected: ModelCursor.Expected, _ model: ReferenceModel,
        _ what: @autoclosure () -> String,
        _ body: () throws(DatabaseError) -> CursorState.Entry?
    ) throws {
        var place: String {
            "\(what()) from \(show(cursor.entry)) in a database \(model.type)"
        }
        switch expected {
        case .error(let code):
            try expectError(code, place) { () throws(DatabaseError) in _ = try body() }
        case .nothing:
            let found = try body()
            try expect(found == nil, "\(place) found \(show(found)), expected nothing")
        case .entry(let entry):
            let found = try body()
            try expect(
                found.map { isEntry($0, entry) } == true,
                "\(place) found \(show(found)), expected \(show(entry))")
            cursor.entry = entry
        }
    }

    func move(
        _ cursor: ModelCursor, _ move: CursorState.Move, _ model: ReferenceModel
    ) throws {
        try check(cursor, cursor.expected(move, model), model, "\(move)") {
            () throws(DatabaseError) in try cursor.state.move(move)
        }
        if model.isEmpty, move == .first || move == .last { cursor.entry = nil }
    }

    func seek(
        _ cursor: ModelCursor, _ key: [UInt8], exact: Bool, _ model: ReferenceModel
    ) throws {
        var expected = model.entry(atOrAfter: key)
        if exact, expected?.key != key { expected = nil }
        try check(cursor, .init(expected), model, "seek to \(show(key))") {
            () throws(DatabaseError) in
            try key.withBytes { key throws(DatabaseError) in
                try cursor.state.seek(key, exact: exact)
            }
        }
        cursor.entry = expected
    }

    // MARK: Writes

    func put(
        _ cursor: ModelCursor, _ put: ModelPut, _ key: [UInt8], _ value: ModelValue,
        _ model: inout ReferenceModel
    ) throws {
        let outcome = ModelPut.Outcome(put, key, value, model)
        let bytes = value.bytes
        try expect(outcome, "\(put) of \(show(key)) and \(show(bytes)) with a cursor") {
            () throws(DatabaseError) in
            try key.withBytes { key throws(DatabaseError) in
                try bytes.withBytes { value throws(DatabaseError) in
                    try cursor.state.put(key, value, mode: put.mode).map { Array($0) }
                }
            }
        }
        switch outcome {
        case .notSorted: return
        case .exists(let old): cursor.entry = .init(key: key, value: old)
        case .stored:
            cursor.entry = .init(key: key, value: value)
            model.put(key, value)
        }
    }

    /// Replaces the value under a cursor, which fails if there is none.
    func replace(
        _ cursor: ModelCursor, _ value: ModelValue, _ model: inout ReferenceModel
    ) throws {
        let bytes = value.bytes
        guard let entry = cursor.entry, cursor.index(in: model) != nil else {
            try expectError(.badCursor, "a replacement of no entry") {
                () throws(DatabaseError) in
                try bytes.withBytes { value throws(DatabaseError) in
                    try cursor.state.replaceCurrent(value)
                }
            }
            return
        }
        try bytes.withBytes { value throws(DatabaseError) in
            try cursor.state.replaceCurrent(value)
        }
        model.delete(entry.key, entry.value)
        model.put(entry.key, value)
        cursor.entry = .init(key: entry.key, value: value)
    }

    /// Deletes the entry under a cursor, or all values of its key; fails if there is none.
    func delete(
        _ cursor: ModelCursor, allValues: Bool, _ model: inout ReferenceModel
    ) throws {
        guard let entry = cursor.entry, cursor.index(in: model) != nil else {
            try expectError(.badCursor, "a deletion of no entry") { () throws(DatabaseError) in
                try cursor.state.delete(allValues: allValues)
            }
            return
        }
        try cursor.state.delete(allValues: allValues)
        if allValues { model.delete(entry.key) } else { model.delete(entry.key, entry.value) }
    }

    // MARK: Messages

    func show(_ entry: CursorState.Entry?) -> String {
        entry.map { "\(show(Array($0.key))) → \(show(Array($0.value)))" } ?? "nothing"
    }

    func show(_ entry: ReferenceModel.Entry?) -> String {
        entry.map { "\(show($0.key)) → \(show($0.value.bytes))" } ?? "nowhere"
    }

    func show(_ bytes: [UInt8]?) -> String { Simulator.show(bytes) }
}
