@preconcurrency import Glibc
import ZeroDB

/// `zerodb stat --pages`: what the pages of the file are for, as a map, and how full they are.
struct StatPages {
    let arguments: EnvironmentArguments
    /// Where to write the map as a picture.
    let svg: String?

    private struct FillResult: Encodable {
        var use: String
        var pages: UInt64
        var fill: Double
        var tenths: [UInt64]
    }

    private struct RunResult: Encodable {
        var first: UInt64
        var pages: UInt64
        var use: String
    }

    private struct Result: Encodable {
        var environment: String
        var snapshot: UInt64
        var pageSize: Int
        var pages: UInt64
        var filePages: UInt64
        var counts: [String: UInt64]
        var fill: [FillResult]
        var runs: [RunResult]
        var problems: [String]
        var problemCount: UInt64
        var notes: [String]
    }

    /// - Returns: `damaged` if something is wrong with the pages, or keeps from showing them.
    func run() -> ExitStatus {
        do throws(DatabaseError) {
            let (map, failure) = try arguments.inspect { environment throws(DatabaseError) in
                try environment.pageMap()
            } closed: { path throws(DatabaseError) in
                try Environment.pageMap(path: path)
            }
            if let svg, let problem = PageMapPicture(map).write(to: svg, arguments.environment) {
                Output.write("zerodb stat: \(problem)", to: stderr)
                return .notDone
            }
            var notes = map.notes
            if let failure { notes.insert(failure.message, at: 0) }
            if arguments.json { JSON.print(result(map, notes)) } else { write(map, notes) }
            let isWhole =
                map.problemCount == 0 && map.notes.isEmpty && failure?.code != .corrupted
            return isWhole ? .success : .damaged
        } catch {
            return arguments.fail(error, "stat")
        }
    }

    // MARK: Text

    private func write(_ map: PageMap, _ notes: [String]) {
        Output.write(
            "\(arguments.environment): \(Output.count(map.filePages, "page")) of "
                + "\(map.pageSize) bytes, transaction \(map.transaction)")
        let terminal = Terminal.current
        let cells = PageMapCells(map, columns: terminal.columns, rows: terminal.mapRows)
        for line in cells.lines(isColored: terminal.isColored) { Output.writeRaw(line) }
        Output.write(
            cells.pagesPerCell == 1
                ? "a page each"
                : "up to \(cells.pagesPerCell) pages each, shown by what most are for")
        Output.write(
            table: PageUse.allCases.filter { map.count($0) > 0 }.map { use in
                (
                    "\(use.symbol) \(use.title)",
                    "\(Output.count(map.count(use), "page")), "
                        + Output.bytes(map.count(use) * UInt64(map.pageSize))
                )
            })
        for use in PageUse.allCases {
            guard let fill = map.fill[use], let share = fill.fill else { continue }
            Output.write("\(use.title): \(Output.percent(share)) full")
            Output.write(table: Self.bars(fill))
        }
        for problem in map.problems { Output.write("problem: \(problem)") }
        let more = map.problemCount - min(map.problemCount, UInt64(map.problems.count))
        if more > 0 { Output.write("and \(Output.count(more, "more problem"))") }
        for note in notes { Output.write("note: \(note)") }
    }

    private static func bars(_ fill: FillHistogram) -> [(String, String)] {
        let largest = fill.tenths.max() ?? 0
        return fill.tenths.enumerated().filter { $0.element > 0 }.map { index, count in
            let length = largest == 0 ? 0 : Int((count * 40 + largest - 1) / largest)
            let range = "\(index * 10)–\(index * 10 + 10) %"
            return (
                String(repeating: " ", count: 9 - range.count) + range,
                String(repeating: "#", count: length) + " \(count)"
            )
        }
    }

    // MARK: JSON

    private func result(_ map: PageMap, _ notes: [String]) -> Result {
        var counts: [String: UInt64] = [:]
        for use in PageUse.allCases { counts[use.name] = map.count(use) }
        var runs: [RunResult] = []
        for (page, use) in map.uses.enumerated() {
            if let last = runs.last, last.use == use.name {
                runs[runs.count - 1].pages += 1
            } else {
                runs.append(RunResult(first: UInt64(page), pages: 1, use: use.name))
            }
        }
        return Result(
            environment: arguments.environment, snapshot: map.transaction, pageSize: map.pageSize,
            pages: map.pageCount, filePages: map.filePages, counts: counts,
            fill: PageUse.allCases.compactMap { use in
                map.fill[use].map {
                    FillResult(
                        use: use.name, pages: $0.pages, fill: $0.fill ?? 0, tenths: $0.tenths)
                }
            }, runs: runs, problems: map.problems, problemCount: map.problemCount, notes: notes)
    }
}
