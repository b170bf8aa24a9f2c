import ZeroDB

/// How dumps write what a database is.
enum DumpFlags {
    /// What LMDB's databases can be, by the names that its tools give it.
    static let ofLMDB: [(String, DatabaseFlags)] = [
        ("reversekey", .reverseKeys), ("dupsort", .duplicates), ("integerkey", .integerKeys),
        ("dupfixed", .fixedSizeDuplicates), ("integerdup", .integerDuplicates),
        ("reversedup", .reverseDuplicates),
    ]
    /// The same and what ZeroDB's can be besides.
    static let all = ofLMDB + [("counted", .counted)]
}
