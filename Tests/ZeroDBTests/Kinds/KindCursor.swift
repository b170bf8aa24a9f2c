@testable import ZeroDB

/// A cursor of the engine and where it should be.
final class KindCursor {
    var state: CursorState
    let database: Int
    /// The pair it is on, or was on before that was deleted; nil if it is nowhere.
    var pair: PairModel.Pair?

    init(_ claim: TransactionClaim, _ database: Int, _ handle: Database) {
        state = CursorState(transaction: claim.state)
        state.begin(claim.state, handle: claim.handle, database: handle.handle)
        self.database = database
    }

    deinit { state.deallocate() }

    /// Where a move should lead in a model.
    enum Expected: Equatable {
        case pair(PairModel.Pair)
        /// There is nothing in that direction, and the cursor stays.
        case nothing
        case error(DatabaseError.Code)

        init(_ pair: PairModel.Pair?) { self = pair.map { .pair($0) } ?? .nothing }
    }

    /// The pair after or before the one that the cursor is on or was on.
    func neighbor(_ model: PairModel, forward: Bool) -> PairModel.Pair? {
        guard let pair else { return forward ? model.first : model.last }
        let rank = model.rank(pair.key, pair.value)
        guard forward else { return model.pair(at: rank - 1) }
        return model.pair(at: model.find(pair.key, pair.value) != nil ? rank + 1 : rank)
    }

    func expected(_ move: CursorState.Move, _ model: PairModel) -> Expected {
        switch move {
        case .first: return Expected(model.first)
        case .last: return Expected(model.last)
        case .next: return Expected(neighbor(model, forward: true))
        case .previous: return Expected(neighbor(model, forward: false))
        case .current:
            guard let pair, let rank = model.find(pair.key, pair.value) else {
                return .error(.badCursor)
            }
            return .pair(model[rank])
        }
    }

    func expected(_ move: CursorState.DuplicateMove, _ model: PairModel) -> Expected {
        guard model.kind.hasDuplicates || move == .nextKey || move == .previousKey else {
            return .error(.incompatible)
        }
        guard let pair else {
            switch move {
            case .nextKey: return Expected(model.first)
            case .previousKey: return Expected(model.last)
            default: return .error(.badCursor)
            }
        }
        let isThere = model.find(pair.key, pair.value) != nil
        switch move {
        case .nextKey: return Expected(model.pair(at: model.rank(after: pair.key)))
        case .previousKey: return Expected(model.pair(at: model.rank(pair.key) - 1))
        case .firstValue:
            return isThere ? Expected(model[model.rank(pair.key)]) : .error(.badCursor)
        case .lastValue:
            return isThere ? Expected(model[model.rank(after: pair.key) - 1]) : .error(.badCursor)
        case .nextValue, .previousValue:
            let next = neighbor(model, forward: move == .nextValue)
            return next?.key == pair.key ? Expected(next) : .nothing
        }
    }
}

extension KindRun {
    /// One use of one of a few cursors that stay open through the transaction's other writes.
    func useCursor(
        _ database: Int, _ transaction: borrowing WriteTransaction, _ handle: Database,
        _ model: inout PairModel, _ cursors: inout [KindCursor]
    ) throws {
        let here = cursors.filter { $0.database == database }
        if here.isEmpty || (here.count < 3 && random.chance(20)) {
            cursors.append(KindCursor(transaction.access.claim, database, handle))
        }
        let cursor = random.pick(cursors.filter { $0.database == database })
        switch random.below(100) {
        case 0..<88: try look(cursor, model)
        case 88..<93: try put(cursor, &model)
        case 93..<96: try replace(cursor, &model)
        default: try delete(cursor, &model)
        }
    }

    /// One use of a cursor that changes nothing.
    func look(_ cursor: KindCursor, _ model: PairModel) throws {
        switch random.below(88) {
        case 0..<40:
            let moves: [CursorState.Move] = [
                .next, .next, .next, .previous, .previous, .previous, .current, .first, .last,
            ]
            try move(cursor, random.pick(moves), model)
        case 40..<60:
            let moves: [CursorState.DuplicateMove] = [
                .firstValue, .lastValue, .nextValue, .nextValue, .previousValue, .previousValue,
                .nextKey, .previousKey,
            ]
            try move(cursor, random.pick(moves), model)
        case 60..<68: try seekKey(cursor, model)
        case 68..<76: try seekPair(cursor, model)
        case 76..<80: try countValues(cursor, model)
        case 80..<84: try rank(cursor, model)
        default: try takeMultiple(cursor, model)
        }
    }

    private func move(_ cursor: KindCursor, _ move: CursorState.Move, _ model: PairModel) throws {
        try check(cursor, cursor.expected(move, model), model, "\(move)") {
            () throws(DatabaseError) in try cursor.state.move(move)
        }
        if model.isEmpty, move == .first || move == .last { cursor.pair = nil }
    }

    private func move(
        _ cursor: KindCursor, _ move: CursorState.DuplicateMove, _ model: PairModel
    ) throws {
        try check(cursor, cursor.expected(move, model), model, "\(move)") {
            () throws(DatabaseError) in try cursor.state.move(move)
        }
    }

    /// Moves a cursor and compares where it comes to.
    private func check(
        _ cursor: KindCursor, _ expected: KindCursor.Expected, _ model: PairModel, _ what: String,
        _ body: () throws(DatabaseError) -> CursorState.Entry?
    ) throws {
        let place = "\(what) from \(show(cursor.pair)) in a database \(model.kind)"
        switch expected {
        case .error(let code):
            try expectError(code, place) { () throws(DatabaseError) in _ = try body() }
        case .nothing:
            let entry = try body()
            try expect(entry == nil, "\(place) found \(show(entry)), expected nothing")
        case .pair(let pair):
            let entry = try body()
            try expect(
                entry.map { isPair($0, pair) } == true,
                "\(place) found \(show(entry)), expected \(show(pair))")
            cursor.pair = pair
        }
    }

    private func seekKey(_ cursor: KindCursor, _ model: PairModel) throws {
        let key = someKey(cursor.database, model, known: 60)
        let isExact = random.chance(50)
        var expected = model.pair(at: model.rank(key))
        if isExact, expected?.key != key { expected = nil }
        try check(cursor, .init(expected), model, "seek to \(show(key))") {
            () throws(DatabaseError) in
            try key.withBytes { key throws(DatabaseError) in
                try cursor.state.seek(key, exact: isExact)
            }
        }
        cursor.pair = expected
    }

    private func seekPair(_ cursor: KindCursor, _ model: PairModel) throws {
        let key = someKey(cursor.database, model, known: 80)
        let value = someValue(cursor.database, model, key)
        let isExact = random.chance(50)
        var expected = KindCursor.Expected.error(.incompatible)
        if model.kind.hasDuplicates {
            let pair = model.pair(at: model.rank(key, value))
            let isFound = isExact ? pair?.key == key && pair?.value == value : pair?.key == key
            expected = .init(isFound ? pair : nil)
        }
        try check(cursor, expected, model, "seek to \(show(key)) and \(show(value))") {
            () throws(DatabaseError) in
            try key.withBytes { key throws(DatabaseError) in
                try value.withBytes { value throws(DatabaseError) in
                    try cursor.state.seek(key, value: value, exact: isExact)
                }
            }
        }
        if expected == .nothing { cursor.pair = nil }
    }

    private func countValues(_ cursor: KindCursor, _ model: PairModel) throws {
        guard model.kind.hasDuplicates else {
            try expectError(.incompatible, "a count without duplicates") {
                () throws(DatabaseError) in
                _ = try cursor.state.count()
            }
            return
        }
        guard let pair = cursor.pair, model.find(pair.key, pair.value) != nil else {
            try expectError(.badCursor, "a count of no entry") { () throws(DatabaseError) in
                _ = try cursor.state.count()
            }
            return
        }
        let count = try cursor.state.count()
        let expected = model.values(of: pair.key).count
        try expect(
            count == UInt64(expected),
            "\(show(pair.key)) has \(count) values, expected \(expected)")
    }

    private func rank(_ cursor: KindCursor, _ model: PairModel) throws {
        guard model.kind.isCounted else {
            try expectError(.incompatible, "a rank without counts") { () throws(DatabaseError) in
                _ = try cursor.state.rank()
            }
            return
        }
        if random.chance(50) {
            let rank = random.below(model.count + 3)
            try check(cursor, .init(model.pair(at: rank)), model, "seek to rank \(rank)") {
                () throws(DatabaseError) in try cursor.state.seek(rank: UInt64(rank))
            }
            cursor.pair = model.pair(at: rank)
            return
        }
        guard let pair = cursor.pair, let expected = model.find(pair.key, pair.value) else {
            try expectError(.badCursor, "a rank of no entry") { () throws(DatabaseError) in
                _ = try cursor.state.rank()
            }
            return
        }
        let rank = try cursor.state.rank()
        try expect(
            rank == UInt64(expected), "\(show(pair)) has the rank \(rank), expected \(expected)")
    }

    // MARK: Writes

    private func put(_ cursor: KindCursor, _ model: inout PairModel) throws {
        let key = someKey(cursor.database, model, known: 60)
        let value = someValue(cursor.database, model, key)
        let mode = random.pick(PairPut.allCases)
        let outcome = PairPut.Outcome(mode, key, value, model)
        var existing: [UInt8]?
        let what = "\(mode) of \(show(key)) and \(show(value)) with a cursor"
        do throws(DatabaseError) {
            existing = try key.withBytes { key throws(DatabaseError) in
                try value.withBytes { value throws(DatabaseError) in
                    try cursor.state.put(key, value, mode: mode.mode).map { Array($0) }
                }
            }
        } catch {
            try expect(
                error.code == .notSorted && outcome == .notSorted, "\(what): \(error)")
            return
        }
        try expect(outcome != .notSorted, "\(what) succeeded, expected notSorted")
        if case .exists(let old) = outcome {
            try expect(existing == old, "\(what) returned \(show(existing)), expected \(show(old))")
            cursor.pair = .init(key: key, value: old)
            return
        }
        try expect(existing == nil, "\(what) returned \(show(existing))")
        cursor.pair = .init(key: key, value: value)
        model.put(key, value)
    }

    private func replace(_ cursor: KindCursor, _ model: inout PairModel) throws {
        guard let pair = cursor.pair, model.find(pair.key, pair.value) != nil else { return }
        let value = someValue(cursor.database, model, pair.key)
        try value.withBytes { value throws(DatabaseError) in
            try cursor.state.replaceCurrent(value)
        }
        _ = model.delete(pair.key, pair.value)
        model.put(pair.key, value)
        cursor.pair = .init(key: pair.key, value: value)
    }

    private func delete(_ cursor: KindCursor, _ model: inout PairModel) throws {
        let isWhole = random.chance(10)
        guard let pair = cursor.pair, model.find(pair.key, pair.value) != nil else {
            try expectError(.badCursor, "a deletion of no entry") { () throws(DatabaseError) in
                try cursor.state.delete(allValues: isWhole)
            }
            return
        }
        try cursor.state.delete(allValues: isWhole)
        if isWhole { _ = model.delete(pair.key) } else { _ = model.delete(pair.key, pair.value) }
    }

    // MARK: Many values at once

    /// Takes values that lie together: some that follow one another, next to the cursor.
    private func takeMultiple(_ cursor: KindCursor, _ model: PairModel) throws {
        let which = random.pick([CursorState.Multiple.fromCurrent, .next, .previous])
        guard model.kind.flags.contains(.fixedSizeDuplicates) else {
            try expectError(.incompatible, "several values without one size") {
                () throws(DatabaseError) in _ = try cursor.state.multiple(which)
            }
            return
        }
        let isThere = cursor.pair.map { model.find($0.key, $0.value) != nil } == true
        guard let pair = cursor.pair, isThere || which == .next else {
            try expectError(.badCursor, "several values of no entry") { () throws(DatabaseError) in
                _ = try cursor.state.multiple(which)
            }
            return
        }
        let entry = try cursor.state.multiple(which)
        let next = cursor.neighbor(model, forward: which != .previous)
        let hasMore = which == .fromCurrent || next?.key == pair.key
        guard let entry else {
            // Before those that lie together with the current one there may be none.
            try expect(!hasMore || which == .previous, "\(which) of \(show(pair)) found nothing")
            return
        }
        try expect(hasMore, "\(which) of \(show(pair)) found \(show(entry))")
        let values = split(Array(entry.value), width: model.kind.valueWidth)
        try expect(!values.isEmpty, "\(which) of \(show(pair)) found no values")
        let start = try position(of: values, which, pair, isThere, model)
        let run = (start..<(start + values.count)).map { model.pair(at: $0) }
        try expect(
            run.map { $0?.value } == values && run.allSatisfy { $0?.key == pair.key },
            "\(which) of \(show(pair)) found other values")
        cursor.pair = which == .previous ? run.first ?? nil : run.last ?? nil
    }

    /// The rank at which values taken at once should begin.
    private func position(
        of values: [[UInt8]], _ which: CursorState.Multiple, _ pair: PairModel.Pair,
        _ isThere: Bool, _ model: PairModel
    ) throws -> Int {
        let here = model.rank(pair.key, pair.value)
        switch which {
        case .fromCurrent: return here
        case .next: return isThere ? here + 1 : here
        case .previous:
            let start = model.find(pair.key, values[0])
            guard let start, start + values.count <= here else {
                throw failure("\(which) of \(show(pair)) found values that are not before it")
            }
            return start
        }
    }
}
