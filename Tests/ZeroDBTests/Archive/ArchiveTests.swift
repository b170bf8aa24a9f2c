import Glibc
import Testing

@testable import Simulator
@testable import ZeroDB

/// Archives: every transaction comes back as it was, from copies, from what changed since, and the log.
@Suite("Archive")
struct ArchiveTests {
    /// Runs a workload with copies, checkpoints, compaction and openings in between.
    static func run(
        _ place: TemporaryDirectory, seed: UInt64, transactions: Int, isSmall: Bool = false
    ) throws -> ArchiveWorkload {
        var workload = ArchiveWorkload(seed: seed, isSmall: isSmall)
        var environment = try Environment(path: place.path)
        let archive = place.path + ".archive"
        var archiver = try environment.archiver(to: archive, ArchiveOptions())
        try archiver.follow()
        _ = try archiver.step()
        for _ in 0..<transactions {
            try workload.run(environment)
            switch workload.random.below(100) {
            case 0..<8: _ = try archiver.step()
            case 8..<10: try environment.archive(to: archive, onlyChanges: true)
            case 10: try environment.archive(to: archive)
            case 11..<14: try environment.checkpoint()
            case 14:
                _ = try environment.compact()
                try workload.note(environment)
            case 15:
                try environment.close()
                environment = try Environment(path: place.path)
                archiver = try environment.archiver(to: archive, ArchiveOptions())
                try archiver.follow()
            default: break
            }
        }
        try archiver.finish({ _ in }, { _ in true })
        try environment.close()
        return workload
    }

    static func expectRestored(
        _ report: RestoreReport, _ transaction: UInt64, _ workload: ArchiveWorkload,
        sourceLocation: SourceLocation = #_sourceLocation
    ) {
        // Behind the last there may be transactions of a compaction, which change nothing.
        let isLater = report.transaction > transaction && transaction == workload.states.keys.max()
        #expect(report.transaction == transaction || isLater, sourceLocation: sourceLocation)
        #expect(
            report.digest == workload.digest(after: transaction), "transaction \(transaction)",
            sourceLocation: sourceLocation)
    }

    @Test(arguments: [1, 2, 3] as [UInt64])
    func everyTransactionComesBack(seed: UInt64) throws {
        let place = try TemporaryDirectory()
        let transactions =
            getenv("ZERODB_ARCHIVE_TRANSACTIONS").flatMap { Int(String(cString: $0)) } ?? 400
        let workload = try Self.run(place, seed: seed, transactions: transactions)
        let archive = place.path + ".archive"
        let listing = try Environment.listing(archive)
        var verification = ArchiveVerification(listing)
        #expect(try verification.run({ Issue.record("\($0)") }, { _, _ in true }) == 0)
        let first = try #require(listing.summary.spans.first).first
        let known = workload.states.keys.sorted().filter { $0 >= first }
        #expect(listing.summary.spans.count == 1, "\(listing.summary.spans)")
        for (index, transaction) in known.enumerated() where index % 13 == 0 {
            let target = place.path + ".restored.\(index)"
            let report = try Environment.restore(
                archive, to: target, .transaction(transaction))
            Self.expectRestored(report, transaction, workload)
        }
        // Times between: the state of the transaction before.
        for (index, transaction) in known.enumerated() where index % 57 == 5 {
            guard let wallClock = workload.states[transaction]?.wallClock else { continue }
            let target = place.path + ".time.\(index)"
            let report = try Environment.restore(archive, to: target, .time(wallClock - 1))
            Self.expectRestored(report, transaction - 1, workload)
        }
        let latest = try Environment.restore(archive, to: place.path + ".latest")
        Self.expectRestored(latest, known.last ?? 0, workload)
        // What was restored goes on.
        let restored = try Environment(path: place.path + ".latest")
        try restored.write { try $0.put([1], [2]) }
        #expect(try restored.verify().problems == 0)
        try restored.close()
    }

    @Test func anInterruptedRestoreGoesOn() throws {
        let place = try TemporaryDirectory()
        let workload = try Self.run(place, seed: 21, transactions: 120)
        let (archive, target) = (place.path + ".archive", place.path + ".target")
        let newest = workload.states.keys.max() ?? 0
        var ended = 0
        for calls in 1... {
            var left = calls
            do {
                let report = try Environment.restore(archive, to: target) { _ in
                    left -= 1
                    return left > 0
                }
                Self.expectRestored(report, newest, workload)
                #expect(report.wasContinued)
                break
            } catch {
                try #require(error.systemError == ECANCELED, "\(error)")
                ended += 1
                // It cannot be taken for an environment.
                #expect(throws: DatabaseError.self) { try Environment(path: target) }
            }
        }
        #expect(ended > 1)
        #expect(try PosixFileSystem().list(target) == ["data.zdb"])
        // Never over an environment.
        let error = #expect(throws: DatabaseError.self) {
            try Environment.restore(archive, to: target)
        }
        #expect(error?.systemError == EEXIST)
        try Environment(path: target).close()
    }

    @Test func aLogThatIsTooLongLeavesAGap() throws {
        let place = try TemporaryDirectory()
        let environment = try Environment(path: place.path)
        var options = ArchiveOptions()
        options.logKeptMax = 2 << 20
        let archiver = try environment.archiver(to: place.path + ".archive", options)
        try archiver.follow()
        try environment.write { try $0.put([0], [0]) }
        _ = try archiver.step()
        let before = archiver.transaction
        // Nothing is archived meanwhile.
        for number in 0..<60 {
            try environment.write {
                try $0.put([UInt8(number)], [UInt8](repeating: 7, count: 200_000))
            }
            if number % 5 == 0 { try environment.checkpoint() }
        }
        #expect(
            try environment.metrics().first { $0.label?.value == "archive_log" }?
                .value ?? 0 > 0)
        var workload = ArchiveWorkload(seed: 1)
        try workload.note(environment)
        let added = try archiver.step()
        #expect(added.first?.content == .incremental)
        let archive = place.path + ".archive"
        let spans = try Environment.listing(archive).summary.spans
        try #require(spans.count == 2)
        #expect(spans[0].last == before)
        let error = #expect(throws: DatabaseError.self) {
            try Environment.restore(
                archive, to: place.path + ".gap", .transaction(before + 20))
        }
        #expect(error?.code == .notFound)
        let report = try Environment.restore(archive, to: place.path + ".target")
        Self.expectRestored(report, workload.states.keys.max() ?? 0, workload)
        try environment.close()
    }

    @Test func theLogIsKeptUpToItsLimitAndNoFurther() throws {
        let place = try TemporaryDirectory()
        let environment = try Environment(path: place.path)
        let archiver = try environment.archiver(to: place.path + ".archive", ArchiveOptions())
        try archiver.follow()
        for number in 0..<30 {
            try environment.write {
                try $0.put([UInt8(number)], [UInt8](repeating: 7, count: 200_000))
            }
        }
        try environment.checkpoint()
        let store = environment.store
        let meta = try store.tipMeta()
        let bases = try store.logDirectory.bases()
        try #require(bases.count > 2)
        // What is behind the oldest segment.
        let behind = meta.logEnd - bases[1]
        for keptMax in [UInt64.max, behind + 1] {
            store.shared.note(archived: 1, keptMax: keptMax)
            #expect(try !store.log.recycle(meta, store.shared))
            #expect(try store.logDirectory.bases() == bases)
        }
        store.shared.note(archived: 1, keptMax: behind)
        #expect(try store.log.recycle(meta, store.shared))
        #expect(try store.logDirectory.bases() == Array(bases.dropFirst()))
        #expect(try environment.limits().archiveLog == EnvironmentOptions().archiveLogKept)
        try environment.close()
    }

    @Test func anEnvironmentThatWasPutBackBeginsANewHistory() throws {
        let place = try TemporaryDirectory()
        let archive = place.path + ".archive"
        var workload = ArchiveWorkload(seed: 31)
        var environment = try Environment(path: place.path)
        for _ in 0..<20 { try workload.run(environment) }
        var archiver = try environment.archiver(to: archive, ArchiveOptions())
        try archiver.follow()
        _ = try archiver.step()
        let middle = try environment.store.tipMeta().transaction
        for _ in 0..<20 { try workload.run(environment) }
        try archiver.finish({ _ in }, { _ in true })
        let last = try environment.store.tipMeta()
        try environment.close()

        // Put back, and other transactions with the same numbers follow.
        let other = place.path + ".other"
        try Environment.restore(archive, to: other, .transaction(middle))
        environment = try Environment(path: other)
        var second = ArchiveWorkload(seed: 32)
        for _ in 0..<30 { try second.run(environment) }
        archiver = try environment.archiver(to: archive, ArchiveOptions())
        try archiver.follow()
        let added = try archiver.step()
        #expect(added.first?.content == .full)
        #expect(added.first?.history == 1)
        for _ in 0..<5 { try second.run(environment) }
        try archiver.finish({ _ in }, { _ in true })
        try environment.close()
        let newest = try Environment.restore(archive, to: place.path + ".1")
        Self.expectRestored(newest, second.states.keys.max() ?? 0, second)
        let old = try Environment.restore(archive, to: place.path + ".2", history: 0)
        #expect(old.digest == last.digest)
    }

    @Test func pruningKeepsWhatIsAskedFor() throws {
        let place = try TemporaryDirectory()
        let archive = place.path + ".archive"
        var workload = ArchiveWorkload(seed: 41, isSmall: true)
        let environment = try Environment(path: place.path)
        let archiver = try environment.archiver(to: archive, ArchiveOptions())
        try archiver.follow()
        var copies: [UInt64] = []
        for _ in 0..<4 {
            for _ in 0..<20 { try workload.run(environment) }
            _ = try archiver.step()
            copies.append(try environment.archive(to: archive).to)
        }
        try archiver.finish({ _ in }, { _ in true })
        let trial = try ArchivePrune.run(archive, copies: 2, from: nil, isTrial: true)
        #expect(!trial.isEmpty)
        let removed = try ArchivePrune.run(archive, copies: 2, from: nil, isTrial: false)
        #expect(removed.map(\.name) == trial.map(\.name))
        var listing = try Environment.listing(archive)
        #expect(listing.files.first?.to == copies[2])
        #expect(listing.summary.spans.first?.first == copies[2])
        #expect(try ArchivePrune.run(archive, copies: 2, from: nil, isTrial: false).isEmpty)
        // It goes on.
        for _ in 0..<5 { try workload.run(environment) }
        try archiver.finish({ _ in }, { _ in true })
        // The last full copy stays, but not if it is damaged: then all stays.
        listing = try Environment.listing(archive)
        let full = try #require(listing.files.last { $0.content == .full })
        var bytes = try #require(TestFile.read(archive + "/" + full.name))
        let whole = bytes
        bytes[bytes.count / 2] ^= 1
        TestFile.write(bytes, to: archive + "/" + full.name)
        #expect(throws: DatabaseError.self) {
            try ArchivePrune.run(archive, copies: 1, from: nil, isTrial: false)
        }
        TestFile.write(whole, to: archive + "/" + full.name)
        #expect(try ArchivePrune.run(archive, copies: 1, from: nil, isTrial: false).count > 0)
        let report = try Environment.restore(archive, to: place.path + ".target")
        Self.expectRestored(report, workload.states.keys.max() ?? 0, workload)
        try environment.close()
    }

    @Test func aCommandIsGivenEachFile() throws {
        let place = try TemporaryDirectory()
        let archive = place.path + ".archive"
        try #require(mkdir(archive, 0o700) == 0)
        var workload = ArchiveWorkload(seed: 51)
        let environment = try Environment(path: place.path)
        let archiver = try environment.archiver(
            command: "cat > '\(archive)'/$ZERODB_FILE.part && mv '\(archive)'/$ZERODB_FILE.part "
                + "'\(archive)'/$ZERODB_FILE", ArchiveOptions())
        try archiver.follow()
        for _ in 0..<30 {
            try workload.run(environment)
            if workload.random.chance(30) { _ = try archiver.step() }
        }
        try archiver.finish({ _ in }, { _ in true })
        let report = try Environment.restore(archive, to: place.path + ".target")
        Self.expectRestored(report, workload.states.keys.max() ?? 0, workload)
        let failing = try environment.archiver(command: "cat > /dev/null; exit 3", ArchiveOptions())
        let error = #expect(throws: DatabaseError.self) { try failing.step() }
        #expect(error?.message.contains("status 3") == true)
        try environment.close()
    }

    @Test func anEnvironmentThatWasRestoredToTheNewestGoesOnInTheArchive() throws {
        let place = try TemporaryDirectory()
        let workload = try Self.run(place, seed: 61, transactions: 60)
        let archive = place.path + ".archive"
        let other = place.path + ".other"
        try Environment.restore(archive, to: other)
        let environment = try Environment(path: other)
        var second = ArchiveWorkload(seed: 62)
        let archiver = try environment.archiver(to: archive, ArchiveOptions())
        try archiver.follow()
        for _ in 0..<30 {
            try second.run(environment)
            if second.random.chance(20) { _ = try archiver.step() }
        }
        try archiver.finish({ _ in }, { _ in true })
        try environment.close()
        for span in try Environment.listing(archive).summary.spans {
            for transaction in [span.first, span.last] {
                let target = "\(place.path).\(span.history).\(transaction)"
                let report = try Environment.restore(
                    archive, to: target, .transaction(transaction), history: span.history)
                let own = span.history == 0 ? workload : second
                let known = own.states[transaction] ?? workload.states[transaction]
                #expect(
                    known == nil || report.digest == known?.digest, "transaction \(transaction)")
            }
        }
        let newest = try Environment.restore(archive, to: place.path + ".newest")
        Self.expectRestored(newest, second.states.keys.max() ?? 0, second)
    }

    /// All files of an environment are put back as they were, with what it knows of its archive, into the
    /// same files.
    @Test(arguments: [false, true])
    func filesThatWerePutBackBeginANewHistory(isIncremental: Bool) throws {
        let place = try TemporaryDirectory()
        let archive = place.path + ".archive"
        var workload = ArchiveWorkload(seed: 71, isSmall: true)
        var environment = try Environment(path: place.path)
        var archiver = try environment.archiver(to: archive, ArchiveOptions())
        try archiver.follow()
        for _ in 0..<20 { try workload.run(environment) }
        try archiver.finish({ _ in }, { _ in true })
        try environment.close()
        let names =
            try ["data.zdb", "archive.zdb"]
            + PosixFileSystem().list(place.path + "/log").map { "log/" + $0 }
        let saved = try names.map { ($0, try #require(TestFile.read("\(place.path)/\($0)"))) }
        environment = try Environment(path: place.path)
        archiver = try environment.archiver(to: archive, ArchiveOptions())
        try archiver.follow()
        for _ in 0..<20 { try workload.run(environment) }
        try archiver.finish({ _ in }, { _ in true })
        if isIncremental { try environment.archive(to: archive, onlyChanges: true) }
        try environment.close()
        for (name, bytes) in saved { TestFile.write(bytes, to: "\(place.path)/\(name)") }
        environment = try Environment(path: place.path)
        var second = ArchiveWorkload(seed: 72, isSmall: true)
        for _ in 0..<60 { try second.run(environment) }
        archiver = try environment.archiver(to: archive, ArchiveOptions())
        try archiver.follow()
        let added = try archiver.step()
        #expect(added.first?.content == .full)
        for _ in 0..<10 { try second.run(environment) }
        try archiver.finish({ _ in }, { _ in true })
        try environment.close()
        let report = try Environment.restore(archive, to: place.path + ".newest")
        Self.expectRestored(report, second.states.keys.max() ?? 0, second)
        let old = try Environment.restore(archive, to: place.path + ".old", history: 0)
        Self.expectRestored(old, workload.states.keys.max() ?? 0, workload)
    }

    @Test func twoEnvironmentsThatCameOfOneDoNotMix() throws {
        let place = try TemporaryDirectory()
        let archive = place.path + ".archive"
        _ = try Self.run(place, seed: 81, transactions: 30, isSmall: true)
        let other = place.path + ".other"
        try Environment.restore(archive, to: other)
        let environments = try [place.path, other].map { try Environment(path: $0) }
        let archivers = try environments.map { try $0.archiver(to: archive, ArchiveOptions()) }
        for archiver in archivers { try archiver.follow() }
        var workloads = [ArchiveWorkload(seed: 82), ArchiveWorkload(seed: 83)]
        for round in 0..<20 {
            let index = workloads[0].random.below(2)
            try workloads[index].run(environments[index])
            if round % 3 == 0 { _ = try archivers[index].step() }
        }
        for index in 0..<2 {
            try archivers[index].finish({ _ in }, { _ in true })
            let report = try Environment.restore(archive, to: place.path + ".newest\(index)")
            #expect(report.digest == (try environments[index].store.tipMeta().digest))
        }
        for environment in environments { try environment.close() }
    }

    @Test func aTimeOfWhichNothingIsKnownIsAnError() throws {
        let place = try TemporaryDirectory()
        let archive = place.path + ".archive"
        let environment = try Environment(path: place.path)
        func clock() throws -> UInt64 { try environment.store.tipMeta().wallClock }
        var times: [UInt64] = []
        for number in 0..<4 {
            try environment.write { try $0.put([UInt8(number)], [1]) }
            times.append(try clock())
            if number % 2 == 0 {
                try environment.archive(to: archive, onlyChanges: true)
            }
        }
        // Copies of the first and the third.
        for (index, time) in [times[0] - 1, times[0] + 1, times[1], times[2] + 1, times[3]]
            .enumerated()
        {
            let error = #expect(throws: DatabaseError.self) {
                try Environment.restore(archive, to: place.path + ".none\(index)", .time(time))
            }
            #expect(error?.code == .notFound)
        }
        for (index, time) in [times[0], times[2]].enumerated() {
            let report = try Environment.restore(archive, to: place.path + ".\(index)", .time(time))
            #expect(report.wallClock == time)
        }
        try environment.close()
    }
}
