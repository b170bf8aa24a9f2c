import Glibc

/// Writes a copy: neighbours at once, and no more in a second than it may.
final class CopyWriter {
    private let sink: any CopySink
    private let bytesPerSecond: UInt64
    private let began = SystemCall.monotonicNanoseconds()
    private(set) var bytesWritten: UInt64 = 0
    /// What is to be written next: bytes that stay where they are.
    private var start: UnsafeRawPointer?
    private var count = 0
    private var offset: UInt64 = 0

    private var pace: CopyPace

    private static let partMax = 1 << 20

    /// - Parameter shared: of the environment that is copied.
    init(_ sink: any CopySink, _ shared: SharedState, bytesPerSecond: UInt64) {
        self.sink = sink
        self.bytesPerSecond = bytesPerSecond
        pace = CopyPace(shared)
    }

    var isStream: Bool { sink.isStream }

    /// Writes bytes that stay as they are until the next `flush()`.
    func write(lasting bytes: UnsafeRawBufferPointer, at offset: UInt64) throws(DatabaseError) {
        if let start, start + count == bytes.baseAddress, self.offset + UInt64(count) == offset,
            count < Self.partMax
        {
            count += bytes.count
            return
        }
        try flush()
        start = bytes.baseAddress
        count = bytes.count
        self.offset = offset
    }

    /// Writes bytes at once.
    func write(_ bytes: UnsafeRawBufferPointer, at offset: UInt64) throws(DatabaseError) {
        try flush()
        try writeParts(bytes, at: offset)
    }

    func flush() throws(DatabaseError) {
        guard let first = start, count > 0 else { return }
        start = nil
        try writeParts(UnsafeRawBufferPointer(start: first, count: count), at: offset)
    }

    private func writeParts(
        _ bytes: UnsafeRawBufferPointer, at offset: UInt64
    ) throws(DatabaseError) {
        var partMax = Self.partMax
        if bytesPerSecond > 0 {
            partMax = Int(min(max(bytesPerSecond / 8, 4096), UInt64(partMax)))
        }
        var done = 0
        while done < bytes.count {
            let count = min(bytes.count - done, partMax)
            try sink.write(
                UnsafeRawBufferPointer(rebasing: bytes[done..<(done + count)]),
                at: offset + UInt64(done))
            if pace.isBeside { try sink.writeOut(from: offset + UInt64(done), count: count) }
            done += count
            bytesWritten += UInt64(count)
            rest()
            pace.rest(bytes: UInt64(count))
        }
    }

    /// A signal may end a sleep.
    private func rest() {
        guard bytesPerSecond > 0 else { return }
        let due = Double(bytesWritten) / Double(bytesPerSecond)
        while case let left = due - spent, left > 0 {
            usleep(UInt32(clamping: Int(min(left, 1) * 1e6) + 1))
        }
    }

    private var spent: Double { Double(SystemCall.monotonicNanoseconds() - began) / 1e9 }

    /// Has a part of the copy be zeros.
    func clear(from start: UInt64, to end: UInt64) throws(DatabaseError) {
        try flush()
        try sink.clear(from: start, to: end)
    }

    /// Finds out what there is of a copy that ended early.
    ///
    /// - Returns: whether there is anything.
    func compare(with earlier: EarlierPages) throws(DatabaseError) -> Bool {
        try sink.compare(with: earlier)
    }

    /// Has the copy end at a place.
    func end(at offset: UInt64) throws(DatabaseError) {
        try flush()
        try sink.end(at: offset)
    }

    /// Writes both meta pages: either of them leads to the state of the copy.
    func writeMeta(_ meta: Meta, _ freeList: FreeList) throws(DatabaseError) {
        let size = Int(meta.pageSize)
        let pages = UnsafeMutableRawBufferPointer.allocate(
            byteCount: size * Int(Format.metaPageCount), alignment: 64)
        defer { pages.deallocate() }
        guard let start = pages.baseAddress else { return }
        for page in 0..<Int(Format.metaPageCount) {
            meta.fill(page: start + page * size, number: UInt64(page), freeList: freeList)
        }
        try write(UnsafeRawBufferPointer(pages), at: 0)
    }
}
