import ArgumentParser
@preconcurrency import Glibc
import ZeroDB

/// `zerodb stat`: what is in an environment, and who uses it.
struct StatCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "stat",
        abstract: "Print statistics of an environment.",
        discussion: """
            Programs may read and write the environment meanwhile. Changes nothing. Of an environment that \
            does not open it shows what can be read.

            The exit status is 0, 1 if damage was in the way, and 2 if nothing could be shown.
            """)

    @OptionGroup var arguments: EnvironmentArguments

    @Option(
        help: ArgumentHelp(
            "Only this database; an empty name is the main database.", valueName: "name"))
    var database: String?

    @Flag(help: "List the readers too.")
    var readers = false

    @Option(
        help: ArgumentHelp(
            "Print the summary again and again, until interrupted; every 2 seconds if no number follows.",
            valueName: "seconds"))
    var watch: Double?

    @Flag(help: "Show what the pages of the file are for, as a map, and how full they are.")
    var pages = false

    @Option(
        help: ArgumentHelp("With --pages: write the map as a picture too.", valueName: "file"),
        completion: .file(extensions: ["svg"]))
    var svg: String?

    @Option(
        help: ArgumentHelp(
            "Show a page, decoded and in hexadecimal, and what refers to it.", valueName: "number"))
    var page: UInt64?

    @Flag(help: "List the transactions of which the log tells.")
    var history = false

    @Option(
        help: ArgumentHelp(
            "What this transaction did, by its record in the log.", valueName: "transaction"))
    var txn: UInt64?

    @Flag(
        help: """
            Print the metrics of all programs that use the environment or have used it, in the text format \
            of Prometheus.
            """)
    var metrics = false

    @Option(help: ArgumentHelp("Bytes of a key or value that are shown.", valueName: "bytes"))
    var width = 48

    func validate() throws {
        guard width > 0 else { throw ValidationError("--width takes a number from 1 on.") }
        guard svg == nil || pages else { throw ValidationError("--svg goes with --pages only.") }
        let tasks = [pages, page != nil, history || txn != nil, metrics].filter { $0 }
        guard tasks.count <= 1 else {
            throw ValidationError(
                "only one of --pages, --page, --history and --metrics can be given")
        }
        guard tasks.isEmpty || (database == nil && !readers && watch == nil) else {
            throw ValidationError("--database, --readers and --watch go with the summary only")
        }
        if let watch, !(watch >= 0.1 && watch <= 86400) {
            throw ValidationError("--watch takes a number of seconds from 0.1 to 86400.")
        }
    }

    func run() throws {
        if history || txn != nil {
            throw try StatHistory(arguments: arguments, transaction: txn, width: width).run()
        }
        if pages { throw StatPages(arguments: arguments, svg: svg).run() }
        if let page { throw StatPage(arguments: arguments, number: page, width: width).run() }
        if metrics { throw StatMetrics(arguments: arguments).run() }
        if let watch { throw Watch(seconds: watch).run(summarize) }
        throw summarize()
    }

    /// With `--watch` alone no number need follow.
    ///
    /// - Parameter arguments: of the program, the command first.
    static func completed(_ arguments: [String]) -> [String] {
        guard arguments.first == configuration.commandName else { return arguments }
        var completed: [String] = []
        var isValue = false
        for (index, argument) in arguments.enumerated() {
            if isValue {
                isValue = false
                continue
            }
            guard argument == "--watch" else {
                completed.append(argument)
                continue
            }
            let next = index + 1 < arguments.count ? arguments[index + 1] : ""
            isValue = Double(next) != nil
            completed.append("--watch=" + (isValue ? next : "2"))
        }
        return completed
    }

    // MARK: The summary

    private func summarize() -> ExitStatus {
        do throws(DatabaseError) {
            let (summary, status) = try gather()
            if arguments.json {
                JSON.print(summary)
            } else {
                summary.write(listsReaders: readers)
            }
            return status
        } catch {
            return arguments.fail(error, "stat")
        }
    }

    private func gather() throws(DatabaseError) -> (StatSummary, ExitStatus) {
        let failure: DatabaseError
        do throws(DatabaseError) {
            let environment = try arguments.open()
            let summary = try StatSummary(
                environment, path: arguments.environment, database: database, state: "open",
                notes: [])
            try environment.close()
            return (summary, summary.notes.isEmpty ? .success : .damaged)
        } catch {
            guard [.corrupted, .recoveryNeeded].contains(error.code) else { throw error }
            failure = error
        }
        return try gatherInRecoveryMode(failure)
    }

    /// Shows an environment that does not open as recovery mode does: with its log replayed in memory.
    private func gatherInRecoveryMode(
        _ failure: DatabaseError
    ) throws(DatabaseError) -> (StatSummary, ExitStatus) {
        let told = EventMessages()
        let environment = try arguments.open { options in
            options.recovery = true
            options.onEvent = { told.add($0) }
        }
        let needsRecovery = failure.code == .recoveryNeeded
        let opening =
            needsRecovery
            ? ["it was not closed cleanly; its log has been replayed in memory only"]
            : [failure.message]
        let summary = try StatSummary(
            environment, path: arguments.environment, database: database,
            state: needsRecovery ? "needs recovery" : "damaged", notes: opening + told.messages)
        try environment.close()
        let isWhole = needsRecovery && summary.notes.count == 1
        return (summary, isWhole ? .success : .damaged)
    }
}
