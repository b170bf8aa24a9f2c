import ArgumentParser
@preconcurrency import Glibc
import ZeroDB

/// `zerodb check`: reads all of an environment and says what is wrong with it.
struct CheckCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "check",
        abstract: "Check that an environment is sound.",
        discussion: """
            Reads every page of the newest commit and checks its checksum, its structure, the order \
            of keys, all counts and digests, that each page has exactly one use, and the log. Programs may \
            read and write the environment meanwhile. Changes nothing.

            The exit status is 0 if it is sound, 1 if it is damaged, and 2 if it could not be checked.
            """)

    @OptionGroup var arguments: EnvironmentArguments

    @Option(
        help: ArgumentHelp(
            "Only this database, and the meta pages; an empty name is the main database.",
            valueName: "name"))
    var database: String?

    @Flag(
        help: """
            Check the meta pages, the log, the free pages, and the names and roots of the databases only.
            """)
    var quick = false

    @Option(help: ArgumentHelp("Threads to work with, at most 64.", valueName: "count"))
    var threads = 0

    @Flag(help: "Replay the log first if a program left it after a crash. This writes.")
    var recover = false

    @Option(
        help: ArgumentHelp(
            "Copy all that can be read into a new environment in this directory.",
            valueName: "directory"), completion: .directory)
    var salvage: String?

    @Flag(help: "With --salvage: keep leaves that nothing leads to as well, by transaction.")
    var lostAndFound = false

    @Option(
        help: ArgumentHelp(
            "With --salvage: the state of this transaction.", valueName: "transaction"))
    var root: UInt64 = 0

    @Flag(help: "List the states that recovery mode can show.")
    var listRoots = false

    @Flag(name: .long, help: "Do not show on a terminal how far it is.")
    var noProgress = false

    @Flag(name: .shortAndLong, help: "Print nothing; the exit status tells.")
    var quiet = false

    @OptionGroup(title: "Repair") var repair: RepairArguments

    func validate() throws {
        try repair.check()
        guard (0...64).contains(threads) else {
            throw ValidationError("--threads takes a number from 0 to 64.")
        }
        guard salvage != nil || (!lostAndFound && root == 0) else {
            throw ValidationError("--lost-and-found and --root go with --salvage only")
        }
        let tasks = [repair.fix, listRoots, salvage != nil].filter { $0 }
        guard tasks.count <= 1 else {
            throw ValidationError("only one of --fix, --salvage and --list-roots can be given")
        }
    }

    func run() throws {
        if repair.fix { throw try repair.run(arguments, quiet: quiet) }
        if listRoots { throw try ListRoots.run(arguments) }
        if let salvage {
            throw try SalvageRun(
                arguments: arguments, target: salvage, keepsLostLeaves: lostAndFound, root: root,
                isQuiet: quiet
            ).run()
        }
        let report = CheckReport(arguments.environment)
        var status = ExitStatus.success
        do throws(DatabaseError) {
            try check(report)
            status = report.problemCount == 0 ? .success : .damaged
        } catch {
            status = error.code == .corrupted ? .damaged : .notDone
            report.add(error)
            // What the files are like says more than why they do not open.
            if error.code == .corrupted { report.inspect() }
            if !quiet || status == .notDone { _ = arguments.fail(error, "check") }
        }
        if !quiet {
            if arguments.json { try JSON.write(report.result(status)) } else { report.write() }
        }
        throw status
    }

    private func check(_ report: CheckReport) throws(DatabaseError) {
        let environment = try arguments.open { options in
            options.isReadOnly = !recover
            // A page that cannot be read is a problem to list like others.
            options.checksumMode = .full
        }
        var options = VerifyOptions()
        options.level = quick ? .headers : .everything
        options.threads = threads
        if let database {
            options.scope = database.isEmpty ? .mainDatabase : .namedDatabase(Array(database.utf8))
        }
        let info = try environment.info()
        let progress = ProgressLine(
            isShown: !noProgress && !quiet, pageSize: UInt64(info.pageSize))
        defer { progress.clear() }
        let found = try environment.verify(options) { problem in
            report.add(problem)
        } onProgress: { done in
            progress.show(done)
            return true
        }
        report.finish(found, info, isQuick: quick)
        try environment.close()
    }
}
