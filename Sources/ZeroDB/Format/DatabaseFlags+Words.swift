/// How messages speak of what a database is.
extension DatabaseFlags {
    private static let words: [(DatabaseFlags, String)] = [
        (.reverseKeys, "keys in reverse order"), (.integerKeys, "integer keys"),
        (.duplicates, "duplicates"), (.fixedSizeDuplicates, "values of one size"),
        (.integerDuplicates, "integer values"), (.reverseDuplicates, "values in reverse order"),
        (.counted, "counts"),
    ]

    /// "plain", or "of duplicates, counts".
    var inWords: String {
        let named = Self.words.filter { contains($0.0) }.map { $0.1 }
        return named.isEmpty ? "plain" : "of " + named.joined(separator: ", ")
    }

    /// Why the flags do not go together, nil if they do.
    var inconsistency: String? {
        guard Self.all.isSuperset(of: self) else { return "some of them are unknown" }
        if contains(.reverseKeys), contains(.integerKeys) {
            return "keys in reverse order (\(c: "ZDB_REVERSEKEY")) are no integers "
                + "(\(c: "ZDB_INTEGERKEY"))"
        }
        if contains(.reverseDuplicates), contains(.integerDuplicates) {
            return "values in reverse order (\(c: "ZDB_REVERSEDUP")) are no integers "
                + "(\(c: "ZDB_INTEGERDUP"))"
        }
        if contains(.integerDuplicates), !contains(.fixedSizeDuplicates) {
            return "integer values (\(c: "ZDB_INTEGERDUP")) need values of one size "
                + "(\(c: "ZDB_DUPFIXED"))"
        }
        let ofDuplicates: DatabaseFlags = [
            .fixedSizeDuplicates, .integerDuplicates, .reverseDuplicates,
        ]
        guard contains(.duplicates) || isDisjoint(with: ofDuplicates) else {
            return "\(c: "ZDB_DUPFIXED"), \(c: "ZDB_INTEGERDUP") and \(c: "ZDB_REVERSEDUP") need "
                + "\(c: "ZDB_DUPSORT")"
        }
        return nil
    }
}
