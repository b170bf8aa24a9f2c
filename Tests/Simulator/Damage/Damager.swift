@testable import ZeroDB

/// What can happen to the files of an environment.
enum DamageKind: CaseIterable, Sendable {
    // What checksums, page numbers and transactions in references are there for.
    case flippedBits, zeroedBytes, swappedPages, duplicatedPage, stalePage, foreignPage
    case lostSectors, lostPages, truncation
    case staleMeta, metaCopy, freeListCopies
    case foreignData, foreignLog
    case logFlip, logCut, logZeros, logMissing, logSwapped
    // Edits after which all checksums are right.
    case link, crossedLinks, count, digest, alteredBytes, alteredPage, movedPage
    case metaField, freeList, freeTree, otherTree, logEdit, otherLog

    /// Whether it makes checksums right again.
    var isHostile: Bool {
        switch self {
        case .link, .crossedLinks, .count, .digest, .alteredBytes, .alteredPage, .movedPage,
            .metaField, .freeList, .freeTree, .otherTree, .logEdit, .otherLog:
            true
        default: false
        }
    }

    /// How often it is chosen beside the others.
    fileprivate var share: Int {
        switch self {
        case .flippedBits: 8
        case .stalePage, .lostSectors, .lostPages, .link: 4
        case .foreignData, .foreignLog, .otherTree, .otherLog, .logMissing, .logSwapped: 1
        default: 2
        }
    }

    fileprivate static let weighted = allCases.flatMap { Array(repeating: $0, count: $0.share) }
}

/// Damages the files of an environment as a seed says, in one to three ways at once.
struct Damager {
    let subject: DamageSubject
    /// An environment of its own with pages of the same size.
    let stranger: DamageSubject
    var random: SeededGenerator
    var files: EnvironmentFiles
    /// What was done, for people to read.
    private(set) var story: [String] = []
    private(set) var damages: Set<DamageKind> = []

    init(_ subject: DamageSubject, _ stranger: DamageSubject, seed: UInt64) {
        self.subject = subject
        self.stranger = stranger
        random = SeededGenerator(seed: seed ^ 0xbad_b17e5)
        files = subject.files
    }

    var isHostile: Bool { damages.contains(where: \.isHostile) }

    mutating func damage() {
        let count = random.pick([1, 1, 1, 2, 2, 3])
        // Not all environments can be damaged in every way.
        for _ in 0..<20 where story.count < count {
            let kind = random.pick(DamageKind.weighted)
            let isAlone = kind == .foreignData || damages.contains(.foreignData)
            guard !isAlone || story.isEmpty, let what = apply(kind) else { continue }
            story.append(what)
            damages.insert(kind)
        }
    }

    /// - Returns: what was done; nil if there is nothing to be damaged so.
    private mutating func apply(_ kind: DamageKind) -> String? {
        switch kind {
        case .flippedBits: flipBits()
        case .zeroedBytes: zeroBytes()
        case .swappedPages: swapPages()
        case .duplicatedPage: duplicatePage()
        case .stalePage: goBack(page: 2 + random.below(max(1, pageCount - 2)), tries: 20)
        case .staleMeta: goBack(page: random.below(2), tries: 1)
        case .foreignPage: copyForeignPage()
        case .lostSectors: loseWrites(of: 512)
        case .lostPages: loseWrites(of: pageSize)
        case .truncation: truncate()
        case .metaCopy: damageMetaCopy()
        case .freeListCopies: damageFreeLists()
        case .foreignData: takeForeignData()
        case .foreignLog: takeForeignLog()
        case .logFlip, .logCut, .logZeros, .logMissing, .logSwapped: damageLog(kind)
        case .logEdit: editLog()
        case .otherLog: makeUpLog()
        default: edit(kind)
        }
    }

    // MARK: Places

    var pageSize: Int { subject.pageSize }
    /// Pages that are in the file, whole.
    var pageCount: Int { files.data.count / pageSize }

    func offset(_ page: Int) -> Int { page * pageSize }

    /// A page of the file, as a rule one that counts.
    mutating func pickPage() -> Int? {
        guard pageCount > 0 else { return nil }
        let used = subject.layout.treePages + subject.layout.overflowPages
        if !used.isEmpty, random.chance(80) {
            let page = random.pick(used)
            if page < pageCount { return page }
        }
        return random.below(pageCount)
    }

    /// A byte of a page, more often than not one of its structure.
    private mutating func pickOffset() -> Int {
        switch random.below(3) {
        case 0: random.below(40)
        case 1: 40 + random.below(200)
        default: random.below(pageSize)
        }
    }

    // MARK: Bytes

    private mutating func flipBits() -> String? {
        guard let page = pickPage() else { return nil }
        var places: [Int] = []
        for _ in 0..<random.pick([1, 1, 1, 2, 8]) {
            let place = pickOffset()
            files.data[offset(page) + place] ^= 1 << UInt8(random.below(8))
            places.append(place)
        }
        return "bits flipped in bytes \(places) of page \(page)"
    }

    private mutating func zeroBytes() -> String? {
        guard let page = pickPage() else { return nil }
        let start: Int
        let count: Int
        switch random.below(3) {
        case 0: (start, count) = (0, pageSize)
        case 1: (start, count) = (random.below(pageSize / 512) * 512, 512)
        default:
            start = pickOffset()
            count = 1 + random.below(min(64, pageSize - start))
        }
        for place in start..<(start + count) { files.data[offset(page) + place] = 0 }
        return "\(count) bytes zeroed from byte \(start) of page \(page) on"
    }

    // MARK: Pages

    /// The bytes of a page.
    func bytes(_ page: Int) -> [UInt8] {
        Array(files.data[offset(page)..<offset(page + 1)])
    }

    mutating func store(_ bytes: [UInt8], at page: Int) {
        files.data.replaceSubrange(offset(page)..<(offset(page) + bytes.count), with: bytes)
    }

    private mutating func swapPages() -> String? {
        guard let first = pickPage(), let second = pickPage(), first != second else { return nil }
        let kept = bytes(first)
        store(bytes(second), at: first)
        store(kept, at: second)
        return "pages \(first) and \(second) swapped"
    }

    private mutating func duplicatePage() -> String? {
        guard let first = pickPage(), let second = pickPage(), first != second else { return nil }
        store(bytes(first), at: second)
        return "page \(first) copied to \(second)"
    }

    /// Writes an older version of a page back.
    private mutating func goBack(page: Int, tries: Int) -> String? {
        var page = page
        for _ in 0..<tries {
            if page < pageCount, let versions = subject.versions[page], !versions.isEmpty {
                let age = random.below(versions.count)
                store(versions[age], at: page)
                return "page \(page) as it was, version \(age) of \(versions.count) older ones"
            }
            page = pickPage() ?? page
            if page < 2 { page = 2 }
        }
        return nil
    }

    private mutating func copyForeignPage() -> String? {
        let count = stranger.files.data.count / pageSize
        guard let page = pickPage(), count > 0 else { return nil }
        let other = page < count && random.chance(60) ? page : random.below(count)
        store(Array(stranger.files.data[offset(other)..<offset(other + 1)]), at: page)
        return "page \(other) of another environment at \(page)"
    }

    /// Takes back some of what the last commit or the last checkpoint has written.
    private mutating func loseWrites(of unit: Int) -> String? {
        let isCheckpoint = random.chance(50)
        let before = isCheckpoint ? subject.imageBeforeCheckpoint : subject.imageBeforeCommit
        let percent = random.pick([5, 30, 70, 100])
        let first = random.chance(60) ? offset(2) : 0
        var lost: [Int] = []
        for start in stride(from: first, to: files.data.count, by: unit) {
            let range = start..<min(start + unit, files.data.count)
            guard !before.agrees(with: files.data, range), random.chance(percent) else { continue }
            for place in range { files.data[place] = place < before.count ? before[place] : 0 }
            lost.append(start / unit)
        }
        guard !lost.isEmpty else { return nil }
        return "lost of the last \(isCheckpoint ? "checkpoint" : "commit"): "
            + "\(unit == 512 ? "sectors" : "pages") \(lost)"
    }

    private mutating func truncate() -> String? {
        guard files.data.count > 0 else { return nil }
        var end = random.below(files.data.count)
        if random.chance(60) { end = end / pageSize * pageSize }
        if random.chance(20) { end = max(0, files.data.count - 1 - random.below(pageSize)) }
        files.data.removeLast(files.data.count - end)
        return "data.zdb cut off at \(end)"
    }

    // MARK: Meta pages

    private mutating func damageMetaCopy() -> String? {
        guard pageCount >= 2 else { return nil }
        let page = random.below(2)
        let copies = random.chance(25) ? [0, 1] : [random.below(2)]
        var what: [String] = []
        for copy in copies {
            let start = offset(page) + copy * pageSize / 2
            switch random.below(4) {
            case 0, 1:
                let place = random.below(Meta.usedSize)
                files.data[start + place] ^= 1 << UInt8(random.below(8))
                what.append("byte \(place) of copy \(copy) flipped")
            case 2:
                for place in 0..<Meta.size { files.data[start + place] = 0 }
                what.append("copy \(copy) zeroed")
            default:
                let other = offset(1 - page)
                for place in 0..<Meta.size {
                    files.data[start + place] = files.data[other + place]
                }
                what.append("the other page's record as copy \(copy)")
            }
        }
        return "meta page \(page): " + what.joined(separator: ", ")
    }

    private mutating func damageFreeLists() -> String? {
        guard pageCount >= 2 else { return nil }
        let page = random.chance(80) ? subject.layout.metaPage : random.below(2)
        let copies = random.chance(30) ? [0, 1] : [random.below(2)]
        for copy in copies {
            let start = offset(page) + copy * pageSize / 2 + Meta.freeListOffset
            if random.chance(25) {
                for place in 0..<FreeList.size { files.data[start + place] = 0 }
            } else {
                files.data[start + random.below(FreeList.size)] ^= 1 << UInt8(random.below(8))
            }
        }
        return "copies \(copies) of the free list in meta page \(page)"
    }

    // MARK: Files

    private mutating func takeForeignData() -> String? {
        files.data = stranger.files.data
        if random.chance(50) { files.log = stranger.files.log }
        return "another environment's data file"
    }

    private mutating func takeForeignLog() -> String? {
        guard !stranger.files.log.isEmpty else { return nil }
        files.log = stranger.files.log
        return "another environment's log"
    }
}
