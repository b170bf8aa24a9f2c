import Glibc

/// Leaves room for others: while they commit, a copy rests after each part for longer than that took, so
/// that neither the disk nor the processors are busy with it most of the time.
struct CopyPace {
    private let shared: SharedState
    private var tip: UInt64
    private var began = SystemCall.monotonicNanoseconds()
    /// Whether somebody has committed during the last part.
    private(set) var isBeside = false

    /// How much longer a rest is than the part before it.
    private static let restShare: UInt64 = 2
    /// Nanoseconds of a rest at most.
    private static let restMax: UInt64 = 100_000_000
    /// Nanoseconds of work after which it rests.
    private static let partMin: UInt64 = 500_000

    init(_ shared: SharedState) {
        self.shared = shared
        tip = shared.tip
    }

    /// Nanoseconds of a rest at least for each byte written: the disk has more to do than the writing shows.
    private static let restPerByte: UInt64 = 12

    /// Rests after a part, if others have committed meanwhile.
    ///
    /// - Parameter bytes: that were written in it.
    mutating func rest(bytes: UInt64 = 0) {
        let spent = SystemCall.monotonicNanoseconds() - began
        guard spent >= Self.partMin || bytes * Self.restPerByte >= Self.partMin else { return }
        let now = shared.tip
        isBeside = now != tip
        if isBeside {
            let rest = max(spent * Self.restShare, bytes * Self.restPerByte)
            usleep(UInt32(clamping: min(rest, Self.restMax) / 1000))
            // What was committed during the rest says nothing of the next part.
        }
        tip = shared.tip
        began = SystemCall.monotonicNanoseconds()
    }
}
