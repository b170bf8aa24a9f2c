@preconcurrency import Glibc
import ZeroDB

/// What `zerodb check` has found, put together by the part of the environment that it is in.
final class CheckReport {
    let environment: String
    /// Those that are listed; the others are only counted.
    private(set) var problems: [VerifyProblem] = []
    private(set) var problemCount: UInt64 = 0
    private(set) var parts: [Part] = []
    /// Why it could not be opened, or verified to the end.
    private(set) var failure: DatabaseError?
    private(set) var found: VerifyReport?
    private(set) var info: EnvironmentInfo?
    private(set) var isQuick = false

    static let listedMax = 1000

    /// A database or another part of the environment with what is wrong in it.
    struct Part {
        var place: VerifyProblem.Place
        var databaseName: [UInt8]?
        var problems: UInt64 = 0
        /// About how many entries are damaged or lost: what is missing of those that are counted, or what
        /// the problems say one by one.
        var entries: UInt64 { max(missing, affected) }
        var missing: UInt64 = 0
        var affected: UInt64 = 0

        mutating func add(_ problem: VerifyProblem) {
            problems += 1
            if problem.kind == .count, problem.page == nil {
                missing = max(missing, problem.entries)
            } else {
                affected += problem.entries
            }
        }
    }

    init(_ environment: String) { self.environment = environment }

    func add(_ problem: VerifyProblem) {
        problemCount += 1
        let known = parts.firstIndex {
            $0.place == problem.place && $0.databaseName == problem.databaseName
        }
        if let known {
            parts[known].add(problem)
        } else {
            var part = Part(place: problem.place, databaseName: problem.databaseName)
            part.add(problem)
            parts.append(part)
        }
        if problems.count < Self.listedMax { problems.append(problem) }
    }

    func add(_ error: DatabaseError) { failure = error }

    /// Looks at the files of an environment that does not open.
    func inspect() {
        guard let found = try? EnvironmentInspection.run(pathBytes: Array(environment.utf8)) else {
            return
        }
        for problem in found { add(problem) }
    }

    func finish(_ found: VerifyReport, _ info: EnvironmentInfo, isQuick: Bool) {
        self.found = found
        self.info = info
        self.isQuick = isQuick
        parts.sort { $0.place.rawValue < $1.place.rawValue }
    }

    // MARK: JSON

    struct Problem: Encodable {
        var kind: String?
        var place: String?
        var database: String?
        var page: UInt64?
        var from: String?
        var to: String?
        var entries: UInt64?
        var transaction: UInt64?
        var committed: String?
        var message: String
    }

    struct PartResult: Encodable {
        var place: String
        var database: String?
        var problems: UInt64
        var entries: UInt64?
    }

    struct Result: Encodable {
        var environment: String
        var state: String
        var checked: String?
        var transaction: UInt64?
        var pages: UInt64 = 0
        var treePages: UInt64 = 0
        var overflowPages: UInt64 = 0
        var freePages: UInt64 = 0
        var databases: UInt64 = 0
        var entries: UInt64 = 0
        var logRecords: UInt64 = 0
        var logBytes: UInt64 = 0
        var digest: String?
        var problemCount: UInt64 = 0
        var problems: [Problem] = []
        var damaged: [PartResult] = []
        var advice: [String] = []
    }

    func result(_ status: ExitStatus) -> Result {
        var result = Result(
            environment: environment,
            state: status == .success ? "sound" : status == .damaged ? "damaged" : "unchecked")
        if let found {
            result.checked = isQuick ? "headers" : "everything"
            result.transaction = found.transaction
            result.pages = found.pages
            result.treePages = found.treePages
            result.overflowPages = found.overflowPages
            result.freePages = found.freePages
            result.databases = found.databases
            result.entries = found.entries
            result.logRecords = found.logRecords
            result.logBytes = found.logBytes
            if found.digest != ContentDigest(low: 0, high: 0) { result.digest = "\(found.digest)" }
        }
        if let failure, failure.code == .corrupted {
            result.problemCount = 1
            result.problems = [Problem(page: failure.page, message: failure.message)]
        }
        result.problemCount += problemCount
        result.problems += problems.map(Self.json)
        result.damaged = parts.map {
            PartResult(
                place: $0.place.name, database: $0.databaseName.map(Output.name),
                problems: $0.problems, entries: $0.entries == 0 ? nil : $0.entries)
        }
        if status == .damaged { result.advice = advice }
        return result
    }

    private static func json(_ problem: VerifyProblem) -> Problem {
        Problem(
            kind: problem.kind.name, place: problem.place.name,
            database: problem.databaseName.map(Output.name), page: problem.page,
            from: problem.range?.low.map(Output.name), to: problem.range?.high.map(Output.name),
            entries: problem.entries == 0 ? nil : problem.entries,
            transaction: problem.transaction, committed: problem.wallClock.map(Output.time),
            message: problem.message)
    }
}

extension VerifyProblem.Kind {
    /// For JSON.
    var name: String {
        switch self {
        case .meta: "meta"
        case .checksum: "checksum"
        case .lostWrite: "lost write"
        case .misplaced: "misplaced"
        case .unreadable: "unreadable"
        case .structure: "structure"
        case .order: "order"
        case .reference: "reference"
        case .count: "count"
        case .digest: "digest"
        case .freePages: "free pages"
        case .log: "log"
        }
    }
}

extension VerifyProblem.Place {
    var name: String {
        switch self {
        case .environment: "environment"
        case .mainDatabase: "main database"
        case .namedDatabase: "named database"
        case .catalog: "catalog"
        case .freePages: "free pages"
        case .log: "log"
        }
    }
}
