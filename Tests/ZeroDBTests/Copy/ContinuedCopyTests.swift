import Glibc
import Testing

@testable import Simulator
@testable import ZeroDB

/// Copies that go on from what one that ended early has left: they are what a whole one is, byte for byte.
@Suite("Continued copies")
struct ContinuedCopyTests {
    private func open(
        _ directory: TemporaryDirectory, _ events: Locked<[String]>
    ) throws -> Environment {
        var options = EnvironmentOptions()
        options.onEvent = { event in events.withLock { $0.append(event.message) } }
        return try Environment(path: directory.path, options: options)
    }

    private func change(
        _ environment: Environment, _ random: inout SeededGenerator
    ) throws {
        try environment.write { transaction in
            for _ in 0..<(1 + random.below(40)) {
                let key = VerifyFixture.key(random.below(400))
                if random.chance(20) {
                    _ = try transaction.delete(key)
                } else {
                    try transaction.put(key, random.bytes(random.below(9000)))
                }
            }
        }
        if random.chance(30) { try environment.checkpoint() }
    }

    /// What a copy that was ended at some moment may have left of these bytes.
    private func part(of whole: [UInt8], _ random: inout SeededGenerator) -> [UInt8] {
        var bytes = whole
        if random.chance(50) { bytes.removeLast(random.below(bytes.count)) }
        // The meta pages come last; other pages in any order.
        for page in 0..<(bytes.count / 4096) where page < 2 || random.chance(40) {
            if page < 2, random.chance(10) { continue }
            for index in page * 4096..<(page + 1) * 4096 { bytes[index] = 0 }
        }
        // The power may have failed.
        if !bytes.isEmpty, random.chance(30) {
            let place = 4096 * 2 + random.below(bytes.count)
            if place < bytes.count { bytes[place] ^= 4 }
        }
        return bytes
    }

    @Test(arguments: [1, 2, 3] as [UInt64])
    func aCopyGoesOn(seed: UInt64) throws {
        let directory = try TemporaryDirectory()
        let events = Locked<[String]>([])
        let environment = try open(directory, events)
        try CopyTests.fill(environment)
        var random = SeededGenerator(seed: seed)
        for round in 0..<12 {
            let earlier = directory.path + "-earlier\(round)"
            try environment.copy(to: earlier)
            let whole = try #require(TestFile.read(earlier + "/data.zdb"))
            for _ in 0..<random.below(4) { try change(environment, &random) }
            let path = directory.path + "-copy\(round)"
            try #require(mkdir(path, 0o700) == 0)
            let part = part(of: whole, &random)
            TestFile.write(part, to: path + "/data.zdb.new")
            events.withLock { $0.removeAll() }
            let report = try environment.copy(to: path)
            let goesOn = events.withLock { $0.contains { $0.contains("goes on from one") } }
            #expect(goesOn == !part.isEmpty)
            // What is there is written no more: all of it, if nothing has changed since.
            let again = directory.path + "-again\(round)"
            try #require(mkdir(again, 0o700) == 0)
            TestFile.write(
                try #require(TestFile.read(path + "/data.zdb")), to: again + "/data.zdb.new")
            #expect(try environment.copy(to: again).bytesWritten == 2 * 4096)
            let fresh = directory.path + "-fresh\(round)"
            let full = try environment.copy(to: fresh)
            #expect(report.transaction == full.transaction)
            #expect(report.digest == full.digest)
            #expect(report.bytesWritten <= full.bytesWritten)
            let copied = try #require(TestFile.read(path + "/data.zdb"))
            #expect(copied == TestFile.read(fresh + "/data.zdb"))
            #expect(try PosixFileSystem().list(path) == ["data.zdb"])
        }
        try environment.close()
    }

    @Test func aCopyThatIsEndedByItsCallerGoesOn() throws {
        let directory = try TemporaryDirectory()
        let events = Locked<[String]>([])
        let environment = try open(directory, events)
        try CopyTests.fill(environment)
        let path = directory.path + "-copy"
        var options = CopyOptions()
        options.bytesPerSecond = 6 << 20
        let ended = #expect(throws: DatabaseError.self) {
            try environment.copy(to: path, options: options) {
                $0.pagesDone < $0.pagesTotal / 2
            }
        }
        #expect(ended?.systemError == ECANCELED)
        #expect(throws: DatabaseError.self) {
            var options = EnvironmentOptions()
            options.createsIfMissing = false
            _ = try Environment(path: path, options: options)
        }
        let report = try environment.copy(to: path)
        #expect(report.bytesWritten < report.fileSize * 3 / 4)
        let copy = try Environment(path: path)
        #expect(try copy.verify().problems == 0)
        #expect(try copy.info().digest == environment.info().digest)
        try copy.close()
        try environment.close()
    }

    /// By its other name the file is something else: the original, for example.
    @Test func aFileWithAnotherNameIsLeftAlone() throws {
        let directory = try TemporaryDirectory()
        let environment = try directory.open()
        try CopyTests.fill(environment)
        try environment.checkpoint()
        let path = directory.path + "-copy"
        try #require(mkdir(path, 0o700) == 0)
        try #require(link(directory.dataPath, path + "/data.zdb.new") == 0)
        let before = TestFile.read(directory.dataPath)
        var options = CopyOptions()
        options.bytesPerSecond = 1 << 20
        let ended = #expect(throws: DatabaseError.self) {
            try environment.copy(to: path, options: options) { $0.pagesDone < $0.pagesTotal / 3 }
        }
        #expect(ended?.systemError == ECANCELED)
        #expect(TestFile.read(directory.dataPath) == before)
        try environment.copy(to: path)
        #expect(TestFile.read(directory.dataPath) == before)
        let copy = try Environment(path: path)
        #expect(try copy.verify().problems == 0)
        try copy.close()
        try environment.close()
    }

    /// A copy that ended early of another environment, or a compact one, is of no use, and does no harm.
    @Test func whatIsThereNeedNotBeOfUse() throws {
        let directory = try TemporaryDirectory()
        let environment = try directory.open()
        try CopyTests.fill(environment)
        let path = directory.path + "-copy"
        try #require(mkdir(path, 0o700) == 0)
        var random = SeededGenerator(seed: 9)
        var other = [UInt8](repeating: 0, count: 8192)
        other += random.bytes(3 << 20)
        TestFile.write(other, to: path + "/data.zdb.new")
        let report = try environment.copy(to: path)
        #expect(try #require(TestFile.read(path + "/data.zdb")).count == report.fileSize)
        let copy = try Environment(path: path)
        #expect(try copy.verify().problems == 0)
        try copy.close()
        try environment.close()
    }
}

/// Full copies in archives that go on.
@Suite("Continued archives")
struct ContinuedArchiveTests {
    @Test(arguments: [1, 2, 3] as [UInt64])
    func aFullCopyGoesOn(seed: UInt64) throws {
        let place = try TemporaryDirectory()
        let archive = place.path + ".archive"
        let events = Locked<[String]>([])
        var options = EnvironmentOptions()
        options.onEvent = { event in events.withLock { $0.append(event.message) } }
        let environment = try Environment(path: place.path, options: options)
        try CopyTests.fill(environment)
        var workload = ArchiveWorkload(seed: seed, isSmall: true)
        for _ in 0..<10 { try workload.run(environment) }
        var last = try environment.archive(to: archive)
        var wentOn = 0
        for round in 0..<10 {
            var bytes = try #require(TestFile.read(archive + "/" + last.name))
            let random = workload.random.below(bytes.count)
            switch workload.random.below(4) {
            case 0: bytes[random] ^= 1
            case 1: break
            default: bytes.removeLast(random)
            }
            TestFile.write(bytes, to: archive + "/unfinished-copy")
            for _ in 0..<workload.random.below(12) { try workload.run(environment) }
            events.withLock { $0.removeAll() }
            last = try environment.archive(to: archive)
            if events.withLock({ $0.contains { $0.contains("goes on from one") } }) { wentOn += 1 }
            var verification = ArchiveVerification(try Environment.listing(archive))
            #expect(try verification.run({ Issue.record("\($0)") }, { _, _ in true }) == 0)
            let target = place.path + ".target\(round)"
            let report = try Environment.restore(archive, to: target)
            #expect(report.digest == (try environment.info().digest))
            #expect(access(archive + "/unfinished-copy", F_OK) != 0)
        }
        #expect(wentOn > 4)
        try environment.close()
    }

    @Test func aCopyThatIsEndedByItsCallerGoesOn() throws {
        let place = try TemporaryDirectory()
        let archive = place.path + ".archive"
        let events = Locked<[String]>([])
        var options = EnvironmentOptions()
        options.onEvent = { event in events.withLock { $0.append(event.message) } }
        let environment = try Environment(path: place.path, options: options)
        try CopyTests.fill(environment)
        var archiving = ArchiveOptions()
        archiving.bytesPerSecond = 6 << 20
        for _ in 0..<3 {
            let ended = #expect(throws: DatabaseError.self) {
                try environment.archive(to: archive, options: archiving) {
                    $0.pagesDone < $0.pagesTotal / 2
                }
            }
            #expect(ended?.systemError == ECANCELED)
        }
        try environment.archive(to: archive)
        #expect(events.withLock { $0.contains { $0.contains("goes on from one") } })
        let report = try Environment.restore(archive, to: place.path + ".target")
        #expect(report.digest == (try environment.info().digest))
        try environment.close()
    }

    @Test func aFileWithAnotherNameIsLeftAlone() throws {
        let place = try TemporaryDirectory()
        let archive = place.path + ".archive"
        let environment = try Environment(path: place.path)
        try CopyTests.fill(environment)
        let file = try environment.archive(to: archive)
        let path = archive + "/" + file.name
        let before = TestFile.read(path)
        try #require(link(path, archive + "/unfinished-copy") == 0)
        try environment.archive(to: archive)
        #expect(TestFile.read(path) == before)
        try environment.close()
    }

    @Test func whatIsLeftOfACopyGoesWithAPrune() throws {
        let place = try TemporaryDirectory()
        let archive = place.path + ".archive"
        let environment = try Environment(path: place.path)
        try environment.archive(to: archive)
        try environment.archive(to: archive)
        TestFile.write([1, 2, 3], to: archive + "/unfinished-copy")
        _ = try ArchivePrune.run(archive, copies: 1, from: nil, isTrial: true)
        #expect(access(archive + "/unfinished-copy", F_OK) == 0)
        _ = try ArchivePrune.run(archive, copies: 1, from: nil, isTrial: false)
        #expect(access(archive + "/unfinished-copy", F_OK) != 0)
        try environment.close()
    }
}
