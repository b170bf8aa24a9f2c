import Glibc

/// The state that a repair begins with, by the rules of an opening, but with what is left.
struct RepairMeta {
    /// The newest record that can be used.
    var meta: Meta
    /// The meta page it is in.
    var page: UInt64
    /// The transaction of the checkpoint before: pages that are not newer were on the disk when the last
    /// one was made. 0 if that is not known.
    var previousCheckpoint: UInt64 = 0
    /// Its free list; nil if both copies are damaged.
    var freeRuns: [PageRun]?
    /// Meta pages without a record that can be used.
    var lostPages: [UInt64] = []
    /// Copies of records that are damaged, in pages where the other is not.
    var damagedRecords: [(page: UInt64, copy: Int)] = []
    /// Copies of the free list that are damaged, where the other is not.
    var damagedFreeLists: [Int] = []

    /// - Throws: `corrupted` if no record can be used; as `MetaPages.load`.
    init(_ file: any StorageFile) throws(DatabaseError) {
        let pageSize = try MetaPages.findPageSize(file, fileSize: try file.size())
        var usable: [(meta: Meta, page: UInt64)] = []
        for number in 0..<Int(Format.metaPageCount) {
            let copies = try MetaPages.readCopies(file, page: number, pageSize: pageSize)
            let records = copies.map { copy -> Meta? in
                if case .success(let meta) = copy, Int(meta.pageSize) == pageSize { return meta }
                return nil
            }
            guard
                let newest = records.compactMap({ $0 }).max(by: { $0.transaction < $1.transaction })
            else {
                lostPages.append(UInt64(number))
                continue
            }
            for (copy, record) in records.enumerated() {
                // No power cut leaves two records of one transaction that differ. An opening would take
                // the second.
                let differs = record?.transaction == newest.transaction && record != newest
                if record == nil || differs { damagedRecords.append((UInt64(number), copy)) }
            }
            usable.append((newest, UInt64(number)))
        }
        guard let chosen = Self.choose(usable, file) else {
            throw DatabaseError(
                .corrupted, page: 0, "no record in the meta pages of \(file.name) is whole")
        }
        meta = chosen.meta
        page = chosen.page
        for other in usable where other.meta.environmentID != meta.environmentID {
            lostPages.append(other.page)
            damagedRecords.removeAll { $0.page == other.page }
        }
        previousCheckpoint =
            usable.first {
                $0.page != chosen.page && $0.meta.environmentID == chosen.meta.environmentID
            }?.meta.transaction ?? 0
        try readFreeList(file)
    }

    private mutating func readFreeList(_ file: any StorageFile) throws(DatabaseError) {
        let freeList = FreeList.allocate()
        defer { freeList.deallocate() }
        let loaded = MetaPages.Loaded(meta: meta, page: page)
        for copy in 0..<2 {
            let problem = try MetaPages.loadFreeList(
                into: freeList, of: loaded, copy: copy, from: file)
            if problem != nil {
                damagedFreeLists.append(copy)
            } else if freeRuns == nil {
                var runs = freeList.availableRuns
                freeList.forEachPending { run, _ in runs.append(run) }
                freeRuns = runs
            }
        }
    }

    /// The newest record; of two environments', that of the one whose roots are in the file.
    private static func choose(
        _ usable: [(meta: Meta, page: UInt64)], _ file: any StorageFile
    ) -> (meta: Meta, page: UInt64)? {
        guard let first = usable.first, let last = usable.last else { return nil }
        if first.meta.environmentID != last.meta.environmentID {
            return soundRoots(last.meta, file) > soundRoots(first.meta, file) ? last : first
        }
        return last.meta.transaction >= first.meta.transaction ? last : first
    }

    private static func soundRoots(_ meta: Meta, _ file: any StorageFile) -> Int {
        let pageSize = Int(meta.pageSize)
        let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: pageSize, alignment: 64)
        defer { buffer.deallocate() }
        guard let start = buffer.baseAddress else { return 0 }
        return [meta.main.root, meta.catalog.root, meta.free.root].filter { root in
            !root.isNone && root.number < PageReference.numberLimit
                && (try? file.read(into: buffer, at: root.number * UInt64(pageSize))) == pageSize
                && Checksum.ofPage(start, length: pageSize, seed: meta.checksumSeed)
                    == start.littleEndian(Format.Header.checksum, as: UInt64.self)
        }.count
    }

    /// Whether all copies that count are whole.
    var isSound: Bool {
        lostPages.isEmpty && damagedRecords.isEmpty && damagedFreeLists.isEmpty
    }

    // MARK: Putting copies right

    /// Writes damaged copies of records anew, from the other copy in their page.
    func mendRecords(_ file: any StorageFile, except skipped: UInt64?) throws(DatabaseError) {
        for (number, copy) in damagedRecords where number != skipped {
            try Self.copy(
                file, number, pageSize: Int(meta.pageSize), from: 1 - copy, at: 0, Meta.size)
        }
    }

    /// Writes a damaged copy of the free list anew.
    func mendFreeList(_ file: any StorageFile) throws(DatabaseError) {
        guard damagedFreeLists.count == 1, let copy = damagedFreeLists.first else { return }
        try Self.copy(
            file, page, pageSize: Int(meta.pageSize), from: 1 - copy, at: Meta.freeListOffset,
            FreeList.size)
    }

    /// Writes a part of one half of a meta page over that of the other half.
    private static func copy(
        _ file: any StorageFile, _ page: UInt64, pageSize: Int, from copy: Int, at offset: Int,
        _ size: Int
    ) throws(DatabaseError) {
        let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: size, alignment: 64)
        defer { buffer.deallocate() }
        let start = page * UInt64(pageSize) + UInt64(offset)
        _ = try file.read(
            into: buffer, at: start + UInt64(Meta.copyOffset(copy, pageSize: pageSize)))
        try file.write(
            UnsafeRawBufferPointer(buffer),
            at: start + UInt64(Meta.copyOffset(1 - copy, pageSize: pageSize)))
    }
}
