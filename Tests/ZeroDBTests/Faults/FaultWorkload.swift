import Testing

@testable import Simulator
@testable import ZeroDB

/// A few transactions on a file system that fails, and what must be true after each.
final class FaultWorkload {
    let fileSystem = FaultyFileSystem(MemoryFileSystem())
    private static let commits = 5

    /// What the databases hold after transaction `number`: the keys of the last three, those of
    /// the newest with large values.
    private static func expected(_ number: Int) -> [(key: [UInt8], value: [UInt8])] {
        guard number > 0 else { return [] }
        return (max(1, number - 2)...number).flatMap { commit in
            (0..<20).map { index in
                let size = commit == number && index % 7 == 0 ? 10_000 : 100
                return (
                    key(commit, index),
                    ValueRecipe(seed: UInt32(commit * 100 + index), count: size).bytes
                )
            }
        }
    }

    private static func key(_ commit: Int, _ index: Int) -> [UInt8] {
        Array("\(commit) \(index + 10)".utf8)
    }

    private var options: EnvironmentOptions {
        var options = EnvironmentOptions()
        options.maxSize = 64 << 20
        options.maxReaders = 4
        options.usesThread = false
        return options
    }

    func open() throws -> Environment {
        try Environment(path: "env", options: options, fileSystem: fileSystem)
    }

    /// Makes the transaction after which the databases are in state `number`.
    func commit(_ number: Int, _ environment: Environment) throws {
        try environment.write { transaction in
            let named = try transaction.createDatabase("named")
            for index in 0..<20 {
                try transaction.delete(Self.key(number - 3, index))
                try transaction.delete(Self.key(number - 3, index), in: named)
            }
            for (key, value) in Self.expected(number) {
                try transaction.put(key, value)
                try transaction.put(key, value, in: named)
            }
        }
    }

    /// Which state the databases are in.
    func state(_ environment: Environment) throws -> Int {
        try environment.read { transaction in
            let number = try (0...Self.commits + 2).first { try holds(transaction, $0) }
            return try #require(number, "the databases hold what no transaction left")
        }
    }

    private func holds(_ transaction: borrowing ReadTransaction, _ number: Int) throws -> Bool {
        let entries = Self.expected(number)
        guard try transaction.statistics().entries == UInt64(entries.count) else { return false }
        guard number > 0 else { return true }
        let named = try transaction.database("named")
        for (key, value) in entries {
            guard try transaction.get(key) == value,
                try transaction.get(key, in: named) == value
            else { return false }
        }
        return true
    }

    // MARK: With faults

    /// Runs everything with whatever fault is armed, and looks at what it leaves.
    func run(_ story: String) throws {
        do {
            let environment = try open()
            try use(environment, story)
        } catch let error as DatabaseError {
            // Opening failed; what an environment in use does is dealt with in `use`.
            #expect(error.code == .system || error.code == .panic, "\(story): \(error)")
            #expect(fileSystem.plan.failures > 0, "\(story): \(error)")
        }
        #expect(fileSystem.plan.openFiles == 0, "\(story): files are still open")
        #expect(fileSystem.plan.maps == 0, "\(story): maps are left")
    }

    private func use(_ environment: Environment, _ story: String) throws {
        var done = 0
        var isPoisoned = false
        for number in 1...Self.commits {
            do {
                try commit(number, environment)
                done = number
                if number == 3 { try environment.checkpoint() }
                if number == 4 { try environment.sync() }
            } catch let error as DatabaseError {
                #expect(fileSystem.plan.failures > 0, "\(story): \(error)")
                isPoisoned = error.code == .panic
                if !isPoisoned { #expect(error.code == .system, "\(story): \(error)") }
                break
            }
        }
        // The state is the one before the failure, at once and for all that read.
        #expect(try state(environment) == done, "\(story)")
        #expect(try environment.verify().problems == 0, "\(story)")
        if isPoisoned {
            #expect(throws: DatabaseError.self, "\(story)") { _ = try environment.beginWrite() }
        }
        fileSystem.plan.disarm()
        if !isPoisoned, done < Self.commits {
            try commit(done + 1, environment)
            done += 1
            #expect(try state(environment) == done, "\(story): after trying again")
        }
        try environment.close()
        let again = try open()
        let found = try state(again)
        // A commit whose flush failed may be there all the same.
        #expect(found == done || isPoisoned && found == done + 1, "\(story): \(found) for \(done)")
        #expect(try again.verify().problems == 0, "\(story): after opening again")
        try commit(found + 1, again)
        #expect(try state(again) == found + 1, "\(story)")
        try again.close()
    }
}
