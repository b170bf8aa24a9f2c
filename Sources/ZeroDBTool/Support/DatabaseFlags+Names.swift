import ZeroDB

extension DatabaseFlags {
    /// The names of those that are set.
    var names: [String] {
        let known: [(DatabaseFlags, String)] = [
            (.reverseKeys, "reverse keys"), (.duplicates, "duplicates"),
            (.integerKeys, "integer keys"), (.fixedSizeDuplicates, "duplicates of one size"),
            (.integerDuplicates, "integer duplicates"), (.reverseDuplicates, "reverse duplicates"),
            (.counted, "counted"),
        ]
        return known.filter { contains($0.0) }.map(\.1)
    }
}
