@testable import Simulator
@testable import ZeroDB

extension DuplicatesRun {
    private struct TakenBack: Error {}

    /// So many operations in a transaction, some of them in others nested in it.
    func makeChanges(
        _ operations: Int, _ transaction: inout WriteTransaction, _ draft: inout Databases,
        depth: Int
    ) throws {
        var cursors: [ModelCursor] = []
        for _ in 0..<operations {
            if depth < 2, random.below(100) == 0 {
                var inner = draft
                let isKept = random.chance(60)
                do {
                    try transaction.nested { nested throws in
                        try makeChanges(
                            random.within(0...30), &nested, &inner, depth: depth + 1)
                        if !isKept { throw TakenBack() }
                    }
                    draft = inner
                } catch is TakenBack {}
            }
            let database = random.below(draft.count)
            if try makeDatabase(database, &transaction, &draft, depth: depth) {
                cursors.removeAll()
            }
            try change(database, &transaction, &draft, &cursors)
        }
    }

    /// Makes a database that is not there, now and then deletes one.
    ///
    /// - Returns: whether a database was deleted, and cursors in it are none any more.
    private func makeDatabase(
        _ database: Int, _ transaction: inout WriteTransaction, _ draft: inout Databases, depth: Int
    ) throws -> Bool {
        let type = scenario.types[database]
        if draft[database] != nil, random.below(3000) == 0 {
            let handle = try handle(database, transaction)
            // Cursors of the transactions that this one is nested in go on.
            if database == 0 || depth > 0 || random.chance(30) {
                try transaction.clear(handle)
                draft[database] = ReferenceModel(type)
                return false
            }
            try transaction.drop(handle)
            draft[database] = nil
            return true
        }
        guard draft[database] == nil else { return false }
        if database == 0 {
            try transaction.createMain(flags: type.flags)
        } else {
            _ = try transaction.createDatabase(name(database), flags: type.flags)
        }
        draft[database] = ReferenceModel(type)
        return false
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
        let operations = transaction.access.operations
        switch random.below(isShrinking ? 130 : 100) {
        case 0..<25: try put(database, operations, handle, &model)
        case 25..<36: try deletePair(database, operations, handle, &model)
        case 36..<40: try deleteKey(database, operations, handle, &model)
        case 40..<42: try growValues(database, operations, handle, &model)
        case 42..<44: try shrinkValues(database, operations, handle, &model)
        case 44: try deleteRange(database, operations, handle, &model)
        case 45..<50: try compareCounts(database, operations, handle, model)
        case 50..<52: try refuse(database, operations, handle, model)
        case 52..<100: try useCursor(database, transaction, handle, &model, &cursors)
        case 100..<115: try deletePair(database, operations, handle, &model)
        default: try shrinkValues(database, operations, handle, &model)
        }
    }

    // MARK: Puts

    private func put(
        _ database: Int, _ operations: Operations, _ handle: Database, _ model: inout ReferenceModel
    ) throws {
        let key = someKey(database, model, known: 60)
        let value = someValue(database, model, key)
        let put = random.chance(50) ? ModelPut.overwrite : random.pick(ModelPut.allCases)
        try self.put(put, key, value, operations, handle, &model)
    }

    private func put(
        _ put: ModelPut, _ key: [UInt8], _ value: ModelValue, _ operations: Operations,
        _ handle: Database, _ model: inout ReferenceModel
    ) throws {
        let bytes = value.bytes
        let outcome = ModelPut.Outcome(put, key, value, model)
        try expect(
            outcome, "\(put) of \(show(key)) and \(show(bytes)) in a database \(model.type)"
        ) { () throws(DatabaseError) in
            try key.withBytes { key throws(DatabaseError) in
                try bytes.withBytes { value throws(DatabaseError) in
                    try operations.put(handle.handle, key, value, mode: put.mode).map { Array($0) }
                }
            }
        }
        if outcome == .stored { model.put(key, value) }
    }

    /// Gives a key many values, so that they move to a tree of their own; without duplicates puts
    /// many keys.
    private func growValues(
        _ database: Int, _ operations: Operations, _ handle: Database, _ model: inout ReferenceModel
    ) throws {
        let key = someKey(database, model, known: 70)
        let size = random.chance(80) ? random.within(5...100) : random.within(100...1500)
        let isAppending = model.type.flags.contains(.integerDuplicates) && random.chance(50)
        for _ in 0..<(isShrinking ? size / 10 : size) {
            var value = newValue(database)
            if isAppending, let last = model.values(of: key).last?.bytes {
                let width = model.type.valueWidth
                let limit = width == 4 ? UInt64(UInt32.max) : UInt64.max
                guard ModelOrder.number(last) < limit else { break }
                value = ModelOrder.bytes(of: ModelOrder.number(last) + 1, width: width)
            }
            try put(
                isAppending ? .appendValue : .overwrite,
                model.type.hasDuplicates ? key : newKey(database), .bytes(value), operations,
                handle,
                &model)
            count()
        }
        valuesMost = max(valuesMost, model[model.range(of: key)].count)
    }

    // MARK: Deletions

    private func deletePair(
        _ database: Int, _ operations: Operations, _ handle: Database, _ model: inout ReferenceModel
    ) throws {
        let key = someKey(database, model, known: 90)
        let value = someValue(database, model, key)
        try deletePair(key, value, operations, handle, &model)
    }

    private func deletePair(
        _ key: [UInt8], _ value: ModelValue, _ operations: Operations, _ handle: Database,
        _ model: inout ReferenceModel
    ) throws {
        let bytes = value.bytes
        let wasThere = try key.withBytes { key throws(DatabaseError) in
            try bytes.withBytes { value throws(DatabaseError) in
                try operations.delete(handle.handle, key, value: value)
            }
        }
        try expect(
            wasThere == model.delete(key, value),
            "deletion of \(show(key)) and \(show(bytes)) returned \(wasThere) in \(model.type)")
    }

    private func deleteKey(
        _ database: Int, _ operations: Operations, _ handle: Database, _ model: inout ReferenceModel
    ) throws {
        let key = someKey(database, model, known: 70)
        if model[model.range(of: key)].count > 200, !isShrinking, random.chance(80) {
            return
        }
        let wasThere = try key.withBytes { key throws(DatabaseError) in
            try operations.delete(handle.handle, key)
        }
        try expect(
            wasThere == model.delete(key),
            "deletion of \(show(key)) returned \(wasThere) in \(model.type)")
    }

    /// Takes values from a key until few are left, from either end or anywhere.
    private func shrinkValues(
        _ database: Int, _ operations: Operations, _ handle: Database, _ model: inout ReferenceModel
    ) throws {
        guard !model.isEmpty else { return }
        let key = someKey(database, model, known: 100)
        let left = random.chance(40) ? 1 : random.below(30)
        let from = random.below(3)
        var steps = 0
        while steps < (isShrinking ? 400 : 150) {
            let values = model.values(of: key)
            guard values.count > left, model.type.hasDuplicates else { break }
            let index =
                switch from {
                case 0: 0
                case 1: values.count - 1
                default: random.below(values.count)
                }
            try deletePair(key, values[index], operations, handle, &model)
            count()
            steps += 1
        }
    }

    private func deleteRange(
        _ database: Int, _ operations: Operations, _ handle: Database, _ model: inout ReferenceModel
    ) throws {
        let (from, to) = someRange(database, model)
        let pairs = model[model.range(from: from, to: to)].count
        guard pairs < (isShrinking ? 5000 : 200) else { return }
        let deleted = try withEnds(from, to) { from, to throws(DatabaseError) in
            try operations.deleteRange(handle.handle, from: from, to: to)
        }
        let expected = model.deleteRange(from: from, to: to)
        try expect(
            deleted == UInt64(expected),
            "a range from \(show(from)) to \(show(to)) had \(deleted) pairs, expected \(expected)")
    }

    private func someRange(_ database: Int, _ model: ReferenceModel) -> ([UInt8]?, [UInt8]?) {
        let from = random.chance(90) ? someKey(database, model, known: 70) : nil
        guard random.chance(90) else { return (from, nil) }
        guard let from, random.chance(70), !model.isEmpty else {
            return (from, someKey(database, model, known: 70))
        }
        let rank = min(model.count - 1, model.rank(from) + random.below(60))
        return (from, model[rank: rank].key)
    }

    private func withEnds<Result>(
        _ from: [UInt8]?, _ to: [UInt8]?,
        _ body: (KeyBytes?, KeyBytes?) throws(DatabaseError) -> Result
    ) throws(DatabaseError) -> Result {
        try (from ?? []).withBytes { low throws(DatabaseError) in
            try (to ?? []).withBytes { high throws(DatabaseError) in
                try body(from == nil ? nil : low, to == nil ? nil : high)
            }
        }
    }

    // MARK: Statistics, counts and ranks

    private func compareCounts(
        _ database: Int, _ operations: Operations, _ handle: Database, _ model: ReferenceModel
    ) throws {
        let statistics = try operations.statistics(handle.handle)
        try expect(
            statistics.entries == UInt64(model.count) && statistics.keys == UInt64(model.keyCount),
            "\(statistics.entries) entries and \(statistics.keys) keys, expected \(model.count) and "
                + "\(model.keyCount), in a database \(model.type)")
        try expect(statistics.flags == model.type.flags, "flags of \(statistics.flags)")
        let key = someKey(database, model, known: 70)
        let first = try key.withBytes { key throws(DatabaseError) in
            try operations.get(handle.handle, key).map { Array($0) }
        }
        let expected = model.value(for: key)?.bytes
        try expect(first == expected, "\(show(key)) has \(show(first)), expected \(show(expected))")
        let (from, to) = someRange(database, model)
        let range = model[model.range(from: from, to: to)]
        let counted = try withEnds(from, to) { from, to throws(DatabaseError) in
            try operations.countRange(handle.handle, from: from, to: to)
        }
        try expect(
            counted == UInt64(range.count),
            "a range from \(show(from)) to \(show(to)) has \(counted) pairs, expected "
                + "\(range.count), in a database \(model.type)")
        try compareRanks(key, from, to, operations, handle, model)
    }

    private func compareRanks(
        _ key: [UInt8], _ from: [UInt8]?, _ to: [UInt8]?, _ operations: Operations,
        _ handle: Database, _ model: ReferenceModel
    ) throws {
        guard model.type.isCounted else {
            try expectError(.incompatible, "a rank without counts") { () throws(DatabaseError) in
                _ = try key.withBytes { key throws(DatabaseError) in
                    try operations.rank(handle.handle, key)
                }
            }
            return
        }
        let rank = try key.withBytes { key throws(DatabaseError) in
            try operations.rank(handle.handle, key)
        }
        try expect(
            rank.rank == UInt64(model.rank(key)) && rank.found == model.contains(key),
            "\(show(key)) has the rank \(rank), expected \(model.rank(key))")
        // Parts begin with the keys of the pairs that divide the range evenly.
        let parts = random.within(1...9)
        var starts: [[UInt8]] = []
        try withEnds(from, to) { from, to throws(DatabaseError) in
            try operations.splitRange(handle.handle, from: from, to: to, parts: parts) {
                starts.append(Array($0))
                return true
            }
        }
        let range = model[model.range(from: from, to: to)]
        let start = model.rank(of: range.startIndex)
        var expected: [[UInt8]] = []
        for part in 1..<max(2, parts) where parts > 1 && !range.isEmpty {
            let key = model[rank: start + range.count * part / parts].key
            if key != range.first?.key, key != expected.last { expected.append(key) }
        }
        try expect(
            starts == expected,
            "\(parts) parts from \(show(from)) to \(show(to)) begin with \(starts.map(show)), "
                + "expected \(expected.map(show)), in a database \(model.type)")
    }

    // MARK: Refusals

    /// Keys and values of sizes that the database does not take change nothing.
    private func refuse(
        _ database: Int, _ operations: Operations, _ handle: Database, _ model: ReferenceModel
    ) throws {
        var key = newKey(database)
        var value = newValue(database)
        let limit = Format.keySizeMax(pageSize: scenario.pageSize)
        switch random.below(4) {
        case 0: key = []
        case 1: key = [UInt8](repeating: 1, count: limit + 1)
        case 2 where model.type.keyWidth > 0:
            key +=
                random.chance(50) || model.isEmpty
                ? [0] : [UInt8](repeating: 0, count: key.count == 4 ? 4 : 1)
        case 3 where model.type.hasDuplicates:
            value =
                model.type.valueWidth > 0 && !model.isEmpty
                ? value + [0] : [UInt8](repeating: 1, count: limit + 1)
        default: return
        }
        try expectError(
            .badValueSize,
            "a put of \(show(key)) and \(value.count) bytes in a database \(model.type)"
        ) { () throws(DatabaseError) in
            _ = try key.withBytes { key throws(DatabaseError) in
                try value.withBytes { value throws(DatabaseError) in
                    try operations.put(handle.handle, key, value, mode: .overwrite)
                }
            }
        }
    }
}
