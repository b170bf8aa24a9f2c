import CZeroDBPlatform
import Synchronization

/// When the checksums of pages are checked. They are always written.
public enum ChecksumMode: UInt32, Sendable {
    /// Never. Structure is still checked.
    case none = 1
    /// When this process first reads a version of a page.
    case fast = 2
    /// At every access.
    case full = 3
}

/// Where a transaction gets its pages: the map for those on disk, the frame table for those it
/// has changed. A trivial struct: reading a page through it counts no references, takes no lock
/// and calls no system.
struct PageSource {
    let map: UnsafeMutableRawPointer
    let pageSize: Int
    let pageShift: Int
    let seed: UInt64
    let mode: ChecksumMode
    /// Whether cursors pass over pages that cannot be read.
    var skipsDamage = false
    /// One byte a page: 0 before this process has fetched it, then `PageFetcher.fetched`, then the stamp
    /// of the version whose checksum held.
    let verified: UnsafeMutablePointer<Atomic<UInt8>>
    /// Page numbers of this snapshot are below. The file is at least this long.
    var pageCount: UInt64
    /// For pages that have not been fetched. Not retained, as reads count no references: the store keeps
    /// it.
    unowned(unsafe) let fetcher: PageFetcher
    /// The pages a write transaction has changed; nil in a read transaction.
    var frames: UnsafeMutablePointer<FrameTable>?

    /// The stamp of a version of a page: never 0 nor `PageFetcher.fetched`, and different for some 254 of
    /// 255 other versions.
    /// A rewrite by this process stores it; the ambiguity concerns only what another process
    /// rewrote, and then costs a check, not its correctness.
    @inline(__always)
    static func stamp(_ tag: UInt16) -> UInt8 {
        let folded = UInt8(truncatingIfNeeded: tag) ^ UInt8(truncatingIfNeeded: tag >> 8)
        return folded <= PageFetcher.fetched ? 0xa5 : folded
    }

    /// The branch or leaf that a reference leads to.
    ///
    /// - Parameters:
    ///   - level: the level it must have, 0 for a leaf. As levels fall along every path, no damaged
    ///     file can lead a search in circles.
    ///   - layout: the layout it must have.
    /// - Throws: `corrupted`.
    @inline(__always)
    func page(
        _ reference: PageReference, level: Int, layout: PageLayout = []
    ) throws(DatabaseError) -> Page {
        let number = reference.number
        guard number &- Format.metaPageCount < pageCount &- Format.metaPageCount else {
            return try framePage(reference, level: level, layout: layout)
        }
        let page = Page(map + Int(truncatingIfNeeded: number) &<< pageShift, size: pageSize)
        let known = verified[Int(truncatingIfNeeded: number)].load(ordering: .relaxed)
        if known != Self.stamp(reference.transactionTag) || mode == .full {
            try validate(page, as: reference)
        }
        guard page.shape == Page.shape(level: level, layout: layout) else {
            throw wrongShape(page, reference, level: level, layout: layout)
        }
        return page
    }

    /// Asks for the first cache lines of a page in the map.
    @inline(__always)
    func prefetch(_ reference: PageReference) {
        guard reference.number < pageCount else { return }
        let start = map + Int(truncatingIfNeeded: reference.number) &<< pageShift
        for line in 0..<4 { zp_prefetch(start + line * 64) }
    }

    /// Asks for what a search of a page in the map will need first.
    @inline(__always)
    func prefetchForSearch(_ reference: PageReference) {
        guard reference.number < pageCount else { return }
        zp_prefetch(verified + Int(truncatingIfNeeded: reference.number))
        prefetch(reference)
    }

    @inline(never)
    private func framePage(
        _ reference: PageReference, level: Int, layout: PageLayout
    ) throws(DatabaseError) -> Page {
        guard let frames, reference.isFrame,
            let memory = frames.pointee.memory(reference.frameIndex)
        else { throw outOfBounds(reference) }
        let page = Page(memory, size: pageSize)
        guard page.shape == Page.shape(level: level, layout: layout) else {
            throw wrongShape(page, reference, level: level, layout: layout)
        }
        return page
    }

    /// The value that an overflow pointer leads to.
    ///
    /// - Throws: `corrupted`.
    func overflow(_ pointer: OverflowPointer) throws(DatabaseError) -> UnsafeRawBufferPointer {
        guard pointer.length <= UInt64(Format.valueSizeMax) else {
            throw DatabaseError(
                .corrupted, page: pointer.reference.number,
                "an overflow pointer to page \(pointer.reference.number) has a length of "
                    + "\(pointer.length) bytes; run zerodb-check")
        }
        let reference = pointer.reference
        if let frames, reference.isFrame {
            guard let memory = frames.pointee.memory(reference.frameIndex) else {
                throw outOfBounds(reference)
            }
            return UnsafeRawBufferPointer(
                start: memory + Page.headerSize, count: Int(pointer.length))
        }
        let number = reference.number
        let pages = OverflowPointer.pageCount(length: pointer.length, pageSize: pageSize)
        guard number >= Format.metaPageCount, number < pageCount, pages <= pageCount - number
        else { throw outOfBounds(reference) }
        let start = map + Int(truncatingIfNeeded: number) &<< pageShift
        let known = verified[Int(truncatingIfNeeded: number)].load(ordering: .relaxed)
        if known != Self.stamp(reference.transactionTag) || mode == .full {
            try validateOverflow(start, as: pointer)
        }
        return UnsafeRawBufferPointer(start: start + Page.headerSize, count: Int(pointer.length))
    }

    /// The transaction that wrote a page of the map; 0 for a number that is not in it and for a page
    /// that cannot be read.
    func birth(of number: UInt64) -> UInt64 {
        guard number < pageCount, canRead(number) else { return 0 }
        return Page(map + Int(truncatingIfNeeded: number) &<< pageShift, size: pageSize).transaction
    }

    /// The leaf in a page, whatever leads to it: one that is right for its place.
    ///
    /// - Returns: nil if there is none.
    func leaf(at number: UInt64) -> Page? {
        guard number >= Format.metaPageCount, number < pageCount, canRead(number) else {
            return nil
        }
        let page = Page(map + Int(truncatingIfNeeded: number) &<< pageShift, size: pageSize)
        guard page.isLeaf, page.level == 0, page.number == number,
            Checksum.ofPage(page.base, length: pageSize, seed: seed) == page.checksum,
            page.structuralProblem() == nil
        else { return nil }
        return page
    }

    // MARK: First meetings

    private func canRead(_ number: UInt64) -> Bool {
        do throws(DatabaseError) {
            try fetch(number, count: 1)
            return true
        } catch {
            return false
        }
    }

    /// Must precede the first touch of a page, which could end the process.
    private func fetch(_ number: UInt64, count: UInt64) throws(DatabaseError) {
        guard count > 1 || verified[Int(number)].load(ordering: .relaxed) == 0 else { return }
        try fetcher.fetch(number..<(number + count), of: pageCount, in: verified)
    }

    @inline(never)
    private func validate(_ page: Page, as reference: PageReference) throws(DatabaseError) {
        try fetch(reference.number, count: 1)
        try check(page.base, length: pageSize, as: reference, kind: "page")
        if let problem = page.structuralProblem() {
            throw corrupted(reference.number, "page", problem)
        }
        remember(reference)
    }

    @inline(never)
    private func validateOverflow(
        _ start: UnsafeMutableRawPointer, as pointer: OverflowPointer
    ) throws(DatabaseError) {
        let reference = pointer.reference
        // Without checksums the rest of the run is the host's to touch.
        let pages = OverflowPointer.pageCount(length: pointer.length, pageSize: pageSize)
        try fetch(reference.number, count: mode == .none ? 1 : pages)
        try checkKind(start, as: pointer)
        try check(
            start, length: Page.headerSize + Int(pointer.length), as: reference,
            kind: "overflow run")
        let encoding: UInt16 = start.littleEndian(Format.OverflowHeader.encoding)
        guard encoding == 0 else {
            // An environment that has such values says so by a feature.
            throw corrupted(
                reference.number, "overflow run",
                "its value has the encoding \(encoding), which this library does not know")
        }
        remember(reference)
    }

    private func checkKind(
        _ start: UnsafeMutableRawPointer, as pointer: OverflowPointer
    ) throws(DatabaseError) {
        let stored: UInt64 = start.littleEndian(Format.OverflowHeader.length)
        let kind: UInt8 = start.littleEndian(Format.Header.kind)
        guard kind == PageKind.overflow.rawValue, stored == pointer.length else {
            throw corrupted(
                pointer.reference.number, "overflow run",
                "kind \(kind) and length \(stored), expected kind \(PageKind.overflow.rawValue) "
                    + "and length \(pointer.length)")
        }
    }

    /// Checks the beginning of an overflow run, as far as that can be checked without its checksum.
    ///
    /// - Throws: `corrupted`.
    func checkOverflowHeader(_ pointer: OverflowPointer) throws(DatabaseError) {
        let number = pointer.reference.number
        guard pointer.length <= UInt64(Format.valueSizeMax), number >= Format.metaPageCount,
            number < pageCount,
            OverflowPointer.pageCount(length: pointer.length, pageSize: pageSize)
                <= pageCount - number
        else { throw outOfBounds(pointer.reference) }
        try fetch(number, count: 1)
        let start = map + Int(truncatingIfNeeded: number) &<< pageShift
        try checkKind(start, as: pointer)
        try checkPlace(Page(start, size: pageSize), as: pointer.reference, kind: "overflow run")
    }

    /// Checksum, page number and transaction of what is at `start`.
    private func check(
        _ start: UnsafeMutableRawPointer, length: Int, as reference: PageReference, kind: String
    ) throws(DatabaseError) {
        let page = Page(start, size: pageSize)
        if mode != .none {
            let computed = Checksum.ofPage(start, length: length, seed: seed)
            fetcher.pending.noteChecked()
            guard computed == page.checksum else {
                fetcher.pending.noteChecksumFailure()
                throw badChecksum(
                    page, length: length, computed: computed, as: reference, kind: kind)
            }
        }
        try checkPlace(page, as: reference, kind: kind)
    }

    /// Page number and transaction of a page.
    private func checkPlace(
        _ page: Page, as reference: PageReference, kind: String
    ) throws(DatabaseError) {
        let number = reference.number
        guard page.number == number else {
            throw corrupted(
                number, kind, "it says that it is page \(page.number)", damage: .misplaced)
        }
        guard UInt16(truncatingIfNeeded: page.transaction) == reference.transactionTag else {
            throw corrupted(
                number, kind,
                "it was written by transaction \(page.transaction), another than the one its "
                    + "parent names (a lost write)", damage: .lostWrite)
        }
    }

    /// Notes that this version of a page has been checked. A race stores the same byte twice.
    @inline(__always)
    func remember(_ reference: PageReference) {
        verified[Int(truncatingIfNeeded: reference.number)].store(
            Self.stamp(reference.transactionTag), ordering: .relaxed)
    }

    // MARK: Errors

    @inline(never)
    func corrupted(
        _ number: UInt64, _ kind: String, _ problem: String,
        damage: DatabaseError.Damage = .unspecified
    ) -> DatabaseError {
        DatabaseError(
            damage, page: number,
            "corrupted \(kind) \(number) at byte \(number << UInt64(pageShift)) of data.zdb: "
                + "\(problem); run zerodb-check")
    }

    /// An entry that reaches beyond its page although the page has passed its checks.
    @inline(never)
    func badEntry(_ page: Page) -> DatabaseError {
        corrupted(page.number, "page", "an entry reaches beyond the page")
    }

    @inline(never)
    func outOfBounds(_ reference: PageReference) -> DatabaseError {
        DatabaseError(
            .reference, page: reference.number,
            "a reference leads to page \(reference.number), but pages 2 to "
                + "\(Int64(pageCount) - 1) are in use; run zerodb-check")
    }

    @inline(never)
    private func wrongShape(
        _ page: Page, _ reference: PageReference, level: Int, layout: PageLayout
    ) -> DatabaseError {
        guard page.level == level else {
            return corrupted(
                reference.number, "page", "it is of level \(page.level), expected level \(level)")
        }
        return corrupted(
            reference.number, "page",
            "its flags are \(page.layout.rawValue), expected \(layout.rawValue)")
    }
}
