/// How `Environment.repair(path:options:)` mends an environment.
public struct RepairOptions: Sendable {
    /// The directory for a copy of all that is changed, which must not be there; nil for one beside the
    /// environment, named `<environment>.before-repair-<number>`.
    public var backupPath: String?
    /// Whether such a copy is made.
    public var keepsBackup = true
    /// The directory of a sound copy of the environment, which may be older: damaged pages that it
    /// has in the same version are taken from it.
    public var sourcePath: String?
    /// Whether a log that is damaged in the middle is cut off there. The transactions behind that
    /// are lost.
    public var truncatesLog = false

    /// The defaults: a copy beside the environment, and no transaction is given up.
    public init() {}
}

/// What a repair could not get back.
public struct RepairLoss: Sendable, Equatable {
    /// The name of the database, empty for the main one; nil if it concerns no single database.
    public var database: [UInt8]?
    /// Where the lost keys begin in the order of the database, as they were put; nil for its beginning.
    public var low: [UInt8]?
    /// Where they end, itself not lost; nil for the end.
    public var high: [UInt8]?
    /// About how many entries; nil if that is not known.
    public var entries: UInt64?
    /// What is lost and why, for people to read.
    public var description: String
}

/// What a repair has done.
public struct RepairReport: Sendable, Equatable {
    /// Whether anything was written.
    public var changed = false
    /// What was done, for people to read.
    public var actions: [String] = []
    /// What is lost; empty if all that was committed is there.
    public var losses: [RepairLoss] = []
    /// The directory with the copy of what was changed, if there is one.
    public var backupPath: String?
    /// The newest transaction.
    public var transaction: UInt64 = 0

    /// Losses and actions that are listed; the last says how many more there are.
    static let listedMax = 10_000
}
