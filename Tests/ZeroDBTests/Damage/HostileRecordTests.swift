import Testing

@testable import Simulator
@testable import ZeroDB

/// Invariant 4 against files that were made to do harm: every checksum is right, and numbers say what
/// they like. Whatever a file holds, work and memory stay in proportion to its size.
@Suite("Hostile records with right checksums", .timeLimit(.minutes(1)))
struct HostileRecordTests {
    /// A small environment that was closed, about to be changed.
    private final class Crafted {
        let fileSystem = MemoryFileSystem()
        let image: CraftedImage
        private var options = EnvironmentOptions()

        init(maxSize: UInt64 = 16 << 20) throws {
            options.maxSize = maxSize
            options.usesThread = false
            let environment = try Environment(
                path: "env", options: options, fileSystem: fileSystem)
            try environment.write { transaction in
                for number in 0..<50 {
                    try transaction.put(
                        Array("key \(number)".utf8), Array(repeating: 1, count: 100))
                }
            }
            try environment.close()
            for name in try fileSystem.list("env/log") { try fileSystem.remove("env/log/\(name)") }
            image = try #require(
                CraftedImage(fileSystem.contents("env/data.zdb") ?? MemoryContents()))
            image.cutLog()
        }

        func open() throws -> Environment {
            image.store()
            return try Environment(path: "env", options: options, fileSystem: fileSystem)
        }

        /// Makes a leaf with some entries the whole free tree, and the only place for free pages.
        func setFreeTree(_ entries: [CraftedImage.Entry], available: UInt64, pending: UInt64) {
            image.clearFreeList()
            image.meta.free = CraftedImage.tree(
                image.appendLeaf(entries), depth: 1, entries: UInt64(entries.count))
            image.meta.availablePages = available
            image.meta.pendingPages = pending
            image.meta.youngPages = pending
        }

        /// Commits a few times, as long as that goes well.
        func commit() throws {
            let environment = try open()
            _ = try environment.verify()
            for number in 0..<6 {
                try environment.write {
                    try $0.put(Array("key 1".utf8), Array(repeating: UInt8(number), count: 5))
                }
            }
            try environment.close()
        }
    }

    private static func key(_ tag: UInt8, _ numbers: UInt64, sequence: UInt32? = nil) -> [UInt8] {
        let sequence = sequence.map { withUnsafeBytes(of: $0.bigEndian, Array.init) } ?? []
        return [tag] + withUnsafeBytes(of: numbers.bigEndian, Array.init) + sequence
    }

    private static func pendingKey(
        _ holder: UInt64, _ transaction: UInt64, sequence: UInt32 = 0
    ) -> [UInt8] {
        key(0, holder) + key(0, transaction, sequence: sequence).dropFirst()
    }

    private static func words(_ words: [UInt64]) -> [UInt8] {
        words.flatMap { withUnsafeBytes(of: $0.littleEndian, Array.init) }
    }

    // MARK: Free tree

    /// What an entry of the free tree may not be.
    enum FreeEntry: CaseIterable {
        case manyRuns
        case emptyRun
        case runBeyondTheFile
        case runOfMetaPages
        case bornAfterItsEnd
        case freedLater
        case freedAfterItsRecord
        case waitsForLater
        case waitsForEarlier
        case noRuns
        case noEnd
        case valueElsewhere
        case emptyRegion
        case regionBeyondTheFile
        case regionOfMetaPages
        case shortRegion
    }

    @Test("A commit whose pages are free more than once is refused, and the environment closes")
    func refusesPagesFreedTwice() throws {
        let crafted = try Crafted()
        let image = crafted.image
        image.clearFreeList()
        let first = image.append()
        for _ in 0..<19 { _ = image.append() }
        // In the middle of pages that are free.
        let leaf = image.appendLeaf([CraftedImage.Entry(Array("key 1".utf8), [1])])
        for _ in 0..<20 { _ = image.append() }
        image.meta.main = CraftedImage.tree(leaf, depth: 1)
        let freeList = FreeList.allocate()
        defer { freeList.deallocate() }
        for (start, count) in [(first, 1), (first + 2, 1), (first + 8, 30)] {
            let run = PageRun(start: start, count: UInt64(count))
            #expect(freeList.give(run))
            image.meta.freeListAvailable += UInt32(run.count)
        }
        image.freeListWords.withUnsafeMutableBytes { words in
            words.baseAddress.map { freeList.store(to: $0) }
        }
        let environment = try crafted.open()
        let refused = #expect(throws: DatabaseError.self) {
            for number in 0..<8 {
                try environment.write { try $0.put(Array("key 1".utf8), [UInt8(number)]) }
                try environment.checkpoint()
            }
        }
        let error = try #require(refused)
        #expect(error.code == .corrupted && error.message.contains("more than once"), "\(error)")
        // What was committed before can be read, and made the durable root.
        _ = try environment.read { try $0.get(Array("key 1".utf8)) }
        try environment.close()
    }

    @Test("An impossible entry of the free tree is refused", arguments: FreeEntry.allCases)
    func freeEntry(_ entry: FreeEntry) throws {
        let crafted = try Crafted()
        let image = crafted.image
        // A page that no tree has any more: a sound entry could name it.
        let free = image.append()
        let sound = PageRun(start: free, count: 1).word
        let now = image.meta.transaction
        var value: [UInt64] = [1, now, sound]
        var key = Self.key(1, now, sequence: 0)
        var kind = ValueKind.inline
        switch entry {
        case .manyRuns: value = [1, now] + Array(repeating: sound, count: 450)
        case .emptyRun: value = [1, now, PageRun(start: free, count: 0).word]
        case .runBeyondTheFile: value = [1, now, PageRun(start: free, count: 9).word]
        case .runOfMetaPages: value = [1, now, PageRun(start: 1, count: 1).word]
        case .bornAfterItsEnd: value = [now, now - 1, sound]
        case .freedLater: key = Self.key(1, now + 9, sequence: 0)
        case .freedAfterItsRecord: value = [1, now + 1, sound]
        case .waitsForLater: key = Self.pendingKey(now, now)
        case .waitsForEarlier: (key, value) = (Self.pendingKey(1, now), [2, now, sound])
        case .noRuns: value = [1, now]
        case .noEnd: value = [1]
        case .valueElsewhere:
            let pointer = image.appendRun(length: 24)
            value = [pointer.reference.raw, pointer.length]
            kind = .overflow
        case .emptyRegion:
            key = Self.key(2, 0)
            value = Array(repeating: 0, count: 8)
        case .regionBeyondTheFile:
            key = Self.key(2, 1)
            value = Array(repeating: UInt64.max, count: 8)
        case .regionOfMetaPages:
            key = Self.key(2, 0)
            value = [3, 0, 0, 0, 0, 0, 0, 0]
        case .shortRegion:
            key = Self.key(2, 0)
            value = [1 << free]
        }
        let isRegion = key[0] == 2
        crafted.setFreeTree(
            [CraftedImage.Entry(key, Self.words(value), kind: kind)], available: isRegion ? 1 : 0,
            pending: isRegion ? 0 : 1)
        expectFailure(.corrupted) { try crafted.commit() }
    }

    @Test("A sound entry of the free tree is used")
    func soundEntry() throws {
        let crafted = try Crafted()
        let image = crafted.image
        let sound = PageRun(start: image.append(), count: 1).word
        crafted.setFreeTree(
            [
                CraftedImage.Entry(
                    Self.key(1, image.meta.transaction, sequence: 0),
                    Self.words([1, image.meta.transaction, sound]))
            ],
            available: 0, pending: 1)
        try crafted.commit()
    }

    @Test("Keys of the free tree that are out of order end no commit in a circle")
    func freeTreeOutOfOrder() throws {
        for tag: UInt8 in [0, 1, 2] {
            let crafted = try Crafted()
            let image = crafted.image
            let sound = PageRun(start: image.append(), count: 1).word
            let value = tag == 2 ? [1 << image.append(), 0, 0, 0, 0, 0, 0, 0] : [0, 1, sound]
            let entries = (0..<30).map { number in
                // Descending: a search finds an entry, and not its key.
                tag == 2
                    ? CraftedImage.Entry(Self.key(2, UInt64(0)), Self.words(value))
                    : CraftedImage.Entry(
                        tag == 1
                            ? Self.key(1, 1, sequence: UInt32(100 - number))
                            : Self.pendingKey(0, 1, sequence: UInt32(100 - number)),
                        Self.words(value))
            }
            crafted.setFreeTree(entries, available: tag == 2 ? 30 : 0, pending: tag == 2 ? 0 : 30)
            try? crafted.commit()
        }
    }

    // MARK: Meta records

    @Test("Impossible numbers of a meta record are refused")
    func metaNumbers() throws {
        let changes: [(CraftedImage) -> Void] = [
            { $0.meta.loggedTransaction = $0.meta.transaction + 1 },
            { $0.meta.loggedTransaction = UInt64.max },
            { $0.meta.catalog.flags = [.duplicates] },
            { $0.meta.free.flags = [.counted] },
            { $0.meta.main.depth = 33 },
            { $0.meta.main.root.raw |= PageReference.frameBit },
            { $0.meta.pageCount = PageReference.numberLimit },
            { $0.meta.logEnd = Format.idLimit },
        ]
        for change in changes {
            let crafted = try Crafted()
            change(crafted.image)
            expectFailure(.corrupted) { try crafted.commit() }
        }
    }

    @Test("The last transaction ids and log positions are errors, not traps")
    func lastNumbers() throws {
        let crafted = try Crafted()
        crafted.image.meta.transaction = Format.idLimit - 2
        try? crafted.commit()
        let other = try Crafted()
        other.image.meta.logEnd = Format.idLimit - 8
        other.image.meta.allocationCursor = UInt64.max
        other.image.meta.pinnedTotal = UInt64.max
        try? other.commit()
    }

    // MARK: Trees

    /// Branches almost all of whose children are one page: few pages that a walk comes to without end.
    ///
    /// - Parameter last: a leaf at the end, which a walk would have to come to.
    private func appendDiamond(
        _ image: CraftedImage, _ leaf: PageReference, last: PageReference
    ) -> PageReference {
        var root = leaf
        var end = last
        for level in 1...10 {
            root = image.appendBranch(Array(repeating: root, count: 100) + [end], level: level)
            end = image.appendBranch([end], level: level)
        }
        return root
    }

    @Test("Trees that lead to the same pages again and again end every walk")
    func diamonds() throws {
        let crafted = try Crafted()
        let image = crafted.image
        let leaf = image.appendLeaf([CraftedImage.Entry([1], [1])])
        let last = image.appendLeaf([CraftedImage.Entry([2], [2])])
        image.meta.main = CraftedImage.tree(appendDiamond(image, leaf, last: last), depth: 11)
        let record = UnsafeMutableRawPointer.allocate(byteCount: TreeRecord.size, alignment: 8)
        defer { record.deallocate() }
        TreeRecord().store(to: record)
        let bytes = Array(UnsafeRawBufferPointer(start: record, count: TreeRecord.size))
        let names = image.appendLeaf([CraftedImage.Entry([0x61], bytes)])
        image.meta.catalog = CraftedImage.tree(
            appendDiamond(image, names, last: names), depth: 11)
        let environment = try crafted.open()
        #expect(try environment.verify().problems > 0)
        expectFailure(.corrupted) { _ = try environment.read { try $0.databases().count } }
        expectFailure(.corrupted) { _ = try environment.read { try $0.count(KeyRange(from: [0])) } }
        expectFailure(.corrupted) { try environment.write { try $0.clear() } }
        try? environment.write { _ = try $0.delete(KeyRange(from: [0])) }
        try? environment.write { try $0.put([7], [7]) }
        try environment.close()
    }

    @Test("A commit does not free a page twice")
    func freesTwice() throws {
        let crafted = try Crafted()
        let image = crafted.image
        let run = image.appendRun(length: 10_000)
        var pointer = [UInt8](repeating: 0, count: OverflowPointer.size)
        pointer.withUnsafeMutableBytes { if let start = $0.baseAddress { run.store(to: start) } }
        let entries = (0..<100).map { CraftedImage.Entry([UInt8($0)], pointer, kind: .overflow) }
        image.meta.main = CraftedImage.tree(image.appendLeaf(entries), depth: 1, entries: 100)
        image.meta.main.overflowPages = 300
        let environment = try crafted.open()
        expectFailure(.corrupted) {
            try environment.write { transaction in
                for key in 0..<UInt8(100) { try transaction.delete([key]) }
            }
        }
        try environment.close()
    }

    @Test("Verifying takes as long as the file is large")
    func verifiesInLinearTime() throws {
        let crafted = try Crafted(maxSize: 512 << 20)
        let image = crafted.image
        let run = image.appendRun(length: 16 << 20)
        var pointer = [UInt8](repeating: 0, count: OverflowPointer.size)
        pointer.withUnsafeMutableBytes { if let start = $0.baseAddress { run.store(to: start) } }
        let leaves = (0..<340).map { number in
            image.appendLeaf(
                (0..<120).map {
                    CraftedImage.Entry(
                        [UInt8(number >> 8), UInt8(number & 0xff), UInt8($0)], pointer,
                        kind: .overflow)
                })
        }
        let branches = stride(from: 0, to: 340, by: 100).map {
            image.appendBranch(Array(leaves[$0..<min(340, $0 + 100)]), level: 1)
        }
        image.meta.main = CraftedImage.tree(image.appendBranch(branches, level: 2), depth: 3)
        // Runs of free pages, all of them the same.
        while image.meta.pageCount < 70_000 { _ = image.append() }
        let word = PageRun(start: 4000, count: PageRun.wordCountMax).word
        let entries = (0..<4).map {
            CraftedImage.Entry(
                Self.pendingKey(0, 1, sequence: UInt32($0)),
                Self.words([0, 1] + Array(repeating: word, count: FreeTreeEntry.runsMax)))
        }
        let free = (0..<20).map { _ in image.appendLeaf(entries) }
        image.meta.free = CraftedImage.tree(image.appendBranch(free, level: 1), depth: 2)
        let environment = try crafted.open()
        #expect(try environment.verify().problems > 0)
        try environment.close()
    }
}
