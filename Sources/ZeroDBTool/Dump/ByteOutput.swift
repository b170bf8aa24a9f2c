@preconcurrency import Glibc

/// A file or a pipe that bytes are written to, through a buffer.
struct ByteOutput: ~Copyable {
    private let descriptor: Int32
    private let name: String
    private var buffer = [UInt8](repeating: 0, count: 256 << 10)
    private var used = 0

    /// - Parameter path: nil for standard output.
    /// - Throws: what keeps the file from being made.
    init(path: String?) throws {
        guard let path else {
            descriptor = STDOUT_FILENO
            name = "standard output"
            return
        }
        name = path
        descriptor = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0o600)
        guard descriptor >= 0 else { throw TransferError.system("make \(path)") }
    }

    deinit { if descriptor != STDOUT_FILENO { close(descriptor) } }

    mutating func write(_ byte: UInt8) throws {
        if used == buffer.count { try flush() }
        buffer[used] = byte
        used += 1
    }

    mutating func write(_ text: String) throws {
        for byte in text.utf8 { try write(byte) }
    }

    mutating func write(_ bytes: UnsafeRawBufferPointer) throws {
        for byte in bytes { try write(byte) }
    }

    mutating func writeHex(_ byte: UInt8) throws {
        try write(Hex.pairs[2 * Int(byte)])
        try write(Hex.pairs[2 * Int(byte) + 1])
    }

    mutating func writeHex(_ bytes: UnsafeRawBufferPointer) throws {
        var done = 0
        while done < bytes.count {
            if buffer.count - used < 2 { try flush() }
            let count = min(bytes.count - done, (buffer.count - used) / 2)
            let start = used
            Hex.pairs.withUnsafeBufferPointer { pairs in
                buffer.withUnsafeMutableBufferPointer { buffer in
                    for index in 0..<count {
                        let byte = Int(bytes[done + index])
                        buffer[start + 2 * index] = pairs[2 * byte]
                        buffer[start + 2 * index + 1] = pairs[2 * byte + 1]
                    }
                }
            }
            used += 2 * count
            done += count
        }
    }

    /// Hands on what is in the buffer.
    mutating func flush() throws {
        var done = 0
        while done < used {
            let count = buffer.withUnsafeBytes {
                Glibc.write(descriptor, $0.baseAddress.map { $0 + done }, used - done)
            }
            if count < 0, errno == EINTR { continue }
            guard count > 0 else { throw TransferError.system("write to \(name)") }
            done += count
        }
        used = 0
    }
}
