@testable import ZeroDB

/// What is to happen at a call of the seam.
struct Trap: Sendable {
    enum Effect: Sendable {
        /// The process dies without the call.
        case killBefore
        /// The process dies when the call is done.
        case killAfter
        /// The call fails with an errno.
        case fail(Int32)
    }

    /// Counted from 1, among the calls that count.
    var number: Int
    var effect: Effect
    /// The calls that count; nil for all.
    var calls: Set<SeamCall>?
    /// Whether all later calls that count fail too.
    var isLasting = false
    /// How much a write that fails has stored before; never all.
    var storedPercent = 0
}

/// Counts calls, and tells the one that a trap waits for.
struct Interference: Sendable {
    private let trap: Trap?
    private(set) var calls = 0
    private(set) var failures = 0

    init(_ trap: Trap? = nil) { self.trap = trap }

    mutating func hit(_ call: SeamCall) -> Trap? {
        if let counted = trap?.calls, !counted.contains(call) { return nil }
        calls += 1
        guard let trap, calls == trap.number || (trap.isLasting && calls > trap.number) else {
            return nil
        }
        failures += 1
        return trap
    }
}
