/// A path as the system has it: bytes, which need not be text.
struct PathBytes: Sendable, Equatable, CustomStringConvertible {
    /// Without a zero at the end.
    let bytes: [UInt8]

    init(_ bytes: [UInt8]) { self.bytes = bytes }

    init(_ text: String) { bytes = Array(text.utf8) }

    /// The path as C functions take it.
    var cString: [CChar] { bytes.map { CChar(bitPattern: $0) } + [0] }

    /// For messages: the replacement character stands for what is no text.
    var description: String { String(decoding: bytes, as: UTF8.self) }
}
