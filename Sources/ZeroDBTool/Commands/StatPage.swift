import ZeroDB

/// `zerodb stat --page`: a page decoded and in hexadecimal, and what refers to it.
struct StatPage {
    let arguments: EnvironmentArguments
    let number: UInt64
    /// Bytes of a key or value that are shown.
    let width: Int

    private struct ReferrerResult: Encodable {
        var kind: String
        var database: String?
        var page: UInt64?
        var index: Int?
        var path: [UInt64]
        var writtenBy: UInt64?
        var freedBy: UInt64?
    }

    private struct HeaderResult: Encodable {
        var checksum: String
        var computedChecksum: String?
        var page: UInt64
        var transaction: UInt64
        var kind: String
        var level: Int
        var flags: UInt16
        var entries: Int
        var prefixBytes: Int
        var heapBytes: Int
        var deadBytes: Int
        var valueBytes: Int
        var valueLength: UInt64?
    }

    private struct EntryResult: Encodable {
        var key: String?
        var keyBytes: Int?
        var value: String?
        var valueBytes: Int?
        var values: [String]?
        var child: UInt64?
        var entriesBelow: UInt64?
        var overflowPage: UInt64?
        var valueTreeRoot: UInt64?
        var valueTreeValues: UInt64?
    }

    private struct MetaResult: Encodable {
        var offset: Int
        var transaction: UInt64?
        var time: String?
        var pages: UInt64?
        var logEnd: UInt64?
        var problem: String?
    }

    private struct Result: Encodable {
        var environment: String
        var page: UInt64
        var offset: UInt64
        var snapshot: UInt64
        var use: String
        var referrers: [ReferrerResult]
        var problems: [String]
        var notes: [String]
        var header: HeaderResult?
        var entries: [EntryResult]
        var metaRecords: [MetaResult]
        var runStart: UInt64?
        var hex: String
    }

    /// - Returns: `damaged` if something is wrong with the page or keeps from judging it.
    func run() -> ExitStatus {
        do throws(DatabaseError) {
            let (found, failure) = try arguments.inspect { environment throws(DatabaseError) in
                try environment.inspectPage(number)
            } closed: { path throws(DatabaseError) in
                try Environment.inspectPage(number, path: path)
            }
            var shown = found
            if let failure { shown.notes.insert(failure.message, at: 0) }
            if arguments.json { JSON.print(result(shown)) } else { write(shown) }
            let isWhole =
                found.problems.isEmpty && found.notes.isEmpty && failure?.code != .corrupted
            return isWhole ? .success : .damaged
        } catch {
            return arguments.fail(error, "stat")
        }
    }

    // MARK: Text

    private func write(_ found: InspectedPage) {
        Output.write("page \(found.number), byte \(found.offset) of data.zdb: \(describe(found))")
        var rows: [(String, String)] = [("snapshot", "transaction \(found.snapshot)")]
        if found.referrers.isEmpty, found.use != .meta {
            rows.append(("referred to by", "nothing"))
        }
        for referrer in found.referrers { rows.append(("referred to by", describe(referrer))) }
        if let header = found.header { rows += self.rows(header) }
        for copy in found.metaCopies {
            rows.append(
                (
                    "record at \(copy.offset)",
                    copy.problem.map { "damaged: \($0)" }
                        ?? "transaction \(copy.transaction ?? 0) of "
                        + "\(Output.time(copy.wallClock ?? 0)), "
                        + "\(Output.count(copy.pageCount ?? 0, "page")), log from "
                        + "position \(copy.logEnd ?? 0)"
                ))
        }
        for problem in found.problems { rows.append(("problem", problem)) }
        for note in found.notes { rows.append(("note", note)) }
        Output.write(table: rows)
        if !found.entries.isEmpty { Output.write("entries") }
        for (index, entry) in found.entries.enumerated() {
            Output.write("  \(index): \(describe(entry))")
        }
        Output.write("bytes")
        for line in Self.dump(found.bytes, from: found.offset) { Output.write("  " + line) }
    }

    private func describe(_ found: InspectedPage) -> String {
        switch found.use {
        case .overflow where found.runStart != found.number:
            "part of the large value from page \(found.runStart ?? 0) on"
        case .overflow: "the first page of a large value"
        default: found.use.title
        }
    }

    private func rows(_ header: InspectedPage.Header) -> [(String, String)] {
        let sum = Output.hex(header.checksum)
        let isRight = header.computedChecksum == header.checksum
        let checksum =
            header.computedChecksum.map {
                isRight ? "\(sum), right" : "\(sum), but its bytes have \(Output.hex($0))"
            } ?? "\(sum), not checked"
        var rows = [
            ("checksum", checksum),
            (
                "place",
                header.number == number
                    ? "right: it says that it is page \(number)"
                    : "wrong: it says that it is page \(header.number)"
            ), ("written by", "transaction \(header.transaction)"),
            (
                "kind",
                "\(Self.name(ofKind: header.kind)), level \(header.level), flags \(header.flags)"
            ),
        ]
        if let length = header.valueLength {
            rows.append(("value", Output.count(length, "byte")))
            return rows
        }
        rows.append(
            (
                "content",
                "\(Output.count(UInt64(header.count), "entry", "entries")), "
                    + "\(header.prefixLength) bytes of prefix, \(header.heapBytes) of heap, "
                    + "\(header.deadBytes) of them dead"
            ))
        return rows
    }

    private static func name(ofKind kind: UInt8) -> String {
        [1: "branch", 2: "leaf", 3: "large value"][kind] ?? "kind \(kind)"
    }

    private func describe(_ referrer: PageReferrer) -> String {
        let place: String
        switch referrer.kind {
        case .metaRecord:
            place =
                referrer.page.map { "the record in page \($0) (meta)" }
                ?? "the newest commit, which no meta page has yet"
        case .catalogEntry:
            place = "page \(referrer.page ?? 0) (the catalog), entry \(referrer.index ?? 0)"
        case .branchSlot:
            place = "page \(referrer.page ?? 0) (branch), slot \(referrer.index ?? 0)"
        case .leafEntry: place = "page \(referrer.page ?? 0) (leaf), entry \(referrer.index ?? 0)"
        case .freeList:
            place =
                referrer.page.map { "the free list in page \($0) (meta)" }
                ?? "the free list of the newest commit"
        case .freeTreeEntry:
            place = "page \(referrer.page ?? 0) (the free tree), entry \(referrer.index ?? 0)"
        }
        var text = place
        if let tree = referrer.tree { text = "\(tree.title): \(text)" }
        if !referrer.path.isEmpty {
            text += ", by way of " + referrer.path.map { "\($0)" }.joined(separator: " → ")
        }
        if let (birth, end) = referrer.freed {
            text += "; states from \(birth) to before \(end) have it"
        }
        return text
    }

    private func describe(_ entry: InspectedPage.Entry) -> String {
        let key = entry.key.isEmpty ? "" : cut(entry.key)
        switch entry.content {
        case .child(let page, let tag, let entries):
            return (key.isEmpty ? "(first)" : key) + " → page \(page), tag \(tag)"
                + (entries.map { ", " + Output.count($0, "entry", "entries") } ?? "")
        case .value(let value): return (key.isEmpty ? "" : key + " = ") + cut(value)
        case .values(let values):
            return key + " = " + values.map(cut).joined(separator: ", ")
        case .overflow(let page, let bytes):
            return key + " = \(Output.count(bytes, "byte")) from page \(page) on"
        case .valueTree(let root, let values, let depth):
            return key + " = \(Output.count(values, "value")) below page \(root), depth \(depth)"
        case .damaged: return key + " = damaged"
        }
    }

    private func cut(_ bytes: [UInt8]) -> String { Output.cut(bytes, width) }

    /// Lines as `hexdump -C` prints them; a star stands for lines that are like the one before.
    private static func dump(_ bytes: [UInt8], from offset: UInt64) -> [String] {
        var lines: [String] = []
        var last: ArraySlice<UInt8> = []
        for start in stride(from: 0, to: bytes.count, by: 16) {
            let row = bytes[start..<min(start + 16, bytes.count)]
            if Array(row) == Array(last), start + 16 < bytes.count {
                if lines.last != "*" { lines.append("*") }
                continue
            }
            last = row
            let digits = row.enumerated().map { index, byte in
                (index == 8 ? " " : "") + Output.hex(byte)
            }
            let text = row.map { $0 >= 0x20 && $0 < 0x7f ? Character(Unicode.Scalar($0)) : "." }
            let place = String(offset + UInt64(start), radix: 16)
            let padded = String(repeating: "0", count: max(0, 8 - place.count)) + place
            lines.append("\(padded)  \(digits.joined(separator: " "))  |\(String(text))|")
        }
        return lines
    }

    // MARK: JSON

    private func result(_ found: InspectedPage) -> Result {
        Result(
            environment: arguments.environment, page: found.number, offset: found.offset,
            snapshot: found.snapshot, use: found.use.name,
            referrers: found.referrers.map {
                ReferrerResult(
                    kind: $0.kind.name, database: $0.tree?.name, page: $0.page, index: $0.index,
                    path: $0.path, writtenBy: $0.freed?.birth, freedBy: $0.freed?.end)
            }, problems: found.problems, notes: found.notes,
            header: found.header.map(Self.json), entries: found.entries.map(json),
            metaRecords: found.metaCopies.map {
                MetaResult(
                    offset: $0.offset, transaction: $0.transaction,
                    time: $0.wallClock.map(Output.time), pages: $0.pageCount, logEnd: $0.logEnd,
                    problem: $0.problem)
            }, runStart: found.runStart, hex: found.bytes.map { Output.hex($0) }.joined())
    }

    private static func json(_ header: InspectedPage.Header) -> HeaderResult {
        HeaderResult(
            checksum: Output.hex(header.checksum),
            computedChecksum: header.computedChecksum.map(Output.hex), page: header.number,
            transaction: header.transaction, kind: name(ofKind: header.kind), level: header.level,
            flags: header.flags, entries: header.count, prefixBytes: header.prefixLength,
            heapBytes: header.heapBytes, deadBytes: header.deadBytes, valueBytes: header.width,
            valueLength: header.valueLength)
    }

    private func json(_ entry: InspectedPage.Entry) -> EntryResult {
        var result = EntryResult()
        if !entry.key.isEmpty {
            (result.key, result.keyBytes) = (cut(entry.key), entry.key.count)
        }
        switch entry.content {
        case .child(let page, _, let entries):
            (result.child, result.entriesBelow) = (page, entries)
        case .value(let value):
            (result.value, result.valueBytes) = (cut(value), value.count)
        case .values(let values): result.values = values.map(cut)
        case .overflow(let page, let bytes):
            (result.overflowPage, result.valueBytes) = (page, Int(clamping: bytes))
        case .valueTree(let root, let values, _):
            (result.valueTreeRoot, result.valueTreeValues) = (root, values)
        case .damaged: break
        }
        return result
    }
}
