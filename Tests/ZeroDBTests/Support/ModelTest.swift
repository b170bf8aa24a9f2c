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
