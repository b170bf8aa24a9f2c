import Synchronization
import Testing

@testable import Simulator
@testable import ZeroDB

/// Many threads in one environment. The files are in memory, where ThreadSanitizer sees the
/// writes to pages too.
@Suite("Threads")
struct ConcurrencyTests {
    private static func open(
        _ fileSystem: any FileSystem = MemoryFileSystem(), _ path: String = "env",
        _ change: (inout EnvironmentOptions) -> Void = { _ in }
    ) throws -> Environment {
        var options = EnvironmentOptions()
        options.maxSize = 256 << 20
        options.maxReaders = 64
        options.logSize = 1 << 20
        change(&options)
        return try Environment(path: path, options: options, fileSystem: fileSystem)
    }

    // MARK: Money

    private static let accounts = 300
    private static let total = accounts * 1000

    private static func key(_ account: Int) -> [UInt8] { Array("account \(account)".utf8) }

    private static func bytes(_ amount: Int) -> [UInt8] {
        // Different sizes, so that leaves split and merge.
        Array("\(amount)".utf8) + [UInt8](repeating: 0x20, count: amount % 97)
    }

    private static func amount(_ bytes: [UInt8]?) throws -> Int {
        let digits = (bytes ?? []).prefix { $0 != 0x20 }
        guard let amount = Int(String(decoding: digits, as: UTF8.self)) else {
            throw ModelFailure(description: "no amount in \(digits)")
        }
        return amount
    }

    private static func sum(_ reader: borrowing ReadTransaction) throws -> Int {
        var sum = 0
        var cursor = try reader.cursor()
        while let entry = try cursor.next() {
            sum += try amount(entry.value.withUnsafeBytes { Array($0) })
        }
        return sum
    }

    private static func deposit(_ environment: Environment) throws {
        try environment.write { transaction in
            for account in 0..<accounts { try transaction.put(key(account), bytes(1000)) }
        }
    }

    private static func transfer(
        _ environment: Environment, _ durability: Durability, _ random: inout SeededGenerator
    ) throws {
        var transaction = try environment.beginWrite(durability: durability)
        for _ in 0..<random.within(1...10) {
            let from = random.below(accounts)
            let to = random.below(accounts)
            let moved = random.below(50)
            guard from != to, try amount(transaction.get(key(from))) >= moved else { continue }
            try transaction.put(key(from), bytes(amount(transaction.get(key(from))) - moved))
            try transaction.put(key(to), bytes(amount(transaction.get(key(to))) + moved))
        }
        if random.chance(90) { try transaction.commit() } else { transaction.abort() }
    }

    @Test(
        "Readers see transfers whole, and never an older state than before",
        arguments: [Durability.full, .relaxed, .none])
    func transfersMoney(_ durability: Durability) throws {
        let environment = try Self.open()
        try Self.deposit(environment)
        let progress = Progress(writers: 2)
        let transfers = TestSettings.operations(usually: 1500)
        onThreads(6) { thread in
            var random = SeededGenerator(seed: UInt64(thread))
            if thread < 2 {
                defer { progress.writerEnded() }
                for _ in 0..<transfers { try Self.transfer(environment, durability, &random) }
                return
            }
            var newest: UInt64 = 0
            while !progress.isDone {
                try environment.read { reader in
                    try check(reader.id >= newest, "\(reader.id) after \(newest)")
                    newest = reader.id
                    let sum = try Self.sum(reader)
                    try check(sum == Self.total, "\(sum) in transaction \(reader.id)")
                }
            }
        }
        let report = try environment.verify()
        #expect(report.problems == 0 && report.entries == UInt64(Self.accounts))
        try environment.close()
    }

    /// How many writing threads are still at work.
    private final class Progress: Sendable {
        private let writers: Atomic<Int>

        init(writers: Int) { self.writers = Atomic(writers) }

        var isDone: Bool { writers.load(ordering: .relaxed) == 0 }

        func writerEnded() { writers.subtract(1, ordering: .relaxed) }
    }

    @Test("A snapshot stays what it was while writers overwrite everything, again and again")
    func keepsOldSnapshots() throws {
        let environment = try Self.open()
        let keys = 100
        @Sendable func state(_ round: Int) -> [ValueRecipe] {
            (0..<keys).map { ValueRecipe(seed: UInt32(round * keys + $0), count: $0 * 60) }
        }
        @Sendable func write(_ round: Int) throws {
            try environment.write { transaction in
                for (key, recipe) in state(round).enumerated() {
                    try transaction.put("key \(key)", recipe.bytes)
                }
                try transaction.put("round", "\(round)")
            }
        }
        try write(0)
        let progress = Progress(writers: 1)
        let rounds = TestSettings.operations(usually: 400)
        onThreads(5) { thread in
            guard thread > 0 else {
                defer { progress.writerEnded() }
                for round in 1...rounds { try write(round) }
                return
            }
            while !progress.isDone {
                try environment.read { reader in
                    let bytes = try reader.get("round") ?? []
                    guard let round = Int(String(decoding: bytes, as: UTF8.self)) else {
                        throw ModelFailure(description: "no round in snapshot \(reader.id)")
                    }
                    // Several times over, while the writer goes on.
                    for _ in 0..<5 {
                        for (key, recipe) in state(round).enumerated() {
                            let isRight = try reader.value(for: "key \(key)")?
                                .withUnsafeBytes { recipe.matches($0) }
                            try check(isRight == true, "key \(key) of round \(round) has changed")
                        }
                    }
                }
            }
        }
        #expect(try environment.verify().problems == 0)
        try environment.close()
    }

    // MARK: Writers

    @Test(
        "Writers wait for each other and lose no update",
        arguments: [Durability.full, .relaxed, .none])
    func takesTurns(_ durability: Durability) throws {
        let environment = try Self.open()
        let rounds = TestSettings.operations(usually: 500)
        onThreads(8) { thread in
            for round in 0..<rounds {
                var transaction = try environment.beginWrite(durability: durability)
                let id = transaction.id
                let count = try transaction.get("count").flatMap {
                    Int(String(decoding: $0, as: UTF8.self))
                }
                try transaction.put("count", "\((count ?? 0) + 1)")
                try transaction.put("of \(thread)", "\(round)")
                try transaction.commit()
                // What is committed is seen at once by the one who committed it.
                try environment.read { reader in
                    try check(reader.id >= id, "snapshot \(reader.id) after committing \(id)")
                    let own = try reader.get("of \(thread)")
                    try check(own == Array("\(round)".utf8), "round \(round) of \(thread)")
                }
            }
        }
        let count = try environment.read { try $0.get("count") }
        #expect(count == Array("\(8 * rounds)".utf8))
        #expect(try environment.info().lastTransaction >= UInt64(8 * rounds))
        #expect(try environment.verify().problems == 0)
        try environment.close()
    }

    @Test("Writers on disk share flushes and lose nothing")
    func commitsInGroups() throws {
        let directory = try TemporaryDirectory()
        let environment = try Self.open(PosixFileSystem(), directory.path)
        let rounds = TestSettings.operations(usually: 60)
        onThreads(8) { thread in
            for round in 0..<rounds {
                try environment.write { try $0.put("\(thread) \(round)", "\(round)") }
                let isThere = try environment.read { try $0.contains("\(thread) \(round)") }
                try check(isThere, "\(thread) \(round) is not there")
            }
        }
        #expect(try environment.read { try $0.statistics().entries } == UInt64(8 * rounds))
        try environment.close()
        let again = try Self.open(PosixFileSystem(), directory.path)
        #expect(try again.read { try $0.statistics().entries } == UInt64(8 * rounds))
        #expect(try again.verify().problems == 0)
    }

    // MARK: Everything at once

    @Test("Any thread may ask for statistics, verification, checkpoints and database handles")
    func doesEverythingAtOnce() throws {
        let environment = try Self.open()
        try Self.deposit(environment)
        let progress = Progress(writers: 1)
        let rounds = TestSettings.operations(usually: 400)
        onThreads(6) { thread in
            var random = SeededGenerator(seed: UInt64(thread))
            guard thread > 0 else {
                defer { progress.writerEnded() }
                for round in 0..<rounds {
                    try Self.transfer(environment, random.pick([.full, .relaxed, .none]), &random)
                    try environment.write { transaction in
                        let handle = try transaction.createDatabase("database \(round % 50)")
                        try transaction.put("round", "\(round)", in: handle)
                    }
                }
                return
            }
            while !progress.isDone {
                switch thread {
                case 1:
                    let problems = try environment.verify().problems
                    try check(problems == 0, "\(problems) problems")
                case 2: try environment.checkpoint()
                case 3: try environment.sync()
                case 4:
                    let info = try environment.info()
                    try check(info.readers <= info.maxReaders, "\(info.readers) readers")
                    try check(info.oldestReader <= info.lastTransaction, "\(info)")
                default:
                    try environment.read { reader in
                        for number in 0..<50 {
                            do throws(DatabaseError) {
                                let handle = try reader.database("database \(number)")
                                _ = try reader.get("round", in: handle)
                            } catch {
                                guard error.code == .notFound else { throw error }
                            }
                        }
                    }
                }
            }
        }
        #expect(try environment.verify().problems == 0)
        try environment.close()
    }

    @Test("Environments that come and go do not disturb each other")
    func opensAndClosesAtOnce() throws {
        let rounds = TestSettings.operations(usually: 150)
        onThreads(6) { thread in
            let fileSystem = MemoryFileSystem()
            for round in 0..<rounds {
                let environment = try Self.open(fileSystem, "env \(thread)") {
                    $0.usesThread = round % 2 == 0
                }
                try environment.write { try $0.put("round", "\(round)") }
                let found = try environment.read { try $0.get("round") }
                try check(found == Array("\(round)".utf8), "round \(round) of \(thread)")
                // No transaction of another environment may keep this one open.
                try environment.close()
            }
        }
    }

    @Test("When closing races with beginning a transaction, one of the two is refused")
    func closesWhileOthersBegin() throws {
        for _ in 0..<TestSettings.operations(usually: 60) {
            let fileSystem = MemoryFileSystem()
            let environment = try Self.open(fileSystem)
            onThreads(4) { thread in
                do throws(DatabaseError) {
                    if thread == 0 {
                        while true {
                            do throws(DatabaseError) {
                                try environment.close()
                                return
                            } catch {
                                guard error.code == .busy else { throw error }
                            }
                        }
                    }
                    for round in 0..<1000 {
                        if thread == 1 {
                            var transaction = try environment.beginWrite()
                            try transaction.put("round", "\(round)")
                            try transaction.commit()
                        } else {
                            let reader = try environment.beginRead()
                            _ = try reader.get("round")
                        }
                    }
                } catch {
                    try check(error.code == .badHandle, "\(error.code): \(error)")
                }
            }
            let again = try Self.open(fileSystem)
            #expect(try again.verify().problems == 0)
            try again.close()
        }
    }

    @Test("Closing beside calls of other threads that use no transaction does no harm")
    func closesBesideCalls() throws {
        for _ in 0..<TestSettings.operations(usually: 60) {
            let environment = try Self.open(MemoryFileSystem())
            try environment.write { try $0.put("key", "value") }
            onThreads(6) { thread in
                do throws(DatabaseError) {
                    guard thread > 0 else { return try environment.close(waiting: UInt32.max) }
                    while true {
                        switch thread {
                        case 1: _ = try environment.info()
                        case 2: try environment.sync()
                        case 3: try environment.checkpoint()
                        case 4: _ = try environment.readers()
                        default: _ = try environment.transactions()
                        }
                    }
                } catch {
                    try check(error.code == .badHandle, "\(error.code): \(error)")
                }
            }
        }
    }

    @Test("Closing waits for open transactions while none begins")
    func closesAfterTransactions() throws {
        for _ in 0..<TestSettings.operations(usually: 60) {
            let environment = try Self.open(MemoryFileSystem())
            try environment.write { try $0.put("key", "value") }
            onThreads(4) { thread in
                do throws(DatabaseError) {
                    guard thread > 0 else { return try environment.close(waiting: UInt32.max) }
                    while true {
                        let reader = try environment.beginRead()
                        _ = try reader.get("key")
                        let writer = try environment.beginWrite()
                        try writer.commit()
                    }
                } catch {
                    try check(
                        error.code == .badHandle || error.code == .busy, "\(error.code): \(error)")
                }
            }
            try environment.close()
        }
    }

    @Test("Every reader gets a slot in the end, even if the table is full at times")
    func sharesFewReaderSlots() throws {
        let environment = try Self.open { $0.maxReaders = 3 }
        try environment.write { try $0.put("key", "value") }
        let rounds = TestSettings.operations(usually: 3000)
        onThreads(8) { _ in
            var done = 0
            while done < rounds {
                do throws(DatabaseError) {
                    let reader = try environment.beginRead()
                    let value = try reader.get("key")
                    if value == Array("value".utf8) { done += 1 }
                } catch {
                    try check(error.code == .readersFull, "\(error)")
                }
            }
        }
        #expect(try environment.info().readers == 0)
    }

    // MARK: Renewal

    @Test("A read transaction that is reset and renewed moves on and pins nothing meanwhile")
    func renews() throws {
        let environment = try Self.open()
        try Self.deposit(environment)
        let progress = Progress(writers: 1)
        let transfers = TestSettings.operations(usually: 1000)
        onThreads(4) { thread in
            var random = SeededGenerator(seed: UInt64(thread))
            guard thread > 0 else {
                defer { progress.writerEnded() }
                for _ in 0..<transfers { try Self.transfer(environment, .relaxed, &random) }
                return
            }
            let reader = try environment.beginRead()
            var newest = reader.id
            while !progress.isDone {
                let sum = try Self.sum(reader)
                try check(sum == Self.total, "\(sum) in transaction \(reader.id)")
                try Transactions.reset(reader.access.claim.state)
                try Transactions.renew(reader.access.claim.state)
                try check(reader.id >= newest, "\(reader.id) after \(newest)")
                newest = reader.id
            }
        }
        #expect(try environment.verify().problems == 0)
        try environment.close()
    }
}
