import CZeroDBPlatform
import Glibc

/// Pages of a write transaction that is larger than what it may keep in memory, in a file without a
/// name. They are memory to those who use them; the kernel writes them out and reads them again as
/// it sees fit. The file is gone with the transaction, or the process.
///
/// Only the writer uses it.
final class SpillFile {
    private let directory: any StorageDirectory
    /// Bytes of it at most; address space, while it is in use.
    private var sizeMax: Int
    private var file: (any StorageFile)?
    private var base: UnsafeMutableRawPointer?
    private(set) var used = 0
    /// `zp_fork_generation()` when it was made.
    private var forkGeneration: UInt32 = 0

    private static let sizeMin = 64 << 20
    /// Bytes that are copied before the kernel is told that they can leave memory.
    private static let copyBytes = 4 << 20

    /// - Parameters:
    ///   - directory: where the file is made when it is needed.
    ///   - sizeMax: bytes of it at most.
    init(in directory: any StorageDirectory, sizeMax: Int) {
        self.directory = directory
        self.sizeMax = sizeMax
    }

    deinit { reset() }

    /// Memory with room on the disk: a store to it cannot fail.
    ///
    /// - Throws: a system error, ENOSPC above all.
    func allocate(_ bytes: Int) throws(DatabaseError) -> UnsafeMutableRawPointer {
        let size = Self.rounded(bytes)
        do throws(DatabaseError) {
            let base = try open()
            guard size <= sizeMax - used else {
                throw DatabaseError(
                    systemError: ENOMEM, "keep more than \(sizeMax) bytes of a transaction")
            }
            try file?.allocate(from: UInt64(used), to: UInt64(used + size))
            let memory = base + used
            used += size
            return memory
        } catch {
            guard error.code == .system else { throw error }
            throw DatabaseError(
                systemError: error.systemError,
                "write out \(size) bytes of a transaction that is larger than "
                    + "\(c: "max_txn_memory") "
                    + "(\(error.markedMessage)); commit in smaller transactions, or open the "
                    + "environment "
                    + "with a larger \(c: "max_txn_memory")")
        }
    }

    private func open() throws(DatabaseError) -> UnsafeMutableRawPointer {
        if let base { return base }
        let made = try directory.openUnnamed()
        while true {
            do throws(DatabaseError) {
                let base = try made.map(length: sizeMax, writable: true)
                file = made
                self.base = base
                forkGeneration = zp_fork_generation()
                return base
            } catch {
                // As much address space as there is.
                guard [ENOMEM, EINVAL].contains(error.systemError), sizeMax > Self.sizeMin
                else { throw error }
                sizeMax /= 2
            }
        }
    }

    @inline(__always)
    func contains(_ address: UnsafeRawPointer) -> Bool {
        guard let base else { return false }
        return address >= UnsafeRawPointer(base) && address < UnsafeRawPointer(base) + used
    }

    /// Gives memory back, and its room on the disk.
    func release(_ memory: UnsafeMutableRawPointer, _ bytes: Int) {
        file?.discard(memory, length: Self.rounded(bytes))
    }

    /// Copies bytes into a part of the file.
    func copy(_ source: UnsafeRawPointer, _ count: Int, to address: UnsafeMutableRawPointer) {
        var done = 0
        while done < count {
            let part = min(count - done, Self.copyBytes)
            memcpy(address + done, source + done, part)
            relieve(address + done, part)
            done += part
        }
    }

    /// Takes bytes out of this process's memory. They stay in the file.
    func relieve(_ memory: UnsafeMutableRawPointer, _ bytes: Int) {
        let mask = UInt(SystemCall.memoryPageSize - 1)
        let start = (UInt(bitPattern: memory) + mask) & ~mask
        let end = (UInt(bitPattern: memory) + UInt(bytes)) & ~mask
        guard end > start, let address = UnsafeMutableRawPointer(bitPattern: start) else { return }
        file?.evict(address, length: Int(end - start))
    }

    private static func rounded(_ bytes: Int) -> Int {
        (bytes + SystemCall.memoryPageSize - 1) & ~(SystemCall.memoryPageSize - 1)
    }

    /// Forgets all that is in it.
    func reset() {
        guard let file, let base else { return }
        // A child has not inherited the map, and may have another there.
        if forkGeneration == zp_fork_generation() { file.unmap(base, length: sizeMax) }
        file.close()
        self.file = nil
        self.base = nil
        used = 0
    }
}
