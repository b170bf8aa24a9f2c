/// Copies a snapshot page by page, each to the same place. Free pages are not copied.
///
/// A verification reads all of the snapshot: checksums, structure, order, counts and digests. A
/// file gets each page as soon as it has been judged, unless a copy that ended early has left it there. A
/// stream takes pages in the order of their
/// numbers only, and so gets them when all have been judged; their checksums are compared once
/// more.
struct PlainCopy {
    let source: PageSource
    let meta: Meta
    let freeList: FreeList
    let writer: CopyWriter
    let monitor: CopyMonitor
    /// What need not be written once more; nil if there is no copy that ended early.
    let earlier: EarlierPages?

    /// Pages that are in use.
    private final class UsedPages {
        var set: PageSet

        init(count: UInt64) { set = PageSet(count: count) }
    }

    func run() throws(DatabaseError) {
        if writer.isStream {
            let used = UsedPages(count: meta.pageCount)
            try verify { used.set.insert($0) }
            try writer.writeMeta(meta, freeList)
            try stream(used.set)
        } else if earlier != nil {
            // Until it is whole it is not to look like one.
            let used = UsedPages(count: meta.pageCount)
            try writer.clear(from: 0, to: Format.metaPageCount << UInt64(source.pageShift))
            try verify { [self] in
                used.set.insert($0)
                write($0)
            }
            try clearOthers(used.set)
            try writer.writeMeta(meta, freeList)
            try writer.end(at: meta.pageCount << UInt64(source.pageShift))
        } else {
            try verify { [self] in write($0) }
            try writer.writeMeta(meta, freeList)
            try writer.end(at: meta.pageCount << UInt64(source.pageShift))
        }
        try monitor.tell(meta.pageCount, of: meta.pageCount, isLast: true)
    }

    private func verify(_ onPages: @escaping (PageRun) -> Void) throws(DatabaseError) {
        var options = VerifyOptions()
        options.threads = 1
        let verification = Verification(
            source, meta, freeList, options: options,
            monitor: VerifyMonitor { problem in
                monitor.fail(DatabaseError(.corrupted, page: problem.page, problem.message))
            } onProgress: { progress in
                monitor.tell(
                    CopyProgress(
                        pagesDone: progress.pagesDone, pagesTotal: progress.pagesTotal))
            }, onPages: onPages)
        do throws(DatabaseError) {
            try verification.run()
        } catch {
            try monitor.check()
            throw error
        }
        try monitor.check()
    }

    private func bytes(_ run: PageRun) -> UnsafeRawBufferPointer {
        UnsafeRawBufferPointer(
            start: source.map + Int(run.start) << source.pageShift,
            count: Int(run.count) << source.pageShift)
    }

    private func write(_ run: PageRun) {
        guard !monitor.hasFailed, earlier?.contains(run) != true else { return }
        do throws(DatabaseError) {
            try writer.write(lasting: bytes(run), at: run.start << UInt64(source.pageShift))
        } catch {
            monitor.fail(error)
        }
    }

    /// Leaves nothing of the earlier copy where this one has no pages.
    private func clearOthers(_ used: PageSet) throws(DatabaseError) {
        var number = Format.metaPageCount
        while number < meta.pageCount {
            let start = number
            while number < meta.pageCount, !used.contains(number) { number += 1 }
            if number > start {
                try writer.clear(
                    from: start << UInt64(source.pageShift),
                    to: number << UInt64(source.pageShift))
            }
            number += 1
        }
    }

    /// Writes the pages in their order.
    private func stream(_ used: PageSet) throws(DatabaseError) {
        var number = Format.metaPageCount
        while number < meta.pageCount {
            guard used.contains(number) else {
                number += 1
                continue
            }
            let run = try judge(number)
            try writer.write(lasting: bytes(run), at: number << UInt64(source.pageShift))
            number = run.end
            try monitor.tell(number, of: meta.pageCount)
        }
        try writer.flush()
        try writer.end(at: meta.pageCount << UInt64(source.pageShift))
    }

    /// The page or run at a place. What has been found sound may have changed since on the disk.
    private func judge(_ number: UInt64) throws(DatabaseError) -> PageRun {
        let start = UnsafeRawPointer(source.map + Int(number) << source.pageShift)
        let kind: UInt8 = start.littleEndian(Format.Header.kind)
        var run = PageRun(start: number, count: 1)
        var length = source.pageSize
        if kind == PageKind.overflow.rawValue {
            let value: UInt64 = start.littleEndian(Format.OverflowHeader.length)
            let bytes = min(value, UInt64(Format.valueSizeMax))
            run.count = OverflowPointer.pageCount(length: bytes, pageSize: source.pageSize)
            length = Page.headerSize + Int(bytes)
        }
        let stored: UInt64 = start.littleEndian(Format.Header.checksum)
        guard run.count <= meta.pageCount - number,
            Checksum.ofPage(start, length: length, seed: source.seed) == stored
        else {
            throw source.corrupted(number, "page", "it changed while it was copied")
        }
        return run
    }
}
