/// The states that may still need freed pages.
struct Horizon {
    /// The oldest snapshot that is being read.
    var oldestReader: UInt64
    /// The commits that may be the durable root.
    var roots: (UInt64, UInt64)

    /// Whether pages freed by `transaction` are needed by none of them.
    ///
    /// - Parameter birth: the oldest writer of them; nil if unknown, and then old.
    func allows(transaction: UInt64, birth: UInt64?) -> Bool {
        guard transaction <= oldestReader else { return false }
        return clears(roots.0, transaction, birth) && clears(roots.1, transaction, birth)
    }

    /// Whether a root is after the pages were freed, or before they were written.
    func clears(_ root: UInt64, _ transaction: UInt64, _ birth: UInt64?) -> Bool {
        if root >= transaction { return true }
        guard let birth else { return false }
        return root < birth
    }
}
