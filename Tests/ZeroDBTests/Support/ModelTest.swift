@testable import Simulator
@testable import ZeroDB

/// A difference between the engine and its model.
struct ModelFailure: Error, CustomStringConvertible {
    var description: String
}

/// A random workload that fails at the first difference between the engine and its model, and says
/// how to see it again.
protocol ModelTest: AnyObject {
    /// What runs, and how far it is.
    var progress: String { get }
}

extension ModelTest {
    func failure(_ what: String) -> ModelFailure {
        let operations = TestSettings.operations.map { " ZERODB_OPERATIONS=\($0)" } ?? ""
        return ModelFailure(
            description: "\(progress): \(what); \(TestSettings.rerun)\(operations)")
    }

    func expect(_ condition: Bool, _ what: @autoclosure () -> String) throws {
        if !condition { throw failure(what()) }
    }

    /// Runs a call that must fail with a code.
    func expectError(
        _ code: DatabaseError.Code, _ what: String, _ body: () throws(DatabaseError) -> Void
    ) throws {
        do throws(DatabaseError) {
            try body()
        } catch {
            try expect(error.code == code, "\(what) failed with \(error.code): \(error)")
            return
        }
        throw failure("\(what) succeeded, expected \(code)")
    }
}

/// A model test that goes on step by step with one environment, opened anew now and then.
protocol SteppedModelTest: ModelTest {
    var random: SeededGenerator { get set }
    /// How many shall be done, and are.
    var operations: Int { get }
    var operationsDone: Int { get }
    var opened: Environment? { get }

    /// A key such as a database has.
    func newKey(_ database: Int) -> [UInt8]

    func open() throws
    func step() throws
    /// Closes the environment and looks at what it holds after opening it again.
    func reopen() throws
}

extension SteppedModelTest {
    var environment: Environment {
        get throws {
            guard let opened else { throw failure("the environment is not open") }
            return opened
        }
    }

    /// The main database has no name.
    func name(_ database: Int) -> String { "database \(database)" }

    func handle<T: Transaction & ~Copyable>(
        _ database: Int, _ transaction: borrowing T
    ) throws -> Database {
        database == 0 ? .main : try transaction.database(name(database))
    }

    /// A key that is there, or any.
    func someKey(_ database: Int, _ model: ReferenceModel, known percent: Int) -> [UInt8] {
        if !model.isEmpty, random.chance(percent), let entry = model.pick(&random) {
            return entry.key
        }
        return newKey(database)
    }

    func run() throws {
        do {
            try open()
            while operationsDone < operations { try step() }
            try reopen()
        } catch let error as DatabaseError {
            throw failure("an unexpected error: \(error.code): \(error)")
        }
    }
}
