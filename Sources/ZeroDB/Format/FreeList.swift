import Glibc

/// Free pages at hand: some that a commit may take, and some that commits freed lately. They are
/// kept beside the meta record instead of in the free tree, so that a small commit changes
/// no page of that tree: it would change more pages there than in its data.
///
/// Commits that find too little here, or no room for what they free, exchange a larger number of
/// pages with the tree (`FreeTree`), whose rules hold here too: a page moves from the freed to the
/// available ones when no reader and no durable root needs it (invariant 1).
///
/// 192 words, in a meta page, in the memory that processes share and in a writer's own memory:
///
/// ```
/// 0    bits 0-31: available runs; bits 32-63: words of the groups
/// 1    available runs, each 48 bits of page number and 16 of length
/// 96   groups of freed runs: the transaction that freed them, or a later one; the oldest that
///      wrote them, 0 if it is not known; the number of runs; runs
/// ```
struct FreeList {
    let words: UnsafeMutablePointer<UInt64>

    static let wordCount = 192
    /// Bytes on disk.
    static let size = wordCount * 8
    private static let runsStart = 1
    private static let groupsStart = 96
    static let runsMax = groupsStart - runsStart
    private static let groupWordsMax = wordCount - groupsStart
    /// Transaction, birth and number of runs.
    private static let groupHeaderSize = 3
    /// Groups, after which freed pages join one that is needed by some states more than they are.
    private static let groupsMax = 16
    /// Pages of a freed run at most: longer ones are of use in the tree, where runs are looked for.
    private static let freedLengthMax: UInt64 = 8

    /// An empty free list in memory of its own.
    static func allocate() -> FreeList {
        let freeList = FreeList(words: .allocate(capacity: wordCount + 1))
        freeList.words.initialize(repeating: 0, count: wordCount + 1)
        return freeList
    }

    func deallocate() { words.deallocate() }

    func clear() { words[0] = 0 }

    /// Whether it was given a page that it had already, which damaged trees can lead to. In memory of its own
    /// only, behind the other words.
    var hasPageTwice: Bool {
        get { words[Self.wordCount] != 0 }
        nonmutating set { words[Self.wordCount] = newValue ? 1 : 0 }
    }

    // MARK: Words

    /// Available runs.
    private(set) var runCount: Int {
        get { Int(words[0] & 0xffff_ffff) }
        nonmutating set { words[0] = (words[0] & ~0xffff_ffff) | UInt64(newValue) }
    }

    /// Words that the groups take.
    private var groupWords: Int {
        get { Int(words[0] >> 32) }
        nonmutating set { words[0] = (words[0] & 0xffff_ffff) | (UInt64(newValue) << 32) }
    }

    /// Calls `body` for each word that says something, by where it is.
    @inline(__always)
    static func forEachUsedWord(first: UInt64, _ body: (Int) -> Void) {
        let runs = min(Int(first & 0xffff_ffff), runsMax)
        let groups = min(Int(first >> 32), groupWordsMax)
        for index in 0..<(runsStart + runs) { body(index) }
        for index in groupsStart..<(groupsStart + groups) { body(index) }
    }

    // MARK: Available

    /// Pages that a commit may take.
    var availablePages: UInt64 {
        var pages: UInt64 = 0
        for index in 0..<runCount { pages += words[Self.runsStart + index] >> 48 }
        return pages
    }

    var availableRuns: [PageRun] {
        (0..<runCount).map { PageRun(word: words[Self.runsStart + $0]) }
    }

    /// Takes available pages: from the shortest run that has as many, or else whole runs, the
    /// longest first, so that a commit writes in few places.
    ///
    /// - Parameter limit: takes from runs that begin below this page only, if it is not 0.
    /// - Returns: how many there were.
    func take(_ count: UInt64, below limit: UInt64 = 0, into taken: inout [PageRun]) -> UInt64 {
        var needed = count
        while needed > 0, case let runs = runCount(below: limit), runs > 0 {
            let slot = bestFit(needed, among: runs)
            let run = PageRun(word: words[slot])
            let part = PageRun(start: run.start, count: min(run.count, needed))
            taken.append(part)
            needed -= part.count
            if part.count == run.count {
                remove(slot)
            } else {
                words[slot] = PageRun(start: part.end, count: run.count - part.count).word
            }
        }
        return count - needed
    }

    /// How many available runs begin below a page; all of them for 0.
    private func runCount(below limit: UInt64) -> Int {
        var count = runCount
        guard limit != 0 else { return count }
        while count > 0, PageRun(word: words[Self.runsStart + count - 1]).start >= limit {
            count -= 1
        }
        return count
    }

    /// Pages that a commit may take from runs that begin below a page.
    func availablePages(below limit: UInt64) -> UInt64 {
        (0..<runCount(below: limit)).reduce(0) { $0 + words[Self.runsStart + $1] >> 48 }
    }

    /// Takes all runs that begin at a page or after it.
    func takeAvailable(from limit: UInt64) -> [PageRun] {
        let kept = runCount(below: limit)
        let taken = (kept..<runCount).map { PageRun(word: words[Self.runsStart + $0]) }
        runCount = kept
        return taken
    }

    /// The word of the shortest run of so many pages, or of the longest if none has as many.
    ///
    /// - Parameter runs: how many, from the first on, are looked at.
    private func bestFit(_ count: UInt64, among runs: Int) -> Int {
        var best = Self.runsStart
        var bestLength = words[best] >> 48
        for slot in Self.runsStart..<(Self.runsStart + runs) {
            let length = words[slot] >> 48
            if length == count { return slot }
            if bestLength < count ? length > bestLength : length >= count && length < bestLength {
                best = slot
                bestLength = length
            }
        }
        return best
    }

    private func remove(_ slot: Int) {
        let end = Self.runsStart + runCount
        memmove(words + slot, words + slot + 1, (end - slot - 1) * MemoryLayout<UInt64>.size)
        runCount -= 1
    }

    /// Makes a run available. Runs are kept in their order and joined.
    ///
    /// - Returns: false if there is no room.
    func give(_ run: PageRun) -> Bool {
        var slot = Self.runsStart
        var high = slot + runCount
        while slot < high {
            let middle = (slot + high) / 2
            if PageRun(word: words[middle]).start < run.start {
                slot = middle + 1
            } else {
                high = middle
            }
        }
        let before = slot > Self.runsStart ? PageRun(word: words[slot - 1]).end : 0
        let after = slot < Self.runsStart + runCount ? PageRun(word: words[slot]).start : .max
        if before > run.start || run.end > after { hasPageTwice = true }
        var joined = run
        if slot > Self.runsStart, let both = join(slot - 1, with: joined) {
            joined = both
            slot -= 1
            remove(slot)
        }
        if slot < Self.runsStart + runCount, let both = join(slot, with: joined) {
            joined = both
            remove(slot)
        }
        guard runCount < Self.runsMax, joined.count <= PageRun.wordCountMax else { return false }
        let moved = Self.runsStart + runCount - slot
        memmove(words + slot + 1, words + slot, moved * MemoryLayout<UInt64>.size)
        words[slot] = joined.word
        runCount += 1
        return true
    }

    /// A run of the free list and another one as one, if they touch and a word can hold them.
    private func join(_ slot: Int, with run: PageRun) -> PageRun? {
        let known = PageRun(word: words[slot])
        guard known.end == run.start || run.end == known.start,
            known.count + run.count <= PageRun.wordCountMax
        else { return nil }
        return PageRun(start: min(known.start, run.start), count: known.count + run.count)
    }

    /// Runs for which there is room.
    var room: Int { Self.runsMax - runCount }

    // MARK: Freed

    /// Runs that the same states need.
    private struct Group {
        /// Where it begins.
        var offset: Int
        /// The states that have some of them.
        var range: StateRange
        var runs: Int
        var end: Int { offset + FreeList.groupHeaderSize + runs }
        var firstRun: Int { offset + FreeList.groupHeaderSize }
    }

    private func group(at offset: Int) -> Group {
        Group(
            offset: offset, range: StateRange(birth: words[offset + 1], end: words[offset]),
            runs: Int(words[offset + 2]))
    }

    private func storeHeader(_ range: StateRange, runs: Int, at offset: Int) {
        words[offset] = range.end
        words[offset + 1] = range.birth
        words[offset + 2] = UInt64(runs)
    }

    private func forEachGroup(_ body: (Group) -> Void) {
        var offset = Self.groupsStart
        while offset < Self.groupsStart + groupWords {
            let group = group(at: offset)
            body(group)
            offset = group.end
        }
    }

    /// Pages freed and not available yet.
    var pendingPages: UInt64 {
        var pages: UInt64 = 0
        forEachPending { run, _ in pages += run.count }
        return pages
    }

    /// Calls `body` for each freed run, with the states that have pages of its group.
    func forEachPending(_ body: (PageRun, StateRange) -> Void) {
        forEachGroup { group in
            for index in group.firstRun..<group.end {
                body(PageRun(word: words[index]), group.range)
            }
        }
    }

    /// Forgets all freed runs: they are in the free tree now.
    func clearPending() { groupWords = 0 }

    /// The same of the available runs.
    func clearAvailable() { runCount = 0 }

    /// Whether runs that a commit frees find room.
    ///
    /// - Parameter freed: in the order of their births.
    func hasRoom(_ freed: ArraySlice<FreedRun>, _ horizon: Horizon) -> Bool {
        guard groupWords + freed.count <= Self.groupWordsMax else { return false }
        var size = freed.count
        var last: Int?
        for run in freed {
            guard run.pages.count <= Self.freedLengthMax else { return false }
            let place = horizon.place(of: run.birth)
            if place != last { size += Self.groupHeaderSize }
            last = place
        }
        return groupWords + size <= Self.groupWordsMax
    }

    /// Keeps runs that a transaction freed; `hasRoom` has said that there is room.
    ///
    /// - Parameter freed: in the order of their births.
    func hold(_ freed: ArraySlice<FreedRun>, transaction: UInt64, _ horizon: Horizon) {
        assert(hasRoom(freed, horizon))
        var rest = freed
        while let first = rest.first {
            let place = horizon.place(of: first.birth)
            let end = rest.firstIndex { horizon.place(of: $0.birth) != place } ?? rest.endIndex
            hold(rest[..<end], StateRange(birth: first.birth, end: transaction), horizon)
            rest = rest[end...]
        }
    }

    /// Keeps runs that the same states need, in a group with others of this kind if there is one.
    private func hold(_ runs: ArraySlice<FreedRun>, _ range: StateRange, _ horizon: Horizon) {
        let end = Self.groupsStart + groupWords
        guard let group = group(with: range, horizon) else {
            storeHeader(range, runs: runs.count, at: end)
            store(runs, at: end + Self.groupHeaderSize)
            groupWords += Self.groupHeaderSize + runs.count
            return
        }
        memmove(
            words + group.end + runs.count, words + group.end,
            (end - group.end) * MemoryLayout<UInt64>.size)
        store(runs, at: group.end)
        let joined = StateRange(
            birth: min(group.range.birth, range.birth), end: max(group.range.end, range.end))
        storeHeader(joined, runs: group.runs + runs.count, at: group.offset)
        groupWords += runs.count
    }

    /// The newest group to join: one that exactly the same states need. If there are many groups, also
    /// one with the same oldest of them: then the states between the ends need all of the pages.
    private func group(with range: StateRange, _ horizon: Horizon) -> Group? {
        let needs = horizon.needs(range)
        var same: Group?
        var similar: Group?
        var count = 0
        forEachGroup { group in
            count += 1
            guard horizon.place(of: group.range.birth) == needs.lowerBound else { return }
            similar = group
            if horizon.place(of: group.range.end) == horizon.place(of: range.end) { same = group }
        }
        return same ?? (count >= Self.groupsMax ? similar : nil)
    }

    private func store(_ runs: ArraySlice<FreedRun>, at offset: Int) {
        for (index, run) in runs.enumerated() { words[offset + index] = run.pages.word }
    }

    /// Makes runs available that are not needed any more, as far as there is room.
    func mature(_ horizon: Horizon) {
        var read = Self.groupsStart
        var write = read
        let end = Self.groupsStart + groupWords
        while read < end {
            let group = group(at: read)
            let isFree = horizon.allows(group.range)
            var kept = 0
            for index in group.firstRun..<group.end {
                let word = words[index]
                if isFree, give(PageRun(word: word)) { continue }
                words[write + Self.groupHeaderSize + kept] = word
                kept += 1
            }
            if kept > 0 {
                storeHeader(group.range, runs: kept, at: write)
                write += Self.groupHeaderSize + kept
            }
            read = group.end
        }
        groupWords = write - Self.groupsStart
    }

    // MARK: Disk

    /// Writes the free list as it is on disk.
    func store(to bytes: UnsafeMutableRawPointer) {
        memset(bytes, 0, Self.size)
        Self.forEachUsedWord(first: words[0]) { bytes.storeLittleEndian(words[$0], at: $0 * 8) }
    }

    /// Takes over a free list from disk whose checksum is right, if it can be one.
    ///
    /// - Parameters:
    ///   - pageCount: of the state it belongs to.
    ///   - transaction: whose state that is.
    /// - Returns: whether it can; else the free list is empty.
    func load(from bytes: UnsafeRawPointer, pageCount: UInt64, transaction: UInt64) -> Bool {
        for index in 0..<Self.wordCount { words[index] = bytes.littleEndian(index * 8) }
        if isPlausible(pageCount: pageCount, transaction: transaction) { return true }
        clear()
        return false
    }

    /// Whether it can be used without harm to anything but the pages that it names.
    func isUsable(pageCount: UInt64, transaction: UInt64) -> Bool {
        guard runCount <= Self.runsMax, groupWords <= Self.groupWordsMax else { return false }
        var last = Format.metaPageCount
        for index in Self.runsStart..<(Self.runsStart + runCount) {
            let run = PageRun(word: words[index])
            guard run.start >= last, run.isInside(pageCount) else { return false }
            last = run.end
        }
        var offset = Self.groupsStart
        let end = offset + groupWords
        while offset < end {
            guard offset + Self.groupHeaderSize < end, words[offset + 2] > 0,
                words[offset + 2] <= UInt64(end - offset - Self.groupHeaderSize)
            else { return false }
            let group = group(at: offset)
            guard group.range.end <= transaction, group.range.birth <= group.range.end else {
                return false
            }
            for index in group.firstRun..<group.end {
                guard PageRun(word: words[index]).isInside(pageCount) else { return false }
            }
            offset = group.end
        }
        return true
    }

    /// Whether it can be one on disk: besides, it names no page twice.
    private func isPlausible(pageCount: UInt64, transaction: UInt64) -> Bool {
        guard isUsable(pageCount: pageCount, transaction: transaction) else { return false }
        var runs = availableRuns
        forEachPending { run, _ in runs.append(run) }
        runs.sort { $0.start < $1.start }
        return zip(runs, runs.dropFirst()).allSatisfy { $0.end <= $1.start }
    }
}
