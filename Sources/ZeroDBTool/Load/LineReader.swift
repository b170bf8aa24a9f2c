@preconcurrency import Glibc

/// Reads lines from a file or a pipe, in pieces, so that a long line takes no memory by itself.
struct LineReader: ~Copyable {
    private let descriptor: Int32
    private let name: String
    private var buffer = [UInt8](repeating: 0, count: 256 << 10)
    private var start = 0
    private var end = 0
    private var isAtEnd = false
    /// Lines that have been read to their ends.
    private(set) var lines: UInt64 = 0
    /// Bytes that have been read.
    private(set) var offset: UInt64 = 0
    private var recent = RecentBytes()
    private let keepsCheck: Bool

    /// - Parameters:
    ///   - path: nil for standard input.
    ///   - keepsCheck: whether `check` will be asked for.
    init(path: String?, keepsCheck: Bool) throws {
        self.keepsCheck = keepsCheck
        guard let path else {
            descriptor = STDIN_FILENO
            name = "standard input"
            return
        }
        name = path
        descriptor = open(path, O_RDONLY | O_CLOEXEC)
        guard descriptor >= 0 else { throw TransferError.system("open \(path)") }
    }

    deinit { if descriptor != STDIN_FILENO { close(descriptor) } }

    /// A number that stands for the last bytes that were read.
    var check: UInt64 { recent.hash }

    /// The next byte, which stays; nil at the end.
    mutating func peek() throws -> UInt8? {
        if start == end { try fill() }
        return start < end ? buffer[start] : nil
    }

    /// Passes over the byte that `peek()` has shown.
    mutating func skip() { advance(by: min(1, end - start)) }

    /// How a line ended.
    enum Ending {
        case newline
        /// The input ended in it.
        case endOfInput
    }

    /// Reads the rest of a line and gives it to a body in pieces, without its end.
    mutating func readLine(_ body: (ArraySlice<UInt8>) throws -> Void) throws -> Ending {
        while true {
            if start == end { try fill() }
            guard start < end else { return .endOfInput }
            if let newline = indexOfNewline() {
                try body(buffer[start..<newline])
                advance(by: newline + 1 - start)
                lines += 1
                return .newline
            }
            try body(buffer[start..<end])
            advance(by: end - start)
        }
    }

    /// Reads the rest of a line that has no more than some bytes.
    ///
    /// - Returns: nil if the input ends first.
    mutating func readShortLine(max: Int) throws -> [UInt8]? {
        var line: [UInt8] = []
        let number = lines + 1
        let ending = try readLine { piece in
            guard line.count + piece.count <= max else {
                throw TransferError.input("line \(number): it has more than \(max) bytes")
            }
            line += piece
        }
        return ending == .endOfInput ? nil : line
    }

    /// Passes over the text before a position.
    ///
    /// - Throws: if the text is another than the one that the position was taken in.
    mutating func skip(to position: LoadPosition) throws {
        if lseek(descriptor, 0, SEEK_CUR) == 0, position.offset > RecentBytes.size {
            let target = position.offset - RecentBytes.size
            if lseek(descriptor, off_t(clamping: target), SEEK_SET) >= 0 { offset = target }
        }
        while offset < position.offset {
            guard try peek() != nil else { break }
            advance(by: Int(min(UInt64(end - start), position.offset - offset)))
        }
        guard offset == position.offset, check == position.check else {
            throw TransferError.refused(
                "\(name) is not what an earlier load with --continue was interrupted in: it has other "
                    + "bytes before byte \(position.offset); begin anew with --restart")
        }
        lines = position.lines
    }

    private func indexOfNewline() -> Int? {
        buffer.withUnsafeBytes { bytes in
            guard let base = bytes.baseAddress,
                let found = memchr(base + start, 0x0a, end - start)
            else { return nil }
            return UnsafeRawPointer(found) - base
        }
    }

    private mutating func advance(by count: Int) {
        if keepsCheck { recent.add(buffer[start..<start + count]) }
        start += count
        offset += UInt64(count)
    }

    private mutating func fill() throws {
        guard !isAtEnd else { return }
        while true {
            let count = buffer.withUnsafeMutableBytes { read(descriptor, $0.baseAddress, $0.count) }
            if count < 0, errno == EINTR { continue }
            guard count >= 0 else { throw TransferError.system("read \(name)") }
            start = 0
            end = count
            isAtEnd = count == 0
            return
        }
    }
}

/// The last bytes of what has been read.
struct RecentBytes {
    static let size: UInt64 = 4096
    private var bytes = [UInt8](repeating: 0, count: 4096)
    private var total = 0

    mutating func add(_ more: ArraySlice<UInt8>) {
        for byte in more.suffix(bytes.count) {
            bytes[total & 4095] = byte
            total &+= 1
        }
    }

    /// FNV-1a of them, from the first to the last.
    var hash: UInt64 {
        var hash: UInt64 = 0xcbf2_9ce4_8422_2325
        let count = min(total, bytes.count)
        for index in total - count..<total {
            hash = (hash ^ UInt64(bytes[index & 4095])) &* 0x100_0000_01b3
        }
        return hash
    }
}
