@testable import ZeroDB

/// All attempts of a program, and what the databases hold after each of them.
///
/// Attempts form a tree: what a crash took back, or a failure, is a branch that goes nowhere.
final class AttemptHistory {
    /// What an environment holds.
    struct Contents {
        /// The main database, then the named ones; nil for one that does not exist.
        var databases: [ReferenceModel?] = [ReferenceModel()]

        /// Does an operation, but for those that begin and end nested transactions.
        mutating func perform(_ operation: Attempt.Operation) {
            switch operation {
            case .put(let database, let key, let value):
                create(database)
                databases[database]?.put(key, value)
            case .delete(let database, let key):
                create(database)
                databases[database]?.delete(key)
            case .deletePair(let database, let key, let value):
                create(database)
                databases[database]?.delete(key, .bytes(value))
            case .clear(let database):
                create(database)
                databases[database]?.removeAll()
            case .drop(let database):
                if database < databases.count { databases[database] = nil }
            case .rename(let database, let other):
                guard database < databases.count, let model = databases[database],
                    other >= databases.count || databases[other] == nil
                else { return }
                create(other)
                databases[other] = model
                databases[database] = nil
            case .begin, .end: break
            }
        }

        private mutating func create(_ database: Int) {
            while databases.count <= database { databases.append(nil) }
            guard databases[database] == nil else { return }
            databases[database] = ReferenceModel(
                DatabaseType(Attempt.flags(ofDatabase: database)))
        }

        /// The digest that the environment should have.
        ///
        /// - Parameter number: of the last attempt, which the main database has besides.
        func digest(withNumber number: Int) -> UInt128 {
            databases.enumerated().reduce(0) { sum, database in
                guard var model = database.element else { return sum }
                if database.offset == 0, number > 0 {
                    model.put(Attempt.numberKey, .bytes(Attempt.bytes(ofNumber: number)))
                }
                let name = database.offset == 0 ? "" : Attempt.name(ofDatabase: database.offset)
                return sum &+ ModelDigest.database(name, model)
            }
        }

        var namedCount: Int { databases.dropFirst().count { $0 != nil } }
    }

    /// Entry 0 stands for the empty environment.
    private(set) var attempts = [
        Attempt(
            number: 0, base: 0, depth: 0, durability: .none,
            shape: Attempt.Shape(operationsMax: 0), seed: 0)
    ]
    private var known: [Int: Contents] = [0: Contents()]

    init() {}

    /// A history that goes on from another one, which stays as it is.
    init(_ other: AttemptHistory) {
        attempts = other.attempts
        known = other.known
    }

    func begin(
        after base: Int, _ durability: Durability, _ shape: Attempt.Shape, seed: UInt64,
        isGiant: Bool = false
    ) -> Attempt {
        let attempt = Attempt(
            number: attempts.count, base: base, depth: attempts[base].depth + 1,
            durability: durability, shape: shape, seed: seed, isGiant: isGiant)
        attempts.append(attempt)
        return attempt
    }

    func contains(_ number: Int) -> Bool { attempts.indices.contains(number) }

    /// What the databases hold after an attempt.
    func contents(after number: Int) -> Contents {
        var missing: [Int] = []
        var next = number
        while known[next] == nil {
            missing.append(next)
            next = attempts[next].base
        }
        var contents = known[next] ?? Contents()
        for number in missing.reversed() {
            // What the transactions that an operation is nested in have left.
            var outer: [Contents] = []
            attempts[number].perform { operation in
                switch operation {
                case .begin: outer.append(contents)
                case .end(let isKept):
                    if let before = outer.popLast(), !isKept { contents = before }
                default: contents.perform(operation)
                }
            }
            known[number] = contents
        }
        return contents
    }

    /// The first attempt that began with another one's state, if there is one.
    func first(after base: Int) -> Attempt? {
        attempts.dropFirst(base + 1).first { $0.base == base && !$0.isGiant }
    }

    /// Whether an attempt's state has another one's effects.
    func includes(_ number: Int, in later: Int) -> Bool {
        var next = later
        while attempts[next].depth > attempts[number].depth { next = attempts[next].base }
        return next == number
    }

    /// The newest attempt of full durability that is in an attempt's state; 0 if there is none.
    func newestFull(in number: Int) -> Int {
        var next = number
        while next > 0, attempts[next].durability != .full { next = attempts[next].base }
        return next
    }

    /// The first of some attempts that is in an attempt's state.
    func firstIncluded(of numbers: Set<Int>, in later: Int) -> Int? {
        var next = later
        while next > 0 {
            if numbers.contains(next) { return next }
            next = attempts[next].base
        }
        return nil
    }
}

/// What must be there after a crash, and what must not.
struct Promises {
    /// Attempts that are durable. One that is in another's state is left out.
    private(set) var durable: Set<Int> = []
    /// Attempts that have not happened.
    private(set) var undone: Set<Int> = []
    /// Attempts whose commits have been called.
    private(set) var committing: Set<Int> = []

    mutating func apply(_ note: ProgramNote, _ history: AttemptHistory) {
        switch note {
        case .committing(let number): committing.insert(number)
        case .undone(let number): undone.insert(number)
        case .durable(let number): promise(number, history)
        // No reader sees a durable commit that a power cut takes back.
        case .seen(let number): promise(history.newestFull(in: number), history)
        }
    }

    mutating func promise(_ number: Int, _ history: AttemptHistory) {
        guard number > 0, !durable.contains(where: { history.includes(number, in: $0) }) else {
            return
        }
        durable = durable.filter { !history.includes($0, in: number) }
        durable.insert(number)
    }

    /// What is wrong with a state after a crash; nil if nothing is.
    func problem(with found: Int, _ history: AttemptHistory) -> String? {
        if let lost = durable.sorted().first(where: { !history.includes($0, in: found) }) {
            return
                "transaction \(describe(lost, history)) was durable and is lost: the last one "
                + "there is \(describe(found, history))"
        }
        if let wrong = history.firstIncluded(of: undone, in: found) {
            return "transaction \(describe(wrong, history)) had failed or was aborted, and is there"
        }
        if found > 0, !committing.contains(found) {
            return "transaction \(describe(found, history)) is there before its commit was called"
        }
        return nil
    }

    private func describe(_ number: Int, _ history: AttemptHistory) -> String {
        guard number > 0 else { return "0 (none)" }
        let attempt = history.attempts[number]
        return "\(number) (\(attempt.durability), the \(attempt.depth)th in a row)"
    }
}
