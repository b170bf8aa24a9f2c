import Testing

@testable import Simulator
@testable import ZeroDB

/// Limits that no test can come to by working its way up: environments that are already there.
@Suite("The last transactions, log positions and levels")
struct LimitsOfNumbersTests {
    /// A closed environment with an entry, whose data file is about to be changed.
    private final class Crafted {
        private let fileSystem = MemoryFileSystem()
        let image: CraftedImage

        init() throws {
            let environment = try Environment.inMemory(fileSystem)
            try environment.write { try $0.put("key", "value") }
            try environment.close()
            for name in try fileSystem.list("env/log") { try fileSystem.remove("env/log/\(name)") }
            image = try #require(fileSystem.contents("env/data.zdb").flatMap { CraftedImage($0) })
            image.cutLog()
        }

        func open(_ durability: Durability = .full) throws -> Environment {
            image.store()
            return try reopen(durability)
        }

        func reopen(_ durability: Durability) throws -> Environment {
            try Environment.inMemory(fileSystem) { $0.durability = durability }
        }
    }

    @Test(
        "Transaction ids: after the last there is nothing but reading",
        arguments: [
            Durability.full, .relaxed, .none,
        ])
    func transactionIDs(durability: Durability) throws {
        let crafted = try Crafted()
        crafted.image.meta.transaction = Format.idLimit - 3
        let environment = try crafted.open(durability)
        for number in 1...2 as ClosedRange<UInt64> {
            try expectNoHit(in: environment) {
                try environment.write { transaction throws in
                    #expect(transaction.id == Format.idLimit - 3 + number)
                    try transaction.put("key", "value \(number)")
                }
            }
        }
        func expectEnd(_ environment: Environment) throws {
            try expectHit(.transactionIDs, .full, in: environment) {
                _ = try environment.beginWrite().id
            }
            try environment.read { reader throws in
                #expect(reader.id == Format.idLimit - 1)
                #expect(try reader.get("key") == Array("value 2".utf8))
            }
            #expect(try environment.verify().problems == 0)
        }
        try expectEnd(environment)
        try environment.checkpoint()
        try expectEnd(environment)
        try environment.close()
        let again = try crafted.reopen(durability)
        try expectEnd(again)
    }

    @Test("Positions in the log: a record that would go beyond the last is refused")
    func logPositions() throws {
        let crafted = try Crafted()
        // Room for a page of records, in a segment that would go on.
        crafted.image.meta.logEnd = Format.idLimit - 4096
        let environment = try crafted.open()
        func put(_ size: Int) throws {
            try environment.write { try $0.put("key", [UInt8](repeating: 1, count: size)) }
        }
        var end = try environment.store.shared.tipMeta().logEnd
        try expectNoHit(in: environment) { try put(100) }
        let length = try environment.store.shared.tipMeta().logEnd - end
        // Down to one whose end would be the first position that there is not.
        while true {
            end = try environment.store.shared.tipMeta().logEnd
            guard end + length < Format.idLimit else { break }
            try expectNoHit(in: environment) { try put(100) }
        }
        try expectHit(.transactionIDs, .full, in: environment) { try put(100) }
        #expect(try environment.read { try $0.get("key") } == [UInt8](repeating: 1, count: 100))
        #expect(try environment.verify().problems == 0)
    }

    @Test("Levels: a tree of 32 is read and changed, one of 33 is refused")
    func levels() throws {
        let crafted = try Crafted()
        var root = crafted.image.appendLeaf([
            CraftedImage.Entry(Array("deep".utf8), Array("value".utf8))
        ])
        for level in 1..<Format.depthMax {
            root = crafted.image.appendBranch([root], level: level)
        }
        crafted.image.meta.main = CraftedImage.tree(root, depth: Format.depthMax)
        crafted.image.meta.main.branchPages = UInt64(Format.depthMax - 1)
        let environment = try crafted.open()
        try expectNoHit(in: environment) {
            #expect(try environment.read { try $0.statistics().depth } == Format.depthMax)
            try environment.write { transaction throws in
                #expect(try transaction.get("deep") == Array("value".utf8))
                for number in 0..<200 { try transaction.put("deep \(number)", "value") }
                #expect(try transaction.statistics().depth == Format.depthMax)
            }
            try environment.read { reader throws in
                var cursor = try reader.cursor()
                var count = 0
                while try cursor.next() != nil { count += 1 }
                #expect(count == 201)
            }
        }
        try environment.close()
        let deeper = try Crafted()
        deeper.image.meta.main.depth = UInt8(Format.depthMax) + 1
        #expect(try databaseError { _ = try deeper.open() }?.code == .corrupted)
    }
}
