import ZeroDB

/// JSON lines: for each database an object that describes it, one for each entry, and one that ends it.
///
/// A key or value is text, as "key" and "value", where it is UTF-8, and otherwise in base64, as
/// "key_base64" and "value_base64". So no text is mistaken for bytes.
struct JSONLinesDump: DumpFormat {
    func writeHead(_ database: DumpedDatabase, to output: inout ByteOutput) throws {
        try output.write("{\"database")
        if let name = database.name {
            try name.withUnsafeBytes { try writeBytes($0, to: &output) }
        } else {
            try output.write("\":null")
        }
        let statistics = database.statistics
        let flags = DumpFlags.all.filter { statistics.flags.contains($0.1) }
        try output.write(",\"flags\":[")
        try output.write(flags.map { "\"\($0.0)\"" }.joined(separator: ","))
        try output.write("],\"page_size\":\(statistics.pageSize)")
        if database.isWhole {
            try output.write(
                ",\"entries\":\(statistics.entries),\"digest\":\"\(statistics.digest)\"")
        }
        try output.write("}\n")
    }

    func writeEntry(
        _ key: UnsafeRawBufferPointer, _ value: UnsafeRawBufferPointer, to output: inout ByteOutput
    ) throws {
        // The library has longer ones; one line of text with escapes could not be read again.
        guard value.count <= JSONLine.valueSizeMax else {
            throw TransferError.refused(
                "the value of a key has \(value.count) bytes, and a line of JSON takes at most "
                    + "\(JSONLine.valueSizeMax); dump in the other format")
        }
        try output.write("{\"key")
        try writeBytes(key, to: &output)
        try output.write(",\"value")
        try writeBytes(value, to: &output)
        try output.write("}\n")
    }

    func writeEnd(_ entries: UInt64, to output: inout ByteOutput) throws {
        try output.write("{\"end\":\(entries)}\n")
    }

    /// Writes the rest of the name of a part, and the part.
    private func writeBytes(_ bytes: UnsafeRawBufferPointer, to output: inout ByteOutput) throws {
        if JSONText.isUTF8(bytes) {
            try output.write("\":\"")
            for byte in bytes { try writeText(byte, to: &output) }
        } else {
            try output.write("_base64\":\"")
            try writeBase64(bytes, to: &output)
        }
        try output.write("\"")
    }

    private func writeText(_ byte: UInt8, to output: inout ByteOutput) throws {
        switch byte {
        case 0x22, 0x5c:
            try output.write(0x5c)
            try output.write(byte)
        case 0x0a: try output.write("\\n")
        case 0x09: try output.write("\\t")
        case 0..<0x20, 0x7f:
            try output.write("\\u00")
            try output.writeHex(byte)
        default: try output.write(byte)
        }
    }

    private func writeBase64(_ bytes: UnsafeRawBufferPointer, to output: inout ByteOutput) throws {
        var index = 0
        while index < bytes.count {
            let count = min(3, bytes.count - index)
            var word = 0
            for place in 0..<3 {
                word = word << 8 | (place < count ? Int(bytes[index + place]) : 0)
            }
            for place in 0..<4 {
                let digit = JSONText.base64[word >> (18 - 6 * place) & 63]
                try output.write(place <= count ? digit : 0x3d)
            }
            index += 3
        }
    }
}
