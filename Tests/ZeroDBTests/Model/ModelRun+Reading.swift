@testable import Simulator
@testable import ZeroDB

/// A read transaction that is kept open, and what it must see as long as it is.
final class HeldReader {
    private let transaction: ReadTransaction
    private let databases: ModelRun.Databases

    init(_ environment: Environment, _ databases: ModelRun.Databases) throws(DatabaseError) {
        transaction = try environment.beginRead()
        self.databases = databases
    }

    /// Compares every entry of every database, forwards and backwards.
    func compareAll(_ run: ModelRun, _ when: String) throws {
        for (index, model) in databases.enumerated() {
            guard let model else {
                try run.expectError(.notFound, "opening what the snapshot has not \(when)") {
                    () throws(DatabaseError) in
                    _ = try transaction.database(run.name(index))
                }
                continue
            }
            let handle = try run.handle(index, transaction)
            let entries = try transaction.statistics(of: handle).entries
            try run.expect(
                entries == UInt64(model.count), "\(entries) entries, not \(model.count), \(when)")
            let digest = try transaction.statistics(of: handle).digest.number
            try run.expect(
                digest == model.digest && digest == model.countedDigest,
                "the digest of database \(index) is not that of its entries \(when)")
            try compareForward(run, transaction, handle, model, when)
            try compareBackward(run, transaction, handle, model, when)
        }
    }

    private func compareForward(
        _ run: ModelRun, _ transaction: borrowing ReadTransaction, _ handle: Database,
        _ model: ReferenceModel, _ when: String
    ) throws {
        var cursor = try transaction.cursor(in: handle)
        for expected in model {
            guard let entry = try cursor.next() else {
                throw run.failure("\(show(expected.key)) is missing \(when)")
            }
            try compare(run, entry, expected, when)
        }
        let isAtEnd = try cursor.next() == nil
        try run.expect(isAtEnd, "entries after the last \(when)")
    }

    private func compareBackward(
        _ run: ModelRun, _ transaction: borrowing ReadTransaction, _ handle: Database,
        _ model: ReferenceModel, _ when: String
    ) throws {
        var cursor = try transaction.cursor(in: handle)
        for expected in model.reversed() {
            guard let entry = try cursor.previous() else {
                throw run.failure("\(show(expected.key)) is missing backwards \(when)")
            }
            try compare(run, entry, expected, when)
        }
        let isAtEnd = try cursor.previous() == nil
        try run.expect(isAtEnd, "entries before the first \(when)")
    }

    private func compare(
        _ run: ModelRun, _ entry: borrowing Cursor.Entry, _ expected: ReferenceModel.Entry,
        _ when: String
    ) throws {
        let isKey = entry.key.withUnsafeBytes { key in
            expected.key.withUnsafeBytes { keyOrder(key, $0) } == 0
        }
        try run.expect(isKey, "another key than \(show(expected.key)) \(when)")
        let isValue = entry.value.withUnsafeBytes { expected.value.matches($0) }
        try run.expect(isValue, "another value of \(show(expected.key)) \(when)")
    }

    /// Looks some keys up and seeks some.
    func compareSome(_ run: ModelRun) throws {
        for (index, model) in databases.enumerated() {
            guard let model else { continue }
            let handle = try run.handle(index, transaction)
            for _ in 0..<20 {
                let key = run.someKey(index, model, known: 70)
                try run.compareValue(of: key, transaction, handle, model)
                try compareSeek(run, transaction, handle, model, key)
            }
            run.count(40)
        }
    }

    private func compareSeek(
        _ run: ModelRun, _ transaction: borrowing ReadTransaction, _ handle: Database,
        _ model: ReferenceModel, _ key: [UInt8]
    ) throws {
        var cursor = try transaction.cursor(in: handle)
        let expected = model.entry(atOrAfter: key)
        guard let entry = try cursor.seek(atOrAfter: key) else {
            try run.expect(expected == nil, "nothing at or after \(show(key))")
            return
        }
        guard let expected else { throw run.failure("something at or after \(show(key))") }
        try compare(run, entry, expected, "at or after \(show(key))")
    }
}

extension ModelRun {
    /// Generations of snapshots kept open at once.
    private static let readersMax = 8

    func readNewest() throws {
        try HeldReader(environment, committed).compareSome(self)
    }

    func holdReader() throws {
        guard readers.count < Self.readersMax else { return }
        readers.append(try HeldReader(environment, committed))
    }

    /// Ends one of the readers, after making sure that nothing in its snapshot has changed
    /// (invariant 6).
    func releaseReader() throws {
        guard !readers.isEmpty else { return }
        let reader = readers.remove(at: random.below(readers.count))
        try reader.compareSome(self)
        try reader.compareAll(self, "in an old snapshot")
    }
}
