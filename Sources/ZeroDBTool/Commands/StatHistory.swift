import ZeroDB

/// `zerodb stat --history` and `--txn`: what the log tells.
struct StatHistory {
    let arguments: EnvironmentArguments
    /// Only this one, with its operations.
    let transaction: UInt64?
    /// Characters of a key or value that are shown.
    let width: Int

    private struct DatabaseResult: Encodable {
        var name: String?
        var puts: UInt64
        var deletes: UInt64
        var rangeDeletes: UInt64
        var clears: UInt64
        var changes: UInt64
    }

    private struct TransactionResult: Encodable {
        var transaction: UInt64
        var time: String
        var position: UInt64
        var bytes: UInt64
        var durability: String
        var digest: String
        var operations: UInt64
        var databases: [DatabaseResult]
        var problem: String?
        var listed: [OperationResult]?
    }

    private struct GapResult: Encodable {
        var first: UInt64?
        var last: UInt64?
        var reason: String
        var message: String?
    }

    private struct OperationResult: Encodable {
        var operation: String
        var database: String?
        var key: String?
        var keyBytes: Int?
        var value: String?
        var valueBytes: Int?
        var from: String?
        var to: String?
        var flags: [String]?
        var newName: String?
    }

    private struct Result: Encodable {
        var environment: String
        var checkpoint: UInt64?
        var records: UInt64 = 0
        var bytes: UInt64 = 0
        var segments: UInt64 = 0
        var transactions: [TransactionResult] = []
        var gaps: [GapResult] = []
        var problems: [String] = []
    }

    /// - Returns: `damaged` if something of the log cannot be shown.
    func run() throws -> ExitStatus {
        do throws(DatabaseError) {
            if let transaction { return try show(transaction) }
            return try list()
        } catch {
            return arguments.fail(error, "stat")
        }
    }

    // MARK: All transactions

    private func list() throws(DatabaseError) -> ExitStatus {
        var result = Result(environment: arguments.environment)
        let isJSON = arguments.json
        var hasHeading = isJSON
        func writeLine(_ line: String) {
            if !hasHeading { Output.write(Self.heading) }
            hasHeading = true
            Output.write(line)
        }
        let summary = try Environment.history(path: arguments.environment) { item in
            switch item {
            case .transaction(let logged):
                if isJSON {
                    result.transactions.append(Self.json(logged))
                } else {
                    writeLine(Self.line(logged))
                }
            case .gap(let gap):
                if isJSON {
                    result.gaps.append(
                        GapResult(
                            first: gap.first, last: gap.last, reason: gap.reason.rawValue,
                            message: gap.message))
                } else {
                    writeLine(Self.line(gap))
                }
            }
            return true
        }
        if isJSON {
            result.checkpoint = summary.checkpoint
            (result.records, result.bytes) = (summary.transactions, summary.bytes)
            (result.segments, result.problems) = (summary.segments, summary.problems)
            JSON.print(result)
        } else {
            Self.write(summary)
        }
        return summary.problems.isEmpty ? .success : .damaged
    }

    private static let heading =
        pad("transaction", 12) + pad("time", 28) + pad("bytes", 10) + pad("durability", 14)
        + "operations"

    private static func line(_ logged: LoggedTransaction) -> String {
        pad("\(logged.transaction)", 12) + pad(Output.preciseTime(logged.wallClock), 28)
            + pad("\(logged.bytes)", 10) + pad(logged.durability.rawValue, 14) + describe(logged)
    }

    private static func pad(_ text: String, _ width: Int) -> String {
        text + String(repeating: " ", count: max(1, width - text.count))
    }

    /// "main: 3 puts, 1 delete; "names": 1 put"
    private static func describe(_ logged: LoggedTransaction) -> String {
        let parts = logged.databases.map { database in
            let counts = [
                (database.puts, "put"), (database.deletes, "delete"),
                (database.rangeDeletes, "range deleted"), (database.clears, "clear"),
                (database.changes, "change"),
            ]
            let shown = counts.filter { $0.0 > 0 }.map { count, name in
                name == "range deleted"
                    ? Output.count(count, name, "ranges deleted") : Output.count(count, name)
            }
            return (database.name.map(Output.shortName) ?? "main") + ": "
                + shown.joined(separator: ", ")
        }
        let text = parts.isEmpty ? "none" : parts.joined(separator: "; ")
        return logged.problem.map { "\(text); \($0)" } ?? text
    }

    private static func line(_ gap: LogGap) -> String {
        let place =
            switch (gap.first, gap.last) {
            case (let first?, let last?) where first < last: "transactions \(first) to \(last)"
            case (let first?, let last?) where first == last: "transaction \(first)"
            case (nil, let last?): "transactions up to \(last)"
            case (let first?, _): "transactions from \(first) on"
            default: "transactions"
            }
        let reason =
            switch gap.reason {
            case .unlogged:
                "not in the log; a checkpoint includes \(gap.first == gap.last ? "it" : "them")"
            case .damaged: "cannot be shown: \(gap.message ?? "the log is damaged")"
            case .recycled: "no longer in the log"
            }
        return "-- \(place): \(reason)"
    }

    private static func write(_ summary: LogHistorySummary) {
        let records = Output.count(summary.transactions, "transaction")
        let checkpoint = summary.checkpoint.map { "; checkpoint at transaction \($0)" } ?? ""
        Output.write(
            "\(records), \(Output.bytes(summary.bytes)) in "
                + "\(Output.count(summary.segments, "segment")) of the log\(checkpoint)")
        for problem in summary.problems { Output.write("damaged: \(problem)") }
    }

    private static func json(_ logged: LoggedTransaction) -> TransactionResult {
        TransactionResult(
            transaction: logged.transaction, time: Output.preciseTime(logged.wallClock),
            position: logged.position, bytes: logged.bytes,
            durability: logged.durability.rawValue, digest: "\(logged.digest)",
            operations: logged.operations,
            databases: logged.databases.map {
                DatabaseResult(
                    name: $0.name.map(Output.name), puts: $0.puts, deletes: $0.deletes,
                    rangeDeletes: $0.rangeDeletes, clears: $0.clears, changes: $0.changes)
            }, problem: logged.problem)
    }

    // MARK: One transaction

    private func show(_ transaction: UInt64) throws(DatabaseError) -> ExitStatus {
        var listed: [OperationResult] = []
        var lines: [String] = []
        let logged = try Environment.operations(
            ofTransaction: transaction, path: arguments.environment
        ) { operation in
            if arguments.json {
                listed.append(json(operation))
            } else {
                lines.append("  " + describe(operation))
            }
            return true
        }
        if arguments.json {
            var result = Self.json(logged)
            result.listed = listed
            JSON.print(result)
        } else {
            Output.write("transaction \(logged.transaction)")
            Output.write(table: [
                ("time", Output.preciseTime(logged.wallClock)),
                ("position", "\(logged.position), \(Output.count(logged.bytes, "byte"))"),
                ("durability", logged.durability.rawValue), ("digest", "\(logged.digest)"),
                ("operations", Self.describe(logged)),
            ])
            for line in lines { Output.write(line) }
        }
        return logged.problem == nil ? .success : .damaged
    }

    private func describe(_ operation: LoggedOperation) -> String {
        let place = operation.database.map(Output.shortName) ?? "main"
        let what =
            switch operation {
            case .put(_, let key, let value): "put \(cut(key)) = \(cut(value))"
            case .delete(_, let key): "delete \(cut(key))"
            case .deleteValue(_, let key, let value): "delete value \(cut(key)) = \(cut(value))"
            case .deleteRange(_, let from, let to):
                "delete range from \(from.map(cut) ?? "the first key") to before "
                    + (to.map(cut) ?? "the end")
            case .create(_, let flags):
                "create" + (flags.isEmpty ? "" : ", " + flags.names.joined(separator: ", "))
            case .clear: "clear"
            case .drop: "drop"
            case .rename(_, let name): "rename to \(Output.shortName(name))"
            }
        return "\(place): \(what)"
    }

    private func cut(_ bytes: [UInt8]) -> String { Output.cut(bytes, width) }

    private func json(_ operation: LoggedOperation) -> OperationResult {
        var result = OperationResult(operation: "", database: operation.database.map(Output.name))
        func set(_ name: String, _ key: [UInt8]? = nil, _ value: [UInt8]? = nil) {
            result.operation = name
            result.key = key.map(cut)
            result.keyBytes = key?.count
            result.value = value.map(cut)
            result.valueBytes = value?.count
        }
        switch operation {
        case .put(_, let key, let value): set("put", key, value)
        case .delete(_, let key): set("delete", key)
        case .deleteValue(_, let key, let value): set("delete value", key, value)
        case .deleteRange(_, let from, let to):
            set("delete range")
            (result.from, result.to) = (from.map(cut), to.map(cut))
        case .create(_, let flags):
            set("create")
            result.flags = flags.names
        case .clear: set("clear")
        case .drop: set("drop")
        case .rename(_, let name):
            set("rename")
            result.newName = Output.name(name)
        }
        return result
    }
}
