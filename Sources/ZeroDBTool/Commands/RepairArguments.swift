import ArgumentParser
@preconcurrency import Glibc
import ZeroDB

/// `zerodb check --fix`: mends an environment in place.
struct RepairArguments: ParsableArguments {
    @Flag(
        help: ArgumentHelp(
            "Mend the environment in place.",
            discussion: """
                No program may have it open. What cannot be had is cut out and listed; nothing counts \
                that is not proved to belong to the newest commit. What is changed is copied first.
                """))
    var fix = false

    @Option(
        help: ArgumentHelp(
            "Where to copy what --fix changes; must not be there yet. By default ENV.before-repair-1.",
            valueName: "directory"), completion: .directory)
    var backup: String?

    @Option(
        help: ArgumentHelp(
            "With --fix: a sound copy of the environment, which may be older, to take damaged pages from.",
            valueName: "directory"), completion: .directory)
    var from: String?

    @Flag(
        help:
            "With --fix: cut off a log that is damaged, and list the transactions that this loses.")
    var truncateLog = false

    /// - Throws: if options are given that say nothing without `--fix`.
    func check() throws {
        guard !fix else { return }
        let given = [
            backup == nil ? nil : "--backup", from == nil ? nil : "--from",
            truncateLog ? "--truncate-log" : nil,
        ].compactMap { $0 }
        if let first = given.first { throw ValidationError("\(first) needs --fix.") }
    }

    private struct Loss: Encodable {
        var database: String?
        var low: String?
        var high: String?
        var entries: UInt64?
        var description: String
    }

    private struct Result: Encodable {
        var environment: String
        var state: String
        var transaction: UInt64?
        var changed = false
        var backup: String?
        var actions: [String] = []
        var losses: [Loss] = []
    }

    /// Mends the environment and prints what was done.
    ///
    /// - Returns: success if nothing is lost, `damaged` if something is, `notDone` if it could not be mended.
    func run(_ arguments: EnvironmentArguments, quiet: Bool) throws -> ExitStatus {
        var options = RepairOptions()
        options.backupPath = backup
        options.sourcePath = from
        options.truncatesLog = truncateLog
        var result = Result(environment: arguments.environment, state: "unmended")
        var status = ExitStatus.notDone
        do throws(DatabaseError) {
            let report = try Environment.repair(path: arguments.environment, options: options)
            status = report.losses.isEmpty ? .success : .damaged
            result.state =
                report.losses.isEmpty ? (report.changed ? "mended" : "sound") : "mended with losses"
            result.transaction = report.transaction
            result.changed = report.changed
            result.backup = report.backupPath
            result.actions = report.actions
            result.losses = report.losses.map(Self.loss)
            if !arguments.json, !quiet { show(report, arguments.environment) }
        } catch {
            _ = arguments.fail(error, "check --fix")
        }
        if arguments.json, !quiet { try JSON.write(result) }
        return status
    }

    private static func loss(_ loss: RepairLoss) -> Loss {
        Loss(
            database: loss.database.map { $0.isEmpty ? "" : Output.name($0) },
            low: loss.low.map(Output.name), high: loss.high.map(Output.name), entries: loss.entries,
            description: loss.description)
    }

    private func show(_ report: RepairReport, _ environment: String) {
        for action in report.actions { Output.write(action) }
        for loss in report.losses {
            let entries =
                loss.entries.map { " (about \(Output.count($0, "entry", "entries")))" } ?? ""
            Output.write("lost: \(loss.description)\(entries)")
        }
        if let backup = report.backupPath {
            Output.write("What was changed is in \(backup).")
        }
        let state =
            report.losses.isEmpty
            ? (report.changed
                ? "It is mended; nothing is lost." : "It is sound; nothing was changed.")
            : "It is mended, without what is listed as lost."
        Output.write("\(environment): transaction \(report.transaction). \(state)")
    }
}
