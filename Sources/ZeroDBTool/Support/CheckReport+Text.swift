@preconcurrency import Glibc
import ZeroDB

/// The report as a person reads it.
extension CheckReport {
    func write() {
        for part in parts { write(part) }
        let listed = UInt64(problems.count)
        if problemCount > listed {
            Output.write("… and \(Output.count(problemCount - listed, "more problem"))")
        }
        if let found, let info { summarize(found, info) }
        guard problemCount > 0 else {
            if found != nil { Output.write("It is sound.") }
            return
        }
        Output.write("It is damaged: \(Output.count(problemCount, "problem")).")
        for line in advice { Output.write("- \(line)") }
    }

    private func summarize(_ found: VerifyReport, _ info: EnvironmentInfo) {
        var line =
            "\(environment): transaction \(found.transaction), "
            + "\(Output.count(found.pages, "page")) "
            + "(\(Output.bytes(found.pages * UInt64(info.pageSize)))), "
            + "\(Output.count(found.databases, "named database")), "
            + Output.count(found.entries, "entry", "entries")
        if found.logRecords > 0 {
            line +=
                ", \(Output.count(found.logRecords, "transaction")) in the log "
                + "(\(Output.bytes(found.logBytes)))"
        }
        line +=
            found.digest == ContentDigest(low: 0, high: 0) ? "" : ", digest \(found.digest)"
        Output.write(line)
    }

    // MARK: A part

    private func write(_ part: Part) {
        var title = "\(part.title): \(Output.count(part.problems, "problem"))"
        if part.entries > 0 {
            title += ", about \(Output.count(part.entries, "entry", "entries")) damaged or lost"
        }
        Output.write(title)
        for problem in problems
        where problem.place == part.place && problem.databaseName == part.databaseName {
            write(problem)
        }
    }

    private func write(_ problem: VerifyProblem) {
        Output.write("  \(Self.shortMessage(of: problem))")
        var details: [String] = []
        if let range = problem.range { details.append(Self.describe(range, problem.place)) }
        if problem.entries > 0 {
            details.append("about \(Output.count(problem.entries, "entry", "entries"))")
        }
        if let transaction = problem.transaction {
            details.append(
                "written by transaction \(transaction)"
                    + (problem.wallClock.map { " at \(Output.time($0))" } ?? ""))
        }
        if !details.isEmpty { Output.write("    \(details.joined(separator: "; "))") }
    }

    /// The message without what the title of its part says, and without the advice to do what is being done.
    private static func shortMessage(of problem: VerifyProblem) -> String {
        var message = problem.message[...]
        let advice = "; run zerodb-check"
        if message.hasSuffix(advice) { message = message.dropLast(advice.count) }
        if message.hasPrefix("in "), let end = message.firstRange(of: ": corrupted ") {
            message = message[message.index(end.lowerBound, offsetBy: 2)...]
        }
        return String(message)
    }

    private static func describe(
        _ range: VerifyProblem.KeyRange, _ place: VerifyProblem.Place
    ) -> String {
        let things = place == .catalog ? "databases" : "keys"
        switch (range.low.map(Output.shortName), range.high.map(Output.shortName)) {
        case (nil, nil): return "all \(things)"
        case (let low?, nil): return "\(things) from \(low) on"
        case (nil, let high?): return "\(things) before \(high)"
        case (let low?, let high?): return "\(things) from \(low) on and before \(high)"
        }
    }

    // MARK: What can be done

    /// What can be done about it, a line each.
    var advice: [String] {
        let found = Set(problems.map(\.kind))
        let places = Set(parts.map(\.place))
        var lines: [String] = []
        let isOpen = failure == nil
        if !places.isDisjoint(with: [.mainDatabase, .namedDatabase, .catalog])
            || found.contains(.unreadable)
        {
            lines.append(
                "Entries are damaged or lost: restore the environment from a backup. Where there is none, "
                    + "zerodb-check --fix keeps all entries that can be had, and lists the keys that cannot."
            )
        } else if found.contains(.freePages) {
            lines.append(
                "No entry is damaged: zerodb-check --fix makes the free pages right from the trees."
            )
        }
        if found.contains(.meta), isOpen {
            lines.append(
                "Of a meta page one copy serves: two more commits, with a checkpoint after each, write both "
                    + "pages anew.")
        } else if found.contains(.meta) || !isOpen, !found.contains(.log) {
            lines.append(
                "It does not open: restore it from a backup, or have zerodb-check --fix take what is whole."
            )
        }
        if found.contains(.log) {
            lines.append(
                isOpen
                    ? "The data file has what the damaged log does not: have a program that has the "
                        + "environment open make a checkpoint, or close it, before the machine goes down."
                    : "Put back the log as it was, from a copy. Where there is none, zerodb-check --fix "
                        + "--truncate-log cuts it off, and says which transactions go.")
        }
        return lines
    }
}

extension CheckReport.Part {
    fileprivate var title: String {
        switch place {
        case .environment: "the meta pages"
        case .mainDatabase: "the main database"
        case .namedDatabase: "database \(Output.name(databaseName ?? []))"
        case .catalog: "the catalog of databases"
        case .freePages: "the free pages"
        case .log: "the log"
        }
    }
}

extension Output {
    /// Bytes of a name or key, cut off where they are many.
    static func shortName(_ bytes: [UInt8]) -> String {
        bytes.count <= 48 ? name(bytes) : name(Array(bytes.prefix(48))) + "…"
    }

    /// A time in nanoseconds since 1970: "2026-11-26 18:00:00 UTC".
    static func time(_ nanoseconds: UInt64) -> String {
        var seconds = time_t(nanoseconds / 1_000_000_000)
        var parts = tm()
        gmtime_r(&seconds, &parts)
        return withUnsafeTemporaryAllocation(of: CChar.self, capacity: 64) { buffer in
            guard let start = buffer.baseAddress,
                strftime(start, 64, "%Y-%m-%d %H:%M:%S UTC", &parts) > 0
            else { return "\(nanoseconds / 1_000_000_000) s after 1970" }
            return String(cString: start)
        }
    }

    /// The same with microseconds: "2026-11-26 18:00:00.000000 UTC".
    static func preciseTime(_ nanoseconds: UInt64) -> String {
        let digits = "\(nanoseconds / 1000 % 1_000_000)"
        let padded = String(repeating: "0", count: 6 - digits.count) + digits
        return time(nanoseconds).replacingSuffix(" UTC", with: ".\(padded) UTC")
    }
}

extension String {
    fileprivate func replacingSuffix(_ suffix: String, with other: String) -> String {
        hasSuffix(suffix) ? dropLast(suffix.count) + other : self
    }
}
