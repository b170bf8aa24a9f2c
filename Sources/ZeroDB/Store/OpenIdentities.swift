import CZeroDBPlatform

/// The environments that this process has open. Environments that a forked child inherits do not count.
struct OpenIdentities {
    private var identities: Set<FileIdentity> = []
    private var forkGeneration: UInt32 = 0

    /// - Returns: false if it is open already.
    mutating func insert(_ identity: FileIdentity) -> Bool {
        if forkGeneration != zp_fork_generation() {
            identities = []
            forkGeneration = zp_fork_generation()
        }
        return identities.insert(identity).inserted
    }

    mutating func remove(_ identity: FileIdentity) {
        if forkGeneration == zp_fork_generation() { identities.remove(identity) }
    }

    static let shared = ProcessWide(OpenIdentities())
}
