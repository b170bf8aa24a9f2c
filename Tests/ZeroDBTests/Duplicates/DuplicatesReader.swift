@testable import Simulator
@testable import ZeroDB

/// A read transaction that is kept open, and what it must see as long as it is.
final class DuplicatesReader {
    private let transaction: ReadTransaction
    private let databases: DuplicatesRun.Databases

    init(_ environment: Environment, _ run: DuplicatesRun) throws(DatabaseError) {
        transaction = try environment.beginRead()
        databases = run.committed
    }

    /// Compares every pair of every database in all the ways there are to come to it.
    func compareAll(_ run: DuplicatesRun, _ when: String) throws {
        for (number, model) in databases.enumerated() {
            guard let model else {
                guard number > 0 else { continue }
                try run.expectError(.notFound, "opening what the snapshot has not \(when)") {
                    () throws(DatabaseError) in _ = try transaction.database(run.name(number))
                }
                continue
            }
            let handle = try run.handle(number, transaction)
            let cursor = ModelCursor(transaction.access.claim, number, handle)
            let place =
                "\(when), in \(number == 0 ? "the main database" : run.name(number)) "
                + "(\(model.type))"
            try comparePairs(run, cursor, model, place)
            try compareKeys(run, cursor, model, place)
            if model.type.flags.contains(.fixedSizeDuplicates) {
                try compareMultiple(run, cursor, model, place)
            }
            if model.type.isCounted { try compareRanks(run, cursor, model, place) }
            let wanderer = ModelCursor(transaction.access.claim, number, handle)
            for _ in 0..<300 { try run.look(wanderer, model) }
        }
    }

    private func comparePairs(
        _ run: DuplicatesRun, _ cursor: ModelCursor, _ model: ReferenceModel, _ place: String
    ) throws {
        let statistics = try transaction.access.operations.statistics(cursor.state.database)
        try run.expect(
            statistics.entries == UInt64(model.count) && statistics.keys == UInt64(model.keyCount),
            "\(statistics) \(place), expected \(model.count) pairs of \(model.keyCount) keys")
        try run.expect(
            statistics.digest.number == model.digest && model.digest == model.countedDigest,
            "the digest is not that of the pairs \(place)")
        for pair in model {
            let entry = try cursor.state.move(.next)
            try run.expect(
                entry.map { run.isEntry($0, pair) } == true,
                "next found \(run.show(entry)), expected \(run.show(pair)), \(place)")
        }
        try run.expect(try cursor.state.move(.next) == nil, "pairs behind the last \(place)")
        var isLast = true
        for pair in model.reversed() {
            let entry = try cursor.state.move(isLast ? .last : .previous)
            isLast = false
            try run.expect(
                entry.map { run.isEntry($0, pair) } == true,
                "previous found \(run.show(entry)), expected \(run.show(pair)), \(place)")
        }
        try run.expect(try cursor.state.move(.previous) == nil, "pairs before the first \(place)")
    }

    /// From key to key, both ways, with the counts of their values.
    private func compareKeys(
        _ run: DuplicatesRun, _ cursor: ModelCursor, _ model: ReferenceModel, _ place: String
    ) throws {
        guard !model.isEmpty else { return }
        var keys = 0
        var entry = try cursor.state.move(.first)
        var rank = 0
        while let found = entry {
            let key = Array(found.key)
            try run.expect(
                run.isEntry(found, model[rank: rank]),
                "a key's first pair is \(run.show(found)) \(place)")
            let end = model.type.hasDuplicates ? model.rank(of: model.upperBound(key)) : rank + 1
            if model.type.hasDuplicates {
                let count = try cursor.state.count()
                try run.expect(
                    count == UInt64(end - rank), "\(run.show(key)) has \(count) values \(place)")
            }
            rank = end
            keys += 1
            entry = try cursor.state.move(.nextKey)
        }
        try run.expect(keys == model.keyCount, "\(keys) keys, expected \(model.keyCount) \(place)")
        rank = model.count
        entry = try cursor.state.move(.last)
        while let found = entry {
            try run.expect(
                run.isEntry(found, model[rank: rank - 1]),
                "a key's last pair is \(run.show(found)) \(place)")
            rank = model.rank(Array(found.key))
            entry = try cursor.state.move(.previousKey)
        }
        try run.expect(rank == 0, "keys are missing backwards \(place)")
    }

    /// All values of some keys in as few steps as there are pages.
    private func compareMultiple(
        _ run: DuplicatesRun, _ cursor: ModelCursor, _ model: ReferenceModel, _ place: String
    ) throws {
        guard !model.isEmpty else { return }
        for _ in 0..<5 {
            let key = model[rank: run.random.below(model.count)].key
            let values = model.values(of: key).map(\.bytes)
            var found: [UInt8] = []
            _ = try key.withBytes { key throws(DatabaseError) in
                try cursor.state.seek(key, exact: true)
            }
            var entry = try cursor.state.multiple(.fromCurrent)
            while let some = entry {
                found += Array(some.value)
                entry = try cursor.state.multiple(.next)
            }
            try run.expect(
                found == values.flatMap { $0 }, "several values of \(run.show(key)) \(place)")
            // From the last page backwards.
            found = []
            _ = try cursor.state.move(.lastValue)
            let width = model.type.valueWidth
            entry = try cursor.state.multiple(.previous)
            while let some = entry {
                found = Array(some.value) + found
                entry = try cursor.state.multiple(.previous)
            }
            let expected = values.prefix(found.count / width).flatMap { $0 }
            try run.expect(
                found == expected && found.count < values.count * width,
                "several values of \(run.show(key)) backwards \(place)")
        }
    }

    private func compareRanks(
        _ run: DuplicatesRun, _ cursor: ModelCursor, _ model: ReferenceModel, _ place: String
    ) throws {
        for _ in 0..<50 where !model.isEmpty {
            let rank = run.random.below(model.count)
            let entry = try cursor.state.seek(rank: UInt64(rank))
            try run.expect(
                entry.map { run.isEntry($0, model[rank: rank]) } == true,
                "rank \(rank) is \(run.show(entry)), expected \(run.show(model[rank: rank])), \(place)"
            )
            try run.expect(
                try cursor.state.rank() == UInt64(rank), "the rank of rank \(rank) \(place)")
        }
        try run.expect(
            try cursor.state.seek(rank: UInt64(model.count)) == nil, "a rank too many \(place)")
    }
}
