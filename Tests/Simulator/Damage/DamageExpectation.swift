@testable import ZeroDB

/// What may come of a damage, found by comparing the files with what they were, and by `docs/FORMAT.md`.
struct DamageExpectation {
    /// The transactions whose states an opening may show.
    private(set) var acceptable: Set<UInt64>
    private(set) var models: [UInt64: EnvironmentModel]
    private(set) var mayRefuse = false
    /// Why an opening must not succeed.
    private(set) var refusal: String?
    /// Why a verification must not find everything sound.
    private(set) var notice: String?
    /// Checksums were made right again: nothing is said of what an opening shows but that a verification
    /// notices whatever is not as it was.
    private(set) var isHostile: Bool
    /// The same, as an older version of a page is back that nothing on the way to it tells from the
    /// newer one: transactions with the same id wrote both, one before a crash and one after it.
    private(set) var hasTwin = false
    /// Pages of the newest state in the data file of which something that counts was changed.
    private(set) var damagedPages: Set<Int> = []
    /// Whether the newest meta record was lost, so that an opening goes back.
    private(set) var isOlder = false
    /// Whether a meta page has no record that can be read.
    private(set) var lacksMeta = false
    /// Whether neither has one: if there is a record of another environment, the files are that one's.
    private(set) var lacksOwnRecord = false

    private let subject: DamageSubject
    private let files: EnvironmentFiles

    init(_ damager: Damager) {
        subject = damager.subject
        files = damager.files
        isHostile = damager.isHostile
        models = subject.models
        acceptable = [subject.newest]
        if damager.damages.contains(.foreignData) {
            models = damager.stranger.models
            acceptable = [damager.stranger.newest]
            mayRefuse = true
            return
        }
        guard !isHostile else {
            acceptable = Set(models.keys)
            mayRefuse = true
            noteDamagedPages()
            expectEdits(damager.damages)
            return
        }
        expectMeta()
        guard refusal == nil, !isOlder else {
            mayRefuse = true
            return
        }
        expectPages()
        expectLog()
        if hasTwin { isHostile = true }
    }

    // MARK: Meta pages

    /// The transactions of the records in a meta page that can be read.
    private func records(_ page: Int) -> [UInt64] {
        (0..<2).compactMap { copy in
            let start = page * subject.pageSize + copy * subject.pageSize / 2
            guard start + Meta.size <= files.data.count else { return nil }
            let record = Array(files.data[start..<(start + Meta.size)])
            guard subject.metaRecords[page].contains(record) else { return nil }
            return LittleEndianReader(record).u64(40)
        }
    }

    private mutating func expectMeta() {
        let found = (0..<2).map { records($0) }
        if let page = found.firstIndex(where: \.isEmpty) {
            lacksMeta = true
            lacksOwnRecord = found.allSatisfy(\.isEmpty)
            refusal = "meta page \(page) has no record that can be read"
            return
        }
        let newest = found.joined().max() ?? 0
        if newest < subject.layout.transaction {
            isOlder = true
            acceptable = Set(models.keys.filter { $0 >= newest })
        } else if found.contains(where: { $0.count < 2 }) {
            notice = "a copy of a meta record is damaged"
        }
    }

    // MARK: Pages

    private mutating func noteDamagedPages() {
        let original = subject.files.data
        let pageSize = subject.pageSize
        for (page, used) in subject.layout.usedBytes.enumerated() where page >= 2 && used > 0 {
            let range = (page * pageSize)..<(page * pageSize + used)
            if files.data.agrees(with: original, range) { continue }
            damagedPages.insert(page)
            if isTwin(page) { hasTwin = true }
        }
    }

    /// References, counts and digests are exact: none of them can be changed unnoticed.
    private mutating func expectEdits(_ damages: Set<DamageKind>) {
        let exact: Set<DamageKind> = [.link, .crossedLinks, .count, .digest, .movedPage]
        guard damages.isSubset(of: exact), subject.log.tail.isEmpty else { return }
        let meta = subject.layout.metaPage * subject.pageSize
        let isSame = files.data.agrees(with: subject.files.data, meta..<(meta + Meta.size))
        if !isSame || !damagedPages.isEmpty { notice = "a reference or a number was edited" }
    }

    private func isTwin(_ page: Int) -> Bool {
        let start = page * subject.pageSize
        guard start + subject.pageSize <= files.data.count else { return false }
        let tag = (start + 16)..<(start + 18)
        guard files.data.agrees(with: subject.files.data, tag) else {
            return false
        }
        let now = Array(files.data[start..<(start + subject.pageSize)])
        return subject.versions[page]?.contains(now) ?? false
    }

    private mutating func expectPages() {
        let layout = subject.layout
        if files.data.count < layout.pageCount * subject.pageSize {
            refusal = "data.zdb is too short"
            mayRefuse = true
        }
        noteDamagedPages()
        if let page = damagedPages.min() { notice = "page \(page) is damaged" }
        var goodLists = 0
        for copy in 0..<2 {
            let start =
                layout.metaPage * subject.pageSize + copy * subject.pageSize / 2
                + Meta.freeListOffset
            let range = start..<(start + FreeList.size)
            if files.data.agrees(with: subject.files.data, range) { goodLists += 1 }
        }
        if goodLists < 2 { notice = "a copy of the free list is damaged" }
        if goodLists == 0 { refusal = "both copies of the free list are damaged" }
        if notice != nil || refusal != nil { mayRefuse = true }
        // A replay may put something else in the place of what was damaged.
        if !subject.log.tail.isEmpty { notice = nil }
    }

    // MARK: The log

    private mutating func expectLog() {
        guard files.log != subject.files.log else { return }
        mayRefuse = true
        let tail = subject.log.tail
        guard let lost = tail.firstIndex(where: { !isIntact($0) }) else { return }
        let witness = tail[(lost + 1)...].first {
            isIntact($0) && $0.flushed > tail[lost].position
        }
        if let witness {
            refusal =
                "the record at \(tail[lost].position) was known to be on disk when that at "
                + "\(witness.position) was written"
        } else {
            acceptable = [tail[lost].transaction - 1]
        }
    }

    private func isIntact(_ record: LogLayout.Record) -> Bool {
        guard let file = files.log[record.file], let original = subject.files.log[record.file]
        else { return false }
        return file.agrees(with: original, record.range)
    }
}
