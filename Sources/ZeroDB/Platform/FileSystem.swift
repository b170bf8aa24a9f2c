import CZeroDBPlatform
import Glibc

/// How fast changed pages are written out.
enum WriteOutPace {
    /// Somebody waits for it.
    case fast
    /// A little at a time, with pauses, so that flushes of the log seldom wait for the disk.
    case gentle
}

/// The seam between the engine and the operating system: every open, map, write, flush,
/// truncate and lock goes through here, so that a test can make any one of them fail, tear or
/// be lost.
///
/// Reads of pages do not: they are loads from the map. What precedes the first of a page does
/// (`StorageFile.touch`).
protocol FileSystem: Sendable {
    /// Opens a directory. The path counts in this call only: all that is done in the directory later is
    /// done in this one, whatever the path leads to then.
    ///
    /// - Parameter mode: the permissions to make it with if it is not there; nil to make none.
    /// - Throws: a system error; ENOENT if there is none.
    func openDirectory(_ path: PathBytes, create mode: UInt32?)
        throws(DatabaseError) -> any StorageDirectory

    /// Nanoseconds since 1970.
    func now() -> UInt64

    /// Tells apart the times that the machine has been running since it was started; 0 if that is not
    /// known. What was written to a file in the same one is there, flushed or not.
    var boot: UInt64 { get }

    /// Tells apart the processes that a test simulates in one; 0 for real ones.
    var simulatedProcess: UInt64 { get }
}

/// An open directory. Names are those of files in it, and are never followed if they are links.
protocol StorageDirectory: AnyObject, Sendable {
    /// For messages: the path by which it was opened.
    var path: String { get }

    /// Opens a file.
    ///
    /// - Throws: a system error; ENOENT if `create` is false and there is none; ELOOP for a link.
    func open(_ name: String, access: FileAccess, create: Bool, mode: UInt32)
        throws(DatabaseError) -> any StorageFile

    /// Makes a file without a name, which is gone when it is closed.
    func openUnnamed() throws(DatabaseError) -> any StorageFile

    /// Opens a directory in this one.
    ///
    /// - Parameter mode: the permissions to make it with if it is not there; nil to make none.
    /// - Throws: a system error; ENOENT if there is none.
    func openDirectory(_ name: String, create mode: UInt32?)
        throws(DatabaseError) -> any StorageDirectory

    func identity() throws(DatabaseError) -> FileIdentity

    /// Gives a file a new name in place of the file that had it.
    func rename(_ from: String, to: String) throws(DatabaseError)

    /// Gives a file a name that no file has.
    ///
    /// - Throws: EEXIST if one has it.
    func renameToNew(_ from: String, to: String) throws(DatabaseError)

    /// Gives a file a name in another directory of the same file system, which no file has there.
    ///
    /// - Throws: EEXIST if one has it.
    func move(_ name: String, to directory: any StorageDirectory) throws(DatabaseError)

    /// Removes a file if it is there.
    func remove(_ name: String) throws(DatabaseError)

    /// Removes an empty directory if it is there.
    func removeDirectory(_ name: String) throws(DatabaseError)

    /// The names in it.
    func list() throws(DatabaseError) -> [String]

    /// Makes the names in it durable.
    func sync() throws(DatabaseError)

    /// Makes its own name durable.
    func syncParent() throws(DatabaseError)

    /// Gives the directory owner, group and mode of a file, as far as this process may, searchable where
    /// that is readable.
    func takeAccess(of file: any StorageFile) throws(DatabaseError)

    /// Closes the directory; again does nothing. Happens by itself with the last reference to it.
    func close()
}

enum FileAccess: Sendable {
    case readOnly
    case readWrite
}

enum LockMode: Int32, Sendable {
    case unlocked = 0
    case shared = 1
    case exclusive = 2
}

/// What identifies a file whatever path leads to it.
struct FileIdentity: Hashable, Sendable {
    var device: UInt64
    var inode: UInt64
}

/// An open file.
protocol StorageFile: AnyObject, Sendable {
    /// The name that messages use: "data.zdb".
    var name: String { get }

    func size() throws(DatabaseError) -> UInt64

    func identity() throws(DatabaseError) -> FileIdentity

    /// Whether nobody else is known to use the file: it has one name, and belongs to the user of this
    /// process.
    func isPrivate() throws(DatabaseError) -> Bool

    /// Writes all of `buffers`, one after the other, at a byte offset. Extends the file.
    func write(_ buffers: UnsafeBufferPointer<UnsafeRawBufferPointer>, at offset: UInt64)
        throws(DatabaseError)

    /// Reads up to a buffer's size; fewer bytes only at the end of the file.
    func read(into buffer: UnsafeMutableRawBufferPointer, at offset: UInt64)
        throws(DatabaseError) -> Int

    /// The next part of the file that may hold something else than zeros, from a byte offset on. What is
    /// between such parts are holes, which take no room on the disk.
    ///
    /// - Returns: nil if there is none.
    func dataRange(from offset: UInt64) throws(DatabaseError) -> Range<UInt64>?

    /// Waits until what was written, and the size it needs, is on stable storage.
    func sync() throws(DatabaseError)

    /// Has a `sync` made when the process exits, if a word of shared memory then says less than `end`.
    ///
    /// - Parameters:
    ///   - flush: what remembers it.
    ///   - flushed: the word, which lies in memory as long as `flush` is not ended.
    ///   - poison: the word that gets the errno if it fails.
    func flushAtExit(
        _ flush: OpaquePointer?, end: UInt64, flushed: UnsafeMutableRawPointer,
        poison: UnsafeMutableRawPointer)

    /// Lets the disk write what was written, a little at a time, so that flushes of other files
    /// need not queue behind all of it. Makes nothing durable, but leaves a `sync` little to do.
    ///
    /// - Parameter afterPart: called after each part with the nanoseconds that it took; says how to go on.
    /// - Throws: what a `sync` would, and would then not report again.
    func writeOut(afterPart: (UInt64) -> WriteOutPace) throws(DatabaseError)

    /// Lets the disk begin to write a part of the file that was written, and does not wait for it.
    func writeOut(from start: UInt64, count: Int) throws(DatabaseError)

    func truncate(to size: UInt64) throws(DatabaseError)

    /// Gives back the room on the disk of a part of the file, which is zeros afterwards.
    ///
    /// - Throws: a system error; EOPNOTSUPP if the file system cannot.
    func punchHole(_ part: Range<UInt64>) throws(DatabaseError)

    /// Makes the file at least this long and has the disk keep room for a part of it, so that
    /// neither a write there nor a store through a map can fail for want of room.
    ///
    /// - Parameters:
    ///   - start: of that part, a byte offset.
    ///   - size: where it ends.
    /// - Throws: a system error, ENOSPC above all. The file may be longer then, with room for all of it.
    func allocate(from start: UInt64, to size: UInt64) throws(DatabaseError)

    /// Gives the file owner, group and mode of another, as far as this process may.
    func takeAccess(of other: any StorageFile) throws(DatabaseError)

    /// Maps `length` bytes from the start, shared, for reading and, if asked, writing. The map
    /// may be longer than the file; bytes past its end must not be touched.
    func map(length: Int, writable: Bool) throws(DatabaseError) -> UnsafeMutableRawPointer

    func unmap(_ address: UnsafeMutableRawPointer, length: Int)

    /// Puts memory of this process's own, zeros to read and write, in the place of a part of a map.
    ///
    /// - Returns: false if the map is not this process's alone.
    /// - Throws: a system error.
    func replace(_ map: UnsafeMutableRawPointer, from start: Int, length: Int)
        throws(DatabaseError) -> Bool

    /// Takes whole memory pages of a map out of this process's memory. What is in them stays in the file.
    func evict(_ address: UnsafeMutableRawPointer, length: Int)

    /// Gives back the room on the disk of whole memory pages of a map, which are zeros afterwards.
    func discard(_ address: UnsafeMutableRawPointer, length: Int)

    /// Has the kernel touch a byte of a map of this file, which maps what touching it maps.
    ///
    /// - Returns: false where a touch would end the process with a signal: the file has no such byte, or
    ///   the device fails.
    func touch(_ map: UnsafeMutableRawPointer, at offset: Int) -> Bool

    /// Finds out which memory pages of a part of a map are in memory.
    ///
    /// - Parameter residency: takes a byte for each of them, whose lowest bit says so.
    /// - Returns: false if the system does not say.
    func findResident(
        _ map: UnsafeMutableRawPointer, from offset: Int, length: Int,
        _ residency: UnsafeMutablePointer<UInt8>
    ) -> Bool

    /// Takes or drops an open-file-description lock on a byte.
    ///
    /// - Returns: false if `wait` is false and another open file holds it.
    func lock(byte: UInt64, _ mode: LockMode, wait: Bool) throws(DatabaseError) -> Bool

    /// Whether another open file holds a lock on a byte.
    func isLocked(byte: UInt64) throws(DatabaseError) -> Bool

    /// Whether it is on an overlay of file systems, where a file that was opened for reading only may not
    /// be the one that others write.
    func isOnOverlay() -> Bool

    /// The name of the network file system it is on; nil for a local disk.
    func networkFileSystem() throws(DatabaseError) -> String?

    /// Lets the locks end with this process: a forked child gives its descriptor up.
    func abandonInChild() throws(DatabaseError)

    /// Closes the file; again does nothing. Happens by itself with the last reference to it.
    func close()
}

extension StorageDirectory {
    func openUnnamed() throws(DatabaseError) -> any StorageFile {
        let name = "unnamed"
        let file = try open(name, access: .readWrite, create: true, mode: 0o600)
        try remove(name)
        return file
    }

    func identity() throws(DatabaseError) -> FileIdentity { FileIdentity(device: 0, inode: 0) }

    func renameToNew(_ from: String, to: String) throws(DatabaseError) { try rename(from, to: to) }

    func move(_ name: String, to directory: any StorageDirectory) throws(DatabaseError) {
        throw DatabaseError(systemError: EXDEV, "move \(path)/\(name) to \(directory.path)")
    }

    func removeDirectory(_ name: String) throws(DatabaseError) {}

    func takeAccess(of file: any StorageFile) throws(DatabaseError) {}
}

extension FileSystem {
    var simulatedProcess: UInt64 { 0 }

    func now() -> UInt64 { SystemCall.wallClockNanoseconds() }

    var boot: UInt64 { SystemCall.boot }
}

extension StorageFile {
    func isPrivate() throws(DatabaseError) -> Bool { true }

    func networkFileSystem() throws(DatabaseError) -> String? { nil }

    func flushAtExit(
        _ flush: OpaquePointer?, end: UInt64, flushed: UnsafeMutableRawPointer,
        poison: UnsafeMutableRawPointer
    ) {}

    func writeOut(afterPart: (UInt64) -> WriteOutPace) throws(DatabaseError) {}

    func writeOut(from start: UInt64, count: Int) throws(DatabaseError) {}

    func punchHole(_ part: Range<UInt64>) throws(DatabaseError) {
        var start = part.lowerBound
        while start < part.upperBound {
            let count = Int(min(part.upperBound - start, 1 << 16))
            try ZeroBytes.withBytes(count) { zeros throws(DatabaseError) in
                try write(zeros, at: start)
            }
            start += UInt64(count)
        }
    }

    func dataRange(from offset: UInt64) throws(DatabaseError) -> Range<UInt64>? {
        let size = try size()
        return offset < size ? offset..<size : nil
    }

    func allocate(from start: UInt64, to size: UInt64) throws(DatabaseError) {
        if try self.size() < size { try truncate(to: size) }
    }

    func takeAccess(of other: any StorageFile) throws(DatabaseError) {}

    func replace(
        _ map: UnsafeMutableRawPointer, from start: Int, length: Int
    ) throws(DatabaseError) -> Bool { false }

    func evict(_ address: UnsafeMutableRawPointer, length: Int) {}

    func discard(_ address: UnsafeMutableRawPointer, length: Int) {}

    func isOnOverlay() -> Bool { false }

    func touch(_ map: UnsafeMutableRawPointer, at offset: Int) -> Bool { true }

    func findResident(
        _ map: UnsafeMutableRawPointer, from offset: Int, length: Int,
        _ residency: UnsafeMutablePointer<UInt8>
    ) -> Bool {
        // Maps of files that are memory themselves.
        let unit = SystemCall.memoryPageSize
        residency.update(repeating: 1, count: (length + unit - 1) / unit)
        return true
    }

    /// Writes one buffer.
    func write(_ buffer: UnsafeRawBufferPointer, at offset: UInt64) throws(DatabaseError) {
        var one = buffer
        // A buffer pointer to the local: `withUnsafePointer` does not carry typed errors here.
        var failure: DatabaseError?
        withUnsafePointer(to: &one) { pointer in
            do throws(DatabaseError) {
                try write(UnsafeBufferPointer(start: pointer, count: 1), at: offset)
            } catch {
                failure = error
            }
        }
        if let failure { throw failure }
    }
}

/// Opens a file so that no child has its descriptor, and with it the locks: not one that another thread forks
/// meanwhile either.
func openWithoutChildren(
    _ open: () throws(DatabaseError) -> any StorageFile
) throws(DatabaseError) -> any StorageFile {
    while true {
        let forks = zp_forks()
        let file = try open()
        do throws(DatabaseError) {
            try file.abandonInChild()
        } catch {
            file.close()
            throw error
        }
        if zp_forks() == forks { return file }
        file.close()
    }
}
