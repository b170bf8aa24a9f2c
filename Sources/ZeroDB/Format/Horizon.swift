/// The states that may still need freed pages.
struct Horizon {
    /// The newest commit that readers could see before `snapshots` was taken. A reader that is not among
    /// those sees this one or a newer one.
    let visible: UInt64
    /// The snapshots that are being read, oldest first.
    let snapshots: [UInt64]
    /// The commits that may be the durable root.
    let roots: (UInt64, UInt64)

    /// The oldest snapshot that is being read or may be.
    var oldestReader: UInt64 { min(visible, snapshots.first ?? visible) }

    /// Whether pages freed by `transaction` are needed by none of them.
    ///
    /// - Parameter birth: the oldest writer of them; nil if unknown, and then old.
    func allows(transaction: UInt64, birth: UInt64?) -> Bool {
        !isRead(transaction: transaction, birth: birth)
            && clears(roots.0, transaction, birth) && clears(roots.1, transaction, birth)
    }

    /// Whether a reader may need pages freed by `transaction`: one from `birth` on and before it.
    func isRead(transaction: UInt64, birth: UInt64?) -> Bool {
        guard let birth else { return transaction > oldestReader }
        guard transaction <= visible else { return true }
        return firstSnapshot(from: birth).map { $0 < transaction } ?? false
    }

    private func firstSnapshot(from birth: UInt64) -> UInt64? {
        var low = 0
        var high = snapshots.count
        while low < high {
            let middle = (low + high) / 2
            if snapshots[middle] < birth { low = middle + 1 } else { high = middle }
        }
        return low < snapshots.count ? snapshots[low] : nil
    }

    /// Whether a root is after the pages were freed, or before they were written.
    func clears(_ root: UInt64, _ transaction: UInt64, _ birth: UInt64?) -> Bool {
        if root >= transaction { return true }
        guard let birth else { return false }
        return root < birth
    }
}
