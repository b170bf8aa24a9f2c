@preconcurrency import Glibc
import ZeroDB

/// `zerodb check --salvage`: copies what can be read into a new environment.
struct SalvageRun {
    let arguments: EnvironmentArguments
    let target: String
    let keepsLostLeaves: Bool
    let root: UInt64
    let isQuiet: Bool

    private struct MissingResult: Encodable {
        var page: UInt64
        /// One key, or a range.
        var key: String?
        var from: String?
        var to: String?
    }

    private struct DatabaseResult: Encodable {
        var name: String?
        var complete: Bool
        var entries: UInt64
        var recorded: UInt64
        var missing: [MissingResult]
    }

    private struct LostResult: Encodable {
        var name: String
        var entries: UInt64
    }

    private struct Result: Encodable {
        var environment: String
        var target: String
        /// "complete" or "incomplete".
        var state: String
        var transaction: UInt64
        var lastTransaction: UInt64
        var logRecords: UInt64
        var logOperationsLost: UInt64
        var logProblem: String?
        var databases: [DatabaseResult]
        var missingNames: [MissingResult]
        var warnings: [String]
        var lostAndFound: [LostResult]
    }

    /// - Returns: `damaged` if something was lost.
    func run() throws -> ExitStatus {
        var options = Salvage.Options()
        options.keepsLostLeaves = keepsLostLeaves
        options.root = root
        let report: Salvage.Report
        let progress = Progress(isShown: !isQuiet && isatty(STDERR_FILENO) == 1)
        do throws(DatabaseError) {
            report = try Salvage.run(arguments.environment, to: target, options) {
                progress.show($0)
            }
        } catch {
            progress.end()
            _ = arguments.fail(error, "check")
            return .notDone
        }
        progress.end()
        let isComplete = report.isComplete && report.logProblem == nil
        if arguments.json, !isQuiet { try JSON.write(result(report, isComplete)) }
        if !arguments.json, !isQuiet { write(report, isComplete) }
        return isComplete ? .success : .damaged
    }

    /// Entries copied so far, on a terminal.
    private final class Progress {
        private let isShown: Bool
        private var hasShown = false

        init(isShown: Bool) { self.isShown = isShown }

        func show(_ entries: UInt64) {
            guard isShown, entries % 65536 == 0 else { return }
            hasShown = true
            fputs("\r\(entries) entries copied", stderr)
        }

        func end() {
            if hasShown { fputs("\r\u{1b}[K", stderr) }
            hasShown = false
        }
    }

    // MARK: Report

    private func result(_ report: Salvage.Report, _ isComplete: Bool) -> Result {
        Result(
            environment: arguments.environment, target: target,
            state: isComplete ? "complete" : "incomplete", transaction: report.transaction,
            lastTransaction: report.lastTransaction, logRecords: report.logRecords,
            logOperationsLost: report.logOperationsLost, logProblem: report.logProblem,
            databases: report.databases.map { database in
                DatabaseResult(
                    name: database.name.map { Output.name($0) }, complete: database.isComplete,
                    entries: database.copied, recorded: database.recorded,
                    missing: database.missing.map(missing))
            },
            missingNames: report.missingNames.map(missing), warnings: report.warnings,
            lostAndFound: report.lostAndFound.map {
                LostResult(name: $0.name, entries: $0.entries)
            })
    }

    private func missing(_ range: SkippedRange) -> MissingResult {
        MissingResult(
            page: range.page, key: range.key.map { Output.name($0) },
            from: range.from.map { Output.name($0) }, to: range.to.map { Output.name($0) })
    }

    private func write(_ report: Salvage.Report, _ isComplete: Bool) {
        for warning in report.warnings { Output.write(warning) }
        for range in report.missingNames { Output.write("missing: \(describe(range))") }
        for database in report.databases { write(database) }
        if report.logRecords > 0 {
            Output.write(
                "log: \(Output.count(report.logRecords, "transaction")) applied, the last "
                    + "\(report.lastTransaction)")
        }
        if report.logOperationsLost > 0 {
            Output.write(
                "missing: \(Output.count(report.logOperationsLost, "operation")) of the log, whose "
                    + "databases are lost")
        }
        if let problem = report.logProblem {
            Output.write("missing: later transactions of the log: \(problem)")
        }
        if keepsLostLeaves {
            Output.write(
                "lost and found: \(Output.count(report.lostEntries, "entry", "entries")) of "
                    + "\(Output.count(report.lostLeaves, "leaf", "leaves")) in "
                    + Output.count(UInt64(report.lostAndFound.count), "database"))
        }
        Output.write(
            isComplete
                ? "All of transaction \(report.lastTransaction) is in \(target)."
                : "Something is missing in \(target).")
    }

    private func write(_ database: Salvage.CopiedDatabase) {
        let name = database.name.map { "database \(Output.name($0))" } ?? "main database"
        Output.write(
            "\(name): \(Output.count(database.copied, "entry", "entries"))"
                + (database.isComplete ? "" : " of \(database.recorded)"))
        for range in database.missing { Output.write("  missing: \(describe(range))") }
    }

    private func describe(_ range: SkippedRange) -> String {
        let page = " (page \(range.page))"
        if let key = range.key {
            let what = range.place == .names ? "database" : "what key"
            return "\(what) \(Output.name(key))\(range.place == .names ? "" : " has")\(page)"
        }
        let what = range.place == .names ? "databases" : "keys"
        let start = range.from.map { "from \(Output.name($0))" } ?? "from the first"
        return "\(what) \(start) "
            + (range.to.map { "to before \(Output.name($0))" } ?? "to the end") + page
    }
}
