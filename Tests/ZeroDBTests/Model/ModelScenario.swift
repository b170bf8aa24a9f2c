@testable import Simulator
@testable import ZeroDB

/// A random workload.
struct ModelScenario: Sendable, CustomStringConvertible {
    var name: String
    var pageSize = 4096
    /// Of the main database, then of the named ones, over and over.
    var patterns = KeyPattern.allCases
    /// Beside the main one.
    var namedDatabases = 3
    /// In an ordinary run.
    var operations = 100_000
    /// Operations in the largest transactions.
    var transactionMax = 2000
    /// Entries in all databases at which the workload begins to delete.
    var entriesMax = 20_000
    /// How deep transactions are nested, and how often: before one in so many operations.
    var nestingMax = 2
    var nestingRarity = 60
    var checksumMode = ChecksumMode.fast
    /// What commits wait for, one picked for each.
    var durabilities = [Durability.full]
    /// Bytes of log after which a checkpoint is made.
    var logSize: UInt64 = 4 << 20
    var usesThread = false
    /// On disk, with all flushes, instead of in memory.
    var isOnDisk = false
    /// Whether a copy is opened that was not closed, before each reopening. In memory, and with full
    /// durability only.
    var isReplayed = false

    var description: String { name }
}

/// What a workload does most at a time.
enum ModelPhase: CaseIterable {
    case growing
    case mixed
    case shrinking
}

/// The operations of a write transaction.
enum ModelOperation: CaseIterable {
    case put
    case insert
    case append
    case delete
    case deleteRun
    case get
    case statistics
    case cursor

    /// One in proportion to how often a phase does it.
    static func pick(_ phase: ModelPhase, _ random: inout SeededGenerator) -> Self {
        let shares =
            switch phase {
            case .growing: [45, 10, 5, 8, 0, 11, 1, 20]
            case .shrinking: [8, 3, 1, 50, 1, 10, 1, 26]
            case .mixed: [25, 8, 3, 20, 1, 17, 1, 25]
            }
        var left = random.below(shares.reduce(0, +))
        for (operation, share) in zip(Self.allCases, shares) {
            if left < share { return operation }
            left -= share
        }
        return .get
    }
}

extension SeededGenerator {
    /// The size of a value: none, small, near the limit of what a leaf takes, near the edges of
    /// pages, now and then large.
    mutating func valueSize(pageSize: Int) -> Int {
        // As many bytes in overflow runs whatever the size of pages.
        let overflowChance = max(3, 90 * 4096 / pageSize)
        switch below(1000) {
        case 0..<50: return 0
        case 50..<600: return below(100)
        case 600..<800: return below(1000)
        case 800..<(850 + overflowChance / 3):
            return max(0, Format.inlineEntrySizeMax(pageSize: pageSize) + within(-60...10))
        case 998: return chance(20) ? 1 << 20 : within(60_000...300_000)
        case (997 - overflowChance)...:
            let edge = within(1...4) * pageSize - Page.headerSize
            return chance(50) ? edge + within(-2...2) : within(pageSize / 4...edge)
        default: return below(200)
        }
    }

    mutating func valueRecipe(pageSize: Int) -> ValueRecipe {
        ValueRecipe(
            seed: UInt32(truncatingIfNeeded: next()), count: valueSize(pageSize: pageSize))
    }
}
