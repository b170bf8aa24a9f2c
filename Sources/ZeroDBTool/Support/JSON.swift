import FoundationEssentials
@preconcurrency import Glibc

/// What `--json` prints.
enum JSON {
    /// Writes a value on one or more lines, with its names sorted.
    static func write(_ value: some Encodable) throws {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.prettyPrinted, .sortedKeys, .withoutEscapingSlashes]
        Output.write(String(decoding: try encoder.encode(value), as: UTF8.self))
    }

    /// Writes a value on one line.
    static func printLine(_ value: some Encodable) {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
        do {
            Output.write(String(decoding: try encoder.encode(value), as: UTF8.self))
        } catch {
            Output.write("zerodb: \(error)", to: stderr)
        }
    }

    /// The same where no error can be passed on. There is none: all numbers that commands print are finite.
    static func print(_ value: some Encodable) {
        do { try write(value) } catch { Output.write("zerodb: \(error)", to: stderr) }
    }
}
