@testable import Simulator
@testable import ZeroDB

extension ModelCursor {
    func expected(_ move: CursorState.DuplicateMove, _ model: ReferenceModel) -> Expected {
        guard model.type.hasDuplicates || move == .nextKey || move == .previousKey else {
            return .error(.incompatible)
        }
        guard let entry else {
            switch move {
            case .nextKey: return Expected(model.first)
            case .previousKey: return Expected(model.last)
            default: return .error(.badCursor)
            }
        }
        let isThere = index(in: model) != nil
        let range = model.range(of: entry.key)
        switch move {
        case .nextKey: return Expected(model.entry(at: range.upperBound))
        case .previousKey: return Expected(model.entry(before: range.lowerBound))
        case .firstValue:
            return isThere ? Expected(model.entry(at: range.lowerBound)) : .error(.badCursor)
        case .lastValue:
            return isThere ? Expected(model.entry(before: range.upperBound)) : .error(.badCursor)
        case .nextValue, .previousValue:
            let next = neighbor(model, forward: move == .nextValue)
            return next?.key == entry.key ? Expected(next) : .nothing
        }
    }
}

extension DuplicatesRun {
    /// One use of one of a few cursors that stay open through the transaction's other writes.
    func useCursor(
        _ database: Int, _ transaction: borrowing WriteTransaction, _ handle: Database,
        _ model: inout ReferenceModel, _ cursors: inout [ModelCursor]
    ) throws {
        let here = cursors.filter { $0.database == database }
        if here.isEmpty || (here.count < 3 && random.chance(20)) {
            cursors.append(ModelCursor(transaction.access.claim, database, handle))
        }
        let cursor = random.pick(cursors.filter { $0.database == database })
        switch random.below(100) {
        case 0..<88: try look(cursor, model)
        case 88..<93:
            let key = someKey(database, model, known: 60)
            let value = someValue(database, model, key)
            try put(cursor, random.pick(ModelPut.allCases), key, value, &model)
        case 93..<96:
            let key = cursor.entry?.key ?? newKey(database)
            try replace(cursor, someValue(database, model, key), &model)
        default: try delete(cursor, allValues: random.chance(10), &model)
        }
    }

    /// One use of a cursor that changes nothing.
    func look(_ cursor: ModelCursor, _ model: ReferenceModel) throws {
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
        case 60..<68:
            let key = someKey(cursor.database, model, known: 60)
            try seek(cursor, key, exact: random.chance(50), model)
        case 68..<76: try seekPair(cursor, model)
        case 76..<80: try countValues(cursor, model)
        case 80..<84: try rank(cursor, model)
        default: try takeMultiple(cursor, model)
        }
    }

    private func move(
        _ cursor: ModelCursor, _ move: CursorState.DuplicateMove, _ model: ReferenceModel
    ) throws {
        try check(cursor, cursor.expected(move, model), model, "\(move)") {
            () throws(DatabaseError) in try cursor.state.move(move)
        }
    }

    private func seekPair(_ cursor: ModelCursor, _ model: ReferenceModel) throws {
        let key = someKey(cursor.database, model, known: 80)
        let value = someValue(cursor.database, model, key)
        let isExact = random.chance(50)
        var expected = ModelCursor.Expected.error(.incompatible)
        if model.type.hasDuplicates {
            let entry = model.entry(at: model.lowerBound(key, value))
            let isFound = isExact ? model.find(key, value) != nil : entry?.key == key
            expected = .init(isFound ? entry : nil)
        }
        let bytes = value.bytes
        try check(cursor, expected, model, "seek to \(show(key)) and \(show(bytes))") {
            () throws(DatabaseError) in
            try key.withBytes { key throws(DatabaseError) in
                try bytes.withBytes { value throws(DatabaseError) in
                    try cursor.state.seek(key, value: value, exact: isExact)
                }
            }
        }
        if expected == .nothing { cursor.entry = nil }
    }

    private func countValues(_ cursor: ModelCursor, _ model: ReferenceModel) throws {
        guard model.type.hasDuplicates else {
            try expectError(.incompatible, "a count without duplicates") {
                () throws(DatabaseError) in
                _ = try cursor.state.count()
            }
            return
        }
        guard let entry = cursor.entry, cursor.index(in: model) != nil else {
            try expectError(.badCursor, "a count of no entry") { () throws(DatabaseError) in
                _ = try cursor.state.count()
            }
            return
        }
        let count = try cursor.state.count()
        let expected = model.values(of: entry.key).count
        try expect(
            count == UInt64(expected),
            "\(show(entry.key)) has \(count) values, expected \(expected)")
    }

    private func rank(_ cursor: ModelCursor, _ model: ReferenceModel) throws {
        guard model.type.isCounted else {
            try expectError(.incompatible, "a rank without counts") { () throws(DatabaseError) in
                _ = try cursor.state.rank()
            }
            return
        }
        if random.chance(50) {
            let rank = random.below(model.count + 3)
            let entry = model.entry(atRank: rank)
            try check(cursor, .init(entry), model, "seek to rank \(rank)") {
                () throws(DatabaseError) in try cursor.state.seek(rank: UInt64(rank))
            }
            cursor.entry = entry
            return
        }
        guard let index = cursor.index(in: model) else {
            try expectError(.badCursor, "a rank of no entry") { () throws(DatabaseError) in
                _ = try cursor.state.rank()
            }
            return
        }
        let rank = try cursor.state.rank()
        let expected = model.rank(of: index)
        try expect(
            rank == UInt64(expected),
            "\(show(cursor.entry)) has the rank \(rank), expected \(expected)")
    }

    // MARK: Many values at once

    /// Takes values that lie together: some that follow one another, next to the cursor.
    private func takeMultiple(_ cursor: ModelCursor, _ model: ReferenceModel) throws {
        let which = random.pick([CursorState.Multiple.fromCurrent, .next, .previous])
        guard model.type.flags.contains(.fixedSizeDuplicates) else {
            try expectError(.incompatible, "several values without one size") {
                () throws(DatabaseError) in _ = try cursor.state.multiple(which)
            }
            return
        }
        guard let here = cursor.entry, cursor.index(in: model) != nil || which == .next else {
            try expectError(.badCursor, "several values of no entry") { () throws(DatabaseError) in
                _ = try cursor.state.multiple(which)
            }
            return
        }
        let found = try cursor.state.multiple(which)
        let next = cursor.neighbor(model, forward: which != .previous)
        let hasMore = which == .fromCurrent || next?.key == here.key
        guard let found else {
            // Before those that lie together with the current one there may be none.
            try expect(!hasMore || which == .previous, "\(which) of \(show(here)) found nothing")
            return
        }
        try expect(hasMore, "\(which) of \(show(here)) found \(show(found))")
        let values = split(Array(found.value), width: model.type.valueWidth)
        try expect(!values.isEmpty, "\(which) of \(show(here)) found no values")
        let start = try position(of: values, which, here, model)
        let run = (start..<(start + values.count)).map { model.entry(atRank: $0) }
        try expect(
            run.map { $0?.value.bytes } == values && run.allSatisfy { $0?.key == here.key },
            "\(which) of \(show(here)) found other values")
        cursor.entry = which == .previous ? run.first ?? nil : run.last ?? nil
    }

    /// The rank at which values taken at once should begin.
    private func position(
        of values: [[UInt8]], _ which: CursorState.Multiple, _ entry: ReferenceModel.Entry,
        _ model: ReferenceModel
    ) throws -> Int {
        let here = model.rank(of: model.lowerBound(entry.key, entry.value))
        switch which {
        case .fromCurrent: return here
        case .next: return model.find(entry.key, entry.value) != nil ? here + 1 : here
        case .previous:
            let start = model.find(entry.key, .bytes(values[0])).map { model.rank(of: $0) }
            guard let start, start + values.count <= here else {
                throw failure("\(which) of \(show(entry)) found values that are not before it")
            }
            return start
        }
    }
}
