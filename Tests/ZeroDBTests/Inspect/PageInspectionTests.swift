import Testing

@testable import Simulator
@testable import ZeroDB

@Suite("Pages, one by one")
struct PageInspectionTests {
    /// What was put, by database and key: the values in their order.
    private typealias Model = [String: [[UInt8]: [[UInt8]]]]

    private static let databases: [(name: String, flags: DatabaseFlags)] = [
        ("", []), ("plain", []), ("reversed", [.reverseKeys, .counted]), ("pairs", .duplicates),
    ]

    /// An environment with all types of pages, and what is in it.
    private func build(_ environment: Environment, seed: UInt64) throws -> Model {
        var random = SeededGenerator(seed: seed)
        var model: Model = ["": [:], "plain": [:], "reversed": [:], "pairs": [:]]
        for round in 0..<30 {
            try environment.write { transaction in
                for (name, flags) in Self.databases {
                    let database =
                        name.isEmpty ? .main : try transaction.createDatabase(name, flags: flags)
                    for _ in 0..<random.within(5...40) {
                        let key = Array("key \(random.below(400))".utf8)
                        if flags.contains(.duplicates) {
                            let many = Array("many".utf8)
                            let value = Array("value \(random.below(4000))".utf8)
                            let place = random.chance(80) ? many : key
                            if try transaction.insertPair(place, value, in: database) {
                                model[name]?[place, default: []].append(value)
                            }
                            continue
                        }
                        if random.chance(20) {
                            try transaction.delete(key, in: database)
                            model[name]?[key] = nil
                            continue
                        }
                        let size = random.chance(5) ? random.below(30_000) : random.below(150)
                        let value = random.bytes(size)
                        try transaction.put(key, value, in: database)
                        model[name]?[key] = [value]
                    }
                }
            }
            if round % 7 == 6 { try environment.checkpoint() }
        }
        return model
    }

    @Test("Every page decodes to what was put", arguments: [1, 2] as [UInt64])
    func everyPage(seed: UInt64) throws {
        let directory = try TemporaryDirectory()
        let environment = try directory.open()
        let model = try build(environment, seed: seed)
        let map = try environment.pageMap()
        #expect(map.problems == [])
        #expect(map.count(.unreached) == 0)
        var found: [String: [[UInt8]: [[UInt8]]]] = [:]
        var pages: [UInt64: InspectedPage] = [:]
        for number in 0..<map.pageCount {
            let page = try environment.inspectPage(number)
            pages[number] = page
            #expect(page.use == map.uses[Int(number)])
            #expect(page.problems == [], "page \(number)")
            #expect(page.referrers.count == (number < 2 ? 0 : 1), "page \(number)")
        }
        for page in pages.values {
            try check(page, pages)
            if page.use == .leaf || page.use == .valueLeaf { try collect(page, pages, &found) }
        }
        for (name, entries) in model {
            var decoded = found[name] ?? [:]
            #expect(decoded.count == entries.count, "database \(name)")
            for (key, values) in entries {
                let sorted = values.map { String(decoding: $0, as: UTF8.self) }.sorted()
                let other = decoded.removeValue(forKey: key)
                #expect(other?.map { String(decoding: $0, as: UTF8.self) }.sorted() == sorted)
            }
        }
        let verified = try environment.verify()
        #expect(map.count(.available) + map.count(.waiting) == verified.freePages)
        #expect(map.count(.overflow) == verified.overflowPages)
        let trees = [PageUse.branch, .leaf, .valueLeaf, .catalog, .freeTree].map { map.count($0) }
        #expect(trees.reduce(0, +) == verified.treePages)
        try environment.close()
        #expect(try Environment.pageMap(path: directory.path).problems == [])
    }

    /// Holds a page against what refers to it.
    private func check(_ page: InspectedPage, _ pages: [UInt64: InspectedPage]) throws {
        guard let referrer = page.referrers.first else { return }
        let isTree = [PageUse.branch, .leaf, .valueLeaf, .catalog, .freeTree].contains(page.use)
        if isTree || page.runStart == page.number {
            let header = try #require(page.header)
            #expect(header.number == page.number)
            #expect(header.checksum == header.computedChecksum)
        }
        if isTree { #expect(page.entries.count == page.header?.count) }
        guard let above = referrer.page.flatMap({ pages[$0] }), let index = referrer.index,
            above.entries.indices.contains(index)
        else { return }
        switch above.entries[index].content {
        case .child(let child, _, _): #expect(child == page.number)
        case .overflow(let start, _): #expect(start == page.runStart)
        case .valueTree(let root, _, _): #expect(root == page.number)
        case .value: #expect([.catalogEntry, .freeTreeEntry].contains(referrer.kind))
        default: Issue.record("page \(page.number): \(referrer.kind) in \(above.number)")
        }
    }

    /// Adds what a leaf has to what was found in its database.
    private func collect(
        _ page: InspectedPage, _ pages: [UInt64: InspectedPage],
        _ found: inout [String: [[UInt8]: [[UInt8]]]]
    ) throws {
        let name: String
        switch try #require(page.referrers.first?.tree) {
        case .main: name = ""
        case .database(let bytes): name = String(decoding: bytes, as: UTF8.self)
        default: return
        }
        for entry in page.entries {
            var key = entry.key
            if page.use == .valueLeaf { key = Array("many".utf8) }
            switch entry.content {
            case .value(let value): found[name, default: [:]][key, default: []].append(value)
            case .values(let values): found[name, default: [:]][key, default: []] += values
            case .overflow(let start, let bytes):
                let first = try #require(pages[start])
                #expect(first.header?.valueLength == bytes)
                var value = first.bytes.dropFirst(40)
                var next = start + 1
                while value.count < Int(bytes) {
                    value += try #require(pages[next]).bytes
                    next += 1
                }
                found[name, default: [:]][key, default: []].append(Array(value.prefix(Int(bytes))))
            case .valueTree: break
            default: Issue.record("page \(page.number): \(entry)")
            }
        }
    }

    @Test("Damage and what hangs below it is told")
    func damagedBranch() throws {
        let directory = try TemporaryDirectory()
        let environment = try directory.open()
        _ = try build(environment, seed: 3)
        let map = try environment.pageMap()
        try environment.close()
        let branch = try #require(map.uses.firstIndex(of: .branch))
        try directory.flip(byte: UInt64(branch) * 4096 + 100, of: "data.zdb")
        let page = try Environment.inspectPage(UInt64(branch), path: directory.path)
        #expect(page.use == .damaged)
        #expect(page.problems.count == 1)
        #expect(page.header?.checksum != page.header?.computedChecksum)
        #expect(page.referrers.count == 1)
        let damaged = try Environment.pageMap(path: directory.path)
        #expect(damaged.problemCount == 1)
        #expect(damaged.count(.damaged) == 1)
        #expect(damaged.count(.unreached) > 0)
    }

    @Test("The space that readers keep is counted as theirs")
    func pins() throws {
        let directory = try TemporaryDirectory()
        let environment = try directory.open()
        try environment.write { transaction in
            for number in 0..<2000 { try transaction.put("key \(number)", "value") }
        }
        try environment.checkpoint()
        let reader = try environment.beginRead()
        let seen = reader.id
        for round in 0..<3 {
            try environment.write { transaction in
                for number in 0..<2000 { try transaction.put("key \(number)", "value \(round)") }
            }
            try environment.checkpoint()
        }
        let space = try environment.spaceUse()
        let pin = try #require(space.pins.first { $0.transaction == seen })
        #expect(!pin.isDurable)
        #expect(pin.pages >= space.databases[0].statistics.leafPages / 2)
        #expect(pin.alone <= pin.pages)
        #expect(space.databases[0].isFillExact)
        #expect((0.3...1).contains(space.databases[0].fill ?? 0))
        #expect(try environment.readers().allSatisfy(\.isAlive))
        #expect(reader.id == seen)
    }

    @Test("A page that the file does not have is not found")
    func noSuchPage() throws {
        let directory = try TemporaryDirectory()
        let environment = try directory.open()
        expectFailure(.notFound) { _ = try environment.inspectPage(1 << 40) }
        expectFailure(.notFound) { _ = try environment.inspectPage(.max) }
    }

    /// Whatever bytes are in the file: an answer or an error.
    @Test("No damage ends the process")
    func anyDamage() throws {
        let directory = try TemporaryDirectory()
        let environment = try directory.open()
        _ = try build(environment, seed: 4)
        let map = try environment.pageMap()
        try environment.close()
        var random = SeededGenerator(seed: 9)
        for _ in 0..<300 {
            let byte = UInt64(random.below(Int(map.pageCount) * 4096))
            try directory.flip(byte: byte, of: "data.zdb")
            do throws(DatabaseError) {
                _ = try Environment.inspectPage(byte / 4096, path: directory.path)
                _ = try Environment.pageMap(path: directory.path)
            } catch {
                #expect([.corrupted, .invalidFile, .versionMismatch].contains(error.code))
            }
        }
    }
}
