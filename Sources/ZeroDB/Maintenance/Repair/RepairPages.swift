import Glibc

/// The pages of a data file that is being repaired. Read by calls, not through a map: a page that the
/// device cannot read is damaged like any other. Nothing that is there is overwritten; new pages go
/// behind the end.
final class RepairPages {
    let file: any StorageFile
    let pageSize: Int
    let seed: UInt64
    /// A sound copy of the environment's data file, perhaps older.
    let source: (any StorageFile)?
    /// The number of the page that is appended next.
    var next: UInt64
    /// The transaction of appended pages.
    var stamp: UInt64
    /// Bytes of the file for which the disk has room.
    private var roomEnd: UInt64
    private var buffers: [UnsafeMutableRawPointer] = []
    /// What is known of pages whose checksum is wrong: which bit makes it right, -1 if none does.
    private var flips: [UInt64: Int] = [:]
    /// Bytes that may be summed yet to look for flipped bits.
    private var searchBytesLeft: UInt64 = 16 << 30
    /// Pages that were put right, with how.
    private(set) var mended: [UInt64: String] = [:]

    /// - Parameter next: behind all pages of the file.
    init(
        _ file: any StorageFile, pageSize: Int, seed: UInt64, next: UInt64, stamp: UInt64,
        source: (any StorageFile)?
    ) throws(DatabaseError) {
        self.file = file
        self.pageSize = pageSize
        self.seed = seed
        self.next = next
        self.stamp = stamp
        self.source = source
        roomEnd = try file.size()
    }

    deinit { for buffer in buffers { buffer.deallocate() } }

    // MARK: Buffers

    /// Memory for a page.
    func borrow() -> UnsafeMutableRawPointer {
        buffers.popLast() ?? .allocate(byteCount: pageSize, alignment: 64)
    }

    func giveBack(_ buffer: UnsafeMutableRawPointer) { buffers.append(buffer) }

    // MARK: Reading

    /// Reads bytes of the file, or of the copy. Where the file has been cut off in a page, the rest of that
    /// is zeros: so it is read by others, and what is not needed of it may be missing.
    ///
    /// - Returns: false if they are not there or the device fails.
    func read(
        _ number: UInt64, _ length: Int, into buffer: UnsafeMutableRawPointer,
        from other: (any StorageFile)? = nil
    ) -> Bool {
        guard number < PageReference.numberLimit else { return false }
        let bytes = UnsafeMutableRawBufferPointer(start: buffer, count: length)
        guard let count = try? (other ?? file).read(into: bytes, at: number * UInt64(pageSize)),
            count > 0, length - count < pageSize
        else { return false }
        if count < length { memset(buffer + count, 0, length - count) }
        return true
    }

    /// What came of loading a page.
    enum Loaded {
        /// It is what the reference asks for. If it is not that in the file, it has to be written anew.
        case sound(isMended: Bool)
        /// It is not; if it is the version that the reference asks for, only some of its bytes are
        /// wrong.
        case damaged(String, isVersion: Bool)
    }

    /// What a reference asks for.
    struct Wanted {
        var reference: PageReference
        var level: Int
        var layout: PageLayout
        /// The transaction of the page or record that the reference is in: what it leads to is not
        /// newer.
        var parent: UInt64
    }

    /// Loads a branch or leaf.
    func load(_ wanted: Wanted, into buffer: UnsafeMutableRawPointer) -> Loaded {
        let number = wanted.reference.number
        var reason = "it cannot be read"
        var isVersion = false
        if read(number, pageSize, into: buffer) {
            let isWhole = hasChecksum(buffer, pageSize)
            if isWhole || mend(number, buffer, length: pageSize) {
                guard let problem = problem(Page(buffer, size: pageSize), wanted) else {
                    return .sound(isMended: !isWhole)
                }
                reason = problem
            } else {
                reason = "its checksum is wrong"
                isVersion = isSameVersion(Page(buffer, size: pageSize), wanted)
            }
        }
        if let source {
            let copy = borrow()
            defer { giveBack(copy) }
            if read(number, pageSize, into: copy, from: source), hasChecksum(copy, pageSize),
                problem(Page(copy, size: pageSize), wanted) == nil
            {
                memcpy(buffer, copy, pageSize)
                mended[number] = "page \(number) was taken from the copy of the environment"
                return .sound(isMended: true)
            }
        }
        return .damaged(reason, isVersion: isVersion)
    }

    func hasChecksum(_ start: UnsafeRawPointer, _ length: Int) -> Bool {
        Checksum.ofPage(start, length: length, seed: seed)
            == start.littleEndian(Format.Header.checksum, as: UInt64.self)
    }

    /// What keeps a page with a right checksum from being what a reference asks for.
    private func problem(_ page: Page, _ wanted: Wanted) -> String? {
        guard page.number == wanted.reference.number else {
            return "it says that it is page \(page.number)"
        }
        guard UInt16(truncatingIfNeeded: page.transaction) == wanted.reference.transactionTag,
            page.transaction <= wanted.parent
        else { return "transaction \(page.transaction) wrote it, another than the one wanted" }
        guard page.shape == Page.shape(level: wanted.level, layout: wanted.layout) else {
            return "it is of another kind or level"
        }
        return page.structuralProblem()
    }

    /// Whether a page with a wrong checksum says that it is what a reference asks for.
    private func isSameVersion(_ page: Page, _ wanted: Wanted) -> Bool {
        page.number == wanted.reference.number
            && UInt16(truncatingIfNeeded: page.transaction) == wanted.reference.transactionTag
            && page.transaction <= wanted.parent
            && page.shape == Page.shape(level: wanted.level, layout: wanted.layout)
            && page.prefixLength <= Format.keySizeMax(pageSize: pageSize)
    }

    // MARK: Flipped bits

    /// Puts a page right of which one bit, or one byte of its checksum, has changed. The checksum, 64
    /// bits, tells: some ten thousand pages are tried.
    ///
    /// - Parameter length: of what the checksum is of, its own field included.
    /// - Returns: whether it has a right checksum now.
    func mend(_ number: UInt64, _ page: UnsafeMutableRawPointer, length: Int) -> Bool {
        if let known = flips[number] {
            guard known >= 0 else { return false }
            flip(page, known)
            if hasChecksum(page, length) { return true }
            flip(page, known)
            return false
        }
        let found = findFlip(number, page, length)
        flips[number] = found ?? -1
        guard let found else { return false }
        flip(page, found)
        mended[number] = "a flipped bit of page \(number) was put right: its checksum says which"
        return hasChecksum(page, length)
    }

    private func flip(_ page: UnsafeMutableRawPointer, _ bit: Int) {
        let byte: UInt8 = page.load(fromByteOffset: bit / 8, as: UInt8.self)
        page.storeBytes(of: byte ^ (1 << UInt8(bit % 8)), toByteOffset: bit / 8, as: UInt8.self)
    }

    private func findFlip(_ number: UInt64, _ page: UnsafeMutableRawPointer, _ length: Int) -> Int?
    {
        let stored: UInt64 = page.littleEndian(Format.Header.checksum)
        let difference = stored ^ Checksum.ofPage(page, length: length, seed: seed)
        if difference.nonzeroBitCount == 1 { return difference.trailingZeroBitCount }
        let wrong = page.littleEndian(Format.Header.number, as: UInt64.self) ^ number
        let bytes = UInt64(length) * UInt64(length) * 8
        guard wrong.nonzeroBitCount <= 1, bytes <= searchBytesLeft else { return nil }
        searchBytesLeft -= bytes
        let bits = wrong == 0 ? 64..<(length * 8) : 64..<128
        for bit in bits {
            flip(page, bit)
            defer { flip(page, bit) }
            if Checksum.ofPage(page, length: length, seed: seed) == stored { return bit }
        }
        return nil
    }

    // MARK: Appending

    /// Writes a branch or leaf behind the end.
    func append(_ page: UnsafeMutableRawPointer) throws(DatabaseError) -> PageReference {
        Page(page, size: pageSize).clearGap()
        return try append(page, length: pageSize, pages: 1)
    }

    /// Writes an overflow run behind the end.
    func append(value: UnsafeRawBufferPointer) throws(DatabaseError) -> PageReference {
        let pages = OverflowPointer.pageCount(length: UInt64(value.count), pageSize: pageSize)
        let run = UnsafeMutableRawBufferPointer.allocate(
            byteCount: Int(pages) * pageSize, alignment: 64)
        defer { run.deallocate() }
        guard let start = run.initializeMemory(as: UInt8.self, repeating: 0).baseAddress else {
            return .none
        }
        let base = UnsafeMutableRawPointer(start)
        base.storeLittleEndian(PageKind.overflow.rawValue, at: Format.Header.kind)
        base.storeLittleEndian(
            UInt32(truncatingIfNeeded: pages), at: Format.OverflowHeader.pageCount)
        base.storeLittleEndian(UInt64(value.count), at: Format.OverflowHeader.length)
        if let bytes = value.baseAddress { memcpy(base + Page.headerSize, bytes, value.count) }
        return try append(base, length: Page.headerSize + value.count, pages: pages)
    }

    private func append(
        _ start: UnsafeMutableRawPointer, length: Int, pages: UInt64
    ) throws(DatabaseError) -> PageReference {
        let number = next
        start.storeLittleEndian(number, at: Format.Header.number)
        start.storeLittleEndian(stamp, at: Format.Header.transaction)
        start.storeLittleEndian(
            Checksum.ofPage(start, length: length, seed: seed), at: Format.Header.checksum)
        try keepRoom(number + pages)
        try file.write(
            UnsafeRawBufferPointer(start: start, count: Int(pages) * pageSize),
            at: number * UInt64(pageSize))
        next += pages
        return PageReference(number: number, transaction: stamp)
    }

    private static let roomBytes: UInt64 = 1 << 20

    /// Makes sure that the disk has room up to a page.
    func keepRoom(_ pages: UInt64) throws(DatabaseError) {
        guard pages <= PageReference.numberLimit else {
            throw DatabaseError(.full, "\(file.name) has no room for more pages")
        }
        let end = pages * UInt64(pageSize)
        guard end > roomEnd else { return }
        let wanted = end + min(Self.roomBytes, end / 16 / UInt64(pageSize) * UInt64(pageSize))
        try file.allocate(from: roomEnd, to: wanted)
        roomEnd = wanted
    }
}
