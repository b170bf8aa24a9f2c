@testable import Simulator
@testable import ZeroDB

/// The metrics of an environment by their full names.
struct MetricReading {
    private let metrics: [String: Metric]

    init(_ environment: Environment) throws {
        self.init(try environment.metrics())
    }

    init(_ metrics: [Metric]) {
        self.metrics = Dictionary(metrics.map { ($0.fullName, $0) }) { first, _ in first }
    }

    /// The number of a counter or gauge, or how many a histogram has; nil if there is no such metric.
    subscript(name: String) -> UInt64? {
        guard let metric = metrics["zerodb_" + name] else { return nil }
        return metric.kind == .histogram ? metric.count : UInt64(metric.value)
    }

    /// The sum of a histogram.
    func sum(_ name: String) -> Double? { metrics["zerodb_" + name]?.value }

    func operations(_ operation: String) -> UInt64? {
        self["operations_total{operation=\"\(operation)\"}"]
    }

    func errors(_ kind: String) -> UInt64? { self["errors_total{kind=\"\(kind)\"}"] }

    func hits(_ limit: Limit) -> UInt64? { self["limits_hit_total{limit=\"\(limit.name)\"}"] }

    func committed(_ durability: String) -> UInt64? {
        self["write_transactions_committed_total{durability=\"\(durability)\"}"]
    }
}

/// What a test has done with an environment.
struct CountedWork {
    var gets: UInt64 = 0
    var absentGets: UInt64 = 0
    var moves: UInt64 = 0
    var puts: UInt64 = 0
    var deletes: UInt64 = 0
    var ranges: UInt64 = 0
    var reads: UInt64 = 0
    var full: UInt64 = 0
    var relaxed: UInt64 = 0
    var unchanged: UInt64 = 0
    var aborted: UInt64 = 0
    var nestedCommitted: UInt64 = 0
    var nestedAborted: UInt64 = 0

    /// By the names of the metrics that count it.
    var expected: [String: UInt64] {
        [
            "operations_total{operation=\"get\"}": gets, "absent_gets_total": absentGets,
            "operations_total{operation=\"cursor\"}": moves,
            "operations_total{operation=\"put\"}": puts,
            "operations_total{operation=\"delete\"}": deletes,
            "operations_total{operation=\"delete_range\"}": ranges,
            "read_transaction_seconds": reads,
            "write_transactions_committed_total{durability=\"full\"}": full,
            "write_transactions_committed_total{durability=\"relaxed\"}": relaxed,
            "write_transactions_unchanged_total": unchanged,
            "write_transactions_aborted_total": aborted,
            "nested_transactions_committed_total": nestedCommitted,
            "nested_transactions_aborted_total": nestedAborted,
            "write_transaction_seconds": full + relaxed + unchanged + aborted,
            "writer_wait_seconds": full + relaxed + unchanged + aborted,
            "commit_append_seconds": full + relaxed, "commit_flush_seconds": full + relaxed,
            "log_records_total": full + relaxed,
        ]
    }

    mutating func add(_ other: Self) {
        gets += other.gets
        absentGets += other.absentGets
        moves += other.moves
        puts += other.puts
        deletes += other.deletes
        ranges += other.ranges
        reads += other.reads
        full += other.full
        relaxed += other.relaxed
        unchanged += other.unchanged
        aborted += other.aborted
        nestedCommitted += other.nestedCommitted
        nestedAborted += other.nestedAborted
    }
}

/// Random transactions on keys of one thread's own, of which everything is counted.
struct CountedProgram {
    private(set) var done = CountedWork()
    private let environment: Environment
    private let prefix: String
    private var random: SeededGenerator
    private var keys: Set<Int> = []
    private var version = 0

    private struct Undone: Error {}

    init(_ environment: Environment, thread: Int, seed: UInt64) {
        self.environment = environment
        prefix = "thread \(thread) key "
        random = SeededGenerator(seed: seed &+ UInt64(thread))
    }

    mutating func step() throws {
        if random.chance(50) { try read() } else { try write() }
    }

    private mutating func look(_ access: borrowing some Transaction & ~Copyable) throws {
        for _ in 0..<random.below(5) {
            let key = random.below(200)
            let isThere = try access.contains(prefix + "\(key)")
            try check(isThere == keys.contains(key), "key \(key)")
            done.gets += 1
            if !isThere { done.absentGets += 1 }
        }
    }

    private mutating func read() throws {
        done.reads += 1
        let transaction = try environment.beginRead()
        try look(transaction)
        guard random.chance(30) else { return }
        var cursor = try transaction.cursor()
        for _ in 0..<random.below(8) {
            _ = try cursor.next()
            done.moves += 1
        }
    }

    private mutating func write() throws {
        let durability = random.pick([Durability.full, .relaxed])
        let before = keys
        var transaction = try environment.beginWrite(durability: durability)
        var isChanged = try change(&transaction)
        try look(transaction)
        if random.chance(30) { isChanged = try nest(&transaction) || isChanged }
        guard random.chance(80) else {
            keys = before
            done.aborted += 1
            return transaction.abort()
        }
        try transaction.commit()
        if !isChanged {
            done.unchanged += 1
        } else if durability == .full {
            done.full += 1
        } else {
            done.relaxed += 1
        }
    }

    private mutating func nest(_ transaction: inout WriteTransaction) throws -> Bool {
        let before = keys
        let isKept = random.chance(50)
        var program = self
        var isChanged = false
        do {
            try transaction.nested { nested throws in
                isChanged = try program.change(&nested)
                if !isKept { throw Undone() }
            }
        } catch is Undone {}
        self = program
        if isKept {
            done.nestedCommitted += 1
            return isChanged
        }
        keys = before
        done.nestedAborted += 1
        return false
    }

    /// - Returns: whether anything was changed.
    private mutating func change(_ transaction: inout WriteTransaction) throws -> Bool {
        var isChanged = false
        for _ in 0..<random.below(6) {
            let key = random.below(200)
            if random.chance(70) {
                version += 1
                try transaction.put(prefix + "\(key)", "version \(version)")
                keys.insert(key)
                done.puts += 1
                isChanged = true
            } else if try transaction.delete(prefix + "\(key)") {
                try check(keys.remove(key) != nil, "key \(key) was there")
                done.deletes += 1
                isChanged = true
            }
        }
        return isChanged
    }
}
