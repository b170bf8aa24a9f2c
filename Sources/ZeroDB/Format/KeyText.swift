/// Keys and names in messages.
enum KeyText {
    /// Bytes that are shown of a key at most.
    private static let shownMax = 48

    /// Bytes as text in quotation marks if they are printable ASCII, otherwise as hexadecimal digits.
    static func describe(_ bytes: some Collection<UInt8>) -> String {
        let shown = bytes.prefix(shownMax)
        let rest = bytes.count > shown.count ? "… (\(bytes.count) bytes)" : ""
        let isText = shown.allSatisfy { $0 >= 0x20 && $0 < 0x7f && $0 != 0x22 }
        if isText, !shown.isEmpty { return "\"\(String(decoding: shown, as: UTF8.self))\"\(rest)" }
        let digits = shown.map { byte in (byte < 16 ? "0" : "") + String(byte, radix: 16) }
        return "0x" + digits.joined() + rest
    }
}
