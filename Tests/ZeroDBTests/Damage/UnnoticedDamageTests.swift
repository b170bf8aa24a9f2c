import Testing

@testable import Simulator
@testable import ZeroDB

/// What the damage campaign has found that was not noticed once, each by itself.
@Suite("Damage that was not noticed once")
struct UnnoticedDamageTests {
    private static let path = "env/data.zdb"

    /// An environment with some entries, closed.
    private func files(
        _ flags: DatabaseFlags = [], _ entries: [(String, String)]
    ) throws -> MemoryFileSystem {
        let files = MemoryFileSystem()
        let environment = try Environment.inMemory(files)
        try environment.write { transaction in
            try transaction.createMain(flags: flags)
            for (key, value) in entries { try transaction.put(key, value) }
        }
        try environment.close()
        return files
    }

    @Test("A meta page of another environment is damage, also with an older state")
    func refusesForeignMetaPage() throws {
        let own = try files([], [("key", "value")])
        let foreign = MemoryFileSystem()
        try Environment.inMemory(foreign).close()
        let file = try #require(own.contents(Self.path))
        let older = try #require(foreign.contents(Self.path))
        // The page with the newest state, in whose place an older one of another environment comes.
        let page = DataLayout(file.bytes).metaPage
        for offset in (page * 4096)..<((page + 1) * 4096) { file[offset] = older[offset] }
        expectFailure(.corrupted) { try Environment.inMemory(own).close() }
    }

    @Test("A damaged copy that opening writes anew is told of", arguments: [0, 512])
    func warnsOfMendedCopy(_ offset: Int) throws {
        let files = try files([], [("key", "value")])
        let file = try #require(files.contents(Self.path))
        let page = DataLayout(file.bytes).metaPage
        file[page * 4096 + offset + 40] ^= 1
        // Otherwise the environment is known to be on disk, and nothing is written.
        try files.remove("env/lock.zdb")
        let warnings = Locked<[String]>([])
        let environment = try Environment.inMemory(files) {
            $0.onEvent = { event in warnings.withLock { $0.append(event.message) } }
        }
        #expect(try environment.verify().problems == 0)
        try environment.close()
        #expect(warnings.withLock { $0.count } == 1)
        #expect(warnings.withLock { $0.first?.hasPrefix("page \(page) (meta)") } == true)
    }

    @Test("A key whose head goes on behind its end is damage")
    func checksHeadsOfShortKeys() throws {
        let files = try files([], [("a", "1"), ("b", "2"), ("c", "3")])
        let image = try #require(CraftedImage(files.contents(Self.path) ?? MemoryContents()))
        let leaf = image.page(image.meta.main.root.number)
        // The last of the four bytes: searches would look behind "b" for it.
        leaf.slot(1).storeLittleEndian(Page.head(leaf.slot(1)) | 1, at: 0)
        image.reseal(leaf.number)
        let environment = try Environment.inMemory(files)
        expectFailure(.corrupted) { _ = try environment.read { try $0.contains("b") } }
        #expect(try environment.verify().problems > 0)
        try environment.close()
    }

    @Test(
        "A value whose head is of another one is damage",
        arguments: [DatabaseFlags.duplicates, [.duplicates, .reverseDuplicates]])
    func checksHeadsOfValues(_ flags: DatabaseFlags) throws {
        let files = try files(flags, (0..<400).map { ("key", "value \($0) of the key") })
        let image = try #require(CraftedImage(files.contents(Self.path) ?? MemoryContents()))
        let leaf = try #require(
            (2..<image.meta.pageCount).map { image.page($0) }.first {
                $0.isLeaf && $0.layout.contains(.valueLeaf)
            })
        leaf.slot(1).storeLittleEndian(Page.head(leaf.slot(1)) ^ 1, at: 0)
        image.reseal(leaf.number)
        let environment = try Environment.inMemory(files)
        #expect(try environment.verify().problems > 0)
        try environment.close()
    }

    @Test("A log that goes on from a state that is lost is damage")
    func noticesLostState() throws {
        let files = MemoryFileSystem()
        let environment = try Environment.inMemory(files)
        try environment.write { try $0.put("first", "1") }
        try environment.checkpoint()
        let before = try #require(files.contents(Self.path)).bytes
        // Not in the log: a checkpoint stands for it.
        var transaction = try environment.beginWrite(durability: Durability.none)
        try transaction.put("second", "2")
        try transaction.commit()
        try environment.checkpoint()
        try environment.write { try $0.put("third", "3") }
        let left = files.copy()
        try environment.close()
        let file = try #require(left.contents(Self.path))
        let page = DataLayout(file.bytes).metaPage
        for offset in (page * 4096)..<((page + 1) * 4096) { file[offset] = before[offset] }
        expectFailure(.corrupted) { try Environment.inMemory(left).close() }
    }
}
