import Glibc
import Synchronization

/// A data file that is only read. What is written behind an offset goes to memory of this process's own,
/// in the map: so recovery mode can replay the log without changing anything.
///
/// Nothing before the offset can be written: which pages are free there is not known, so a replay takes
/// pages behind the end only.
final class ScratchFile: StorageFile {
    private let file: any StorageFile
    private let memory = Locked<Memory?>(nil)
    /// Where memory begins to take the file's place.
    private let memoryStart = Atomic<Int>(Int.max)

    private struct Memory {
        var map: UnsafeMutableRawPointer
        var range: Range<Int>
        /// Where what was written ends, or room was asked for.
        var end: Int
    }

    init(_ file: any StorageFile) { self.file = file }

    var name: String { file.name }

    /// Puts zeros, to read and write, in the place of what the map has from an offset on.
    ///
    /// - Parameter start: a multiple of the size of the system's pages.
    /// - Throws: ENOMEM; `unsupported` for a map that is shared with others.
    func begin(_ map: UnsafeMutableRawPointer, from start: Int, length: Int) throws(DatabaseError) {
        guard start <= length, try file.replace(map, from: start, length: length) else {
            throw DatabaseError(.unsupported, "the map of \(name) cannot be changed in part")
        }
        memory.withLock { $0 = Memory(map: map, range: start..<length, end: start) }
        memoryStart.store(start, ordering: .releasing)
    }

    // MARK: What is written

    func write(_ buffers: UnsafeBufferPointer<UnsafeRawBufferPointer>, at offset: UInt64)
        throws(DatabaseError)
    {
        let count = buffers.reduce(0) { $0 + $1.count }
        let isWritten = memory.withLock { memory -> Bool in
            guard var changed = memory, let start = Int(exactly: offset),
                start >= changed.range.lowerBound, start <= changed.range.upperBound,
                count <= changed.range.upperBound - start
            else { return false }
            var place = changed.map + start
            for buffer in buffers {
                if let bytes = buffer.baseAddress { memcpy(place, bytes, buffer.count) }
                place += buffer.count
            }
            changed.end = max(changed.end, start + count)
            memory = changed
            return true
        }
        guard isWritten else {
            throw DatabaseError(
                systemError: EROFS, "write \(count) bytes at offset \(offset) of \(name)")
        }
    }

    func allocate(from start: UInt64, to size: UInt64) throws(DatabaseError) {
        memory.withLock { memory in
            guard var changed = memory else { return }
            changed.end = max(changed.end, Int(clamping: size))
            memory = changed
        }
    }

    func sync() throws(DatabaseError) {}

    func truncate(to size: UInt64) throws(DatabaseError) {
        throw DatabaseError(systemError: EROFS, "cut off \(name)")
    }

    // MARK: What is read

    func size() throws(DatabaseError) -> UInt64 {
        max(try file.size(), UInt64(memory.withLock { $0?.end ?? 0 }))
    }

    func read(into buffer: UnsafeMutableRawBufferPointer, at offset: UInt64)
        throws(DatabaseError) -> Int
    {
        try file.read(into: buffer, at: offset)
    }

    func touch(_ map: UnsafeMutableRawPointer, at offset: Int) -> Bool {
        offset >= memoryStart.load(ordering: .acquiring) || file.touch(map, at: offset)
    }

    func findResident(
        _ map: UnsafeMutableRawPointer, from offset: Int, length: Int,
        _ residency: UnsafeMutablePointer<UInt8>
    ) -> Bool {
        // Of a map that is memory in part the file does not know whether the answers can be relied on.
        guard memoryStart.load(ordering: .acquiring) == Int.max else { return false }
        return file.findResident(map, from: offset, length: length, residency)
    }

    func dataRange(from offset: UInt64) throws(DatabaseError) -> Range<UInt64>? {
        try file.dataRange(from: offset)
    }

    // MARK: What is the file's

    func identity() throws(DatabaseError) -> FileIdentity { try file.identity() }

    func map(length: Int, writable: Bool) throws(DatabaseError) -> UnsafeMutableRawPointer {
        try file.map(length: length, writable: writable)
    }

    func unmap(_ address: UnsafeMutableRawPointer, length: Int) {
        file.unmap(address, length: length)
    }

    func lock(byte: UInt64, _ mode: LockMode, wait: Bool) throws(DatabaseError) -> Bool {
        try file.lock(byte: byte, mode, wait: wait)
    }

    func isLocked(byte: UInt64) throws(DatabaseError) -> Bool { try file.isLocked(byte: byte) }

    func isOnOverlay() -> Bool { file.isOnOverlay() }

    func networkFileSystem() throws(DatabaseError) -> String? { try file.networkFileSystem() }

    func abandonInChild() throws(DatabaseError) { try file.abandonInChild() }

    func close() { file.close() }
}
