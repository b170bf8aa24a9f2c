import Testing

@testable import Simulator
@testable import ZeroDB

@Suite("What a verification says of damage")
struct VerifyProblemTests {
    /// Damages a leaf, and holds what is said of it against what cannot be read.
    private func damageLeaf(
        _ name: String?, flags: DatabaseFlags = [], entries: Int = 3000,
        _ key: @escaping (Int) -> [UInt8] = VerifyFixture.key,
        isBefore: ([UInt8], [UInt8]) -> Bool
    ) throws {
        let fixture = try VerifyFixture()
        try fixture.fill(name, flags: flags, entries, key)
        let writer = try fixture.meta().transaction
        let place = fixture.leaf(of: try fixture.record(name), 3)
        fixture.flip(place.number)
        let (_, problems) = try fixture.verify()
        let problem = try #require(problems.first { $0.page == place.number })
        #expect(problem.kind == .checksum)
        #expect(problem.place == (name == nil ? .mainDatabase : .namedDatabase))
        #expect(problem.databaseName == name.map { Array($0.utf8) })
        #expect(problem.transaction == writer)
        #expect(problem.wallClock == (try fixture.meta().wallClock))
        let lost = try fixture.unreadable(name, entries, key)
        let range = try #require(problem.range)
        let low = try #require(range.low)
        let high = try #require(range.high)
        #expect(!lost.isEmpty)
        for number in 0..<entries {
            let own = key(number)
            let isInside = !isBefore(own, low) && isBefore(own, high)
            #expect(isInside == lost.contains(own), "\(own) and \(low) to \(high)")
        }
        #expect(
            problem.entries > UInt64(lost.count / 2) && problem.entries < UInt64(lost.count * 2))
        let counts = try #require(problems.first { $0.kind == .count && $0.page == nil })
        #expect(counts.entries == UInt64(lost.count))
    }

    @Test("A damaged leaf is named with its database, keys, entries and writer")
    func namesKeys() throws {
        try damageLeaf(nil) { $0.lexicographicallyPrecedes($1) }
        try damageLeaf("named", flags: .counted) { $0.lexicographicallyPrecedes($1) }
    }

    @Test("Keys are given as the program has them, whatever their order")
    func namesKeysOfOtherOrders() throws {
        try damageLeaf("reversed", flags: .reverseKeys) {
            $0.reversed().lexicographicallyPrecedes($1.reversed())
        }
        func number(_ bytes: [UInt8]) -> UInt64 {
            bytes.reversed().reduce(0) { $0 << 8 | UInt64($1) }
        }
        try damageLeaf("integers", flags: .integerKeys) { number in
            let value = UInt64(number) &* 0x1234567
            return (0..<8).map { UInt8(truncatingIfNeeded: value >> (8 * UInt64($0))) }
        } isBefore: {
            $0.count == 8 && $1.count == 8 && number($0) < number($1)
        }
    }

    @Test("A damaged overflow run is named with its key")
    func namesKeyOfRun() throws {
        let fixture = try VerifyFixture()
        try fixture.fill(4, valueSize: 10_000)
        let leaf = fixture.page(fixture.leaf(of: try fixture.record(nil)).number)
        let pointer = OverflowPointer(at: try #require(leaf.value(2)).bytes)
        fixture.flip(pointer.reference.number)
        let (_, problems) = try fixture.verify()
        let problem = try #require(problems.first)
        #expect(problem.kind == .checksum && problem.page == pointer.reference.number)
        #expect(problem.range?.low == VerifyFixture.key(2))
        #expect(problem.range?.high == VerifyFixture.key(2) + [0])
        #expect(problem.entries == 1)
        // The rest of the run is not looked at where values are not read.
        #expect(try fixture.verify { $0.level = .trees }.problems.isEmpty)
    }

    @Test("An older version, another page and a missing page are told apart")
    func tellsKindsApart() throws {
        let fixture = try VerifyFixture()
        try fixture.fill(3000)
        let record = try fixture.record(nil)
        let number = fixture.leaf(of: record, 3).number
        let first = fixture.page(number)
        let second = fixture.page(fixture.leaf(of: record, 5).number)
        let sound = fixture.data.bytes
        func found() throws -> [VerifyProblem.Kind] {
            try fixture.verify().problems.filter { $0.page == number }.map(\.kind)
        }
        // With a right checksum, but of an older transaction.
        first.base.storeLittleEndian(first.transaction - 1, at: Format.Header.transaction)
        fixture.reseal(number)
        #expect(try found() == [.lostWrite])
        fixture.data.restore(sound)
        // Written to the wrong place.
        first.base.copyMemory(from: second.base, byteCount: first.size)
        #expect(try found() == [.misplaced])
        fixture.data.restore(sound)
        // A leaf that says that it is a branch.
        first.base.storeBytes(of: 1, toByteOffset: Format.Header.kind, as: UInt8.self)
        fixture.reseal(number)
        #expect(try found() == [.structure])
        fixture.data.restore(sound)
        #expect(try fixture.verify().problems.isEmpty)
    }

    @Test("Of a damaged branch, all below it is lost, and that is all that is said")
    func saysNoMoreThanNeeded() throws {
        let fixture = try VerifyFixture()
        try fixture.fill(10_000)
        let record = try fixture.record(nil)
        #expect(record.depth == 3)
        let branch = fixture.page(record.root.number).child(0).number
        fixture.flip(branch)
        let (_, problems) = try fixture.verify()
        #expect(problems.map(\.kind) == [.checksum, .count, .freePages])
        let lost = try fixture.unreadable(nil, 10_000)
        #expect(problems[1].entries == UInt64(lost.count))
        // By the record: as if all branches had as many below them.
        #expect(problems[0].entries > UInt64(lost.count / 4))
        #expect(problems[0].entries < UInt64(lost.count * 2))
    }

    @Test("A copy of a meta record that is damaged is one problem of the meta pages")
    func namesMetaCopies() throws {
        let fixture = try VerifyFixture()
        try fixture.fill(10)
        try fixture.environment.checkpoint()
        fixture.flip(0, at: 100)
        for level in [VerifyOptions.Level.headers, .everything] {
            let (_, problems) = try fixture.verify { $0.level = level }
            #expect(problems.map(\.kind) == [.meta])
            #expect(problems.first?.page == 0)
            #expect(problems.first?.place == .environment)
        }
    }

    // MARK: Levels and scopes

    @Test("The level says how much is read")
    func readsAsMuchAsTold() throws {
        let fixture = try VerifyFixture()
        try fixture.fill(3000)
        try fixture.fill("named", 3000)
        let leaf = fixture.leaf(of: try fixture.record("named"), 3)
        fixture.flip(leaf.number)
        #expect(try fixture.verify { $0.level = .headers }.problems.isEmpty)
        #expect(try !fixture.verify { $0.level = .trees }.problems.isEmpty)
        // A value that is not what was put, in a page that checks.
        fixture.flip(leaf.number)
        let value = try #require(fixture.page(leaf.number).value(0))
        value.bytes.storeBytes(of: 0xee, as: UInt8.self)
        fixture.reseal(leaf.number)
        #expect(try fixture.verify { $0.level = .trees }.problems.isEmpty)
        let (_, problems) = try fixture.verify()
        #expect(problems.map(\.kind) == [.digest])
        #expect(problems.first?.databaseName == Array("named".utf8))
    }

    @Test("The roots of databases and the free pages are looked at on every level")
    func readsRoots() throws {
        let fixture = try VerifyFixture()
        try fixture.fill("named", 3000)
        try fixture.environment.write { try $0.delete(VerifyFixture.key(1)) }
        let root = try fixture.record("named").root.number
        fixture.flip(root)
        let (_, problems) = try fixture.verify { $0.level = .headers }
        #expect(problems.map(\.page) == [root])
    }

    @Test("One database can be verified without the others")
    func verifiesOne() throws {
        let fixture = try VerifyFixture()
        try fixture.fill(3000)
        try fixture.fill("damaged", 3000)
        try fixture.fill("sound", 3000)
        fixture.flip(fixture.leaf(of: try fixture.record("damaged"), 3).number)
        func scope(_ name: String) -> VerifyOptions.Scope { .namedDatabase(Array(name.utf8)) }
        #expect(try fixture.verify { $0.scope = .mainDatabase }.problems.isEmpty)
        let (sound, none) = try fixture.verify { $0.scope = scope("sound") }
        #expect(none.isEmpty && sound.entries == 3000 && sound.databases == 1)
        #expect(try !fixture.verify { $0.scope = scope("damaged") }.problems.isEmpty)
        let error = #expect(throws: DatabaseError.self) {
            try fixture.verify { $0.scope = scope("absent") }
        }
        #expect(error?.code == .notFound)
    }

    // MARK: The log

    /// An environment with transactions that only the log makes durable.
    private func logged() throws -> (VerifyFixture, MemoryContents) {
        let fixture = try VerifyFixture()
        try fixture.fill(10)
        try fixture.environment.checkpoint()
        for number in 0..<20 { try fixture.environment.write { try $0.put("\(number)", "value") } }
        let names = try fixture.files.list("env/log").filter { $0.hasSuffix(".log") }
        #expect(names.count == 1)
        let name = try #require(names.first)
        let log = try #require(fixture.files.contents("env/log/\(name)"))
        return (fixture, log)
    }

    @Test("The log is followed from the checkpoint to the snapshot")
    func followsLog() throws {
        let (fixture, _) = try logged()
        let (report, problems) = try fixture.verify()
        #expect(problems.isEmpty)
        #expect(report.logRecords == 20)
        #expect(report.logBytes == (try fixture.environment.info().logBytes))
        try fixture.environment.checkpoint()
        #expect(try fixture.verify().report.logRecords == 0)
    }

    @Test("A damaged byte of any record is noticed, on every level")
    func noticesDamagedLog() throws {
        let (fixture, log) = try logged()
        let meta = try fixture.meta()
        let end = Int(meta.logEnd - meta.logSegment) + LogSegment.headerSize
        let bytes = log.bytes
        let start = end - Int(try fixture.verify().report.logBytes)
        for offset in stride(from: start, to: end, by: 13) {
            let place = log.base + offset
            place.storeBytes(of: bytes[offset] ^ 4, as: UInt8.self)
            let (_, problems) = try fixture.verify {
                $0.level = offset % 2 == 0 ? .headers : .everything
            }
            #expect(problems.map(\.kind) == [.log], "byte \(offset)")
            #expect(problems.first?.place == .log)
            place.storeBytes(of: bytes[offset], as: UInt8.self)
        }
        #expect(try fixture.verify().problems.isEmpty)
    }

    @Test("A segment that is missing is noticed")
    func noticesMissingSegment() throws {
        let (fixture, _) = try logged()
        for name in try fixture.files.list("env/log") {
            try fixture.files.remove("env/log/\(name)")
        }
        #expect(try fixture.verify().problems.map(\.kind) == [.log])
        // The data file has it all.
        try fixture.environment.checkpoint()
        #expect(try fixture.verify().problems.isEmpty)
    }

    @Test("Transactions without a record in the log are no gap in it")
    func allowsUnlogged() throws {
        let (fixture, _) = try logged()
        for number in 0..<3 {
            var transaction = try fixture.environment.beginWrite(durability: Durability.none)
            try transaction.put("unlogged \(number)", "value")
            try transaction.commit()
            #expect(try fixture.verify().problems.isEmpty)
        }
        try fixture.environment.write { try $0.put("logged again", "value") }
        #expect(try fixture.verify().problems.isEmpty)
    }
}
