import CZeroDBPlatform
import Glibc

/// The seam between the engine and the operating system: every open, map, write, flush,
/// truncate and lock goes through here, so that a test can make any one of them fail, tear or
/// be lost.
///
/// Reads of pages do not: they are loads from the map.
protocol FileSystem: Sendable {
    /// Opens a file of the environment's directory.
    ///
    /// - Throws: a system error; ENOENT if `create` is false and there is none.
    func open(_ path: String, access: FileAccess, create: Bool, mode: UInt32)
        throws(DatabaseError) -> any StorageFile

    /// Makes a directory; one that is there already is left alone.
    func makeDirectory(_ path: String, mode: UInt32) throws(DatabaseError)

    /// Gives a file a new name in place of whatever had it.
    func rename(_ from: String, to: String) throws(DatabaseError)

    /// Removes a file if it is there.
    func remove(_ path: String) throws(DatabaseError)

    /// The names in a directory; none if there is no such directory.
    func list(_ directory: String) throws(DatabaseError) -> [String]

    /// Nanoseconds since 1970.
    func now() -> UInt64

    /// Makes the names in a directory durable.
    func syncDirectory(_ path: String) throws(DatabaseError)
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

    /// Writes all of `buffers`, one after the other, at a byte offset. Extends the file.
    func write(_ buffers: UnsafeBufferPointer<UnsafeRawBufferPointer>, at offset: UInt64)
        throws(DatabaseError)

    /// Reads up to a buffer's size; fewer bytes only at the end of the file.
    func read(into buffer: UnsafeMutableRawBufferPointer, at offset: UInt64)
        throws(DatabaseError) -> Int

    /// Waits until what was written, and the size it needs, is on stable storage.
    func sync() throws(DatabaseError)

    /// Lets the disk write what was written, a little at a time, so that flushes of other files
    /// need not queue behind all of it. Makes nothing durable, but leaves a `sync` little to do.
    ///
    /// - Throws: what a `sync` would, and would then not report again.
    func writeOut() throws(DatabaseError)

    func truncate(to size: UInt64) throws(DatabaseError)

    /// Maps `length` bytes from the start, shared, for reading and, if asked, writing. The map
    /// may be longer than the file; bytes past its end must not be touched.
    func map(length: Int, writable: Bool) throws(DatabaseError) -> UnsafeMutableRawPointer

    func unmap(_ address: UnsafeMutableRawPointer, length: Int)

    /// Takes or drops an open-file-description lock on a byte.
    ///
    /// - Returns: false if `wait` is false and another open file holds it.
    func lock(byte: UInt64, _ mode: LockMode, wait: Bool) throws(DatabaseError) -> Bool

    /// Whether another open file holds a lock on a byte.
    func isLocked(byte: UInt64) throws(DatabaseError) -> Bool

    /// The name of the network file system it is on; nil for a local disk.
    func networkFileSystem() throws(DatabaseError) -> String?

    /// Lets the locks end with this process: a forked child gives its descriptor up.
    func abandonInChild() throws(DatabaseError)

    /// Closes the file; again does nothing. Happens by itself with the last reference to it.
    func close()
}

extension FileSystem {
    func now() -> UInt64 { SystemCall.wallClockNanoseconds() }
}

extension StorageFile {
    func networkFileSystem() throws(DatabaseError) -> String? { nil }

    func writeOut() throws(DatabaseError) {}

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
