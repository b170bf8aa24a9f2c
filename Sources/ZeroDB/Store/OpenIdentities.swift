import CZeroDBPlatform

/// The environments that this process has open. Environments that a forked child inherits do not count.
struct OpenIdentities {
    private struct Opened: Hashable {
        var identity: FileIdentity
        var simulatedProcess: UInt64
    }

    private var opened: Set<Opened> = []
    private var forkGeneration: UInt32 = 0

    /// - Returns: false if it is open already.
    mutating func insert(_ identity: FileIdentity, in simulatedProcess: UInt64) -> Bool {
        if forkGeneration != zp_fork_generation() {
            opened = []
            forkGeneration = zp_fork_generation()
        }
        return opened.insert(
            Opened(identity: identity, simulatedProcess: simulatedProcess)
        ).inserted
    }

    mutating func remove(_ identity: FileIdentity, in simulatedProcess: UInt64) {
        guard forkGeneration == zp_fork_generation() else { return }
        opened.remove(Opened(identity: identity, simulatedProcess: simulatedProcess))
    }

    static let shared = ProcessWide(OpenIdentities())
}
