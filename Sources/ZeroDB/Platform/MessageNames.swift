/// Names of parts of the interface in messages.
///
/// A flag, an option or a function has a name in each language: `ZDB_CREATE` in C is `create=True` in
/// Python. A message is written with the name in C, between two marks: `"open it with \(c: "ZDB_CREATE")"`.
/// Where it leaves the library, the names become those of the language that shows it. If text of a user has
/// these marks in it, it loses them there, no more.
package enum MessageNames {
    /// U+000E, "shift out", and U+000F, "shift in".
    package static let start: UInt8 = 0x0e
    /// The mark after a name.
    package static let end: UInt8 = 0x0f

    /// A message in the words of C.
    package static func inC(_ marked: String) -> String { replacing(marked) { $0 } }

    /// A message in the words of Swift.
    static func inSwift(_ marked: String) -> String {
        replacing(marked) { name in
            // What function of C is at fault helps nobody who has called another.
            name.hasSuffix(": ") ? "" : swiftNames[String(name)].map { $0[...] } ?? name
        }
    }

    private static func replacing(
        _ marked: String, _ replacement: (Substring) -> Substring
    ) -> String {
        guard marked.utf8.contains(where: { $0 == start || $0 == end }) else { return marked }
        var result = ""
        var rest = marked[...]
        while let mark = rest.utf8.firstIndex(where: { $0 == start || $0 == end }) {
            result += rest[..<mark]
            let isStart = rest.utf8[mark] == start
            rest = rest[rest.utf8.index(after: mark)...]
            guard isStart, let close = rest.utf8.firstIndex(of: end) else { continue }
            result += replacement(rest[..<close])
            rest = rest[rest.utf8.index(after: close)...]
        }
        return result + rest
    }

    /// Names in C that differ in Swift. `make lint` finds one that is missing.
    private static let swiftNames = [
        "ZDB_COUNTED": ".counted",
        "ZDB_CREATE": "createDatabase",
        "ZDB_DUPFIXED": ".fixedSizeDuplicates",
        "ZDB_DUPSORT": ".duplicates",
        "ZDB_INTEGERDUP": ".integerDuplicates",
        "ZDB_INTEGERKEY": ".integerKeys",
        "ZDB_REVERSEDUP": ".reverseDuplicates",
        "ZDB_REVERSEKEY": ".reverseKeys",
        "archive_log_kept": "archiveLogKept",
        "auto_compact_percent": "autoCompactPercent",
        "file_mode": "fileMode",
        "log_size": "logSize",
        "max_readers": "maxReaders",
        "max_size": "maxSize",
        "max_txn_memory": "maxTransactionMemory",
        "max_txn_pages": "maxTransactionPages",
        "page_size": "pageSize",
        "recovery_root": "recoveryRoot",
        "zdb_db_open": "database(_:)",
    ]
}

extension DefaultStringInterpolation {
    /// A name in C of a flag, an option or a function.
    package mutating func appendInterpolation(c name: StaticString) {
        appendLiteral("\u{0e}")
        appendInterpolation(name)
        appendLiteral("\u{0f}")
    }

    /// The function of C that refuses, before what it says.
    package mutating func appendInterpolation(by function: StaticString) {
        appendLiteral("\u{0e}")
        appendInterpolation(function)
        appendLiteral(": \u{0f}")
    }
}
