import Glibc

/// What the environment variables of a run ask of the crash simulation.
///
/// - `ZERODB_CRASH_WORKLOADS`: workloads to run, for long runs.
/// - `ZERODB_CRASH_SEED`: run the workload of this seed only.
/// - `ZERODB_CRASH_POINT`: of that, look at this crash point only (`12`), or at one of the disk
///   states made from it (`12.3`).
/// - `ZERODB_CRASH_CALL`: of the tests that make calls fail, make this one fail only.
/// - `ZERODB_CRASH_STATE`: check the disk that a failure has left in this directory.
enum CrashSettings {
    static let workloads = variable("ZERODB_CRASH_WORKLOADS").flatMap { Int($0) }
    static let seed = variable("ZERODB_CRASH_SEED").flatMap { UInt64($0) }
    static let call = variable("ZERODB_CRASH_CALL").flatMap { Int($0) }
    static let stateDirectory = variable("ZERODB_CRASH_STATE")

    /// The crash point and state that are asked for.
    static let point: (point: Int, state: Int?)? = {
        let parts = variable("ZERODB_CRASH_POINT")?.split(separator: ".").map { Int($0) }
        guard let parts, let point = parts.first ?? nil else { return nil }
        return (point, parts.count > 1 ? parts[1] : nil)
    }()

    /// The seeds to run, if not one is asked for: each run of the tests with another
    /// `ZERODB_SEED` has others.
    ///
    /// - Parameter percent: how many of the workloads that a long run has are of one test.
    static func seeds(usually count: Int, percent: Int = 100) -> [UInt64] {
        if let seed { return [seed] }
        let first = TestSettings.seed &* 1_000_000
        let long = workloads.map { max(1, $0 * percent / 100) }
        return (0..<(long ?? count)).map { first &+ UInt64($0) }
    }

    private static func variable(_ name: String) -> String? {
        getenv(name).map { String(cString: $0) }
    }
}
