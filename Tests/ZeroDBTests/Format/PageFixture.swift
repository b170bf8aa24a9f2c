import Glibc
import Testing

@testable import Simulator
@testable import ZeroDB

/// Memory for one page between two pages that may not be touched: an access beyond the page ends
/// the process instead of going unnoticed.
final class PageFixture {
    let page: Page
    private let memory: UnsafeMutableRawPointer
    private let guardSize = 65536

    init(size: Int) throws {
        let mapped = mmap(
            nil, size + 2 * guardSize, PROT_NONE, MAP_PRIVATE | Int32(MAP_ANONYMOUS), -1, 0)
        memory = try #require(mapped == MAP_FAILED ? nil : mapped, "no memory for a page")
        mprotect(memory + guardSize, size, PROT_READ | PROT_WRITE)
        page = Page(memory + guardSize, size: size)
    }

    deinit { munmap(memory, page.size + 2 * guardSize) }

    /// Fills the page with random bytes.
    func scramble(_ random: inout SeededGenerator) {
        for offset in stride(from: 0, to: page.size, by: 8) {
            page.base.storeBytes(of: random.next(), toByteOffset: offset, as: UInt64.self)
        }
    }

    /// Fills the page with entries and the prefix they share.
    ///
    /// - Parameter isCounted: whether a branch's entries have their entryCounts.
    func write(_ entries: [PageEntry], isLeaf: Bool = true, isCounted: Bool = false) {
        let keyed = isLeaf ? entries[...] : entries.dropFirst()
        var prefix = keyed.first?.key ?? []
        if let last = keyed.last?.key, keyed.count > 1 {
            let common = prefix.withUnsafeBytes { first in
                last.withUnsafeBytes { KeyOrder.commonPrefixLength(first, $0) }
            }
            prefix.removeLast(prefix.count - common)
        } else {
            prefix = []
        }
        prefix.withUnsafeBytes {
            page.format(
                kind: isLeaf ? .leaf : .branch, level: isLeaf ? 0 : 1, prefix: $0,
                layout: isCounted ? .counted : [])
        }
        for (index, entry) in entries.enumerated() {
            let suffix = !isLeaf && index == 0 ? [] : Array(entry.key.dropFirst(prefix.count))
            suffix.withUnsafeBytes { suffix in
                if isLeaf {
                    entry.value.withUnsafeBytes { value in
                        page.insertLeafEntry(
                            at: index, suffix: suffix, value: LeafValue(kind: .inline, bytes: value)
                        )
                    }
                } else {
                    page.insertBranchEntry(
                        at: index, suffix: suffix, child: entry.child, entries: entry.entryCount)
                }
            }
        }
    }

    /// Reads all entries back.
    func entries() throws -> [PageEntry] {
        try #require(page.slotsAreInBounds)
        return try (0..<page.count).map { index in
            let key = !page.isLeaf && index == 0 ? [] : try key(index)
            guard page.isLeaf else {
                return PageEntry(
                    key: key, child: page.child(index), entryCount: page.entryCount(index))
            }
            let field = try #require(page.value(index))
            return PageEntry(
                key: key,
                value: Array(UnsafeRawBufferPointer(start: field.bytes, count: field.count)))
        }
    }

    func key(_ index: Int) throws -> [UInt8] {
        let buffer = UnsafeMutableRawBufferPointer.allocate(
            byteCount: Format.keyBufferSize(pageSize: page.size), alignment: 8)
        defer { buffer.deallocate() }
        let start = try #require(buffer.baseAddress)
        let count = page.copyKey(index, to: start)
        try #require(count >= 0)
        return Array(buffer[..<count])
    }
}

/// An entry of a leaf (key and value) or of a branch (separator, child, and if it is counted the
/// entries below).
struct PageEntry: Equatable {
    var key: [UInt8]
    var value: [UInt8] = []
    var child = PageReference.none
    var entryCount: UInt64 = 0

    /// Bytes it takes with nothing saved by a prefix.
    func size(isLeaf: Bool) -> Int {
        Page.entrySize(isLeaf: isLeaf, suffixLength: key.count, valueLength: value.count)
    }
}

extension [PageEntry] {
    /// Where a sorted array has a key.
    func search(_ key: [UInt8]) -> (index: Int, found: Bool) {
        let index = firstIndex { keyOrder($0.key, key) >= 0 } ?? count
        return (index, index < count && self[index].key == key)
    }

    /// Random sorted entries that fill most of a page.
    static func random(
        _ pattern: KeyPattern, pageSize: Int, isLeaf: Bool, isCounted: Bool = false,
        _ random: inout SeededGenerator
    ) -> Self {
        var maker = KeyMaker(pattern, keySizeMax: Format.keySizeMax(pageSize: pageSize))
        var entries: Self = []
        var room = Page.capacity(pageSize: pageSize) * random.within(1...100) / 100 - 1100
        for _ in 0..<(pageSize / 8) where room > 0 {
            let key = maker.next(&random)
            let place = entries.search(key)
            guard !place.found else { continue }
            let entry = PageEntry(
                key: key, value: isLeaf ? random.bytes(random.below(30)) : [],
                child: isLeaf ? .none : PageReference(number: random.next() >> 20, transaction: 7),
                entryCount: isCounted ? random.next() >> 8 : 0)
            room -= entry.size(isLeaf: isLeaf) + (isCounted ? 8 : 0)
            if room > 0 { entries.insert(entry, at: place.index) }
        }
        return entries
    }

    /// Keys at, just before and just after those of the entries, and others.
    func probes(_ pattern: KeyPattern, pageSize: Int, _ random: inout SeededGenerator) -> [[UInt8]]
    {
        var probes: [[UInt8]] = [
            [0], [255], [UInt8](repeating: 255, count: Format.keySizeMax(pageSize: pageSize)),
        ]
        for entry in self {
            let key = entry.key
            guard let last = key.last else { continue }
            let start = [UInt8](key.dropLast())
            probes += [key, key + [0], start]
            probes += [start + [last &+ 1], start + [last &- 1]]
            probes += [[UInt8](key.prefix(4)), key + key]
        }
        var maker = KeyMaker(pattern, keySizeMax: Format.keySizeMax(pageSize: pageSize))
        for _ in 0..<20 { probes.append(maker.next(&random)) }
        return probes.filter { !$0.isEmpty && $0.count <= Format.keySizeMax(pageSize: pageSize) }
    }
}

let allPageSizes = [4096, 8192, 16384, 32768, 65536]
