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
    var inconsistency: StaticString? {
        guard Self.all.isSuperset(of: self) else { return "some of them are unknown" }
        if contains(.reverseKeys), contains(.integerKeys) {
            return "keys in reverse order (ZDB_REVERSEKEY) are no integers (ZDB_INTEGERKEY)"
        }
        if contains(.reverseDuplicates), contains(.integerDuplicates) {
            return "values in reverse order (ZDB_REVERSEDUP) are no integers (ZDB_INTEGERDUP)"
        }
        if contains(.integerDuplicates), !contains(.fixedSizeDuplicates) {
            return "integer values (ZDB_INTEGERDUP) need values of one size (ZDB_DUPFIXED)"
        }
        let ofDuplicates: DatabaseFlags = [
            .fixedSizeDuplicates, .integerDuplicates, .reverseDuplicates,
        ]
        guard contains(.duplicates) || isDisjoint(with: ofDuplicates) else {
            return "ZDB_DUPFIXED, ZDB_INTEGERDUP and ZDB_REVERSEDUP need ZDB_DUPSORT"
        }
        return nil
    }
}
