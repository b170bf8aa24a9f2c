import FoundationEssentials

/// What `--json` prints.
enum JSON {
    /// Writes a value on one or more lines, with its names sorted.
    static func write(_ value: some Encodable) throws {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.prettyPrinted, .sortedKeys, .withoutEscapingSlashes]
        Output.write(String(decoding: try encoder.encode(value), as: UTF8.self))
    }
}
