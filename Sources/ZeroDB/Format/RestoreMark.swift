import Glibc

/// How far a restore has come: the file `restore.zdba` in the directory `restoring` of its target.
///
/// ```
/// 0   checksum u64  XXH3-64 of bytes 8..<64, with the magic number as the seed
/// 8   magic u64
/// 16  archive id 16
/// 32  the transaction that is restored u64
/// 40  the number of the last file of pages u64
/// 48  how many files of pages have been applied u64
/// 56  zeros
/// ```
struct RestoreMark: Equatable {
    /// In the target, as long as the restore has not come to its end.
    static let directory = "restoring"
    static let name = "restore.zdba"
    static let size = 64
    private static let magic: UInt64 = 0x7473_6572_6264_7a89  // "\x89zdbrest"

    var archiveID: (UInt64, UInt64)
    var transaction: UInt64
    var pages: UInt64
    var applied: UInt64 = 0

    init(archiveID: (UInt64, UInt64), transaction: UInt64, pages: UInt64) {
        self.archiveID = archiveID
        self.transaction = transaction
        self.pages = pages
    }

    /// - Parameter bytes: `size` of them.
    /// - Returns: nil if they are none.
    init?(at bytes: UnsafeRawPointer) {
        guard bytes.littleEndian(0) == Self.checksum(bytes), bytes.littleEndian(8) == Self.magic
        else { return nil }
        archiveID = (bytes.littleEndian(16), bytes.littleEndian(24))
        transaction = bytes.littleEndian(32)
        pages = bytes.littleEndian(40)
        applied = bytes.littleEndian(48)
    }

    /// - Parameter bytes: room for `size` of them.
    func store(to bytes: UnsafeMutableRawPointer) {
        memset(bytes, 0, Self.size)
        bytes.storeLittleEndian(Self.magic, at: 8)
        bytes.storeLittleEndian(archiveID.0, at: 16)
        bytes.storeLittleEndian(archiveID.1, at: 24)
        bytes.storeLittleEndian(transaction, at: 32)
        bytes.storeLittleEndian(pages, at: 40)
        bytes.storeLittleEndian(applied, at: 48)
        bytes.storeLittleEndian(Self.checksum(bytes), at: 0)
    }

    private static func checksum(_ bytes: UnsafeRawPointer) -> UInt64 {
        Checksum.compute(UnsafeRawBufferPointer(start: bytes + 8, count: size - 8), seed: magic)
    }

    static func == (left: RestoreMark, right: RestoreMark) -> Bool {
        left.archiveID == right.archiveID && left.transaction == right.transaction
            && left.pages == right.pages && left.applied == right.applied
    }

    /// Whether two are of the same restore.
    func isSame(as other: RestoreMark) -> Bool {
        var other = other
        other.applied = applied
        return self == other
    }
}
