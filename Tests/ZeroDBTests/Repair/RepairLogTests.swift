import Glibc
import Testing

@testable import Simulator
@testable import ZeroDB

/// Repairs where the log is needed, or damaged.
@Suite struct RepairLogTests {
    /// An environment whose process died: two checkpoints, and then commits in the log only.
    private struct Crashed {
        let files: MemoryFileSystem
        /// What each commit after the last checkpoint led to.
        var states: [RepairFixture.Contents]
        let segment: String

        var newest: RepairFixture.Contents { states[states.count - 1] }

        init() throws {
            let live = MemoryFileSystem()
            let environment = try RepairFixture.open(live)
            for round in 0..<3 {
                var transaction = try environment.beginWrite()
                let other = try transaction.createDatabase("other")
                for key in 0..<300 {
                    try transaction.put("key \(key)", "value \(round)", in: .main)
                    try transaction.put("key \(key)", "other \(round)", in: other)
                }
                try transaction.commit()
                if round < 2 { try environment.checkpoint() }
            }
            states = []
            for commit in 0..<5 {
                var transaction = try environment.beginWrite()
                try transaction.put("commit \(commit)", "made", in: .main)
                try transaction.delete("key \(commit * 50)", in: .main)
                try transaction.commit()
                let copy = live.copy()
                states.append(try RepairFixture.read(try RepairFixture.open(copy)))
            }
            files = live.copy()
            segment =
                "env/log/\(try #require(try files.list("env/log").first { $0.hasSuffix(".log") }))"
            try environment.close()
        }

        func repair(_ options: RepairOptions = RepairOptions()) throws -> RepairReport {
            var options = options
            options.keepsBackup = false
            let report = try Environment.repair(
                path: PathBytes("env"), options: options, fileSystem: files)
            let before = files.contents("env/data.zdb")?.bytes
            let again = try Environment.repair(
                path: PathBytes("env"), options: options, fileSystem: files)
            #expect(!again.changed && again.losses.isEmpty)
            #expect(files.contents("env/data.zdb")?.bytes == before)
            return report
        }

        func read() throws -> RepairFixture.Contents {
            let environment = try RepairFixture.open(files)
            let report = try environment.verify { problem in Issue.record("\(problem)") }
            #expect(report.problems == 0)
            var transaction = try environment.beginWrite()
            try transaction.put("after", "the repair", in: .main)
            try transaction.delete("after", in: .main)
            try transaction.commit()
            return try RepairFixture.read(environment)
        }
    }

    @Test func the_log_is_replayed() throws {
        let crashed = try Crashed()
        let report = try crashed.repair()
        #expect(report.changed && report.losses.isEmpty)
        #expect(try crashed.read() == crashed.newest)
    }

    @Test func the_log_is_replayed_over_what_is_left() throws {
        for page in 2..<20 {
            let crashed = try Crashed()
            let data = try #require(crashed.files.contents("env/data.zdb"))
            guard data.count >= (page + 1) * 4096 else { return }
            memset(data.base + page * 4096, 0, 4096)
            let report = try crashed.repair()
            let found = try crashed.read()
            for (name, pairs) in found {
                let alien = pairs.subtracting(crashed.newest[name] ?? [])
                #expect(alien.isEmpty, "page \(page)")
            }
            if report.losses.isEmpty { #expect(found == crashed.newest, "page \(page)") }
        }
    }

    @Test func without_the_newest_meta_page_the_log_goes_on_from_the_older_one() throws {
        let crashed = try Crashed()
        let data = try #require(crashed.files.contents("env/data.zdb"))
        let newest = try RepairFixture.meta(in: data.bytes, pageSize: 4096).page
        for copy in 0..<2 { memset(data.base + newest * 4096 + copy * 2048 + 100, 0x77, 100) }
        _ = try crashed.repair()
        let found = try crashed.read()
        for (name, pairs) in found {
            let alien = pairs.subtracting(crashed.newest[name] ?? [])
            #expect(alien.isEmpty)
        }
    }

    /// Where the records of the segment begin.
    private func records(_ crashed: Crashed) throws -> [Int] {
        let log = try #require(crashed.files.contents(crashed.segment)).bytes
        return stride(from: 4096, to: log.count - 80, by: 8).filter {
            Array(log[$0 + 8..<$0 + 12]) == Array("zlog".utf8)
        }
    }

    @Test func a_log_damaged_in_the_middle_is_cut_off_only_if_asked_for() throws {
        let crashed = try Crashed()
        let log = try #require(crashed.files.contents(crashed.segment))
        let starts = try records(crashed)
        log[starts[starts.count - 3] + 90] ^= 0xff
        log[starts[starts.count - 3] + 91] ^= 0xff
        let before = try #require(crashed.files.contents("env/data.zdb")).bytes
        #expect(throws: DatabaseError.self) { try crashed.repair() }
        #expect(crashed.files.contents("env/data.zdb")?.bytes == before)
        var options = RepairOptions()
        options.truncatesLog = true
        let report = try crashed.repair(options)
        #expect(report.losses.count == 3, "\(report.losses)")
        #expect(try crashed.read() == crashed.states[crashed.states.count - 4])
    }

    @Test func a_missing_segment_is_given_up_only_if_asked_for() throws {
        let crashed = try Crashed()
        let log = try #require(crashed.files.contents(crashed.segment))
        for byte in 0..<64 { log[byte] ^= 0xff }
        #expect(throws: DatabaseError.self) { try crashed.repair() }
        var options = RepairOptions()
        options.truncatesLog = true
        _ = try crashed.repair(options)
        let found = try crashed.read()
        #expect(found[[]]?.count == 300)
    }
}
