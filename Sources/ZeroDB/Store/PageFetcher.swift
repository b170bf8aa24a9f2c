import Glibc
import Synchronization

/// Has the kernel touch pages of the map before this process does. A touch that the kernel cannot serve,
/// because the file has been cut off or the device fails, ends the process with SIGBUS; a system call that
/// reads there returns an error.
///
/// One fault maps what is in memory of a window of the map, whether the process or the kernel touches it.
/// So these calls take the place of faults: one for each window whose pages are all in memory. Then the
/// kernel says which of its pages are there, and these need no call of their own. It says so for many
/// windows at almost the price of one: where the windows before this one have been fetched, as by a
/// scan, the next ones are taken along.
///
/// Which pages have been fetched is in the byte map of `PageSource`. Two threads that come to a page at
/// the same time both ask for it. Safe for all threads.
final class PageFetcher: @unchecked Sendable {
    private let file: any StorageFile
    private let map: UnsafeMutableRawPointer
    private let pageShift: Int
    /// Bytes of a page of the operating system's.
    private let unit = SystemCall.memoryPageSize
    /// Bytes that one fault maps if they are in memory: Linux's fault_around_bytes.
    private let window: Int

    /// Windows that are fetched at once.
    private static let windowsMax = 8

    typealias ByteMap = UnsafeMutablePointer<Atomic<UInt8>>

    /// The byte of a page that has been fetched, but not validated yet.
    static let fetched: UInt8 = 1

    /// What has been checked.
    let pending: PendingCounts

    init(
        _ file: any StorageFile, _ map: UnsafeMutableRawPointer, pageShift: Int,
        _ pending: PendingCounts
    ) {
        self.pending = pending
        self.file = file
        self.map = map
        self.pageShift = pageShift
        window = max(64 << 10, unit)
    }

    /// Has the kernel bring those pages of a run into memory that this process has not fetched yet.
    ///
    /// - Parameters:
    ///   - pageCount: pages of the file.
    ///   - bytes: one byte for each of them, 0 for those not fetched.
    /// - Throws: `corrupted` for a file that ends before a page; the system error of a page that cannot
    ///   be read.
    func fetch(
        _ run: Range<UInt64>, of pageCount: UInt64, in bytes: ByteMap
    ) throws(DatabaseError) {
        let end = Int(pageCount) << pageShift
        var pages = Int(run.lowerBound)..<Int(run.upperBound)
        while let unfetched = firstUnfetched(in: pages, bytes) {
            let start = unfetched << pageShift
            let partEnd = start / window * window + window * Self.windowsMax
            let part = start..<min(pages.upperBound << pageShift, partEnd)
            try fetch(part, end: end, bytes)
            pages = part.upperBound >> pageShift..<pages.upperBound
        }
    }

    private func firstUnfetched(in pages: Range<Int>, _ bytes: ByteMap) -> Int? {
        pages.first { bytes[$0].load(ordering: .relaxed) == 0 }
    }

    /// Fetches pages that lie in `windowsMax` windows.
    private func fetch(
        _ part: Range<Int>, end: Int, _ bytes: ByteMap
    ) throws(DatabaseError) {
        var span = part.lowerBound / window * window..<part.lowerBound
        while span.upperBound < part.upperBound {
            try touch(span.upperBound)
            span = span.lowerBound..<(span.upperBound / window * window + window)
        }
        if span.count == window {
            // Of a window that has been looked at, this page was not in memory then: the file is read from
            // the disk, page by page.
            if part.count <= unit, !isNew(span.lowerBound, end, bytes) { return mark(part, bytes) }
            takeAlong(&span, end: end, bytes)
        }
        let isKnown = markResident(span.clamped(to: 0..<end), bytes)
        if part.count > unit {
            // What was not in memory.
            var rest = part
            if isKnown {
                let pages = part.lowerBound >> pageShift..<part.upperBound >> pageShift
                guard let unfetched = firstUnfetched(in: pages, bytes) else { return }
                rest = (unfetched << pageShift)..<part.upperBound
            }
            try readPages(rest)
        }
        mark(part, bytes)
    }

    private func touch(_ offset: Int) throws(DatabaseError) {
        guard !file.touch(map, at: offset) else { return }
        // Reading the page tells why.
        let page = offset >> pageShift
        try readPages(page << pageShift..<(page + 1) << pageShift)
        guard file.touch(map, at: offset) else { throw unreadable(page, EIO) }
    }

    /// Reads whole pages of the file.
    private func readPages(_ pages: Range<Int>) throws(DatabaseError) {
        let pageSize = 1 << pageShift
        let buffer = UnsafeMutableRawBufferPointer.allocate(
            byteCount: min(pages.count, window), alignment: 8)
        defer { buffer.deallocate() }
        var offset = pages.lowerBound
        while offset < pages.upperBound {
            let count = min(buffer.count, pages.upperBound - offset)
            let part = UnsafeMutableRawBufferPointer(rebasing: buffer[..<count])
            var read = 0
            do throws(DatabaseError) {
                read = try file.read(into: part, at: UInt64(offset))
            } catch {
                // One page of several, as a rule.
                guard count > pageSize else {
                    throw unreadable(offset >> pageShift, error.systemError)
                }
                for page in stride(from: offset, to: offset + count, by: pageSize) {
                    try readPages(page..<page + pageSize)
                }
                read = count
            }
            guard read == count else {
                throw missing((offset + read) >> pageShift, try file.size())
            }
            offset += count
        }
    }

    // MARK: Windows

    /// Extends a span of one window by windows that are new, as many as windows before it have been fetched
    /// as a whole, or after it. If they are not needed, that cost no more than those have cost.
    private func takeAlong(_ span: inout Range<Int>, end: Int, _ bytes: ByteMap) {
        var before = 0
        while before < Self.windowsMax - 1,
            isFetched(span.lowerBound - (before + 1) * window, end, bytes)
        { before += 1 }
        var after = 0
        while before == 0, after < Self.windowsMax - 1,
            isFetched(span.upperBound + after * window, end, bytes)
        { after += 1 }
        for _ in 0..<max(before, after) {
            let next = before > 0 ? span.upperBound : span.lowerBound - window
            // Whether it can be read shows when it is read.
            guard isNew(next, end, bytes), file.touch(map, at: next)
            else { return }
            span = min(span.lowerBound, next)..<max(span.upperBound, next + window)
        }
    }

    private func pages(ofWindow start: Int, _ end: Int) -> Range<Int>? {
        guard start >= 0, start + window <= end else { return nil }
        return start >> pageShift..<(start + window) >> pageShift
    }

    private func isFetched(_ start: Int, _ end: Int, _ bytes: ByteMap) -> Bool {
        guard let pages = pages(ofWindow: start, end) else { return false }
        // No state has a reference to the meta pages.
        return pages.allSatisfy {
            $0 < Format.metaPageCount || bytes[$0].load(ordering: .relaxed) != 0
        }
    }

    private func isNew(_ start: Int, _ end: Int, _ bytes: ByteMap) -> Bool {
        guard let pages = pages(ofWindow: start, end) else { return false }
        return pages.allSatisfy { bytes[$0].load(ordering: .relaxed) == 0 }
    }

    // MARK: The byte map

    /// Notes that the pages of a span that are in memory have been fetched.
    ///
    /// - Returns: false if the kernel does not say which are.
    private func markResident(_ span: Range<Int>, _ bytes: ByteMap) -> Bool {
        let units = (span.count + unit - 1) / unit
        return withUnsafeTemporaryAllocation(of: UInt8.self, capacity: units) { residency in
            guard let start = residency.baseAddress,
                file.findResident(map, from: span.lowerBound, length: span.count, start)
            else { return false }
            for page in span.lowerBound >> pageShift..<span.upperBound >> pageShift {
                let first = (page << pageShift - span.lowerBound) / unit
                let last = ((page + 1) << pageShift - span.lowerBound - 1) / unit
                if (first...last).allSatisfy({ residency[$0] & 1 != 0 }) { mark(page, bytes) }
            }
            return true
        }
    }

    private func mark(_ part: Range<Int>, _ bytes: ByteMap) {
        for page in part.lowerBound >> pageShift..<part.upperBound >> pageShift {
            mark(page, bytes)
        }
    }

    /// A thread that validates the page meanwhile may have to do so again.
    private func mark(_ page: Int, _ bytes: ByteMap) {
        if bytes[page].load(ordering: .relaxed) == 0 {
            bytes[page].store(Self.fetched, ordering: .relaxed)
        }
    }

    // MARK: Errors

    private func missing(_ page: Int, _ size: UInt64) -> DatabaseError {
        DatabaseError(
            .unreadable, page: UInt64(page),
            "page \(page) at byte \(page << pageShift) of \(file.name) is missing: the file was cut "
                + "off at byte \(size); run zerodb-check")
    }

    private func unreadable(_ page: Int, _ error: Int32) -> DatabaseError {
        DatabaseError(
            systemError: error == 0 ? EIO : error, page: UInt64(page),
            "read page \(page) at byte \(page << pageShift) of \(file.name)")
    }
}
