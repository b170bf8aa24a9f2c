@testable import ZeroDB

/// What a database is made to hold: its flags, and how large its keys and values are.
struct DatabaseType: Sendable, CustomStringConvertible {
    var flags: DatabaseFlags
    /// Bytes of a key, 0 if they differ.
    var keyWidth = 0
    /// Bytes of a value, 0 if they differ.
    var valueWidth = 0

    init(_ flags: DatabaseFlags = [], keyWidth: Int = 0, valueWidth: Int = 0) {
        self.flags = flags
        self.keyWidth = keyWidth
        self.valueWidth = valueWidth
    }

    var hasDuplicates: Bool { flags.contains(.duplicates) }
    var isCounted: Bool { flags.contains(.counted) }

    var description: String {
        flags.inWords + (keyWidth > 0 ? ", keys of \(keyWidth)" : "")
            + (valueWidth > 0 ? ", values of \(valueWidth)" : "")
    }
}
