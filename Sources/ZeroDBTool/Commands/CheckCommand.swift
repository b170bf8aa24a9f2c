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
            of keys, all counts and digests, and that each page has exactly one use. Programs may read and \
            write the environment meanwhile. Changes nothing.

            The exit status is 0 if it is sound, 1 if it is damaged, and 2 if it could not be checked.
            """)

    @OptionGroup var arguments: EnvironmentArguments

    @Flag(help: "Replay the log first if a program left it after a crash. This writes.")
    var recover = false

    @Flag(name: .shortAndLong, help: "Print nothing; the exit status tells.")
    var quiet = false

    private struct Problem: Encodable {
        var page: UInt64?
        var message: String
    }

    private struct Result: Encodable {
        var environment: String
        var state: String
        var transaction: UInt64?
        var pages: UInt64 = 0
        var treePages: UInt64 = 0
        var overflowPages: UInt64 = 0
        var freePages: UInt64 = 0
        var databases: UInt64 = 0
        var entries: UInt64 = 0
        var digest: String?
        var problems: [Problem] = []
    }

    /// Problems that are listed; the others are only counted.
    private static let listedMax = 1000

    func run() throws {
        var result = Result(environment: arguments.environment, state: "unchecked")
        var status = ExitStatus.success
        do throws(DatabaseError) {
            status = try check(&result)
        } catch {
            if error.code == .corrupted {
                result.problems.append(Problem(page: error.page, message: error.message))
            }
            result.state = error.code == .corrupted ? "damaged" : "unchecked"
            if !quiet || error.code != .corrupted { status = arguments.fail(error, "check") }
            status = error.code == .corrupted ? .damaged : .notDone
        }
        if arguments.json, !quiet { try JSON.write(result) }
        throw status
    }

    private func check(_ result: inout Result) throws(DatabaseError) -> ExitStatus {
        let environment = try arguments.open { options in
            options.isReadOnly = !recover
            // A page that cannot be read is a problem to list like others.
            options.checksumMode = .full
        }
        let info = try environment.info()
        result.transaction = info.lastTransaction
        let found = Problems(isPrinting: !arguments.json && !quiet, listedMax: Self.listedMax)
        let report = try environment.verify { found.add($0.page, $0.message) }
        result.pages = report.pages
        result.treePages = report.treePages
        result.overflowPages = report.overflowPages
        result.freePages = report.freePages
        result.databases = report.databases
        result.entries = report.entries
        result.digest = "\(report.digest)"
        result.problems = found.listed.map { Problem(page: $0.page, message: $0.message) }
        result.state = report.problems == 0 ? "sound" : "damaged"
        if found.isPrinting { summarize(report, info) }
        try environment.close()
        return report.problems == 0 ? .success : .damaged
    }

    private func summarize(_ report: VerifyReport, _ info: EnvironmentInfo) {
        if report.problems > Self.listedMax {
            Output.write("… and \(report.problems - UInt64(Self.listedMax)) more problems")
        }
        Output.write(
            "\(arguments.environment): transaction \(info.lastTransaction), "
                + "\(Output.count(report.pages, "page")) "
                + "(\(Output.bytes(report.pages * UInt64(info.pageSize)))), "
                + "\(Output.count(report.databases, "named database")), "
                + "\(Output.count(report.entries, "entry", "entries")), digest \(report.digest)")
        Output.write(
            report.problems == 0
                ? "It is sound." : "It is damaged: \(Output.count(report.problems, "problem")).")
    }
}

/// What a verification has found so far.
private final class Problems {
    let isPrinting: Bool
    private let listedMax: Int
    private(set) var listed: [(page: UInt64?, message: String)] = []

    init(isPrinting: Bool, listedMax: Int) {
        self.isPrinting = isPrinting
        self.listedMax = listedMax
    }

    func add(_ page: UInt64?, _ message: String) {
        guard listed.count < listedMax else { return }
        listed.append((page, message))
        if isPrinting { Output.write(message) }
    }
}
