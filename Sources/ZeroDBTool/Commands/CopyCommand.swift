import ArgumentParser
@preconcurrency import Glibc
import ZeroDB

/// `zerodb copy`: copies an environment, while programs write to it.
struct CopyCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "copy",
        abstract: "Copy an environment while it is in use.",
        discussion: """
            Copies the newest commit. Programs may read and write the environment meanwhile. Every page is \
            judged on the way: damage ends the copy and leaves nothing that could be taken for one.

            The exit status is 0 if the copy is made and on disk, 1 if damage ended it, and 2 if it could \
            not be made.
            """)

    @OptionGroup var arguments: EnvironmentArguments

    @Argument(
        help: """
            A directory that is not there or is empty; or - to write the bytes of the copy's data.zdb to \
            standard output.
            """, completion: .directory)
    var target: String

    @Flag(
        help:
            "Leave free pages out, and put pages in the order of their keys; with an id of its own."
    )
    var compact = false

    @Option(
        help: ArgumentHelp(
            "Write so many bytes a second at most, such as 50MiB.", valueName: "bytes"))
    var rate: SizeArgument?

    @Flag(name: .long, help: "Do not show on a terminal how far it is.")
    var noProgress = false

    @Flag(name: .shortAndLong, help: "Print nothing; the exit status tells.")
    var quiet = false

    private struct Result: Encodable {
        var environment: String
        var target: String
        var transaction: UInt64
        var wallClock: UInt64
        var fileSize: UInt64
        var bytesWritten: UInt64
        var digest: String
        var compact: Bool
    }

    private var isStream: Bool { target == "-" }

    func run() throws {
        guard !isStream || isatty(STDOUT_FILENO) == 0 else {
            Output.write(
                "zerodb copy: standard output is a terminal; send the copy to a file or a pipe",
                to: stderr)
            throw ExitStatus.notDone
        }
        let report: CopyReport
        do throws(DatabaseError) {
            report = try copy()
        } catch {
            throw arguments.fail(error, "copy")
        }
        if !quiet, !isStream { try write(report) }
        throw ExitStatus.success
    }

    private func copy() throws(DatabaseError) -> CopyReport {
        let environment = try arguments.open()
        var options = CopyOptions()
        options.compacts = compact
        options.bytesPerSecond = rate?.bytes ?? 0
        let progress = ProgressLine(
            isShown: !noProgress && !quiet, pageSize: UInt64(try environment.info().pageSize))
        defer { progress.clear() }
        let show = { (done: CopyProgress) -> Bool in
            progress.show(done.pagesDone, of: done.pagesTotal)
            return true
        }
        let report =
            isStream
            ? try environment.copy(
                toDescriptor: STDOUT_FILENO, options: options, onProgress: show)
            : try environment.copy(to: target, options: options, onProgress: show)
        try environment.close()
        return report
    }

    private func write(_ report: CopyReport) throws {
        guard arguments.json else {
            return Output.write(
                "\(target): transaction \(report.transaction), \(Output.bytes(report.fileSize)), digest "
                    + "\(report.digest)")
        }
        try JSON.write(
            Result(
                environment: arguments.environment, target: target,
                transaction: report.transaction, wallClock: report.wallClock,
                fileSize: report.fileSize, bytesWritten: report.bytesWritten,
                digest: "\(report.digest)", compact: compact))
    }
}
