@testable import ZeroDB

/// Edits of pages and meta records after which all checksums are right: what is left to notice them is the
/// structure of the trees, counts, and digests.
extension Damager {
    /// Parts of a meta record that say what there is. The others say which state it is and how its log
    /// goes on: what they say may be as true as what they said before.
    private static let fields: [CraftedImage.MetaField] = [
        .pageCount, .availablePages, .pendingPages, .youngPages, .allocationCursor, .pinnedTotal,
        .main, .catalog, .free, .freeListAvailable, .freeListPending,
    ]

    mutating func edit(_ kind: DamageKind) -> String? {
        let file = MemoryContents(files.data)
        guard let image = CraftedImage(file), image.pageSize == pageSize,
            image.meta.pageCount <= pageCount
        else { return nil }
        guard let what = edit(kind, image) else { return nil }
        image.store()
        files.data = file.bytes
        return what + ", checksums right"
    }

    private mutating func edit(_ kind: DamageKind, _ image: CraftedImage) -> String? {
        // Some make new pages of what others hold.
        let isEmpty = image.meta.pageCount < 3
        switch kind {
        case .link: return editLink(image)
        case .crossedLinks: return crossLinks(image)
        case .count: return editNumber(image, .count)
        case .digest: return editNumber(image, .digest)
        case .alteredBytes: return alterBytes(image)
        case .movedPage: return movePage(image)
        case .alteredPage:
            guard !isEmpty else { return nil }
            image.changePage(&random)
            return "a page changed"
        case .metaField:
            let field = random.pick(Self.fields)
            image.changeMeta(field, &random)
            return "the newest meta record's \(field) changed"
        case .freeList:
            image.changeFreeList(&random)
            return "the free list changed"
        case .freeTree:
            guard !isEmpty else { return nil }
            image.setFreeTree(&random)
            return "another free tree"
        case .otherTree:
            guard !isEmpty else { return nil }
            image.setTree(&random)
            return "another tree"
        default: return nil
        }
    }

    private mutating func pickLink(_ image: CraftedImage) -> DataLayout.Link? {
        let links = subject.layout.links.filter { $0.page < Int(image.meta.pageCount) }
        return links.isEmpty ? nil : random.pick(links)
    }

    /// Makes a reference lead to another page, by its right transaction as a rule.
    private mutating func editLink(_ image: CraftedImage) -> String? {
        guard let link = pickLink(image) else { return nil }
        let pages = Int(image.meta.pageCount)
        var target = random.below(pages)
        switch random.below(4) {
        case 0: target = link.page
        case 1:
            let others = subject.layout.links.filter { $0.level == link.level }
            if !others.isEmpty { target = random.pick(others).target }
        case 2: target = random.pick(subject.layout.treePages)
        default: break
        }
        guard target < pages else { return nil }
        let transaction =
            random.chance(90) ? image.page(UInt64(target)).transaction : random.next()
        set(link, PageReference(number: UInt64(target), transaction: transaction).raw, image)
        return "the reference at byte \(link.offset) of page \(link.page) leads to page \(target)"
    }

    private func set(_ link: DataLayout.Link, _ reference: UInt64, _ image: CraftedImage) {
        image.address(UInt64(link.page)).storeLittleEndian(reference, at: link.offset)
        image.reseal(UInt64(link.page))
    }

    /// Exchanges two references to pages of one level.
    private mutating func crossLinks(_ image: CraftedImage) -> String? {
        guard let first = pickLink(image) else { return nil }
        let others = subject.layout.links.filter {
            $0.level == first.level && $0.target != first.target
                && $0.page < Int(image.meta.pageCount)
        }
        guard !others.isEmpty else { return nil }
        let second = random.pick(others)
        let kept: UInt64 = image.address(UInt64(first.page)).littleEndian(first.offset)
        let other: UInt64 = image.address(UInt64(second.page)).littleEndian(second.offset)
        set(first, other, image)
        set(second, kept, image)
        return "the references to pages \(first.target) and \(second.target) exchanged"
    }

    private mutating func editNumber(
        _ image: CraftedImage, _ kind: DataLayout.Number.Kind
    ) -> String? {
        let numbers = subject.layout.numbers.filter {
            $0.kind == kind && $0.page < Int(image.meta.pageCount)
        }
        guard !numbers.isEmpty, random.chance(75) else { return editMetaNumber(image, kind) }
        let number = random.pick(numbers)
        let base = image.address(UInt64(number.page))
        let value: UInt64 = base.littleEndian(number.offset)
        base.storeLittleEndian(random.hurtful(near: value), at: number.offset)
        image.reseal(UInt64(number.page))
        return "the \(kind) at byte \(number.offset) of page \(number.page) changed"
    }

    private mutating func editMetaNumber(
        _ image: CraftedImage, _ kind: DataLayout.Number.Kind
    ) -> String? {
        switch kind {
        case .count:
            let entries = image.meta.main.entries
            image.meta.main.entries = random.hurtful(near: entries) & (TreeRecord.countLimit - 1)
        case .digest:
            if random.chance(50) {
                image.meta.main.digest.low = random.hurtful(near: image.meta.main.digest.low)
            } else {
                image.meta.digest.high = random.hurtful(near: image.meta.digest.high)
            }
        }
        return "a \(kind) of the newest meta record changed"
    }

    /// Changes the bytes of keys and values.
    private mutating func alterBytes(_ image: CraftedImage) -> String? {
        let layout = subject.layout
        let pages = (layout.treePages + layout.overflowPages).filter {
            $0 < Int(image.meta.pageCount)
        }
        guard !pages.isEmpty else { return nil }
        let page = random.pick(pages)
        let used = max(41, layout.usedBytes[page])
        // Keys and values of a leaf that is not full lie at its end.
        let reach = random.chance(60) ? min(200, used - 40) : used - 40
        let place = used - 1 - random.below(max(1, reach))
        let start = image.address(UInt64(page))
        start.storeLittleEndian(
            start.littleEndian(place, as: UInt8.self) ^ 1 << UInt8(random.below(8)), at: place)
        image.reseal(UInt64(firstPage(page)))
        return "a bit of byte \(place) of page \(page) flipped"
    }

    /// The first page of the overflow run that a page is in, or the page itself.
    private func firstPage(_ page: Int) -> Int {
        let runs = subject.layout.links.filter { $0.level == nil && $0.target <= page }
        guard subject.layout.overflowPages.contains(page) else { return page }
        return runs.map(\.target).max() ?? page
    }

    /// Has a page take the place of another one, number and transaction included.
    private mutating func movePage(_ image: CraftedImage) -> String? {
        let pages = subject.layout.treePages.filter { $0 < Int(image.meta.pageCount) }
        guard !pages.isEmpty else { return nil }
        let from = random.pick(pages)
        let level = image.page(UInt64(from)).level
        let alike = pages.filter { image.page(UInt64($0)).level == level && $0 != from }
        guard !alike.isEmpty else { return nil }
        let to = random.pick(alike)
        let transaction = image.page(UInt64(to)).transaction
        image.address(UInt64(to)).copyMemory(
            from: image.address(UInt64(from)), byteCount: pageSize)
        _ = image.seal(UInt64(to), transaction: transaction)
        return "page \(from) in the place of page \(to)"
    }
}
