import Testing

@testable import Simulator
@testable import ZeroDB

/// What a crash has left is a data file and the log after it; damage to the log must not pass for
/// its end where more was on disk.
@Suite("Damage to the log")
struct LogDamageTests {
    /// An environment as a crash left it: a checkpoint, and transactions that only the log has.
    private final class Crashed {
        let files: [String: [UInt8]]
        let logName: String
        /// Where each transaction's record ends in the log's file.
        private(set) var ends: [Int] = []
        private(set) var models: [ReferenceModel] = []
        private let options: EnvironmentOptions

        init(transactions: Int) throws {
            var options = EnvironmentOptions()
            options.maxSize = 1 << 20
            options.usesThread = false
            self.options = options
            var random = SeededGenerator(seed: 3)
            let fileSystem = MemoryFileSystem()
            let environment = try Environment(
                path: "env", options: options, fileSystem: fileSystem)
            var model = ReferenceModel()
            for number in 0...transactions {
                // The first one is in the data file.
                try environment.write { transaction in
                    for _ in 0..<4 {
                        let key = Array("key \(random.below(40))".utf8)
                        let recipe = ValueRecipe(
                            seed: UInt32(truncatingIfNeeded: random.next()),
                            count: random.below(60))
                        try transaction.put(key, recipe.bytes)
                        model.put(key, .recipe(recipe))
                    }
                }
                if number == 0 { try environment.checkpoint() }
                models.append(model)
                ends.append(Int(try environment.store.visibleMeta().logEnd))
            }
            var files: [String: [UInt8]] = ["env/data.zdb": []]
            files["env/data.zdb"] = fileSystem.contents("env/data.zdb")?.bytes
            let names = try fileSystem.list("env/log").filter { $0.hasSuffix(".log") }
            for name in names {
                files["env/log/\(name)"] = fileSystem.contents("env/log/\(name)")?.bytes
            }
            try environment.close()
            self.files = files
            let only = try #require(names.count == 1 ? names.first : nil)
            logName = "env/log/\(only)"
            let base = try #require(LogSegment.base(ofName: only))
            ends = ends.map { $0 - Int(base) + LogSegment.headerSize }
        }

        enum Outcome: Equatable {
            /// The state after so many of the transactions in the log.
            case state(Int)
            case corrupted
            case other(String)
        }

        /// Opens the environment with another log.
        ///
        /// - Parameter otherLog: under the name of another segment.
        func open(log: [UInt8]?, otherLog: [UInt8]? = nil) -> Outcome {
            let fileSystem = MemoryFileSystem()
            if let otherLog {
                let name = "env/log/\(LogSegment.name(base: 1 << 30))"
                fileSystem.setContents(name, MemoryContents(otherLog))
            }
            for (name, bytes) in files where name != logName {
                fileSystem.setContents(name, MemoryContents(bytes))
            }
            if let log { fileSystem.setContents(logName, MemoryContents(log)) }
            do {
                let environment = try Environment(
                    path: "env", options: options, fileSystem: fileSystem)
                let problems = try environment.verify().problems
                guard problems == 0 else { return .other("\(problems) problems") }
                let outcome = try environment.read { transaction in
                    try self.models.lastIndex { try Self.holds(transaction, $0) }
                }
                try environment.close()
                return outcome.map { .state($0) } ?? .other("a state that never was")
            } catch let error as DatabaseError where error.code == .corrupted {
                return .corrupted
            } catch {
                return .other("\(error)")
            }
        }

        private static func holds(
            _ transaction: borrowing ReadTransaction, _ model: ReferenceModel
        ) throws -> Bool {
            guard try transaction.statistics().entries == UInt64(model.count) else { return false }
            for entry in model
            where try transaction.get(entry.key) != entry.value.bytes { return false }
            return true
        }
    }

    @Test("The log of a crash is replayed whole")
    func replays() throws {
        let crashed = try Crashed(transactions: 5)
        #expect(crashed.open(log: crashed.files[crashed.logName]) == .state(5))
    }

    @Test("A flipped byte in the log never invents a state, nor loses one silently")
    func flipsEveryByte() throws {
        let crashed = try Crashed(transactions: 5)
        let log = try #require(crashed.files[crashed.logName])
        var random = SeededGenerator(seed: TestSettings.seed)
        let lastStart = crashed.ends[4]
        let firstStart = crashed.ends[0]
        let header = Array(0..<64)
        for offset in header + Array(firstStart..<crashed.ends[5]) {
            var damaged = log
            damaged[offset] ^= 1 << UInt8(random.below(8))
            let outcome = crashed.open(log: damaged)
            // Whether the last record was on disk is unknown: it may be a torn write.
            let isTail = offset >= lastStart && outcome == .state(4)
            // The segment's header is needed to find the records, not to believe them.
            let isHarmless = offset < 64 && outcome == .state(5)
            guard outcome == .corrupted || isTail || isHarmless else {
                throw ModelFailure(description: "byte \(offset): \(outcome)")
            }
        }
    }

    @Test("Zeroed sectors of the log are noticed unless they are at its end")
    func zeroesSectors() throws {
        let crashed = try Crashed(transactions: 40)
        let log = try #require(crashed.files[crashed.logName])
        let end = crashed.ends[40]
        for sector in (crashed.ends[0] / 512)..<((end + 511) / 512) {
            var damaged = log
            for offset in (sector * 512)..<((sector + 1) * 512) { damaged[offset] = 0 }
            let outcome = crashed.open(log: damaged)
            let isTail = (sector + 1) * 512 > crashed.ends[39] && outcome != .state(40)
            guard outcome == .corrupted || isTail else {
                throw ModelFailure(description: "sector \(sector): \(outcome)")
            }
        }
    }

    @Test("A log that is truncated or lacks a segment does not lose transactions silently")
    func truncates() throws {
        let crashed = try Crashed(transactions: 5)
        let log = try #require(crashed.files[crashed.logName])
        for end in [0, 64, 4096] + crashed.ends.dropLast() {
            let outcome = crashed.open(log: Array(log[..<end]))
            #expect(outcome == .corrupted, "cut off at \(end)")
        }
        #expect(crashed.open(log: nil, otherLog: log) == .corrupted, "without the first segment")
    }

    @Test("A data file copied without any log opens as its checkpoint left it")
    func opensWithoutLog() throws {
        let crashed = try Crashed(transactions: 5)
        #expect(crashed.open(log: nil) == .state(0))
    }
}
