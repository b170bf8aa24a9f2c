import ArgumentParser
@preconcurrency import Glibc
import ZeroDB

/// `zerodb backup`: archives of environments, and restores from them.
struct BackupCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "backup",
        abstract: "Archive an environment while it is in use, and restore it to a moment.",
        discussion: """
            An archive is a directory of files that are written once: full copies of an environment's pages, \
            copies of what has changed since, and the log between them. An environment is restored from it \
            exact to the transaction.

            The exit status is 0 if it is done, 1 if damage was found, and 2 if it could not be done.
            """,
        subcommands: [
            BackupCreate.self, BackupFollow.self, BackupRestore.self, BackupList.self,
            BackupInfo.self, BackupVerify.self, BackupPrune.self, BackupCheck.self,
            BackupStop.self,
        ])
}

/// The archive that a command is about.
struct ArchiveArguments: ParsableArguments {
    @Argument(help: "The directory of the archive.", completion: .directory)
    var archive: String

    @Flag(help: "Print JSON.")
    var json = false

    func fail(_ error: DatabaseError, _ command: String) -> ExitStatus {
        EnvironmentOpening.fail(error, archive, "backup \(command)")
    }
}

/// A file of an archive, as it is printed.
struct ArchivedFileResult: Encodable {
    var name: String
    var content: String
    var from: UInt64
    var to: UInt64
    var wallClock: UInt64
    var bytes: UInt64
    var history: UInt64

    init(_ file: ArchivedFile) {
        name = file.name
        content = file.content.rawValue
        from = file.from
        to = file.to
        wallClock = file.wallClock
        bytes = file.bytes
        history = file.history
    }

    /// What it is, in a line.
    static func describe(_ file: ArchivedFile) -> String {
        let size = Output.bytes(file.bytes)
        let time = Output.preciseTime(file.wallClock)
        switch file.content {
        case .full: return "\(file.name)  all pages of transaction \(file.to), \(time), \(size)"
        case .incremental:
            return
                "\(file.name)  what changed from transaction \(file.from) to \(file.to), \(time), "
                + size
        case .log:
            return "\(file.name)  transactions \(file.from + 1) to \(file.to), \(time), \(size)"
        }
    }
}

extension EnvironmentOpening {
    /// Opens an environment that is there as programs do that write to it, which an archive needs.
    static func forArchive(_ path: String) throws(DatabaseError) -> Environment {
        var options = EnvironmentOptions()
        options.createsIfMissing = false
        options.writerWaitMilliseconds = 10_000
        // That is the programs' to do.
        options.autoCompactPercent = 0
        options.onEvent = { event in
            guard event.level == .warning || event.level == .error else { return }
            Output.write("zerodb backup: \(event.message)", to: stderr)
        }
        return try Environment(path: path, options: options)
    }
}

/// `zerodb backup create`
struct BackupCreate: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "create",
        abstract: "Add a copy of an environment to an archive.",
        discussion: """
            Copies the newest commit. Programs may read and write the environment meanwhile. Every page that \
            is copied is judged on the way: damage ends the copy and leaves nothing of it in the archive.
            """)

    @OptionGroup var arguments: EnvironmentArguments

    @Argument(
        help: "The directory of the archive; made if it is not there.", completion: .directory)
    var archive: String

    @Flag(
        help: """
            Copy only what has changed since the last copy in the archive. All is copied if there is none, \
            or if it is not known that the environment goes on from it.
            """)
    var incremental = false

    @Option(
        help: ArgumentHelp(
            "Write so many bytes a second at most, such as 50MiB.", valueName: "bytes"))
    var rate: SizeArgument?

    @Flag(name: .long, help: "Do not show on a terminal how far it is.")
    var noProgress = false

    @Flag(name: .shortAndLong, help: "Print nothing; the exit status tells.")
    var quiet = false

    func run() throws {
        let file: ArchivedFile
        do throws(DatabaseError) {
            file = try copy()
        } catch {
            throw arguments.fail(error, "backup create")
        }
        if arguments.json {
            try JSON.write(ArchivedFileResult(file))
        } else if !quiet {
            Output.write(ArchivedFileResult.describe(file))
        }
        throw ExitStatus.success
    }

    private func copy() throws(DatabaseError) -> ArchivedFile {
        let environment = try EnvironmentOpening.forArchive(arguments.environment)
        var options = ArchiveOptions()
        options.bytesPerSecond = rate?.bytes ?? 0
        let progress = ProgressLine(
            isShown: !noProgress && !quiet, pageSize: UInt64(try environment.info().pageSize))
        defer { progress.clear() }
        let file = try environment.archive(
            to: archive, onlyChanges: incremental, options: options
        ) { done in
            progress.show(done.pagesDone, of: done.pagesTotal)
            return true
        }
        try environment.close()
        return file
    }
}

/// `zerodb backup restore`
struct BackupRestore: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "restore",
        abstract: "Make an environment of an archive, as it was at a moment.",
        discussion: """
            The state is exact to the transaction. Its digest is compared with the one in the archive after \
            every transaction, and all of it is verified at the end; until then the target cannot be opened. \
            A restore that was ended early goes on with the same command. An existing environment is never \
            touched.
            """)

    @OptionGroup var arguments: ArchiveArguments

    @Argument(help: "A directory that is not there or is empty.", completion: .directory)
    var target: String

    @Flag(help: "The newest state.")
    var latest = false

    @Option(
        help: ArgumentHelp(
            """
            The state at a time, in UTC: '2026-11-26 18:00:00.25', 2026-11-26T19:00:00+01:00, or @ and \
            seconds since 1970.
            """, valueName: "time"))
    var toTime: TimeArgument?

    @Option(help: ArgumentHelp("The state after a transaction.", valueName: "transaction"))
    var toTxn: UInt64?

    @Option(
        help: ArgumentHelp(
            "Of an older history, as list shows them; the newest if not given.", valueName: "number"
        ))
    var history: UInt64?

    @Flag(help: "Print what would be restored from which files, and do nothing.")
    var dryRun = false

    @Flag(name: .long, help: "Do not show on a terminal how far it is.")
    var noProgress = false

    @Flag(name: .shortAndLong, help: "Print nothing; the exit status tells.")
    var quiet = false

    private struct Result: Encodable {
        var archive: String
        var target: String
        var transaction: UInt64
        var wallClock: UInt64?
        var digest: String?
        var replayed: UInt64?
        var continued: Bool?
        var files: [String]
        var bytes: UInt64
    }

    func validate() throws {
        guard [latest, toTime != nil, toTxn != nil].filter({ $0 }).count == 1 else {
            throw ValidationError("give one of --latest, --to-time and --to-txn")
        }
    }

    private var moment: RestoreMoment {
        if let toTxn { return .transaction(toTxn) }
        return toTime.map { .time($0.nanoseconds) } ?? .latest
    }

    func run() throws {
        var result: Result
        do throws(DatabaseError) {
            let plan = try Environment.restorePlan(
                arguments.archive, moment, history: history)
            result = Result(
                archive: arguments.archive, target: target, transaction: plan.transaction,
                wallClock: plan.wallClock, files: plan.files, bytes: plan.bytes)
            if !dryRun { try restore(&result) }
        } catch {
            throw arguments.fail(error, "restore")
        }
        if arguments.json {
            try JSON.write(result)
        } else if !quiet {
            write(result)
        }
        throw ExitStatus.success
    }

    private func restore(_ result: inout Result) throws(DatabaseError) {
        let progress = ProgressLine(isShown: !noProgress && !quiet, pageSize: 1)
        defer { progress.clear() }
        let report = try Environment.restore(
            arguments.archive, to: target, .transaction(result.transaction), history: history
        ) { done in
            progress.show(bytes: done.bytesDone, of: done.bytesTotal)
            return true
        }
        result.wallClock = report.wallClock
        result.digest = "\(report.digest)"
        result.replayed = report.replayed
        result.continued = report.wasContinued
    }

    private func write(_ result: Result) {
        let time = result.wallClock.map { ", of \(Output.preciseTime($0))" } ?? ""
        guard dryRun else {
            return Output.write(
                "\(target): transaction \(result.transaction)\(time), digest \(result.digest ?? "")"
            )
        }
        Output.write(
            "transaction \(result.transaction)\(time), from \(Output.bytes(result.bytes)):")
        for file in result.files { Output.write("  \(file)") }
    }
}
