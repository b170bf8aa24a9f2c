import Glibc

/// What the environment variables of a test run ask for.
///
/// - `ZERODB_SEED`: the seed of the random tests, a number, or `random` for another one each
///   time. Failures name the seed they happened with.
/// - `ZERODB_OPERATIONS`: operations of each model test, for long runs.
/// - `ZERODB_OPERATIONS_MAX`: a bound on what each random test does in an ordinary run, for runs
///   in which everything is slow.
enum TestSettings {
    static let seed: UInt64 = {
        guard let text = variable("ZERODB_SEED") else { return 1 }
        if text == "random" { return UInt64.random(in: 0..<1 << 32) }
        return UInt64(text) ?? 1
    }()

    static let operations: Int? = variable("ZERODB_OPERATIONS").flatMap { Int($0) }

    private static let operationsMax = variable("ZERODB_OPERATIONS_MAX").flatMap { Int($0) }

    /// Whether random tests do less than in an ordinary run.
    static var isShortened: Bool { operationsMax != nil }

    /// Operations of a test that does `usual` many in an ordinary run.
    static func operations(usually usual: Int) -> Int {
        operations ?? min(usual, operationsMax ?? usual)
    }

    /// What to set to see a failure again.
    static var rerun: String {
        let bound = operationsMax.map { " ZERODB_OPERATIONS_MAX=\($0)" } ?? ""
        return "rerun with ZERODB_SEED=\(seed)\(bound)"
    }

    private static func variable(_ name: String) -> String? {
        getenv(name).map { String(cString: $0) }
    }
}
