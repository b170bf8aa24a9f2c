import Glibc

/// A path as the system has it: bytes, which need not be text.
struct PathBytes: Sendable, Equatable, CustomStringConvertible {
    /// Without a zero at the end.
    let bytes: [UInt8]

    init(_ bytes: [UInt8]) { self.bytes = bytes }

    init(_ text: String) { bytes = Array(text.utf8) }

    /// The path as C functions take it.
    var cString: [CChar] { bytes.map { CChar(bitPattern: $0) } + [0] }

    /// A path in the same directory, with a suffix to its name. That of `.` and `..` is looked up.
    func sibling(_ suffix: String) -> PathBytes {
        let slash: UInt8 = 0x2f
        var known = bytes
        let name = bytes.split(separator: slash).last.map { Array($0) } ?? []
        if name.isEmpty || name == [0x2e] || name == [0x2e, 0x2e] {
            var real = [CChar](repeating: 0, count: Int(PATH_MAX))
            if realpath(cString, &real) != nil {
                known = real.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }
            }
        }
        while known.count > 1, known.last == slash { known.removeLast() }
        return PathBytes(known + Array(suffix.utf8))
    }

    /// The same from the root, for a program that changes its working directory; itself if that has none.
    var absolute: PathBytes {
        guard bytes.first != 0x2f else { return self }
        var here = [CChar](repeating: 0, count: Int(PATH_MAX))
        guard getcwd(&here, here.count) != nil, here.first == 0x2f else { return self }
        let directory = here.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }
        return PathBytes(directory + [0x2f] + bytes)
    }

    /// For messages: the replacement character stands for what is no text.
    var description: String { String(decoding: bytes, as: UTF8.self) }
}
