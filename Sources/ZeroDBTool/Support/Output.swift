@preconcurrency import Glibc

/// What the commands print.
enum Output {
    /// Writes a line. What a terminal would take for a command is escaped: names come from files that
    /// anybody may have made.
    static func write(_ line: String, to stream: UnsafeMutablePointer<FILE>? = stdout) {
        guard let stream else { return }
        let shown = escaped(line)
        fputs(shown.hasSuffix("\n") ? shown : shown + "\n", stream)
    }

    private static func isShown(_ scalar: Unicode.Scalar) -> Bool {
        ![.control, .format].contains(scalar.properties.generalCategory)
    }

    private static func escaped(_ text: String) -> String {
        var shown = ""
        for scalar in text.unicodeScalars {
            if isShown(scalar) || scalar == "\n" {
                shown.unicodeScalars.append(scalar)
            } else {
                shown += "\\u{" + String(scalar.value, radix: 16) + "}"
            }
        }
        return shown
    }

    /// Lines of a name and what it is, with the second in a column.
    static func write(table rows: [(String, String)]) {
        let width = rows.map(\.0.count).max() ?? 0
        for (name, value) in rows {
            write("  " + name + String(repeating: " ", count: width - name.count + 2) + value)
        }
    }

    /// A number of bytes, as people read it: "23.5 MiB".
    static func bytes(_ count: UInt64) -> String {
        let units = ["bytes", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"]
        let unit = count == 0 ? 0 : (63 - count.leadingZeroBitCount) / 10
        guard unit > 0 else { return count == 1 ? "1 byte" : "\(count) bytes" }
        let whole = count >> (10 * UInt64(unit))
        let rest = (count >> (10 * UInt64(unit - 1)) & 1023) * 10 / 1024
        return "\(whole).\(rest) \(units[unit])"
    }

    /// A number and what it counts: "1 page", "2 pages".
    static func count(_ number: UInt64, _ one: String, _ many: String? = nil) -> String {
        "\(number) \(number == 1 ? one : many ?? one + "s")"
    }

    /// Bytes of a name, as text where they are text that a terminal can show.
    static func name(_ bytes: [UInt8]) -> String {
        let text = String(decoding: bytes, as: UTF8.self)
        let isText =
            Array(text.utf8) == bytes
            && text.unicodeScalars.allSatisfy(isShown)
        if isText { return "\"\(text)\"" }
        return "0x"
            + bytes.map { byte in
                (byte < 16 ? "0" : "") + String(byte, radix: 16)
            }.joined()
    }

    /// Bytes of a key or value, cut off where they are more than a width.
    static func cut(_ bytes: [UInt8], _ width: Int) -> String {
        guard bytes.count > width else { return name(bytes) }
        return name(Array(bytes.prefix(width))) + "… (\(count(UInt64(bytes.count), "byte")))"
    }

    /// A byte in hexadecimal: "0a".
    static func hex(_ byte: UInt8) -> String {
        (byte < 16 ? "0" : "") + String(byte, radix: 16)
    }

    /// A number in hexadecimal: "0x00000000000000ff".
    static func hex(_ number: UInt64) -> String {
        let digits = String(number, radix: 16)
        return "0x" + String(repeating: "0", count: 16 - digits.count) + digits
    }

    /// A share, from 0 to 1: "71 %".
    static func percent(_ share: Double) -> String { "\(Int((share * 100).rounded())) %" }

    /// Writes a line of the program's own, with commands to a terminal in it.
    static func writeRaw(_ line: String) { fputs(line + "\n", stdout) }
}
