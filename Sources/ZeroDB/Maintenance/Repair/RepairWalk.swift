import Glibc

/// Walks the trees of a state twice. The first walk, the *survey*, finds out what is damaged and
/// which trees claim which pages. The second, the *rebuild*, makes sound trees of what is proved to
/// belong to them (docs/internals/repair.md has the rules and the proofs).
final class RepairWalk {
    enum Phase {
        case survey
        case rebuild
    }

    /// What an attempt at rebuilding a tree may use although only the digest of the tree can prove
    /// it.
    struct Trust: Equatable {
        /// Pages that several claim.
        var contested = false
        /// Leaves that were found by scanning, and what can be read of damaged ones.
        var candidates = false
    }

    let pages: RepairPages
    let meta: Meta
    /// Pages of the state that are in the file.
    let limit: UInt64
    /// Pages that later transactions wrote may be of two versions, sector by sector.
    let previousCheckpoint: UInt64
    var phase = Phase.survey

    // MARK: What the survey finds

    /// Whether anything is damaged.
    private(set) var damages: UInt64 = 0
    /// The tree that first claimed a page, 0 for none.
    var owners: [UInt32]
    /// Pages that several trees, or a tree and the free pages, claim, with the claims.
    var contested: [UInt64: [UInt32]] = [:]
    /// Trees with claims of contested pages.
    var contestedTrees: Set<UInt32> = []
    /// Pages that a damaged branch names, and what is below them; those that several name.
    var named: PageSet
    var namedTwice: PageSet
    /// Damaged branches whose children have been noted.
    private var expanded: PageSet
    private var namedQueue: [Named] = []
    private(set) var isNaming = false
    /// The free pages, if their record is sound.
    var free: PageSet?
    /// Pages of overflow runs that may be read yet: values that many entries share are not read for
    /// each.
    var overflowPagesLeft: UInt64

    private struct Named {
        var reference: PageReference
        var level: Int
        var low: [UInt8]
        var high: [UInt8]?
        var parent: UInt64
        var tree: RepairTree
    }

    /// Claims of the free pages.
    static let freeClaim = UInt32.max

    // MARK: What the rebuild makes

    /// Pages of the state that its new trees use.
    var kept: PageSet
    /// The pages put into `kept`, so that an attempt can be taken back.
    var journal: [UInt64] = []
    var trust = Trust()
    /// Trees that contested pages have been proved to belong to, and those proved not to have one.
    var proved: Set<UInt32> = []
    var disproved: Set<UInt32> = []
    var losses: [Loss] = []
    /// The entries of the catalog.
    var databases: [(name: [UInt8], record: TreeRecord)] = []
    /// Those whose records are in a damaged leaf: its digest says nothing of where their roots are.
    var suspects: [[UInt8]] = []
    /// What the free tree names.
    var freeRuns: [PageRun] = []
    var freeCounts = (available: UInt64(0), pending: UInt64(0), young: UInt64(0))
    /// Leaves that nothing claims; looked for when they are needed.
    var orphans: [Orphan]?
    /// Candidates that may be tried yet.
    var candidatesLeft: UInt64

    struct Orphan {
        var number: UInt64
        var layout: PageLayout
        var transaction: UInt64
        var first: [UInt8]
        var last: [UInt8]
    }

    let keyBuffer: UnsafeMutableRawPointer
    let otherKeyBuffer: UnsafeMutableRawPointer

    /// - Parameter previousCheckpoint: pages of this transaction and earlier ones were whole on the
    ///   disk once.
    init(_ pages: RepairPages, _ meta: Meta, limit: UInt64, previousCheckpoint: UInt64 = .max) {
        self.previousCheckpoint = previousCheckpoint
        self.pages = pages
        self.meta = meta
        self.limit = limit
        owners = Array(repeating: 0, count: Int(limit))
        named = PageSet(count: limit)
        namedTwice = PageSet(count: limit)
        expanded = PageSet(count: limit)
        kept = PageSet(count: limit)
        overflowPagesLeft = 2 * limit
        candidatesLeft = 16 * limit + 1000
        let keySize = Format.keyBufferSize(pageSize: pages.pageSize)
        keyBuffer = .allocate(byteCount: keySize, alignment: 8)
        otherKeyBuffer = .allocate(byteCount: keySize, alignment: 8)
    }

    deinit {
        keyBuffer.deallocate()
        otherKeyBuffer.deallocate()
    }

    func noteDamage() { damages += 1 }

    // MARK: Claims

    /// Whether a page is inside the state.
    func isInside(_ number: UInt64) -> Bool { number >= Format.metaPageCount && number < limit }

    /// Notes that a tree claims a page that passed all checks.
    ///
    /// - Returns: whether this is the first claim: what is below is looked at once.
    func claim(_ number: UInt64, _ id: UInt32) -> Bool {
        guard isInside(number) else { return false }
        if isNaming {
            guard owners[Int(number)] == 0, named.insert(number) else {
                namedTwice.insert(number)
                return false
            }
            return true
        }
        let owner = owners[Int(number)]
        if owner == 0 {
            owners[Int(number)] = id
            if free?.contains(number) == true { contest(number, [id, Self.freeClaim]) }
            return true
        }
        contest(number, contested[number] == nil ? [owner, id] : [id])
        return false
    }

    private func contest(_ number: UInt64, _ ids: [UInt32]) {
        noteDamage()
        contested[number, default: []] += ids
        contestedTrees.formUnion(ids)
    }

    /// Whether the rebuild may use a page that passed all checks.
    ///
    /// - Parameter isNamed: whether what leads to it was read from a damaged branch.
    func mayUse(_ number: UInt64, _ id: UInt32, isNamed: Bool) -> Bool {
        guard isInside(number) else { return false }
        // A second use is a copy, and only a digest can prove that.
        if kept.contains(number) { return trust.contested }
        if isNamed {
            if trust.candidates { return owners[Int(number)] == 0 }
            return owners[Int(number)] == 0 && !namedTwice.contains(number)
                && free?.contains(number) != true
        }
        guard let claims = contested[number] else { return true }
        if trust.contested { return true }
        let others = claims.filter { $0 != id }
        guard claims.count - others.count == 1 else { return false }
        return others.allSatisfy { disproved.contains($0) && !proved.contains($0) }
    }

    /// Notes that a new tree uses a page of the state as it is.
    func keep(_ number: UInt64, count: UInt64 = 1) {
        for page in number..<(number + count) where kept.insert(page) { journal.append(page) }
    }

    /// Whether the run's pages are inside the state, and none of them is in use.
    func isUnused(_ number: UInt64, count: UInt64) -> Bool {
        guard isInside(number), count <= limit - number else { return false }
        return (number..<(number + count)).allSatisfy { !kept.contains($0) }
    }

    // MARK: Attempts

    /// What an attempt has begun from.
    struct Mark {
        fileprivate var next: UInt64
        fileprivate var journal: Int
        fileprivate var losses: Int
        fileprivate var databases: Int
        fileprivate var suspects: Int

        /// The first loss after it.
        var firstLoss: Int { losses }
    }

    func mark() -> Mark {
        Mark(
            next: pages.next, journal: journal.count, losses: losses.count,
            databases: databases.count, suspects: suspects.count)
    }

    /// Takes back what was done since a mark.
    func goBack(to mark: Mark) {
        pages.next = mark.next
        while journal.count > mark.journal, let page = journal.popLast() { kept.remove(page) }
        losses.removeSubrange(mark.losses...)
        databases.removeSubrange(mark.databases...)
        suspects.removeSubrange(mark.suspects...)
    }

    /// Forgets what an attempt has called lost: its digest proves that nothing is.
    func forgetLosses(since mark: Mark) { losses.removeSubrange(mark.losses...) }

    func hasLost(since mark: Mark) -> Bool { losses.count > mark.losses }

    // MARK: Damaged branches

    /// Notes what a damaged branch still seems to name, to be looked at after all else.
    func expand(_ page: Page, _ wanted: RepairPages.Wanted, _ range: Fences, _ tree: RepairTree) {
        guard expanded.insert(wanted.reference.number) else { return }
        forEachReadableChild(page, range) { reference, low, high, _ in
            namedQueue.append(
                Named(
                    reference: reference, level: wanted.level - 1, low: low, high: high,
                    parent: min(wanted.parent, page.transaction), tree: tree))
        }
    }

    /// Looks at what damaged branches name.
    func surveyNamed() throws(DatabaseError) {
        isNaming = true
        defer { isNaming = false }
        while let next = namedQueue.popLast() {
            _ = try visit(
                RepairPages.Wanted(
                    reference: next.reference, level: next.level,
                    layout: next.tree.layout(level: next.level), parent: next.parent),
                Fences(low: next.low, high: next.high, entries: nil, isNamed: true), next.tree)
        }
    }

    // MARK: Losses

    /// Where the keys of a subtree may be.
    struct Fences {
        var low: [UInt8] = []
        var high: [UInt8]?
        /// Entries below, if a branch says so.
        var entries: UInt64?
        /// Whether what leads here was read from a damaged branch.
        var isNamed = false
        /// Whether nothing leads here: if it is not what it seems to be, nothing takes its place.
        var isCandidate = false
    }

    /// A loss, as the rebuild sees it.
    struct Loss {
        var told: RepairLoss
        /// The keys, as the tree holds them; nil if it is of single keys or of values.
        var fences: Fences?
        var reason: String
    }

    /// Notes that what a range of keys had is lost.
    func lose(_ range: Fences, _ tree: RepairTree, _ why: String) {
        noteDamage()
        if phase == .rebuild { losses.append(loss(range, tree, why)) }
    }

    func loss(_ range: Fences, _ tree: RepairTree, _ why: String) -> Loss {
        var told = RepairLoss(
            database: tree.name, low: nil, high: nil, entries: range.entries, description: "")
        if case .values(let key) = tree.content {
            let owner = tree.record.flags.reversesKeys ? key.reversed() : key
            told.low = owner
            told.high = tree.key(after: owner)
            told.description =
                "values of key \(RepairTree.show(owner)) in \(tree.title): \(why)"
            return Loss(told: told, fences: nil, reason: why)
        }
        told.low = range.low.isEmpty ? nil : tree.given(range.low)
        told.high = range.high.map { tree.given($0) }
        let from = told.low.map { "from \(RepairTree.show($0))" } ?? "from the beginning"
        let to = told.high.map { "to before \(RepairTree.show($0))" } ?? "to the end"
        told.description = "\(tree.title), keys \(from) \(to): \(why)"
        return Loss(told: told, fences: range, reason: why)
    }

    /// Notes that an entry is lost.
    func lose(key: [UInt8], _ tree: RepairTree, _ why: String) {
        noteDamage()
        guard phase == .rebuild else { return }
        let given = tree.given(key)
        let told = RepairLoss(
            database: tree.name, low: given, high: tree.key(after: given), entries: 1,
            description: "\(tree.title), key \(RepairTree.show(given)): \(why)")
        losses.append(Loss(told: told, fences: nil, reason: why))
    }

    // MARK: Keys

    /// A key of a page; nil if it reaches beyond the page.
    func key(_ page: Page, _ index: Int) -> [UInt8]? {
        let length = page.copyKey(index, to: keyBuffer)
        guard length >= 0 else { return nil }
        return Array(UnsafeRawBufferPointer(start: keyBuffer, count: length))
    }

    static func isBefore(_ left: [UInt8], _ right: [UInt8]) -> Bool {
        left.withUnsafeBytes { left in
            right.withUnsafeBytes { KeyOrder.compare(left, $0, reversed: false) < 0 }
        }
    }

    /// Whether the keys of a page are in order and in a range.
    func isInOrder(_ page: Page, _ range: Fences) -> Bool {
        var previous: [UInt8]? = range.low
        // The first key may be the lower bound.
        var mayEqual = true
        for index in (page.isLeaf ? 0 : 1)..<max(page.count, page.isLeaf ? 0 : 1) {
            guard let key = key(page, index) else { return false }
            if let before = previous {
                guard Self.isBefore(before, key) || (mayEqual && before == key) else {
                    return false
                }
            }
            if let high = range.high, !Self.isBefore(key, high) { return false }
            previous = key
            mayEqual = false
        }
        return true
    }
}

extension RepairWalk {
    /// Says how many entries are missing, of losses for which nothing does: exactly if there is
    /// one.
    func noteEntries(_ missing: UInt64, since mark: Mark) {
        let unknown = losses.indices.filter {
            $0 >= mark.firstLoss && losses[$0].told.entries == nil
        }
        let known = losses.indices.filter { $0 >= mark.firstLoss }.reduce(UInt64(0)) {
            // A damaged branch may say any number.
            let (sum, overflow) = $0.addingReportingOverflow(losses[$1].told.entries ?? 0)
            return overflow ? .max : sum
        }
        guard unknown.count == 1, let only = unknown.first else { return }
        losses[only].told.entries = missing - min(missing, known)
    }
}
