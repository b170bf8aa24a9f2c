import Glibc

/// What takes the bytes of a copy.
protocol CopySink: AnyObject {
    /// Whether bytes can be written in the order of their places only.
    var isStream: Bool { get }

    func write(_ bytes: UnsafeRawBufferPointer, at offset: UInt64) throws(DatabaseError)

    /// Has the disk begin to write what was written, so that the flush at the end does not hold up others'.
    func writeOut(from offset: UInt64, count: Int) throws(DatabaseError)

    /// Finds out what there is of a copy that ended early.
    ///
    /// - Returns: whether there is anything.
    func compare(with earlier: EarlierPages) throws(DatabaseError) -> Bool

    /// Has a part be zeros.
    func clear(from start: UInt64, to end: UInt64) throws(DatabaseError)

    /// Has the copy be so long.
    func end(at offset: UInt64) throws(DatabaseError)
}

extension CopySink {
    func writeOut(from offset: UInt64, count: Int) throws(DatabaseError) {}

    func compare(with earlier: EarlierPages) throws(DatabaseError) -> Bool { false }

    func clear(from start: UInt64, to end: UInt64) throws(DatabaseError) {}
}

/// A file, which gets holes where nothing is written.
final class FileSink: CopySink {
    private let file: any StorageFile
    let isStream = false

    /// Zeros written at once.
    private static let clearedMax: UInt64 = 1 << 16

    init(_ file: any StorageFile) { self.file = file }

    func write(_ bytes: UnsafeRawBufferPointer, at offset: UInt64) throws(DatabaseError) {
        try file.write(bytes, at: offset)
    }

    func writeOut(from offset: UInt64, count: Int) throws(DatabaseError) {
        try file.writeOut(from: offset, count: count)
    }

    func compare(with earlier: EarlierPages) throws(DatabaseError) -> Bool {
        guard try file.size() > 0 else { return false }
        let buffer = try allocateBuffer(EarlierPages.partMax, to: "go on with a copy")
        defer { free(buffer.baseAddress) }
        let step = UInt64(buffer.count)
        var start: UInt64 = 0
        while let range = try file.dataRange(from: start) {
            start = range.lowerBound / step * step
            while start < range.upperBound {
                let read = try file.read(into: buffer, at: start)
                earlier.compare(
                    UnsafeRawBufferPointer(rebasing: buffer[..<read]),
                    from: start / UInt64(earlier.pageSize))
                start += step
            }
        }
        return true
    }

    func clear(from start: UInt64, to end: UInt64) throws(DatabaseError) {
        var start = start
        while start < end, let range = try file.dataRange(from: start), range.lowerBound < end {
            start = max(start, range.lowerBound)
            while start < min(end, range.upperBound) {
                let part = min(Self.clearedMax, min(end, range.upperBound) - start)
                try ZeroBytes.withBytes(Int(part)) { zeros throws(DatabaseError) in
                    try file.write(zeros, at: start)
                }
                start += part
            }
        }
    }

    /// Nothing of a copy that ended early is left behind it.
    func end(at offset: UInt64) throws(DatabaseError) {
        if try file.size() > offset { try file.truncate(to: offset) }
        try file.allocate(from: 0, to: offset)
    }
}

/// A descriptor that may be a pipe. Where nothing is written it gets zeros.
final class StreamSink: CopySink {
    private let descriptor: Int32
    private var position: UInt64 = 0
    let isStream = true

    private static let zerosMax = 1 << 16

    /// - Parameter descriptor: stays the caller's.
    init(descriptor: Int32) { self.descriptor = descriptor }

    func write(_ bytes: UnsafeRawBufferPointer, at offset: UInt64) throws(DatabaseError) {
        try fill(upTo: offset)
        try append(bytes)
    }

    func end(at offset: UInt64) throws(DatabaseError) { try fill(upTo: offset) }

    /// Writes zeros up to a place.
    private func fill(upTo offset: UInt64) throws(DatabaseError) {
        guard position < offset else { return }
        let zeros = UnsafeMutableRawBufferPointer.allocate(
            byteCount: Self.zerosMax, alignment: 64)
        defer { zeros.deallocate() }
        zeros.initializeMemory(as: UInt8.self, repeating: 0)
        while position < offset {
            let count = Int(min(UInt64(Self.zerosMax), offset - position))
            try append(UnsafeRawBufferPointer(rebasing: zeros[..<count]))
        }
    }

    private func append(_ bytes: UnsafeRawBufferPointer) throws(DatabaseError) {
        var left = bytes[...]
        while let start = UnsafeRawBufferPointer(rebasing: left).baseAddress, !left.isEmpty {
            let written = SystemCall.retryingInterrupts {
                Glibc.write(descriptor, start, left.count)
            }
            guard written != -Int(EAGAIN) else {
                waitForRoom()
                continue
            }
            guard written > 0 else {
                throw DatabaseError(
                    systemError: written == 0 ? EIO : Int32(truncatingIfNeeded: -written),
                    "write the copy, byte \(position), to descriptor \(descriptor)")
            }
            left = left.dropFirst(written)
            position += UInt64(written)
        }
    }

    /// The descriptor may be one that does not wait by itself.
    private func waitForRoom() {
        var wanted = pollfd(fd: descriptor, events: Int16(POLLOUT), revents: 0)
        _ = poll(&wanted, 1, 1000)
    }
}

/// Runs a body in which a pipe that nobody reads, and a file that may not become longer, are errors
/// rather than signals.
func withoutWriteSignals<Result>(
    _ body: () throws(DatabaseError) -> Result
) throws(DatabaseError) -> Result {
    var signals = sigset_t()
    var pending = sigset_t()
    var before = sigset_t()
    sigemptyset(&signals)
    sigpending(&pending)
    // One that is pending already is the host's.
    for signal in [SIGPIPE, SIGXFSZ] where sigismember(&pending, signal) == 0 {
        sigaddset(&signals, signal)
    }
    pthread_sigmask(SIG_BLOCK, &signals, &before)
    defer {
        var none = timespec()
        while sigtimedwait(&signals, nil, &none) > 0 || errno == EINTR {}
        pthread_sigmask(SIG_SETMASK, &before, nil)
    }
    return try body()
}
