import Glibc
import Testing

@testable import Simulator
@testable import ZeroDB

/// Free pages in the middle of the file give back their room, and nothing else changes.
@Suite("Holes")
struct HoleTests {
    private func value(_ seed: Int, _ count: Int) -> [UInt8] {
        ValueRecipe(seed: UInt32(seed), count: count).bytes
    }

    /// Bytes that the disk keeps for a file.
    private func room(_ path: String) throws -> Int {
        var status = stat()
        try #require(stat(path, &status) == 0)
        return Int(status.st_blocks) * 512
    }

    private func fill(_ environment: Environment, _ keys: Range<Int>) throws {
        for part in stride(from: keys.lowerBound, to: keys.upperBound, by: 500) {
            try environment.write { transaction throws in
                for key in part..<min(part + 500, keys.upperBound) {
                    try transaction.put(VerifyFixture.key(key), value(key, 1500))
                }
            }
        }
    }

    @Test("Free pages give back their room, beside a reader and over a reopening")
    func givesBackRoom() throws {
        let directory = try TemporaryDirectory()
        var options = EnvironmentOptions()
        options.autoCompactPercent = 0
        options.maxTransactionPages = 0
        var environment = try Environment(path: directory.path, options: options)
        try fill(environment, 0..<10_000)
        try environment.write { transaction throws in
            for key in 1000..<9000 { try transaction.delete(VerifyFixture.key(key)) }
        }
        try environment.checkpoint()
        let digest = try environment.info().digest
        let before = try room(directory.dataPath)
        var compaction = CompactionOptions()
        compaction.punchesHoles = true
        compaction.maxPages = 1
        let result = try environment.compact(compaction)
        let after = try room(directory.dataPath)
        #expect(result.bytesPunched > 4 << 20)
        #expect(before - after > Int(result.bytesPunched) / 10 * 9)
        #expect(try environment.info().digest == digest)
        #expect(try environment.verify().problems == 0)
        // What is a hole is not made one again.
        #expect(try environment.compact(compaction).bytesPunched < result.bytesPunched / 10)
        let reader = try environment.beginRead()
        try fill(environment, 1000..<3000)
        #expect(try reader.get(VerifyFixture.key(1500)) == nil)
        #expect(try environment.verify().problems == 0)
        _ = consume reader
        try environment.close()
        environment = try Environment(path: directory.path, options: options)
        #expect(try environment.verify().problems == 0)
        for key in [0, 999, 1500, 2999, 9500] {
            let found = try environment.read { try $0.get(VerifyFixture.key(key)) }
            #expect(found == value(key, 1500))
        }
        try environment.close()
    }

    /// Every page that a snapshot or a durable state needs keeps its content: each is compared with what it
    /// was, after each step.
    @Test("What a snapshot has is never punched", arguments: [1, 2, 3] as [UInt64])
    func keepsSnapshots(seed: UInt64) throws {
        let environment = try Environment.inMemory(MemoryFileSystem()) { options in
            options.maxTransactionPages = 0
            options.logSize = 1 << 20
            options.usesThread = false
        }
        var random = SeededGenerator(seed: seed)
        var model: [Int: Int] = [:]
        var punched: UInt64 = 0
        for round in 0..<40 {
            try environment.write { transaction throws in
                for _ in 0..<(1 + random.below(300)) {
                    let key = random.below(1500)
                    if random.chance(40) {
                        _ = try transaction.delete(VerifyFixture.key(key))
                        model[key] = nil
                    } else {
                        let seed = Int(random.below(1 << 20))
                        try transaction.put(VerifyFixture.key(key), value(seed, seed % 9000))
                        model[key] = seed
                    }
                }
            }
            guard round % 4 == 0 else { continue }
            let snapshot = model
            let reader = try environment.beginRead()
            try environment.write { transaction throws in
                for _ in 0..<200 {
                    let key = random.below(1500)
                    _ = try transaction.delete(VerifyFixture.key(key))
                    model[key] = nil
                }
            }
            var options = Compaction.Options()
            options.punchesHoles = true
            options.holeMin = 1
            options.gainMin = 1
            options.pagesMax = random.pick([0, .max])
            punched += try environment.compact(options).bytesPunched
            for key in 0..<1500 {
                let found = try reader.get(VerifyFixture.key(key))
                #expect(found == snapshot[key].map { value($0, $0 % 9000) })
            }
            _ = consume reader
            #expect(try environment.verify().problems == 0)
        }
        #expect(punched > 1 << 20)
        for key in 0..<1500 {
            let found = try environment.read { try $0.get(VerifyFixture.key(key)) }
            #expect(found == model[key].map { value($0, $0 % 9000) })
        }
        try environment.close()
    }
}
