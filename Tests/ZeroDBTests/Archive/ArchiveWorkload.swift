import Glibc

@testable import Simulator
@testable import ZeroDB

/// Random transactions of an environment that is archived, with what each of them left.
struct ArchiveWorkload {
    /// What a transaction left.
    struct State {
        var digest: ContentDigest
        /// Nil where a transaction of the library's own had followed before it was looked at.
        var wallClock: UInt64?
    }

    var random: SeededGenerator
    /// Values of a few bytes only.
    var isSmall = false
    private(set) var states: [UInt64: State] = [:]
    private var names: [String] = []
    private var made = 0
    /// What the names of its databases begin with.
    private let prefix: String

    init(seed: UInt64, isSmall: Bool = false) {
        random = SeededGenerator(seed: seed)
        self.isSmall = isSmall
        prefix = "database \(seed)"
    }

    private mutating func key() -> [UInt8] {
        Array("key \(random.below(400))".utf8)
    }

    private mutating func value() -> [UInt8] {
        let size = random.chance(isSmall ? 1 : 5) ? random.below(60_000) : random.below(200)
        return random.bytes(size)
    }

    /// Makes a transaction of a random kind and durability.
    mutating func run(_ environment: Environment) throws {
        var transaction = try environment.beginWrite(
            durability: random.pick([.full, .relaxed, Durability.none, Durability.none]))
        try change(&transaction)
        if random.chance(8) { try nest(&transaction) }
        if !isSmall, random.chance(1) { try changeMuch(&transaction) }
        guard !random.chance(4) else { return transaction.abort() }
        let id = transaction.id
        try transaction.commit()
        let newest = try note(environment)
        // A compaction in the background changes no content. What changes nothing has made no state.
        if newest.transaction > id { states[id] = State(digest: newest.digest, wallClock: nil) }
    }

    /// What a transaction has left. Those of a compaction change nothing, and only the last is noted.
    func digest(after transaction: UInt64) -> ContentDigest? {
        states.keys.filter { $0 <= transaction }.max().flatMap { states[$0]?.digest }
    }

    /// Notes the state that the newest transaction has left.
    @discardableResult
    mutating func note(_ environment: Environment) throws -> Meta {
        let meta = try environment.store.tipMeta()
        states[meta.transaction] = State(digest: meta.digest, wallClock: meta.wallClock)
        return meta
    }

    private mutating func change(_ transaction: inout WriteTransaction) throws {
        for _ in 0..<(1 + random.below(6)) {
            switch random.below(20) {
            case 0 where names.count < 12:
                made += 1
                let name = "\(prefix).\(made)"
                let flags: DatabaseFlags = random.pick([[], .counted, .duplicates])
                _ = try transaction.createDatabase(name, flags: flags)
                names.append(name)
            case 1 where !names.isEmpty:
                let name = random.pick(names)
                if let database = try? transaction.database(name) {
                    try transaction.drop(database)
                }
                names.removeAll { $0 == name }
            case 2:
                _ = try transaction.delete(KeyRange(from: key(), to: key()))
            case 3, 4, 5:
                _ = try transaction.delete(key())
            case 6, 7, 8:
                guard !names.isEmpty, let database = try? transaction.database(random.pick(names))
                else { break }
                try transaction.put(key(), Array(value().prefix(300)), in: database)
            default:
                try transaction.put(key(), value())
            }
        }
    }

    private mutating func nest(_ transaction: inout WriteTransaction) throws {
        struct Abort: Error {}
        let keeps = random.chance(60)
        let (own, own2) = (key(), value())
        do {
            try transaction.nested { nested in
                try nested.put(own, own2)
                if !keeps { throw Abort() }
            }
        } catch is Abort {}
    }

    /// More than a record of the log has where the log is not archived.
    private mutating func changeMuch(_ transaction: inout WriteTransaction) throws {
        for number in 0..<9 {
            try transaction.put(
                Array("large \(number)".utf8), [UInt8](repeating: random.byte(), count: 1 << 20))
        }
    }
}
