import Testing

@testable import Simulator
@testable import ZeroDB

/// Content that is not what was put although every page checks: the digest tells.
@Suite("Damage that only digests show")
struct DigestDamageTests {
    private let files = MemoryFileSystem()

    private func open() throws -> Environment {
        try Environment.inMemory(files) { $0.maxSize = 64 << 20 }
    }

    private func image() throws -> CraftedImage {
        try #require(CraftedImage(files.contents("env/data.zdb") ?? MemoryContents()))
    }

    /// Flips a bit of the value of the first entry of the main database's only leaf.
    private func flipBit(_ image: CraftedImage) throws {
        let number = image.meta.main.root.number
        let value = try #require(image.page(number).value(0))
        value.bytes.storeBytes(of: 0xff, toByteOffset: 0, as: UInt8.self)
        image.reseal(number)
    }

    private func problems(_ environment: Environment) throws -> [String] {
        var problems: [String] = []
        _ = try environment.verify { problems.append($0.message) }
        return problems
    }

    @Test("A flipped bit of a value is found although its page checks")
    func flippedValue() throws {
        let environment = try open()
        try environment.write { try $0.put("key", "value") }
        try environment.close()
        try flipBit(try image())
        let damaged = try open()
        let found = try problems(damaged)
        #expect(found.count == 1 && found[0].contains("the main database has the digest"))
        #expect(try damaged.verify().digest != damaged.info().digest)
        try damaged.close()
    }

    @Test("A wrong digest of the environment is found")
    func wrongEnvironment() throws {
        try open().close()
        let image = try image()
        image.meta.digest += ContentDigest(low: 1, high: 0)
        image.store()
        let damaged = try open()
        let found = try problems(damaged)
        #expect(found.count == 1 && found[0].contains("gives the environment the digest"))
        try damaged.close()
    }

    @Test("A wrong digest beside a large value is found")
    func wrongLargeValue() throws {
        let environment = try open()
        try environment.write { try $0.put("key", [UInt8](repeating: 1, count: 10_000)) }
        try environment.close()
        let image = try image()
        let number = image.meta.main.root.number
        let value = try #require(image.page(number).value(0))
        value.bytes.storeBytes(of: 0xff, toByteOffset: 20, as: UInt8.self)
        image.reseal(number)
        let damaged = try open()
        let found = try problems(damaged)
        #expect(found.count == 1 && found[0].contains("its key and value"))
        try damaged.close()
    }

    @Test("A wrong digest of the values of a key is found")
    func wrongValueTree() throws {
        let environment = try open()
        try environment.write { writer throws in
            let database = try writer.createDatabase("pairs", flags: .duplicates)
            for number in 0..<2000 {
                try writer.put("key", KeyMaker.bigEndian(UInt64(number)), in: database)
            }
        }
        try environment.close()
        let image = try image()
        let catalog = try #require(image.page(image.meta.catalog.root.number).value(0))
        let leaf = TreeRecord(at: catalog.bytes).root.number
        let value = try #require(image.page(leaf).value(0))
        #expect(value.kind == .valueTree)
        value.bytes.storeBytes(of: 0xff, toByteOffset: 45, as: UInt8.self)
        image.reseal(leaf)
        let damaged = try open()
        let found = try problems(damaged)
        #expect(found.count == 1 && found[0].contains("the values of entry 0"), "\(found)")
        try damaged.close()
    }

    /// Commits that a checkpoint does not hold, on top of one that does.
    private func leaveLog() throws {
        let environment = try open()
        try environment.write { try $0.put("key", "value") }
        try environment.checkpoint()
        try environment.write { try $0.put("other", "value") }
        try environment.write { try $0.put("key", "replaced") }
        try environment.write { try $0.put("third", "value") }
        let left = files.copy()
        try environment.close()
        for path in try left.list("env/log").map({ "env/log/\($0)" }) + ["env/data.zdb"] {
            files.setContents(path, left.contents(path) ?? MemoryContents())
        }
    }

    @Test("A replay that leads to other content than the log says is refused, and changes nothing")
    func replays() throws {
        try leaveLog()
        let sound = files.copy()
        let environment = try Environment.inMemory(sound) { $0.maxSize = 64 << 20 }
        #expect(environment.recoveryReport.records == 3)
        #expect(try environment.verify().problems == 0)
        try environment.close()

        // The second record replaces what has been changed.
        try flipBit(try image())
        let before = files.contents("env/data.zdb")?.bytes
        for _ in 0..<2 {
            do {
                _ = try open()
                Issue.record("the log was replayed")
            } catch let error as DatabaseError {
                #expect(error.code == .corrupted)
                #expect(error.message.contains("transaction 4 at position"), "\(error)")
            }
        }
        #expect(files.contents("env/data.zdb")?.bytes == before)
    }

    @Test("A replay on a wrong digest of the environment is refused at the first record")
    func replaysOnWrong() throws {
        try leaveLog()
        let image = try image()
        image.meta.digest += ContentDigest(low: 0, high: 1)
        image.store()
        do {
            _ = try open()
            Issue.record("the log was replayed")
        } catch let error as DatabaseError {
            #expect(error.code == .corrupted)
            #expect(error.message.contains("transaction 3 at position"), "\(error)")
        }
    }
}
