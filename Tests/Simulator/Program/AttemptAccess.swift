@testable import ZeroDB

extension WriteTransaction {
    /// Does what an attempt does.
    mutating func perform(_ attempt: Attempt) throws {
        var operations: [Attempt.Operation] = []
        attempt.perform { operations.append($0) }
        var rest = operations[...]
        _ = try perform(&rest)
        try put(Attempt.numberKey, Attempt.bytes(ofNumber: attempt.number))
    }

    private struct TakenBack: Error {}

    /// Does operations up to the end of this transaction.
    ///
    /// - Returns: whether it is to be kept.
    private mutating func perform(_ rest: inout ArraySlice<Attempt.Operation>) throws -> Bool {
        var handles: [Int: Database] = [0: .main]
        while let operation = rest.popFirst() {
            switch operation {
            case .begin:
                do {
                    try nested { transaction throws in
                        guard try transaction.perform(&rest) else { throw TakenBack() }
                    }
                } catch is TakenBack {}
                handles = [0: .main]
            case .end(let isKept): return isKept
            case .drop, .rename:
                try changeName(operation)
                handles = [0: .main]
            default: try change(operation, &handles)
            }
        }
        return true
    }

    private mutating func change(
        _ operation: Attempt.Operation, _ handles: inout [Int: Database]
    ) throws {
        switch operation {
        case .put(let database, let key, let value):
            try put(key, value.bytes, in: try handle(database, &handles))
        case .delete(let database, let key):
            try delete(key, in: try handle(database, &handles))
        case .deletePair(let database, let key, let value):
            let handle = try handle(database, &handles).handle
            _ = try key.withBytes { key throws(DatabaseError) in
                try value.withBytes { value throws(DatabaseError) in
                    try access.operations.delete(handle, key, value: value)
                }
            }
        case .clear(let database): try clear(try handle(database, &handles))
        case .drop, .rename, .begin, .end: break
        }
    }

    private mutating func handle(
        _ index: Int, _ handles: inout [Int: Database]
    ) throws -> Database {
        if let known = handles[index] { return known }
        let new = try createDatabase(
            Attempt.name(ofDatabase: index), flags: Attempt.flags(ofDatabase: index))
        handles[index] = new
        return new
    }

    private mutating func changeName(_ operation: Attempt.Operation) throws {
        switch operation {
        case .drop(let database):
            guard let handle = try existing(database) else { return }
            try drop(handle)
        case .rename(let database, let other):
            guard let handle = try existing(database), try existing(other) == nil else { return }
            _ = try rename(handle, to: Attempt.name(ofDatabase: other))
        default: break
        }
    }

    private func existing(_ index: Int) throws -> Database? {
        do throws(DatabaseError) {
            return try database(Attempt.name(ofDatabase: index))
        } catch {
            guard error.code == .notFound else { throw error }
            return nil
        }
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
        from model: ReferenceModel, in handle: Database, _ isNumbered: Bool
    ) throws -> String? {
        var cursor = try cursor(in: handle)
        if isNumbered { _ = try cursor.next() }
        for expected in model {
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
            guard isValue else {
                return "the value of \(show(expected.key)) is not the one that was put"
            }
        }
        if let more = try cursor.next() {
            return "\(show(more.key.withUnsafeBytes { Array($0) })) comes after the last key"
        }
        return nil
    }
}
