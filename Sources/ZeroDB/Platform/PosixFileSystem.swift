import CZeroDBPlatform
import Glibc
import Synchronization

/// The operating system's own files.
struct PosixFileSystem: FileSystem {
    func openDirectory(_ path: PathBytes, create mode: UInt32?)
        throws(DatabaseError) -> any StorageDirectory
    {
        if let mode {
            let result = SystemCall.retryingInterrupts { Int(mkdir(path.cString, mode)) }
            guard result >= 0 || result == -Int(EEXIST) else {
                throw DatabaseError(
                    systemError: Int32(truncatingIfNeeded: -result), "make directory \(path)")
            }
        }
        let descriptor = zp_open_at(
            Int32(AT_FDCWD), path.cString, O_RDONLY | O_DIRECTORY, 0)
        guard descriptor >= 0 else {
            throw DatabaseError(systemError: -descriptor, "open directory \(path)")
        }
        return PosixDirectory(descriptor: descriptor, path: path.description)
    }
}

/// A descriptor of a directory.
final class PosixDirectory: StorageDirectory {
    let path: String
    private let descriptor: Int32
    private let isClosed = Atomic<Bool>(false)

    init(descriptor: Int32, path: String) {
        self.descriptor = descriptor
        self.path = path
    }

    deinit { close() }

    func open(_ name: String, access: FileAccess, create: Bool, mode: UInt32)
        throws(DatabaseError) -> any StorageFile
    {
        // A link could lead anywhere. A pipe in a file's place must not make the opening wait.
        var flags = (access == .readOnly ? O_RDONLY : O_RDWR) | O_NOFOLLOW | O_NONBLOCK
        if create { flags |= O_CREAT }
        let opened = zp_open_at(descriptor, name, flags, mode)
        guard opened >= 0 else {
            throw DatabaseError(systemError: -opened, "open \(path)/\(name)")
        }
        let file = PosixFile(descriptor: opened, name: name)
        guard try file.isRegular() else {
            file.close()
            throw DatabaseError(.invalidFile, "\(path)/\(name) is no regular file")
        }
        return file
    }

    func openUnnamed() throws(DatabaseError) -> any StorageFile {
        let name = "an unnamed file in \(path)"
        let opened = zp_open_at(descriptor, ".", O_RDWR | zp_unnamed_file, 0o600)
        if opened >= 0 { return PosixFile(descriptor: opened, name: name) }
        // Not every file system can.
        guard [EOPNOTSUPP, EISDIR, EINVAL].contains(-opened) else {
            throw DatabaseError(systemError: -opened, "open \(name)")
        }
        let temporary = "unnamed.\(getpid()).\(zp_thread_id())"
        let made = zp_open_at(
            descriptor, temporary, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW, 0o600)
        guard made >= 0 else { throw DatabaseError(systemError: -made, "open \(name)") }
        let file = PosixFile(descriptor: made, name: name)
        try remove(temporary)
        return file
    }

    func openDirectory(_ name: String, create mode: UInt32?)
        throws(DatabaseError) -> any StorageDirectory
    {
        if let mode {
            let result = SystemCall.retryingInterrupts { Int(mkdirat(descriptor, name, mode)) }
            guard result >= 0 || result == -Int(EEXIST) else {
                throw DatabaseError(
                    systemError: Int32(truncatingIfNeeded: -result),
                    "make directory \(path)/\(name)")
            }
        }
        let opened = zp_open_at(descriptor, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW, 0)
        guard opened != -ENOTDIR else {
            throw DatabaseError(
                systemError: ENOTDIR,
                "open directory \(path)/\(name), which is something else, or a link: links are not followed"
            )
        }
        guard opened >= 0 else {
            throw DatabaseError(systemError: -opened, "open directory \(path)/\(name)")
        }
        return PosixDirectory(descriptor: opened, path: path + "/" + name)
    }

    func rename(_ from: String, to: String) throws(DatabaseError) {
        let result = SystemCall.retryingInterrupts {
            Int(renameat(descriptor, from, descriptor, to))
        }
        guard result >= 0 else {
            throw DatabaseError(
                systemError: Int32(truncatingIfNeeded: -result),
                "rename \(path)/\(from) to \(to)")
        }
    }

    func renameToNew(_ from: String, to: String) throws(DatabaseError) {
        let error = zp_rename_to_new(descriptor, from, to)
        guard error == 0 else {
            throw DatabaseError(systemError: error, "rename \(path)/\(from) to \(to)")
        }
    }

    func move(_ name: String, to directory: any StorageDirectory) throws(DatabaseError) {
        guard let target = directory as? PosixDirectory else {
            throw DatabaseError(systemError: EXDEV, "move \(path)/\(name) to \(directory.path)")
        }
        let error = zp_move_to_new(descriptor, name, target.descriptor, name)
        guard error == 0 else {
            throw DatabaseError(
                systemError: error, "move \(path)/\(name) to \(directory.path)")
        }
    }

    func removeDirectory(_ name: String) throws(DatabaseError) {
        guard unlinkat(descriptor, name, AT_REMOVEDIR) == 0 || errno == ENOENT else {
            throw DatabaseError(systemError: errno, "remove the directory \(path)/\(name)")
        }
    }

    func identity() throws(DatabaseError) -> FileIdentity {
        var status = stat()
        guard fstat(descriptor, &status) == 0 else {
            throw DatabaseError(systemError: errno, "look at directory \(path)")
        }
        return FileIdentity(device: UInt64(status.st_dev), inode: UInt64(status.st_ino))
    }

    func remove(_ name: String) throws(DatabaseError) {
        let result = SystemCall.retryingInterrupts { Int(unlinkat(descriptor, name, 0)) }
        guard result >= 0 || result == -Int(ENOENT) else {
            throw DatabaseError(
                systemError: Int32(truncatingIfNeeded: -result), "remove \(path)/\(name)")
        }
    }

    func list() throws(DatabaseError) -> [String] {
        // A descriptor of its own, which `closedir` closes: this one has one position for all threads.
        let own = zp_open_at(descriptor, ".", O_RDONLY | O_DIRECTORY, 0)
        guard own >= 0 else {
            throw DatabaseError(systemError: -own, "list directory \(path)")
        }
        guard let stream = fdopendir(own) else {
            let error = errno
            Glibc.close(own)
            throw DatabaseError(systemError: error, "list directory \(path)")
        }
        defer { closedir(stream) }
        var names: [String] = []
        while let entry = readdir(stream) {
            let name = withUnsafePointer(to: &entry.pointee.d_name) {
                $0.withMemoryRebound(to: CChar.self, capacity: 256) { String(cString: $0) }
            }
            if name != "." && name != ".." { names.append(name) }
        }
        return names
    }

    func sync() throws(DatabaseError) { try Self.sync(descriptor, path) }

    func syncParent() throws(DatabaseError) {
        let parent = zp_open_at(descriptor, "..", O_RDONLY | O_DIRECTORY, 0)
        // A directory that this user may not read, and one that is gone, cannot be flushed: the system
        // writes it in its own time.
        guard parent >= 0 else {
            if [EACCES, ENOENT].contains(-parent) { return }
            throw DatabaseError(systemError: -parent, "open the directory that holds \(path)")
        }
        defer { Glibc.close(parent) }
        try Self.sync(parent, path + "/..")
    }

    private static func sync(_ descriptor: Int32, _ path: String) throws(DatabaseError) {
        let result = SystemCall.retryingInterrupts { Int(fsync(descriptor)) }
        // Some file systems do not flush directories and say so; there is nothing to wait for.
        guard result >= 0 || result == -Int(EINVAL) else {
            throw DatabaseError(
                systemError: Int32(truncatingIfNeeded: -result), "flush directory \(path)")
        }
    }

    func takeAccess(of file: any StorageFile) throws(DatabaseError) {
        guard let file = file as? PosixFile else { return }
        let error = file.giveAccess(to: descriptor)
        guard error == 0 else {
            throw DatabaseError(
                systemError: error, "give \(path) the owner and mode of \(file.name)")
        }
    }

    func close() {
        guard !isClosed.exchange(true, ordering: .acquiringAndReleasing) else { return }
        Glibc.close(descriptor)
    }
}

/// An open file descriptor.
final class PosixFile: StorageFile {
    let name: String
    private let descriptor: Int32
    private let isAbandoned = Atomic<Bool>(false)
    private let isClosed = Atomic<Bool>(false)
    /// How far into the file writes have been within the limit on the size of files.
    private let allowedEnd = Atomic<UInt64>(0)
    /// Bytes of the map for reading.
    private let mapLength = Atomic<Int>(0)
    private let residencyValue = Atomic<UInt8>(ResidencyAnswers.unknown.rawValue)

    /// Whether mincore(2) tells this process what is in memory.
    private enum ResidencyAnswers: UInt8 {
        case unknown
        case reliable
        /// It says that all is.
        case useless
    }

    init(descriptor: Int32, name: String) {
        self.descriptor = descriptor
        self.name = name
    }

    deinit { close() }

    private func status() throws(DatabaseError) -> stat {
        var status = stat()
        let result = SystemCall.retryingInterrupts { Int(fstat(descriptor, &status)) }
        guard result >= 0 else {
            throw DatabaseError(
                systemError: Int32(truncatingIfNeeded: -result), "read the size of \(name)")
        }
        return status
    }

    func size() throws(DatabaseError) -> UInt64 { UInt64(max(0, try status().st_size)) }

    func dataRange(from offset: UInt64) throws(DatabaseError) -> Range<UInt64>? {
        let size = try size()
        guard offset < size, let start = off_t(exactly: offset) else { return nil }
        let data = lseek(descriptor, start, zp_seek_data)
        if data < 0 && errno == ENXIO { return nil }
        // A file system that knows no holes has the rest.
        guard data >= start, UInt64(data) < size else { return offset..<size }
        let hole = lseek(descriptor, data, zp_seek_hole)
        return UInt64(data)..<(hole > data ? min(UInt64(hole), size) : size)
    }

    func isRegular() throws(DatabaseError) -> Bool { try status().st_mode & S_IFMT == S_IFREG }

    func identity() throws(DatabaseError) -> FileIdentity {
        let status = try status()
        return FileIdentity(device: UInt64(status.st_dev), inode: UInt64(status.st_ino))
    }

    func isPrivate() throws(DatabaseError) -> Bool {
        let status = try status()
        return status.st_nlink == 1 && status.st_uid == geteuid()
    }

    func write(_ buffers: UnsafeBufferPointer<UnsafeRawBufferPointer>, at offset: UInt64)
        throws(DatabaseError)
    {
        var index = 0
        var skip = 0
        var position = offset
        try checkLimit(offset + UInt64(buffers.reduce(0) { $0 + $1.count }))
        while index < buffers.count {
            if skip == buffers[index].count {
                index += 1
                skip = 0
                continue
            }
            let written =
                index == buffers.count - 1
                ? writeSome(buffers[index], from: skip, at: position)
                : writeSome(UnsafeBufferPointer(rebasing: buffers[index...]), skip, at: position)
            guard written > 0 else {
                // A write of no bytes to a full device has no errno of its own.
                let error = written == 0 ? ENOSPC : Int32(truncatingIfNeeded: -written)
                throw DatabaseError(systemError: error, "write at offset \(position) of \(name)")
            }
            position += UInt64(written)
            var left = written
            while left > 0 {
                let rest = buffers[index].count - skip
                if left >= rest {
                    left -= rest
                    index += 1
                    skip = 0
                } else {
                    skip += left
                    left = 0
                }
            }
        }
    }

    /// One call for the rest of one buffer: it costs the kernel less than one for several.
    private func writeSome(
        _ buffer: UnsafeRawBufferPointer, from: Int, at position: UInt64
    ) -> Int {
        SystemCall.retryingInterrupts {
            pwrite(
                descriptor, buffer.baseAddress.map { $0 + from }, buffer.count - from,
                off_t(position))
        }
    }

    /// One call for several buffers, the first without what is written of it.
    private func writeSome(
        _ buffers: UnsafeBufferPointer<UnsafeRawBufferPointer>, _ skip: Int, at position: UInt64
    ) -> Int {
        // IOV_MAX is 1024 on Linux; callers pass far fewer.
        let count = min(buffers.count, 64)
        return withUnsafeTemporaryAllocation(of: iovec.self, capacity: count) { vectors -> Int in
            for index in 0..<count {
                let from = index == 0 ? skip : 0
                vectors[index] = iovec(
                    iov_base: UnsafeMutableRawPointer(
                        mutating: buffers[index].baseAddress.map { $0 + from }),
                    iov_len: buffers[index].count - from)
            }
            return SystemCall.retryingInterrupts {
                pwritev(descriptor, vectors.baseAddress, Int32(count), off_t(position))
            }
        }
    }

    /// Refuses a write that the kernel would answer with SIGXFSZ, which ends a host program that
    /// does not expect it. That is any write beyond the limit, within a longer file too. The limit
    /// may change, so it is asked for whenever a write goes farther than all before.
    ///
    /// - Parameter end: the byte behind the last to be written.
    private func checkLimit(_ end: UInt64) throws(DatabaseError) {
        guard end > allowedEnd.load(ordering: .relaxed) else { return }
        let limit = zp_file_size_limit()
        guard end <= limit else {
            throw DatabaseError(
                systemError: EFBIG,
                "write up to byte \(end) of \(name), as RLIMIT_FSIZE limits files of this process to "
                    + "\(limit) bytes")
        }
        allowedEnd.max(end, ordering: .relaxed)
    }

    func read(into buffer: UnsafeMutableRawBufferPointer, at offset: UInt64)
        throws(DatabaseError) -> Int
    {
        var done = 0
        while done < buffer.count {
            let from = done
            let result = SystemCall.retryingInterrupts {
                pread(
                    descriptor, buffer.baseAddress.map { $0 + from }, buffer.count - from,
                    off_t(offset) + off_t(from))
            }
            guard result >= 0 else {
                throw DatabaseError(
                    systemError: Int32(truncatingIfNeeded: -result),
                    "read at offset \(offset) of \(name)")
            }
            if result == 0 { break }
            done += result
        }
        return done
    }

    func sync() throws(DatabaseError) {
        // Not retried on any error: the kernel may have dropped the pages it could not write.
        let result = SystemCall.retryingInterrupts { Int(fdatasync(descriptor)) }
        guard result >= 0 else {
            throw DatabaseError(systemError: Int32(truncatingIfNeeded: -result), "flush \(name)")
        }
    }

    func flushAtExit(
        _ flush: OpaquePointer?, end: UInt64, flushed: UnsafeMutableRawPointer,
        poison: UnsafeMutableRawPointer
    ) {
        zp_exit_flush_set(flush, descriptor, end, flushed, poison)
    }

    /// Bytes of the file among which `writeOut` looks for what to write before it waits: few, so that flushes
    /// of the log find the disk at rest soon, and more where it is in a hurry, for the disk to be busy.
    private static let writeOutBytes: UInt64 = 256 << 10
    private static let hastyWriteOutBytes: UInt64 = 2 << 20
    /// In a large file that much more, for it not to take too many calls.
    private static let writeOutPartsMax: UInt64 = 4096

    func writeOut(afterPart: (UInt64) -> WriteOutPace) throws(DatabaseError) {
        let end = try size()
        let small = max(Self.writeOutBytes, end / Self.writeOutPartsMax)
        var part = small
        var start: UInt64 = 0
        var before: UInt64 = 0
        while start < end {
            let began = SystemCall.monotonicNanoseconds()
            // The part before is waited for when this one's writes are in the queue.
            try writeOut(from: start, length: part, wait: false)
            if start > before { try writeOut(from: before, length: start - before, wait: true) }
            let pace = afterPart(SystemCall.monotonicNanoseconds() - began)
            before = start
            start += part
            part = pace == .gentle ? small : max(small, Self.hastyWriteOutBytes)
        }
    }

    func writeOut(from start: UInt64, count: Int) throws(DatabaseError) {
        try writeOut(from: start, length: UInt64(count), wait: false)
    }

    private func writeOut(
        from start: UInt64, length: UInt64, wait: Bool
    ) throws(DatabaseError) {
        let error = zp_write_out(descriptor, off_t(start), off_t(length), wait ? 1 : 0)
        guard error == 0 else { throw DatabaseError(systemError: error, "write out \(name)") }
    }

    func truncate(to size: UInt64) throws(DatabaseError) {
        // Making a file shorter is never refused.
        if try size > self.size() { try checkLimit(size) }
        let result = SystemCall.retryingInterrupts { Int(ftruncate(descriptor, off_t(size))) }
        guard result >= 0 else {
            throw DatabaseError(
                systemError: Int32(truncatingIfNeeded: -result), "set the size of \(name)")
        }
    }

    func punchHole(_ part: Range<UInt64>) throws(DatabaseError) {
        guard !part.isEmpty else { return }
        let error = zp_punch_hole(descriptor, off_t(part.lowerBound), off_t(part.count))
        guard error == 0 else {
            throw DatabaseError(
                systemError: error, "give back the room on the disk of a part of \(name)")
        }
    }

    func allocate(from start: UInt64, to size: UInt64) throws(DatabaseError) {
        guard size > start else { return }
        // A file that is as long already may keep its room.
        if try size > self.size() { try checkLimit(size) }
        // Where the file system cannot, the C library writes to each of its blocks.
        var error = EINTR
        while error == EINTR {
            error = posix_fallocate(descriptor, off_t(start), off_t(size - start))
        }
        guard error == 0 else {
            throw DatabaseError(
                systemError: error, "keep \(size - start) more bytes of the disk for \(name)")
        }
    }

    func takeAccess(of other: any StorageFile) throws(DatabaseError) {
        guard let other = other as? PosixFile else { return }
        let error = zp_take_access(descriptor, other.descriptor)
        guard error != EACCES else {
            throw DatabaseError(
                systemError: error,
                "make \(name) for this user: the owner of \(other.name) could not use it; let that user "
                    + "open the environment, or give \(other.name) a group that both are in")
        }
        guard error == 0 else {
            throw DatabaseError(
                systemError: error, "give \(name) the owner and mode of \(other.name)")
        }
    }

    fileprivate func giveAccess(to directory: Int32) -> Int32 {
        zp_take_access(directory, descriptor)
    }

    /// OVERLAYFS_SUPER_MAGIC of statfs(2).
    private static let overlayType: UInt64 = 0x794c_7630

    func isOnOverlay() -> Bool { zp_file_system_type(descriptor) == Self.overlayType }

    func map(length: Int, writable: Bool) throws(DatabaseError) -> UnsafeMutableRawPointer {
        // A map in a child would keep the open file description, and with it the locks.
        var mapped: UnsafeMutableRawPointer?
        let error = zp_map_without_children(descriptor, length, writable ? 1 : 0, &mapped)
        guard error == 0, let address = mapped else {
            throw DatabaseError(systemError: error, "map \(length) bytes of \(name)")
        }
        if !writable {
            // Random access: small folios keep page-sized writes cheap, and readahead would
            // read what nobody asked for. Whole-file passes ask for readahead themselves.
            madvise(address, length, Int32(MADV_RANDOM))
            posix_fadvise(descriptor, 0, 0, POSIX_FADV_RANDOM)
            mapLength.store(length, ordering: .relaxed)
        }
        return address
    }

    func unmap(_ address: UnsafeMutableRawPointer, length: Int) {
        munmap(address, length)
    }

    func replace(
        _ map: UnsafeMutableRawPointer, from start: Int, length: Int
    ) throws(DatabaseError) -> Bool {
        guard start < length else { return true }
        let address = mmap(
            map + start, length - start, PROT_READ | PROT_WRITE,
            MAP_PRIVATE | MAP_FIXED | Int32(MAP_ANONYMOUS) | Int32(MAP_NORESERVE), -1, 0)
        guard address != MAP_FAILED else {
            throw DatabaseError(
                systemError: errno, "put memory in the place of a part of the map of \(name)")
        }
        return true
    }

    func evict(_ address: UnsafeMutableRawPointer, length: Int) {
        madvise(address, length, Int32(MADV_DONTNEED))
    }

    func discard(_ address: UnsafeMutableRawPointer, length: Int) {
        madvise(address, length, Int32(MADV_REMOVE))
    }

    func touch(_ map: UnsafeMutableRawPointer, at offset: Int) -> Bool { zp_touch(map + offset) }

    func findResident(
        _ map: UnsafeMutableRawPointer, from offset: Int, length: Int,
        _ residency: UnsafeMutablePointer<UInt8>
    ) -> Bool {
        saysWhatIsResident(map) && zp_find_resident(map + offset, length, residency) == 0
    }

    /// To a process that may not write the file, the kernel says that all of it is in memory: even what
    /// is behind its end.
    private func saysWhatIsResident(_ map: UnsafeMutableRawPointer) -> Bool {
        let known = residencyValue.load(ordering: .relaxed)
        if known != ResidencyAnswers.unknown.rawValue {
            return known == ResidencyAnswers.reliable.rawValue
        }
        let last = mapLength.load(ordering: .relaxed) - SystemCall.memoryPageSize
        var residency: UInt8 = 1
        let isReliable =
            last > 0 && (try? size()).map { $0 <= UInt64(last) } == true
            && zp_find_resident(map + last, SystemCall.memoryPageSize, &residency) == 0
            && residency & 1 == 0
        let answers = isReliable ? ResidencyAnswers.reliable : .useless
        residencyValue.store(answers.rawValue, ordering: .relaxed)
        return isReliable
    }

    func lock(byte: UInt64, _ mode: LockMode, wait: Bool) throws(DatabaseError) -> Bool {
        let error = zp_lock_range(descriptor, mode.rawValue, off_t(byte), 1, wait ? 1 : 0)
        if error == 0 { return true }
        if error == EAGAIN && !wait { return false }
        throw DatabaseError(systemError: error, "lock byte \(byte) of \(name)")
    }

    func isLocked(byte: UInt64) throws(DatabaseError) -> Bool {
        let result = zp_range_is_locked(descriptor, off_t(byte), 1)
        guard result >= 0 else {
            throw DatabaseError(systemError: -result, "ask for locks on byte \(byte) of \(name)")
        }
        return result != 0
    }

    func networkFileSystem() throws(DatabaseError) -> String? {
        // The magic numbers of statfs(2).
        switch zp_file_system_type(descriptor) {
        case 0x6969: "NFS"
        case 0x517b: "SMB"
        case 0xff53_4d42: "CIFS"
        case 0xfe53_4d42: "SMB2"
        case 0x5346_414f: "AFS"
        case 0x7375_7245: "Coda"
        case 0x00c3_6400: "Ceph"
        case 0x0bd0_0bd0: "Lustre"
        case 0x0102_1997: "9P"
        default: nil
        }
    }

    func abandonInChild() throws(DatabaseError) {
        let error = zp_abandon_in_child(descriptor)
        guard error == 0 else { throw DatabaseError(systemError: error, "watch for forks") }
        isAbandoned.store(true, ordering: .relaxed)
    }

    /// Closes the file, once.
    func close() {
        guard !isClosed.exchange(true, ordering: .acquiringAndReleasing) else { return }
        if isAbandoned.load(ordering: .relaxed) {
            zp_close_abandoned(descriptor)
        } else {
            Glibc.close(descriptor)
        }
    }
}
