import Synchronization

/// Opening in recovery mode: for reading only, with as little as must be there.
extension StoreOpening {
    /// Opens what can be read. Programs that have the environment open are joined, as they may write; where
    /// there are none, this process shares nothing and writes nothing, `lock.zdb` included.
    mutating func runRecovery() throws(DatabaseError) {
        let directory = try fileSystem.openDirectory(path, create: nil)
        self.directory = directory
        let isJoined = try joinThoseWhoHaveItOpen(directory)
        let file = try openWithoutChildren { () throws(DatabaseError) in
            try openData(directory, .readOnly)
        }
        let scratch = ScratchFile(file)
        dataFile = scratch
        try lockData(scratch, isFirst: !isJoined)
        let identity = try scratch.identity()
        try register(identity)
        let copies = try MetaPages.findCopies(in: scratch)
        var loaded = try MetaPages.choose(isJoined ? 0 : options.recoveryRoot, from: copies)
        guard !isJoined || options.recoveryRoot == 0 else {
            throw DatabaseError(
                .busy,
                "other programs have the environment at \(path) open, and may overwrite older states; "
                    + "close it there to choose transaction \(options.recoveryRoot)")
        }
        if !isJoined {
            reportChoice(loaded, from: copies)
            loaded.meta.forgetFreeSpace()
        }
        let (mapped, mapLength) = try mapData(scratch, meta: loaded.meta)
        let freeList = FreeList.allocate()
        defer { freeList.deallocate() }
        let shared = try openShared(
            loaded, freeList, identity, try directory.identity(), isFirst: !isJoined)
        guard let verifiedMap, let sharedMap else { return }
        parts = Parts(
            directory: directory, dataFile: scratch, lockFile: lockFile, identity: identity,
            meta: loaded.meta, map: mapped, mapLength: mapLength,
            verified: verifiedMap.0.assumingMemoryBound(to: Atomic<UInt8>.self),
            shared: shared, sharedLength: sharedMap.1, process: try registerProcess(shared),
            isFirst: !isJoined)
    }

    /// Opens `lock.zdb` if other programs use it. Otherwise it is not needed, whatever is in it.
    private mutating func joinThoseWhoHaveItOpen(
        _ directory: any StorageDirectory
    ) throws(DatabaseError) -> Bool {
        guard let file = try? openLock(directory, create: false) else { return false }
        do throws(DatabaseError) {
            var isJoined = false
            try waitForOthers { () throws(DatabaseError) in
                guard try isInUse(file) else { return true }
                isJoined = try joins(file)
                return isJoined
            }
            if isJoined {
                lockFile = file
                return true
            }
        } catch {
            file.close()
            throw error
        }
        file.close()
        return false
    }

    private func isInUse(_ lockFile: any StorageFile) throws(DatabaseError) -> Bool {
        if try lockFile.isLocked(byte: LockByte.open) { return true }
        return try lockFile.isLocked(byte: LockByte.live)
    }

    /// Says which state is shown, if it is not the one that an ordinary opening would begin from.
    private func reportChoice(_ loaded: MetaPages.Loaded, from copies: [MetaPages.Copy]) {
        let transaction = loaded.meta.transaction
        for copy in copies where copy.meta == nil {
            report(
                .warning,
                "the copy of the record of page \(copy.page) (meta) at byte \(copy.offset) is damaged "
                    + "(\(copy.problem ?? "")); it is not used")
        }
        let lost = (0..<Format.metaPageCount).filter { page in
            !copies.contains { $0.page == page && $0.meta != nil }
        }
        if let page = lost.first {
            report(
                .error,
                "page \(page) (meta) is lost, which may have had the newest state; that of "
                    + "transaction \(transaction) is shown: later transactions may be missing, and some of "
                    + "its pages may have been overwritten")
        }
        let newer = copies.compactMap { $0.meta?.transaction }.filter { $0 > transaction }.max()
        if let newer {
            report(
                .warning,
                "transaction \(transaction) was asked for; there is the state of transaction \(newer), "
                    + "which may have overwritten pages of the older one")
        }
    }

    private func report(_ level: Event.Level, _ message: String) {
        guard level >= options.eventLevel else { return }
        options.onEvent?(Event(level: level, message: "recovery mode of \(path): \(message)"))
    }
}

extension Meta {
    /// Lets a state have no free pages: where they are is not known, and is not needed to read. Pages that
    /// are written in memory come after all that there are, at the start of a page of the system's.
    fileprivate mutating func forgetFreeSpace() {
        free = TreeRecord()
        availablePages = 0
        pendingPages = 0
        youngPages = 0
        freeListAvailable = 0
        freeListPending = 0
        let unit = UInt64(max(1, SystemCall.memoryPageSize / max(1, Int(pageSize))))
        let rounded = (pageCount + unit - 1) / unit * unit
        if rounded < PageReference.numberLimit { pageCount = rounded }
    }
}
