import Glibc

/// Whether memory is all zeros.
func isZero(_ start: UnsafeRawPointer, _ count: Int) -> Bool {
    count == 0 || (start.load(as: UInt8.self) == 0 && memcmp(start, start + 1, count - 1) == 0)
}

/// Whole sectors of a file, as they are after a write to the file has changed them.
///
/// A write that changes a part of a sector carries the rest of it along: what reaches the medium
/// is the sector in the page cache.
struct SectorWrite: Sendable {
    /// Written whole or not at all.
    static let sectorSize = 512

    /// Of the first sector.
    let offset: Int
    let count: Int
    /// Where the file ends at least.
    let end: Int
    /// nil for zeros.
    private let bytes: [UInt8]?

    /// - Parameters:
    ///   - memory: the file after the write.
    ///   - range: the bytes that were written.
    init(_ memory: SimulatedMemory, _ range: Range<Int>) {
        offset = range.lowerBound / Self.sectorSize * Self.sectorSize
        let last = (range.upperBound + Self.sectorSize - 1) / Self.sectorSize * Self.sectorSize
        count = last - offset
        end = range.upperBound
        let source = memory.base + offset
        bytes =
            isZero(source, count) ? nil : Array(UnsafeRawBufferPointer(start: source, count: count))
    }

    /// The sectors of the file.
    var sectors: Range<Int> { offset / Self.sectorSize..<(offset + count) / Self.sectorSize }

    /// Where the file ends at least if this sector of the write is the last one there is.
    func end(of sector: Int) -> Int { min(end, (sector + 1) * Self.sectorSize) }

    func copy(_ sectors: Range<Int>, to file: UnsafeMutableRawPointer) {
        let start = sectors.lowerBound * Self.sectorSize
        let length = sectors.count * Self.sectorSize
        guard let bytes else {
            memset(file + start, 0, length)
            return
        }
        bytes.withUnsafeBytes { bytes in
            guard let source = bytes.baseAddress else { return }
            memcpy(file + start, source + (start - offset), length)
        }
    }
}

/// A change of a directory. Files are known by their inodes; a directory is its path.
enum NameChange: Sendable {
    case create(String, inode: Int)
    case rename(from: String, to: String, inode: Int)
    case remove(String, inode: Int)
    case makeDirectory(String)

    /// The directory whose flush makes the change durable.
    var directory: String {
        switch self {
        case .create(let path, _), .rename(from: let path, _, _), .remove(let path, _),
            .makeDirectory(let path):
            parent(of: path)
        }
    }

    var inode: Int? {
        switch self {
        case .create(_, let inode), .rename(_, _, let inode), .remove(_, let inode): inode
        case .makeDirectory: nil
        }
    }
}

/// The directory of a path; "" for the root.
func parent(of path: String) -> String {
    path.lastIndex(of: "/").map { String(path[..<$0]) } ?? ""
}

/// What happened to a simulated disk, in order. A crash keeps a beginning of this.
enum DiskEvent: Sendable {
    case write(inode: Int, SectorWrite)
    case truncate(inode: Int, size: Int)
    /// A flush has ended that covers all events before the one of number `began`.
    case flushed(inode: Int, began: Int)
    /// A flush has failed: of the writes it covers some are on the medium, and no later flush
    /// cares for the others, as the kernel forgets that they are dirty.
    case flushFailed(inode: Int, began: Int)
    case named(NameChange)
    case directoryFlushed(String, began: Int)
    /// The program above has learnt or promised something.
    case note(ProgramNote)

    var isWrite: Bool {
        if case .write = self { return true }
        return false
    }

    var isFlush: Bool {
        if case .flushed = self { return true }
        return false
    }

    var isFailedFlush: Bool {
        if case .flushFailed = self { return true }
        return false
    }

    var isNote: Bool {
        if case .note = self { return true }
        return false
    }
}

/// What the program knows of its transactions, known by their numbers.
enum ProgramNote: Sendable {
    /// Its commit has been called.
    case committing(Int)
    /// It was aborted, or its commit has failed and promised that it has not happened.
    case undone(Int)
    /// It and all before it are durable, as the engine has said.
    case durable(Int)
    /// A reader has seen it.
    case seen(Int)
}
