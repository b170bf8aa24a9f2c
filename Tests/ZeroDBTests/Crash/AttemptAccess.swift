import Testing

@testable import ZeroDB

/// What a simulated program found wrong.
struct CrashFailure: Error, CustomStringConvertible {
    let description: String
    /// The crash point and disk state, if it is about one.
    let place: String?

    init(_ description: String, place: String? = nil) {
        self.description = description
        self.place = place
    }
}

extension WriteTransaction {
    /// Does what an attempt does.
    mutating func perform(_ attempt: Attempt) throws {
        var handles: [Int: Database] = [0: .main]
        func handle(_ index: Int, _ transaction: inout WriteTransaction) throws -> Database {
            if let known = handles[index] { return known }
            let new = try transaction.createDatabase(Attempt.name(ofDatabase: index))
            handles[index] = new
            return new
        }
        try attempt.perform { operation in
            switch operation {
            case .put(let database, let key, let value):
                try put(key, value.bytes, in: try handle(database, &self))
            case .delete(let database, let key):
                try delete(key, in: try handle(database, &self))
            }
        }
        try put(Attempt.numberKey, Attempt.bytes(ofNumber: attempt.number))
    }
}

extension Transaction where Self: ~Copyable {
    /// The number of the last attempt whose effects are there; 0 if there is none.
    func lastAttempt() throws -> Int {
        guard let bytes = try value(for: Attempt.numberKey) else { return 0 }
        guard let number = bytes.withUnsafeBytes({ Attempt.number(in: $0) }) else {
            throw CrashFailure("the last transaction's number has \(bytes.byteCount) bytes")
        }
        return number
    }
}

extension ReadTransaction {
    /// The first difference between a snapshot and what it should hold; nil if there is none.
    func difference(from contents: AttemptHistory.Contents, number: Int) throws -> String? {
        for (index, model) in contents.databases.enumerated() {
            guard let model else { continue }
            let handle =
                index == 0 ? Database.main : try database(Attempt.name(ofDatabase: index))
            let name = index == 0 ? "the main database" : Attempt.name(ofDatabase: index)
            let isNumbered = index == 0 && number > 0
            let entries = Int(try statistics(of: handle).entries) - (isNumbered ? 1 : 0)
            if entries != model.count {
                return "\(name) has \(entries) entries instead of \(model.count)"
            }
            if let problem = try difference(from: model, in: handle, isNumbered) {
                return "in \(name), \(problem)"
            }
        }
        return nil
    }

    private func difference(
        from model: SortedModel, in handle: Database, _ isNumbered: Bool
    ) throws -> String? {
        var cursor = try cursor(in: handle)
        if isNumbered { _ = try cursor.next() }
        for expected in model.chunks.joined() {
            guard let entry = try cursor.next() else {
                return "nothing comes where \(show(expected.key)) should"
            }
            let isKey = entry.key.withUnsafeBytes { found in
                expected.key.withUnsafeBytes { keyOrder(found, $0) == 0 }
            }
            guard isKey else {
                return "\(show(entry.key.withUnsafeBytes { Array($0) })) comes where "
                    + "\(show(expected.key)) should"
            }
            let isValue = entry.value.withUnsafeBytes { expected.value.matches($0) }
            guard isValue else { return "the value of \(show(expected.key)) is not what was put" }
        }
        if let more = try cursor.next() {
            return "\(show(more.key.withUnsafeBytes { Array($0) })) comes after the last key"
        }
        return nil
    }
}
