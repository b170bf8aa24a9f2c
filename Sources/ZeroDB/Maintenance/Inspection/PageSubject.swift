import Glibc
import Synchronization

/// The pages of one state of an environment, to be looked at one by one: each is checked anew, whatever this
/// process has read before.
final class PageSubject {
    let source: PageSource
    let meta: Meta
    let file: any StorageFile
    /// The meta page that holds the state, if one does.
    let metaPage: UInt64?
    /// Nil if it cannot be read.
    let freeList: FreeList?
    /// What keeps the state from being shown as a whole.
    let notes: [String]

    private let fetcher: PageFetcher
    /// Of an environment that need not open; an open one's are its store's.
    private let counts: PendingCounts?
    private let fetched: UnsafeMutableRawPointer
    private let map: (UnsafeMutableRawPointer, Int)?
    private let directory: (any StorageDirectory)?

    /// Of an open environment.
    ///
    /// - Parameters:
    ///   - known: the source of a transaction that is open as long as this.
    ///   - freeList: of its snapshot; this object's from now on.
    init(
        _ store: Store, _ known: PageSource, _ meta: Meta, _ freeList: FreeList
    ) throws(DatabaseError) {
        (file, self.meta, self.freeList) = (store.dataFile, meta, freeList)
        (map, directory, counts, notes) = (nil, nil, nil, [])
        fetcher = known.fetcher
        let loaded = try? store.loadMeta()
        metaPage = loaded?.meta.transaction == meta.transaction ? loaded?.page : nil
        fetched = try Self.byteMap(meta.pageCount)
        source = Self.source(
            known.map, meta, fetcher, fetched, pageShift: known.pageShift)
    }

    /// Of the state in the meta pages of an environment that need not open. Takes no lock: `isUnchanged` says
    /// whether a program has written a newer state meanwhile.
    ///
    /// - Throws: `invalidFile`, `versionMismatch`, `unsupported`; `corrupted` if there is no whole meta
    ///   record; a system error.
    init(_ path: PathBytes, _ fileSystem: any FileSystem) throws(DatabaseError) {
        let directory = try fileSystem.openDirectory(path, create: nil)
        // Files close themselves when nothing refers to them.
        let file = try directory.open(
            StoreOpening.dataName, access: .readOnly, create: false, mode: 0)
        let loaded = try MetaPages.choose(0, from: try MetaPages.findCopies(in: file))
        let meta = loaded.meta
        let pageSize = Int(meta.pageSize)
        let (length, isTooLong) = meta.pageCount.multipliedReportingOverflow(by: UInt64(pageSize))
        guard !isTooLong, let bytes = Int(exactly: length) else {
            throw DatabaseError(systemError: ENOMEM, "map \(meta.pageCount) pages of \(file.name)")
        }
        let fetched = try Self.byteMap(meta.pageCount)
        let address: UnsafeMutableRawPointer
        do throws(DatabaseError) {
            address = try file.map(length: bytes, writable: false)
        } catch {
            free(fetched)
            throw error
        }
        (self.directory, self.file, self.meta, self.fetched) = (directory, file, meta, fetched)
        metaPage = loaded.page
        map = (address, bytes)
        let pageShift = pageSize.trailingZeroBitCount
        let counts = PendingCounts()
        self.counts = counts
        fetcher = PageFetcher(file, address, pageShift: pageShift, counts)
        source = Self.source(address, meta, fetcher, fetched, pageShift: pageShift)
        let list = FreeList.allocate()
        do throws(DatabaseError) {
            try MetaPages.loadFreeList(into: list, of: loaded, from: file)
            (freeList, notes) = (list, [])
        } catch {
            list.deallocate()
            (freeList, notes) = (nil, [error.message])
        }
    }

    deinit {
        freeList?.deallocate()
        if let map { file.unmap(map.0, length: map.1) }
        free(fetched)
        counts?.deallocate()
    }

    private static func byteMap(_ pages: UInt64) throws(DatabaseError) -> UnsafeMutableRawPointer {
        // Zeros that nobody touches take no memory.
        guard let count = Int(exactly: pages), let memory = calloc(max(1, count), 1) else {
            throw DatabaseError(systemError: ENOMEM, "note the states of \(pages) pages")
        }
        return memory
    }

    private static func source(
        _ map: UnsafeMutableRawPointer, _ meta: Meta, _ fetcher: PageFetcher,
        _ fetched: UnsafeMutableRawPointer, pageShift: Int
    ) -> PageSource {
        PageSource(
            map: map, pageSize: Int(meta.pageSize), pageShift: pageShift, seed: meta.checksumSeed,
            mode: .full, verified: fetched.assumingMemoryBound(to: Atomic<UInt8>.self),
            pageCount: meta.pageCount, fetcher: fetcher, frames: nil)
    }

    /// Whether the meta pages still hold the state that was read from them.
    var isUnchanged: Bool {
        guard map != nil else { return true }
        guard let copies = try? MetaPages.findCopies(in: file),
            let now = try? MetaPages.choose(0, from: copies)
        else { return true }
        return now.meta.transaction == meta.transaction
    }

    /// Pages in the file, whole ones.
    var filePages: UInt64 {
        get throws(DatabaseError) { try file.size() >> UInt64(source.pageShift) }
    }
}
