import FoundationEssentials
import ZeroDB

/// `zerodb check --list-roots`: the states that recovery mode can show.
enum ListRoots {
    private struct RootResult: Encodable {
        var page: UInt64
        var copy: Int
        var offset: UInt64
        var usable: Bool
        var problem: String?
        var transaction: UInt64?
        var time: String?
        var pages: UInt64?
        var logEnd: UInt64?
    }

    private struct LoggedResult: Encodable {
        var transaction: UInt64
        var time: String
        var position: UInt64
        var root: UInt64
    }

    private struct Result: Encodable {
        var environment: String
        var pageSize: Int
        var roots: [RootResult]
        var logged: [LoggedResult]
        var logProblem: String?
    }

    /// - Returns: `damaged` if a record or the log has damage.
    static func run(_ arguments: EnvironmentArguments) throws -> ExitStatus {
        let found: EnvironmentRoots
        do throws(DatabaseError) {
            found = try Environment.roots(path: arguments.environment)
        } catch {
            return arguments.fail(error, "check")
        }
        let isDamaged = found.roots.contains { $0.problem != nil } || found.logProblem != nil
        if arguments.json {
            try JSON.write(result(found, arguments.environment))
        } else {
            write(found)
        }
        return isDamaged ? .damaged : .success
    }

    private static func result(_ found: EnvironmentRoots, _ environment: String) -> Result {
        Result(
            environment: environment, pageSize: found.pageSize,
            roots: found.roots.map {
                RootResult(
                    page: $0.page, copy: $0.copy, offset: $0.offset, usable: $0.problem == nil,
                    problem: $0.problem, transaction: $0.transaction, time: $0.wallClock.map(time),
                    pages: $0.pageCount, logEnd: $0.logEnd)
            },
            logged: found.logged.map {
                LoggedResult(
                    transaction: $0.transaction, time: time($0.wallClock), position: $0.position,
                    root: $0.root)
            }, logProblem: found.logProblem)
    }

    private static func write(_ found: EnvironmentRoots) {
        for root in found.roots {
            let place = "page \(root.page) (meta), byte \(root.offset): "
            guard let transaction = root.transaction else {
                Output.write(place + "damaged: \(root.problem ?? "")")
                continue
            }
            Output.write(
                place + "transaction \(transaction) of \(time(root.wallClock ?? 0)), "
                    + Output.count(root.pageCount ?? 0, "page")
                    + ", log from position \(root.logEnd ?? 0)"
                    + (root.problem.map { "; not whole: \($0)" } ?? ""))
        }
        for (root, states) in Dictionary(grouping: found.logged, by: \.root).sorted(by: {
            $0.key > $1.key
        }) {
            guard let first = states.first, let last = states.last else { continue }
            Output.write(
                "the log leads on from transaction \(root): transactions \(first.transaction) to "
                    + "\(last.transaction), of \(time(first.wallClock)) to \(time(last.wallClock))")
        }
        if found.logged.isEmpty, found.logProblem == nil {
            Output.write("the log has nothing to replay")
        }
        if let problem = found.logProblem { Output.write("the log leads no further: \(problem)") }
    }

    /// "2026-11-26T23:38:05Z"
    private static func time(_ nanoseconds: UInt64) -> String {
        Date(timeIntervalSince1970: Double(nanoseconds) / 1e9).formatted(.iso8601)
    }
}
