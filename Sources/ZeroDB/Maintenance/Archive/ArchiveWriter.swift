import Glibc

/// What takes the bytes of a file of an archive, in their order.
protocol ArchiveOutput: AnyObject {
    func write(_ bytes: UnsafeRawBufferPointer) throws(DatabaseError)

    /// What there is of the same file from a writer that ended early, to be read before anything is written.
    var earlier: ArchiveReader? { get }

    /// Leaves bytes as that writer left them, but for the checksum with which they begin.
    func keep(_ checksum: UInt64, count: Int) throws(DatabaseError)

    /// Removes what is behind the last byte that was written or kept.
    func cutOff() throws(DatabaseError)

    /// Has the file appear, whole and on stable storage, if that is the destination's to say.
    func finish() throws(DatabaseError)

    /// Leaves nothing that could be taken for the file. After `finish()` does nothing.
    ///
    /// - Parameter keeps: whether to leave what another writer can go on with.
    func abandon(keeps: Bool)
}

extension ArchiveOutput {
    var earlier: ArchiveReader? { nil }

    func keep(_ checksum: UInt64, count: Int) throws(DatabaseError) {
        throw DatabaseError(.unsupported, "a file of the archive cannot be changed")
    }

    func cutOff() throws(DatabaseError) {}
}

/// Writes a file of an archive, block by block. Each block's checksum is the seed of the next one's, so that
/// no block can be missing, changed or in another place unnoticed.
final class ArchiveWriter {
    private let output: any ArchiveOutput
    private let buffer: UnsafeMutableRawBufferPointer
    /// Bytes in it: room for a block's header, then content.
    private var used = 0
    private var kind = ArchiveBlock.Kind.header
    private var place: UInt64 = 0
    /// Where pages would go on that lie behind those in the buffer.
    private var nextPage: UInt64?
    private var seed = ArchiveBlock.seed
    private var blocks: UInt64 = 0
    private(set) var bytesWritten: UInt64 = 0
    private let pageSize: Int

    private static let contentMax = 1 << 20

    /// - Parameter pageSize: of the environment.
    init(
        _ output: any ArchiveOutput, _ header: ArchiveFileHeader, pageSize: Int
    ) throws(DatabaseError) {
        self.output = output
        self.pageSize = pageSize
        buffer = try allocateBuffer(
            ArchiveBlock.headerSize + Self.contentMax, to: "write the archive")
        var failure: DatabaseError?
        withUnsafeTemporaryAllocation(byteCount: ArchiveFileHeader.size, alignment: 8) { bytes in
            guard let start = bytes.baseAddress else { return }
            header.store(to: start)
            do throws(DatabaseError) {
                try writeBlock(.header, place: 0, [UnsafeRawBufferPointer(bytes)])
            } catch {
                failure = error
            }
        }
        if let failure { throw failure }
    }

    deinit { free(buffer.baseAddress) }

    /// Writes pages, joined with those in front of them.
    func write(pages: UnsafeRawBufferPointer, at number: UInt64) throws(DatabaseError) {
        var number = number
        var rest = pages[...]
        while !rest.isEmpty {
            if nextPage != number || used == buffer.count { try flush() }
            if nextPage == nil {
                kind = .pages
                place = number
                used = ArchiveBlock.headerSize
            }
            let part = rest.prefix((buffer.count - used) / pageSize * pageSize)
            guard !part.isEmpty else {
                try flush()
                continue
            }
            UnsafeMutableRawBufferPointer(rebasing: buffer[used...])
                .copyMemory(from: UnsafeRawBufferPointer(rebasing: part))
            used += part.count
            rest = rest.dropFirst(part.count)
            number += UInt64(part.count / pageSize)
            nextPage = number
        }
    }

    private func flush() throws(DatabaseError) {
        guard nextPage != nil else { return }
        nextPage = nil
        try writeBlock(
            kind, place: place,
            [UnsafeRawBufferPointer(rebasing: buffer[ArchiveBlock.headerSize..<used])])
    }

    /// Writes a block of one piece or several.
    func writeBlock(
        _ kind: ArchiveBlock.Kind, place: UInt64, _ content: [UnsafeRawBufferPointer]
    ) throws(DatabaseError) {
        try flush()
        let length = content.reduce(0) { $0 + $1.count }
        let total = ArchiveBlock.headerSize + length
        // The checksum is that of all pieces together.
        var bytes = buffer
        if total > buffer.count {
            guard let memory = malloc(total) else {
                throw DatabaseError(systemError: ENOMEM, "write \(total) bytes to the archive")
            }
            bytes = UnsafeMutableRawBufferPointer(start: memory, count: total)
        }
        defer { if total > buffer.count { free(bytes.baseAddress) } }
        guard let start = bytes.baseAddress else { return }
        start.storeLittleEndian(ArchiveBlock.magic, at: 8)
        start.storeLittleEndian(kind.rawValue, at: 12)
        start.storeLittleEndian(UInt64(length), at: 16)
        start.storeLittleEndian(place, at: 24)
        var offset = ArchiveBlock.headerSize
        for piece in content {
            guard let from = piece.baseAddress else { continue }
            if from != UnsafeRawPointer(start + offset) {
                memcpy(start + offset, from, piece.count)
            }
            offset += piece.count
        }
        let checksum = Checksum.compute(
            UnsafeRawBufferPointer(start: start + 8, count: total - 8), seed: seed)
        start.storeLittleEndian(checksum, at: 0)
        try output.write(UnsafeRawBufferPointer(start: start, count: total))
        seed = checksum
        blocks += 1
        bytesWritten += UInt64(total)
    }

    /// Takes the blocks of pages of a writer that ended early into this file, up to the first that is not
    /// whole. They get new checksums, each from the one before.
    ///
    /// - Parameter onPages: called with each block.
    func adopt(
        _ reader: ArchiveReader, _ onPages: (ArchiveReader.Block) -> Void
    ) throws(DatabaseError) {
        while let block = reader.nextWholePages() {
            let checksum = Checksum.compute(block.checked, seed: seed)
            let total = block.checked.count + 8
            try output.keep(checksum, count: total)
            seed = checksum
            blocks += 1
            bytesWritten += UInt64(total)
            onPages(block)
        }
        try output.cutOff()
    }

    /// Writes the last block.
    ///
    /// - Returns: the file's checksum.
    func end() throws(DatabaseError) -> UInt64 {
        try flush()
        var failure: DatabaseError?
        withUnsafeTemporaryAllocation(byteCount: 16, alignment: 8) { bytes in
            guard let start = bytes.baseAddress else { return }
            start.storeLittleEndian(blocks, at: 0)
            start.storeLittleEndian(bytesWritten, at: 8)
            do throws(DatabaseError) {
                try writeBlock(.end, place: 0, [UnsafeRawBufferPointer(bytes)])
            } catch {
                failure = error
            }
        }
        if let failure { throw failure }
        return seed
    }
}

/// Has a copy of a snapshot written as a file of an archive.
final class ArchiveCopySink: CopySink {
    private let writer: ArchiveWriter
    private let pageSize: Int
    private let earlier: ArchiveReader?
    let isStream = false

    /// - Parameter earlier: what there is of the same file.
    init(_ writer: ArchiveWriter, pageSize: Int, earlier: ArchiveReader?) {
        self.writer = writer
        self.pageSize = pageSize
        self.earlier = earlier
    }

    func compare(with pages: EarlierPages) throws(DatabaseError) -> Bool {
        guard let earlier else { return false }
        var hasAny = false
        try writer.adopt(earlier) { block in
            hasAny = true
            pages.compare(block.content, from: block.place)
        }
        return hasAny
    }

    func write(_ bytes: UnsafeRawBufferPointer, at offset: UInt64) throws(DatabaseError) {
        // A copy writes both meta pages at once.
        guard offset > 0 else { return try writer.writeBlock(.meta, place: 0, [bytes]) }
        try writer.write(pages: bytes, at: offset / UInt64(pageSize))
    }

    func end(at offset: UInt64) throws(DatabaseError) {}
}
