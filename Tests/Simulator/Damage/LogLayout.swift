@testable import ZeroDB

/// The records of a sound log that an opening replays, found by `docs/FORMAT.md` alone.
struct LogLayout {
    struct Record {
        var file: String
        /// In the file.
        var range: Range<Int>
        var position: UInt64
        var flushed: UInt64
        /// That it commits; in a mark at the end of a segment, of the next record.
        var transaction: UInt64
        var isMark: Bool
    }

    private(set) var tail: [Record] = []

    /// - Parameter layout: of the data file.
    init(_ files: EnvironmentFiles, _ layout: DataLayout) {
        let meta = LittleEndianReader(files.data)
        let record = layout.metaPage * layout.pageSize
        var position = meta.u64(record + 96)
        var base = meta.u64(record + 112)
        var previous = meta.u64(record + 104)
        if position == 0 || files.log[Self.name(base)] == nil {
            position = position == 0 ? 4096 : (position + 4095) / 4096 * 4096
            base = position
        }
        var transaction = layout.transaction
        while let file = files.log[Self.name(base)] {
            let reader = LittleEndianReader(file.bytes)
            guard file.bytes.count >= 64 else { return }
            let end = base + reader.u64(48)
            while end - position >= 80 {
                let start = 4096 + Int(position - base)
                guard start + 80 <= file.bytes.count, reader.u32(start + 8) == 0x676f_6c7a,
                    reader.u64(start + 24) == position, reader.u64(start + 32) == previous,
                    reader.u64(start + 40) == transaction + 1
                else { return }
                let found = Record(
                    file: Self.name(base), range: start..<(start + Int(reader.u64(start + 16))),
                    position: position, flushed: reader.u64(start + 56),
                    transaction: transaction + 1, isMark: reader.u32(start + 12) == 2)
                tail.append(found)
                previous = reader.u64(start)
                guard !found.isMark else { break }
                transaction += 1
                position += UInt64(found.range.count)
            }
            position = end
            base = end
        }
    }

    private static func name(_ base: UInt64) -> String {
        let digits = String(base, radix: 16)
        return String(repeating: "0", count: 16 - digits.count) + digits + ".log"
    }
}
