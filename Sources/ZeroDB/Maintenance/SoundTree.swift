/// Walks trees and comes to what is sound of them: pages that check, that hang together, whose keys are in
/// order and within what the branches above say, each page once. What is not is passed over with all that
/// hangs below it.
struct SoundTrees {
    let source: PageSource
    /// Pages that a sound path leads to.
    private(set) var reached: PageSet
    /// Pages of overflow runs that may turn out not to be sound. No more are looked at, so that a file that
    /// was made to refer to them again and again takes no longer than it is large.
    private var pagesToFail: UInt64
    private let buffers: UnsafeMutableRawPointer

    /// What is passed over: why, and the keys, as the tree holds them, from the first to before the second.
    typealias Lost = (DatabaseError, [UInt8]?, [UInt8]?) -> Void

    init(_ source: PageSource) {
        self.source = source
        reached = PageSet(count: source.pageCount)
        pagesToFail = 8 * source.pageCount + 1
        buffers = .allocate(
            byteCount: 2 * Format.keyBufferSize(pageSize: source.pageSize), alignment: 8)
    }

    func deallocate() { buffers.deallocate() }

    /// Gives a body the sound leaves of a tree, in the order of their keys.
    mutating func walk(
        _ tree: TreeState, onLost: Lost,
        _ body: (inout SoundTrees, Page) throws(DatabaseError) -> Void
    ) throws(DatabaseError) {
        guard tree.depth > 0 else { return }
        try walk(tree, tree.root, level: tree.depth - 1, nil, nil, onLost, body)
    }

    /// Levels fall, so it ends after 32 at most; each page is looked at once for each reference to it.
    private mutating func walk(
        _ tree: TreeState, _ reference: PageReference, level: Int, _ low: [UInt8]?,
        _ high: [UInt8]?, _ onLost: Lost,
        _ body: (inout SoundTrees, Page) throws(DatabaseError) -> Void
    ) throws(DatabaseError) {
        let page: Page
        do throws(DatabaseError) {
            page = try load(tree, reference, level: level, low, high)
        } catch {
            guard SkippingWalk.isDamage(error) else { throw error }
            return onLost(error, low, high)
        }
        guard level > 0 else { return try body(&self, page) }
        var childLow = low
        for index in 0..<page.count {
            let childHigh = index + 1 < page.count ? key(of: page, index + 1) : high
            try walk(tree, page.child(index), level: level - 1, childLow, childHigh, onLost, body)
            childLow = childHigh
        }
    }

    private mutating func load(
        _ tree: TreeState, _ reference: PageReference, level: Int, _ low: [UInt8]?,
        _ high: [UInt8]?
    ) throws(DatabaseError) -> Page {
        let number = reference.number
        guard !reached.contains(number) else {
            throw source.corrupted(number, "page", "it is also reachable from another place")
        }
        let page = try source.page(reference, level: level, layout: tree.layout(level: level))
        guard page.slotsAreInBounds else { throw source.badEntry(page) }
        if level == 0, tree.isValueTree { try TreeRead.checkValueLeaf(source, tree, page) }
        try checkOrder(page, low, high)
        reached.insert(PageRun(start: number, count: 1))
        return page
    }

    private func checkOrder(
        _ page: Page, _ low: [UInt8]?, _ high: [UInt8]?
    ) throws(DatabaseError) {
        let first = page.isLeaf ? 0 : 1
        guard first < page.count else { return }
        var (current, last) = (
            buffers, buffers + Format.keyBufferSize(pageSize: source.pageSize)
        )
        var lastLength = -1
        for index in first..<page.count {
            let length = page.copyKey(index, to: current)
            guard length >= 0 else { throw source.badEntry(page) }
            let key = KeyBytes(start: current, count: length)
            let isAfter =
                lastLength < 0
                ? isInOrder(low, key)
                : KeyOrder.compare(
                    KeyBytes(start: last, count: lastLength), key, reversed: false) < 0
            guard isAfter else {
                throw source.corrupted(
                    page.number, "page",
                    "key \(index) is not after the one before it, or the branch above has another "
                        + "place for it")
            }
            swap(&current, &last)
            lastLength = length
        }
        let isBelow = high.map { high in
            high.withUnsafeBytes {
                KeyOrder.compare(
                    KeyBytes(start: last, count: lastLength), $0, reversed: false) < 0
            }
        }
        guard isBelow ?? true else {
            throw source.corrupted(
                page.number, "page", "its last key belongs behind it, as the branch above says")
        }
    }

    /// The first key may be the separator itself.
    private func isInOrder(_ low: [UInt8]?, _ key: KeyBytes) -> Bool {
        guard let low else { return true }
        return low.withUnsafeBytes { KeyOrder.compare($0, key, reversed: false) <= 0 }
    }

    /// A key of a page whose order has been checked.
    func key(of page: Page, _ index: Int) -> [UInt8] {
        let length = max(0, page.copyKey(index, to: buffers))
        return Array(KeyBytes(start: buffers, count: length))
    }

    /// The value of an overflow run to which nothing else has led.
    mutating func overflow(
        _ pointer: OverflowPointer
    ) throws(DatabaseError) -> UnsafeRawBufferPointer {
        let number = pointer.reference.number
        let run = PageRun(
            start: number,
            count: OverflowPointer.pageCount(
                length: min(pointer.length, UInt64(Format.valueSizeMax)),
                pageSize: source.pageSize))
        // Before the checksum: entries that share a run, or a damaged one, must not have it computed each.
        guard !reached.intersects(run), run.count <= pagesToFail else {
            throw source.corrupted(
                number, "overflow run", "it is also reachable from another place")
        }
        do throws(DatabaseError) {
            let bytes = try source.overflow(pointer)
            reached.insert(run)
            return bytes
        } catch {
            pagesToFail -= run.count
            throw error
        }
    }

    /// Notes pages that something else leads to.
    mutating func insert(_ run: PageRun) { reached.insert(run) }
}
