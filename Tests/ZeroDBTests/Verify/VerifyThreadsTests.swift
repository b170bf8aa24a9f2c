import Glibc
import Synchronization
import Testing

@testable import Simulator
@testable import ZeroDB

@Suite("Verification on several threads")
struct VerifyThreadsTests {
    /// Trees of every kind, two of them large enough to be split.
    private func fixture() throws -> VerifyFixture {
        let fixture = try VerifyFixture()
        try fixture.fill(30_000)
        try fixture.fill("counted", flags: .counted, 30_000)
        try fixture.fill("reversed", flags: .reverseKeys, 2_000)
        try fixture.fill("large", 40, valueSize: 20_000)
        for number in 0..<40 { try fixture.fill("small \(number)", 30) }
        let duplicates: DatabaseFlags = [.duplicates, .counted]
        try fixture.fillValues("values", flags: duplicates, [1], 150_000)
        try fixture.fillValues("values", flags: duplicates, [2], 500)
        try fixture.fillValues("values", flags: duplicates, [3], 3)
        // Leaves free pages.
        try fixture.environment.write {
            _ = try $0.delete(KeyRange(from: VerifyFixture.key(20_000)))
        }
        return fixture
    }

    @Test("Any number of threads finds what one finds")
    func findsTheSame() throws {
        let fixture = try fixture()
        let (alone, none) = try fixture.verify { $0.threads = 1 }
        #expect(none.isEmpty)
        #expect(alone.pages == alone.treePages + alone.overflowPages + alone.freePages + 2)
        #expect(alone.digest == (try fixture.meta().digest))
        for threads in [2, 3, 8, 64] {
            let (report, problems) = try fixture.verify { $0.threads = threads }
            #expect(report == alone)
            #expect(problems.isEmpty)
        }
    }

    @Test("Damage is found whichever thread comes to it", arguments: [1, 2, 4])
    func findsDamage(threads: Int) throws {
        let fixture = try fixture()
        let values = try fixture.record("values")
        let leaf = fixture.page(fixture.leaf(of: values).number)
        let tree = ValueTree(at: try #require(leaf.value(0)).bytes)
        #expect(tree.leafPages >= 1024)
        let branch = fixture.page(tree.root.number)
        let places = [
            fixture.leaf(of: try fixture.record(nil), 1, 5).number,
            fixture.leaf(of: try fixture.record("counted"), 0, 50).number,
            fixture.page(branch.child(3).number).child(7).number,
            fixture.leaf(of: try fixture.record("small 17")).number,
        ]
        for place in places { fixture.flip(place) }
        let (_, problems) = try fixture.verify { $0.threads = threads }
        let damaged = problems.filter { $0.kind == .checksum }
        #expect(Set(damaged.compactMap(\.page)) == Set(places))
        #expect(damaged.count == places.count)
        let inTree = try #require(damaged.first { $0.page == places[2] })
        #expect(inTree.databaseName == Array("values".utf8))
        #expect(inTree.range == VerifyProblem.KeyRange(low: [1], high: [1, 0]))
    }

    @Test("A page that two threads reach is noticed once", arguments: [1, 2, 4])
    func findsCrossings(threads: Int) throws {
        let fixture = try fixture()
        let record = try fixture.record(nil)
        let root = fixture.page(record.root.number)
        let branch = fixture.page(root.child(1).number)
        // Two children of one branch, and two of two that are far from each other.
        branch.setChild(3, branch.child(4))
        fixture.reseal(branch.number)
        let other = fixture.page(root.child(0).number)
        other.setChild(0, branch.child(9))
        fixture.reseal(other.number)
        let (_, problems) = try fixture.verify { $0.threads = threads }
        let crossings = problems.filter { $0.kind == .reference }
        #expect(
            Set(crossings.compactMap(\.page)) == [branch.child(4).number, branch.child(9).number])
        #expect(crossings.count == 2)
        // What is reached in the wrong place has keys of another.
        #expect(problems.contains { $0.kind == .order })
    }

    @Test("What is wrong with the counts of a branch that was split is found", arguments: [1, 2])
    func findsWrongCounts(threads: Int) throws {
        let fixture = try fixture()
        let root = fixture.page(try fixture.record("counted").root.number)
        root.setEntryCount(1, root.entryCount(1) + 1)
        fixture.reseal(root.number)
        let (_, problems) = try fixture.verify { $0.threads = threads }
        #expect(problems.map(\.kind) == [.count])
        #expect(problems.first?.page == root.number)
    }

    @Test("The caller's functions are called on the caller's thread, and can end it")
    func endsWhenTold() throws {
        let fixture = try fixture()
        // Many problems, so that threads wait for the caller.
        let root = fixture.page(try fixture.record(nil).root.number)
        for index in 0..<root.count {
            let branch = fixture.page(root.child(index).number)
            for child in 0..<branch.count { fixture.flip(branch.child(child).number) }
        }
        var options = VerifyOptions()
        options.threads = 4
        let caller = pthread_self()
        var calls = 0
        var report = VerifyReport()
        let error = #expect(throws: DatabaseError.self) {
            try fixture.environment.verify(options, into: &report) { _ in
                #expect(pthread_equal(caller, pthread_self()) != 0)
            } onProgress: { progress in
                #expect(pthread_equal(caller, pthread_self()) != 0)
                #expect(progress.pagesDone <= progress.pagesTotal)
                calls += 1
                return calls < 2
            }
        }
        #expect(error?.systemError == ECANCELED)
        #expect(calls == 2)
        // It leaves nothing behind.
        #expect(try fixture.environment.info().readers == 0)
    }

    @Test("A sound environment is sound while it is written, compacted and checkpointed")
    func findsNothingUnderLoad() throws {
        let fixture = try VerifyFixture {
            $0.usesThread = true
            $0.maxSize = 256 << 20
            $0.logSize = 1 << 20
        }
        let environment = fixture.environment
        try fixture.fill(5_000)
        let rounds = TestSettings.operations(usually: 150)
        let writersLeft = Atomic<Int>(2)
        onThreads(6) { thread in
            var random = SeededGenerator(seed: UInt64(thread))
            if thread < 2 {
                defer { writersLeft.subtract(1, ordering: .relaxed) }
                for _ in 0..<rounds { try Self.write(environment, &random) }
                return
            }
            while writersLeft.load(ordering: .relaxed) > 0 {
                switch thread {
                case 2: try environment.checkpoint()
                case 3: _ = try environment.compact()
                default:
                    var options = VerifyOptions()
                    options.threads = 1 + random.below(3)
                    options.level = random.pick([.headers, .trees, .everything])
                    let problems = Locked<[String]>([])
                    try environment.verify(options) { problem in
                        problems.withLock { $0.append(problem.message) }
                    }
                    let found = problems.withLock { $0 }
                    try check(found.isEmpty, "\(found)")
                }
            }
        }
        #expect(try fixture.verify().problems.isEmpty)
    }

    private static func write(
        _ environment: Environment, _ random: inout SeededGenerator
    ) throws {
        var transaction = try environment.beginWrite(
            durability: random.pick([.full, .relaxed, Durability.none]))
        let name = "database \(random.below(4))"
        let flags: DatabaseFlags = random.chance(50) ? .counted : []
        let named: Database
        do throws(DatabaseError) {
            named = try transaction.createDatabase(name, flags: flags)
        } catch {
            guard error.code == .incompatible else { throw error }
            named = .main
        }
        for _ in 0..<random.within(1...200) {
            let key = VerifyFixture.key(random.below(20_000))
            let database = random.chance(50) ? named : .main
            if random.chance(60) {
                let size = random.chance(97) ? random.below(300) : random.below(30_000)
                try transaction.put(key, [UInt8](repeating: 7, count: size), in: database)
            } else {
                try transaction.delete(key, in: database)
            }
        }
        if random.chance(90) { try transaction.commit() } else { transaction.abort() }
    }
}
