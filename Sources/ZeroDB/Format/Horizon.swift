/// The states that have some pages: from that of the transaction that wrote them to the one before that
/// of the transaction that freed them.
struct StateRange: Equatable {
    /// The transaction that wrote the pages; of several, one that is not newer than the oldest. 0 if it is
    /// not known.
    var birth: UInt64
    /// The transaction that freed them; of several, one that is not older than the newest.
    var end: UInt64
}

/// Pages that a transaction freed.
struct FreedRun: Equatable {
    var pages: PageRun
    /// The transaction that wrote them, or one before it.
    var birth: UInt64
}

/// The states that may still need freed pages.
struct Horizon {
    /// The newest commit that readers could see before their snapshots were looked for. A reader that has
    /// not been found sees this one or a newer one.
    let visible: UInt64
    /// The commits that may be the durable root.
    let roots: (UInt64, UInt64)
    /// The states that are needed: the roots and the snapshots that are being read, in order, each once.
    let states: [UInt64]
    /// Whether snapshots are being read.
    let hasReaders: Bool

    /// - Parameter snapshots: those that are being read, in any order.
    init(visible: UInt64, snapshots: [UInt64], roots: (UInt64, UInt64)) {
        self.visible = visible
        self.roots = roots
        hasReaders = !snapshots.isEmpty
        guard hasReaders else {
            states =
                roots.0 == roots.1
                ? [roots.0] : [min(roots.0, roots.1), max(roots.0, roots.1)]
            return
        }
        var states: [UInt64] = []
        for state in (snapshots + [roots.0, roots.1]).sorted() where state != states.last {
            states.append(state)
        }
        self.states = states
    }

    /// Where the states begin that are not before a transaction's. Two transactions with the same place
    /// have no needed state between them.
    func place(of transaction: UInt64) -> Int {
        var low = 0
        var high = states.count
        while low < high {
            let middle = (low + high) / 2
            if states[middle] < transaction { low = middle + 1 } else { high = middle }
        }
        return low
    }

    /// Which of the needed states have pages.
    func needs(_ range: StateRange) -> Range<Int> {
        let first = place(of: range.birth)
        return first..<max(first, place(of: range.end))
    }

    /// Whether pages are needed by none of the states, nor by one that a reader could see unnoticed.
    func allows(_ range: StateRange) -> Bool {
        range.end <= visible && needs(range).isEmpty
    }

    /// One of the states that need pages, nil if none does.
    ///
    /// It is the one in the middle: whether the older states come to their end first or the newer ones, each
    /// time that it is asked for another one, half of those that were left have gone.
    func holder(of range: StateRange) -> UInt64? {
        let needs = needs(range)
        return needs.isEmpty ? nil : states[(needs.lowerBound + needs.upperBound - 1) / 2]
    }

    /// Whether a state is needed.
    func needs(state: UInt64) -> Bool {
        let place = place(of: state)
        return place < states.count && states[place] == state
    }

    /// Whether a durable root has pages.
    func isInRoot(_ range: StateRange) -> Bool {
        let isIn = { (root: UInt64) in range.birth <= root && root < range.end }
        return isIn(roots.0) || isIn(roots.1)
    }
}
