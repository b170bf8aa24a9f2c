extension Environment {
    /// Copies the newest snapshot into a new environment, while readers and writers go on. All that
    /// is read is judged: a damaged page ends the copy, and leaves nothing that could be taken for
    /// one.
    ///
    /// The copy is on disk when this returns. It begins with the transaction that it was made of,
    /// and without a log. If it ends early, and is not compact, another call with the same path goes on
    /// from what has been written.
    ///
    /// - Parameters:
    ///   - path: a directory that is not there, or is empty.
    ///   - onProgress: called several times a second on this thread; false ends the copy.
    /// - Throws: `corrupted`, and `page` says where; ENOTEMPTY; ECANCELED if `onProgress` returned
    ///   false; `badHandle`, `forked`, `readersFull`, a system error.
    /// - Complexity: reads all pages in use, and writes them once.
    @discardableResult
    public func copy(
        to path: String, options: CopyOptions = CopyOptions(),
        onProgress: @escaping (CopyProgress) -> Bool = { _ in true }
    ) throws(DatabaseError) -> CopyReport {
        try copy(
            toPathBytes: Array(path.utf8), options: options, onProgress: onProgress)
    }

    /// The same for a path that need not be text.
    @discardableResult
    public func copy(
        toPathBytes path: [UInt8], options: CopyOptions = CopyOptions(),
        onProgress: @escaping (CopyProgress) -> Bool = { _ in true }
    ) throws(DatabaseError) -> CopyReport {
        try whileOpen { () throws(DatabaseError) in
            let target = try CopyTarget(
                PathBytes(path), like: store, store.fileSystem, goesOn: !options.compacts)
            return try target.fill { file throws(DatabaseError) in
                try copy(to: FileSink(file), options, CopyMonitor(onProgress))
            }
        }
    }

    /// Writes a copy of the newest snapshot to a descriptor, such as a pipe: the bytes of the file
    /// `data.zdb` of an environment.
    ///
    /// Free pages are zeros in it. Where the copy is not compact all pages are read before the
    /// first is written. A copy that ends early is shorter than its meta pages say, and so does not
    /// open.
    ///
    /// - Parameters:
    ///   - descriptor: stays the caller's, and is not flushed.
    ///   - onProgress: as for `copy(to:options:onProgress:)`.
    /// - Throws: as that; EPIPE if nobody reads the pipe.
    @discardableResult
    public func copy(
        toDescriptor descriptor: Int32, options: CopyOptions = CopyOptions(),
        onProgress: @escaping (CopyProgress) -> Bool = { _ in true }
    ) throws(DatabaseError) -> CopyReport {
        try whileOpen { () throws(DatabaseError) in
            try withoutWriteSignals { () throws(DatabaseError) in
                try copy(
                    to: StreamSink(descriptor: descriptor), options, CopyMonitor(onProgress))
            }
        }
    }

    private func copy(
        to sink: any CopySink, _ options: CopyOptions, _ monitor: CopyMonitor
    ) throws(DatabaseError) -> CopyReport {
        guard knowsFreeSpace || options.compacts else {
            throw DatabaseError(
                .incompatible,
                "a copy in recovery mode, which loads no free pages, has to be compact")
        }
        let freeList = FreeList.allocate()
        defer { freeList.deallocate() }
        let claim = try beginRead(withFreeList: freeList)
        defer { Transactions.end(claim) }
        try claim.state.pointee.enter()
        var meta = claim.state.pointee.meta
        let writer = CopyWriter(
            sink, store.shared, bytesPerSecond: options.bytesPerSecond)
        if options.compacts {
            meta = try compact(claim, freeList, writer, monitor)
        } else {
            let source = claim.state.pointee.source
            try PlainCopy(
                source: source, meta: meta, freeList: freeList, writer: writer, monitor: monitor,
                earlier: try EarlierPages.find(store, meta, in: writer)
            ).run()
        }
        var report = CopyReport()
        report.transaction = meta.transaction
        report.wallClock = meta.wallClock
        report.fileSize = meta.pageCount * UInt64(meta.pageSize)
        report.bytesWritten = writer.bytesWritten
        report.digest = meta.digest
        return report
    }

    /// Copies pages while another thread, if there is one to have, judges the same snapshot.
    ///
    /// - Returns: the record of the copy.
    private func compact(
        _ claim: TransactionClaim, _ freeList: FreeList, _ writer: CopyWriter,
        _ monitor: CopyMonitor
    ) throws(DatabaseError) -> Meta {
        let meta = claim.state.pointee.meta
        var source = claim.state.pointee.source
        source.pageCount = meta.pageCount
        let judge = CopyJudge(
            source, meta, freeList, knowsFreeSpace: knowsFreeSpace, store.shared)
        let thread = store.options.usesThread ? JoinedThread { judge.run() } : nil
        if thread == nil { judge.run() }
        var isJoined = false
        func wait() {
            if !isJoined { thread?.join() }
            isJoined = true
        }
        defer {
            judge.cancel()
            wait()
        }
        let copy = try CompactCopy(source, meta, writer, monitor)
        try copy.run { () throws(DatabaseError) in
            wait()
            try judge.check()
        }
        return copy.copied
    }
}
