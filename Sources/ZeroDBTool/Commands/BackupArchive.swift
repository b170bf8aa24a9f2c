import ArgumentParser
@preconcurrency import Glibc
import ZeroDB

/// `zerodb backup list`
struct BackupList: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "list", abstract: "List the files of an archive, and what can be restored.")

    @OptionGroup var arguments: ArchiveArguments

    private struct Result: Encodable {
        var archive: String
        var files: [ArchivedFileResult]
    }

    func run() throws {
        let files: [ArchivedFile]
        do throws(DatabaseError) {
            files = try Environment.listing(arguments.archive).files
        } catch {
            throw arguments.fail(error, "list")
        }
        guard !arguments.json else {
            try JSON.write(
                Result(archive: arguments.archive, files: files.map(ArchivedFileResult.init)))
            throw ExitStatus.success
        }
        var history: UInt64 = 0
        for file in files {
            if file.history != history { Output.write("history \(file.history):") }
            history = file.history
            Output.write(ArchivedFileResult.describe(file))
        }
        throw ExitStatus.success
    }
}

/// `zerodb backup info`
struct BackupInfo: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "info", abstract: "Say what an archive has and what can be restored from it.")

    @OptionGroup var arguments: ArchiveArguments

    private struct SpanResult: Encodable {
        var history: UInt64
        var first: UInt64
        var last: UInt64
        var firstWallClock: UInt64
        var lastWallClock: UInt64
    }

    private struct Result: Encodable {
        var archive: String
        var environmentID: String
        var archiveID: String
        var files: UInt64
        var bytes: UInt64
        var transaction: UInt64
        var wallClock: UInt64
        var archivedUntil: UInt64?
        var restorable: [SpanResult]
    }

    func run() throws {
        let result: Result
        do throws(DatabaseError) {
            result = try gather()
        } catch {
            throw arguments.fail(error, "info")
        }
        if arguments.json {
            try JSON.write(result)
        } else {
            write(result)
        }
        throw ExitStatus.success
    }

    private func gather() throws(DatabaseError) -> Result {
        let summary = try Environment.listing(arguments.archive).summary
        return Result(
            archive: arguments.archive, environmentID: Self.hex(summary.environmentID),
            archiveID: Self.hex(summary.archiveID), files: summary.files, bytes: summary.bytes,
            transaction: summary.transaction, wallClock: summary.wallClock,
            archivedUntil: summary.seen > 0 ? summary.seen : nil,
            restorable: summary.spans.map {
                SpanResult(
                    history: $0.history, first: $0.first, last: $0.last,
                    firstWallClock: $0.wallClockFirst, lastWallClock: $0.wallClockLast)
            })
    }

    private static func hex(_ id: (UInt64, UInt64)) -> String {
        [id.0, id.1].map { String(Output.hex($0).dropFirst(2)) }.joined()
    }

    private func write(_ result: Result) {
        var rows = [
            ("environment", result.environmentID), ("archive", result.archiveID),
            ("files", "\(result.files), \(Output.bytes(result.bytes))"),
            (
                "newest",
                "transaction \(result.transaction), \(Output.preciseTime(result.wallClock))"
            ),
        ]
        if let until = result.archivedUntil {
            rows.append(("archived", "all until \(Output.preciseTime(until))"))
        }
        for span in result.restorable {
            let history = span.history > 0 ? "history \(span.history), " : ""
            rows.append(
                (
                    "restorable",
                    "\(history)transactions \(span.first) to \(span.last), "
                        + "\(Output.preciseTime(span.firstWallClock)) to "
                        + Output.preciseTime(span.lastWallClock)
                ))
        }
        Output.write(table: rows)
    }
}

/// `zerodb backup verify`
struct BackupVerify: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "verify",
        abstract: "Read all of an archive and judge it, without restoring it.",
        discussion: """
            Each file is compared with its checksums, and with the ones before and behind it; records of the \
            log with the chain that they form. Files that are missing, changed, swapped or of another \
            archive are found.
            """)

    @OptionGroup var arguments: ArchiveArguments

    @Flag(name: .long, help: "Do not show on a terminal how far it is.")
    var noProgress = false

    @Flag(name: .shortAndLong, help: "Print nothing; the exit status tells.")
    var quiet = false

    private struct Result: Encodable {
        var archive: String
        var files: UInt64
        var bytes: UInt64
        var problems: [String]
    }

    func run() throws {
        var problems: [String] = []
        let result: Result
        do throws(DatabaseError) {
            let progress = ProgressLine(isShown: !noProgress && !quiet, pageSize: 1)
            defer { progress.clear() }
            var verification = ArchiveVerification(try Environment.listing(arguments.archive))
            _ = try verification.run {
                problems.append($0.message)
            } _: { done, total in
                progress.show(bytes: done, of: total)
                return true
            }
            result = Result(
                archive: arguments.archive, files: verification.files, bytes: verification.bytes,
                problems: problems)
        } catch {
            throw arguments.fail(error, "verify")
        }
        if arguments.json {
            try JSON.write(result)
        } else if !quiet {
            for problem in problems { Output.write(problem) }
            let verdict =
                problems.isEmpty
                ? "no damage" : Output.count(UInt64(problems.count), "damaged file")
            Output.write(
                "\(arguments.archive): \(Output.count(result.files, "file")), \(Output.bytes(result.bytes)): "
                    + verdict)
        }
        throw problems.isEmpty ? ExitStatus.success : .damaged
    }
}

/// `zerodb backup prune`
struct BackupPrune: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "prune",
        abstract: "Remove the oldest files of an archive.",
        discussion: """
            Whatever is in front of a full copy goes, copies and log together. That copy is read first: if \
            it is damaged, nothing is removed. The last full copy always stays.
            """)

    @OptionGroup var arguments: ArchiveArguments

    @Option(
        help: ArgumentHelp(
            "Keep so many full copies, and what follows them.", valueName: "number"))
    var keep = 1

    @Option(
        help: ArgumentHelp(
            "Keep what it takes to restore to a time from this one on.", valueName: "time"))
    var before: TimeArgument?

    @Flag(help: "Print what would be removed, and do nothing.")
    var dryRun = false

    @Flag(name: .shortAndLong, help: "Print nothing; the exit status tells.")
    var quiet = false

    private struct Result: Encodable {
        var archive: String
        var removed: [ArchivedFileResult]
    }

    func validate() throws {
        guard keep >= 1 else { throw ValidationError("--keep takes a number from 1 on.") }
    }

    func run() throws {
        let removed: [ArchivedFile]
        do throws(DatabaseError) {
            removed = try ArchivePrune.run(
                arguments.archive, copies: keep, from: before?.nanoseconds, isTrial: dryRun)
        } catch {
            throw arguments.fail(error, "prune")
        }
        if arguments.json {
            try JSON.write(
                Result(
                    archive: arguments.archive, removed: removed.map(ArchivedFileResult.init)))
        } else if !quiet {
            for file in removed { Output.write(ArchivedFileResult.describe(file)) }
            let bytes = removed.reduce(0) { $0 + $1.bytes }
            Output.write(
                "\(Output.count(UInt64(removed.count), "file")), \(Output.bytes(bytes)) "
                    + (dryRun ? "would be removed" : "removed"))
        }
        throw ExitStatus.success
    }
}

/// `zerodb backup check`
struct BackupCheck: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "check",
        abstract: "Say whether an archive is up to date; for monitoring.",
        discussion: """
            The exit status is 0 if everything that was committed --max-age ago is archived, 1 if it may not \
            be, or the archive lacks a file, and 2 if there is no archive.
            """)

    @OptionGroup var arguments: ArchiveArguments

    @Option(
        help: ArgumentHelp("How old the newest of it may be.", valueName: "time"))
    var maxAge = DurationArgument(seconds: 3600)

    private struct Result: Encodable {
        var archive: String
        var transaction: UInt64
        var archivedUntil: UInt64
        var age: Double
        var isCurrent: Bool
    }

    func run() throws {
        let summary: ArchiveSummary
        do throws(DatabaseError) {
            summary = try Environment.listing(arguments.archive).summary
        } catch {
            throw arguments.fail(error, "check")
        }
        var now = timespec()
        clock_gettime(CLOCK_REALTIME, &now)
        let until = max(summary.seen, summary.wallClock)
        let age = Double(now.tv_sec) + Double(now.tv_nsec) / 1e9 - Double(until) / 1e9
        let isCurrent = age <= Double(maxAge.seconds)
        let result = Result(
            archive: arguments.archive, transaction: summary.transaction, archivedUntil: until,
            age: age, isCurrent: isCurrent)
        if arguments.json {
            try JSON.write(result)
        } else {
            Output.write(
                "\(arguments.archive): all until \(Output.preciseTime(until)) is archived, "
                    + "\(Int(age.rounded())) s ago" + (isCurrent ? "" : ", which is too long"))
        }
        throw isCurrent ? ExitStatus.success : .damaged
    }
}
