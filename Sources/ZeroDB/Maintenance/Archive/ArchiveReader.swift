import Glibc

/// Reads a file of an archive, block by block, and checks all of it.
final class ArchiveReader {
    private let file: any StorageFile
    /// For messages.
    private let path: String
    private var seed = ArchiveBlock.seed
    private var position: UInt64 = 0
    private var blocks: UInt64 = 0
    /// Bytes of the file.
    let size: UInt64
    private var buffer = UnsafeMutableRawBufferPointer(start: nil, count: 0)
    private(set) var header: ArchiveFileHeader
    private(set) var hasEnded = false

    /// Bytes of the file that have been read.
    var bytesRead: UInt64 { position }

    /// The file's checksum, once it has ended.
    var checksum: UInt64 { seed }

    struct Block {
        var kind: ArchiveBlock.Kind
        var place: UInt64
        /// Valid until the next is read.
        var content: UnsafeRawBufferPointer
        /// All of the block behind its checksum, just as long.
        var checked: UnsafeRawBufferPointer
    }

    /// Opens a file and reads its header.
    ///
    /// - Throws: `corrupted`, `versionMismatch`; ENOENT; a system error.
    convenience init(
        _ name: ArchiveFileName, in directory: any StorageDirectory
    ) throws(DatabaseError) {
        try self.init(named: name.description, in: directory)
        guard header.name == name else {
            throw damaged("it is the file \(header.name) under another name")
        }
    }

    /// Opens a file whatever its name.
    init(named name: String, in directory: any StorageDirectory) throws(DatabaseError) {
        path = directory.path + "/" + name
        file = try directory.open(name, access: .readOnly, create: false, mode: 0)
        header = ArchiveFileHeader(.full)
        do throws(DatabaseError) {
            size = try file.size()
        } catch {
            file.close()
            throw error
        }
        guard let block = try readBlock(), block.kind == .header,
            block.content.count == ArchiveFileHeader.size, let start = block.content.baseAddress
        else { throw damaged("it does not begin with a header") }
        do throws(ArchiveFileHeader.Problem) {
            header = try ArchiveFileHeader(at: start)
        } catch {
            switch error {
            case .damaged: throw damaged("its header cannot be")
            case .version(let version):
                throw DatabaseError(
                    .versionMismatch,
                    "\(path) is of version \(version) of archives, this library reads "
                        + "\(ArchiveFileHeader.version); use the library that wrote it")
            }
        }
    }

    deinit {
        free(buffer.baseAddress)
        file.close()
    }

    /// Whether a file ends with a last block.
    static func isComplete(
        _ name: ArchiveFileName, in directory: any StorageDirectory
    ) throws(DatabaseError) -> Bool {
        let file = try directory.open(
            name.description, access: .readOnly, create: false, mode: 0)
        defer { file.close() }
        return try lastBlock(of: file) != nil
    }

    /// The checksum of a file's last block.
    private static func lastBlock(of file: any StorageFile) throws(DatabaseError) -> UInt64? {
        let bytes = UnsafeMutableRawBufferPointer.allocate(
            byteCount: ArchiveBlock.headerSize + 16, alignment: 8)
        defer { bytes.deallocate() }
        let size = try file.size()
        guard size > UInt64(bytes.count), let start = bytes.baseAddress,
            try file.read(into: bytes, at: size - UInt64(bytes.count)) == bytes.count,
            start.littleEndian(8) == ArchiveBlock.magic,
            start.littleEndian(12) == ArchiveBlock.Kind.end.rawValue
        else { return nil }
        return start.littleEndian(0)
    }

    /// The checksum of the whole file, from its last block, which is compared with nothing yet.
    func lastChecksum() throws(DatabaseError) -> UInt64 {
        guard let checksum = try Self.lastBlock(of: file) else {
            throw damaged("it was cut off: its last block is missing")
        }
        return checksum
    }

    func damaged(_ problem: String) -> DatabaseError {
        DatabaseError(
            .corrupted,
            "the archive is damaged: \(path), byte \(position): \(problem)")
    }

    /// The next block of pages, meta pages or records; nil at the end of the file.
    ///
    /// - Throws: `corrupted` for all that is not as it was written.
    func next() throws(DatabaseError) -> Block? {
        guard !hasEnded else { return nil }
        let before = position
        guard let block = try readBlock() else {
            throw damaged("it was cut off: its last block is missing")
        }
        guard block.kind != .header else { throw damaged("it has two headers") }
        guard block.kind == .end else { return block }
        guard block.content.count == 16, let start = block.content.baseAddress,
            start.littleEndian(0) == blocks - 1, start.littleEndian(8) == before,
            position == size
        else { throw damaged("something follows its last block, or is missing in front of it") }
        hasEnded = true
        return nil
    }

    /// The next block, if it is one of pages and whole.
    func nextWholePages() -> Block? {
        guard !hasEnded, let block = try? readBlock(), block.kind == .pages,
            (try? checkPages(block)) != nil
        else {
            hasEnded = true
            return nil
        }
        return block
    }

    /// Makes sure that a block of pages has whole ones, with numbers that can be.
    func checkPages(_ block: Block) throws(DatabaseError) {
        let pageSize = UInt64(header.pageSize)
        let count = UInt64(block.content.count) / pageSize
        guard count * pageSize == UInt64(block.content.count),
            block.place >= Format.metaPageCount,
            block.place <= UInt64(Int64.max) / pageSize - count - 1
        else { throw damaged("it has a page \(block.place)") }
    }

    /// - Returns: nil at the end of the file.
    private func readBlock() throws(DatabaseError) -> Block? {
        guard position < size else { return nil }
        let headerSize = ArchiveBlock.headerSize
        guard size - position >= UInt64(headerSize) else { throw damaged("it was cut off") }
        try reserve(headerSize)
        try fill(0..<headerSize)
        guard let start = buffer.baseAddress, start.littleEndian(8) == ArchiveBlock.magic,
            let kind = ArchiveBlock.Kind(rawValue: start.littleEndian(12)),
            let length = Int(exactly: start.littleEndian(16) as UInt64),
            UInt64(length) <= size - position - UInt64(headerSize),
            length <= ArchiveBlock.contentMax
        else { throw damaged("no block of it begins there") }
        let place: UInt64 = start.littleEndian(24)
        try reserve(headerSize + length)
        try fill(headerSize..<(headerSize + length))
        guard let start = buffer.baseAddress else { return nil }
        let bytes = UnsafeRawBufferPointer(start: start + 8, count: headerSize - 8 + length)
        guard start.littleEndian(0) == Checksum.compute(bytes, seed: seed) else {
            throw damaged("the block there does not have its checksum")
        }
        seed = start.littleEndian(0)
        position += UInt64(headerSize + length)
        blocks += 1
        return Block(
            kind: kind, place: place,
            content: UnsafeRawBufferPointer(start: start + headerSize, count: length),
            checked: bytes)
    }

    private func reserve(_ count: Int) throws(DatabaseError) {
        guard count > buffer.count else { return }
        let larger = max(count, 1 << 16)
        guard let memory = realloc(buffer.baseAddress, larger) else {
            throw DatabaseError(systemError: ENOMEM, "read \(larger) bytes of \(path)")
        }
        buffer = UnsafeMutableRawBufferPointer(start: memory, count: larger)
    }

    private func fill(_ range: Range<Int>) throws(DatabaseError) {
        guard !range.isEmpty else { return }
        let part = UnsafeMutableRawBufferPointer(rebasing: buffer[range])
        guard try file.read(into: part, at: position + UInt64(range.lowerBound)) == part.count
        else { throw damaged("it was cut off") }
    }
}
