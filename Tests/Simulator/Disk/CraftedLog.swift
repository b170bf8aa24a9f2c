@testable import ZeroDB

/// Segments of a log that are made up: what they say has right checksums, and some of it makes no sense.
struct CraftedLog {
    /// Of each segment.
    static let capacity = 64 << 10

    let meta: Meta
    private var transaction: UInt64
    private var previous: UInt64

    /// - Parameters:
    ///   - meta: the state that the log goes on from.
    ///   - previous: the checksum of the record before.
    init(after meta: Meta, previous: UInt64 = 0) {
        self.meta = meta
        transaction = meta.transaction
        self.previous = previous
    }

    /// The bytes of the next segment, as the source says.
    mutating func segment(_ input: inout some ChoiceSource, base: UInt64) -> [UInt8] {
        var bytes = [UInt8](repeating: 0, count: LogSegmentHeader.size + Self.capacity)
        var capacity = UInt64(Self.capacity)
        if input.byte() % 32 == 0 { capacity = input.hurtful(near: capacity) }
        bytes.withUnsafeMutableBytes { memory in
            guard let start = memory.baseAddress else { return }
            LogSegmentHeader(
                environmentID: meta.environmentID, base: base, capacity: capacity
            ).store(to: start)
            var offset = 0
            for _ in 0..<(1 + input.below(6)) where offset < Self.capacity - 4096 {
                offset += record(
                    &input, start + LogSegmentHeader.size + offset, base + UInt64(offset))
            }
            // Some of it is damaged.
            for _ in 0..<(input.byte() % 4 == 0 ? input.below(4) : 0) {
                memory[LogSegmentHeader.size + input.below(Self.capacity)] ^= input.byte()
            }
        }
        return bytes
    }

    private mutating func record(
        _ input: inout some ChoiceSource, _ start: UnsafeMutableRawPointer, _ position: UInt64
    ) -> Int {
        var body: [UInt8] = []
        if input.byte() % 2 == 0 {
            body = input.run(input.below(120))
        } else {
            for _ in 0..<(1 + input.below(8)) { operation(&input, &body) }
        }
        while body.count % 8 != 0 { body.append(0) }
        for (index, byte) in body.enumerated() {
            start.storeBytes(of: byte, toByteOffset: LogRecord.headerSize + index, as: UInt8.self)
        }
        let length = LogRecord.headerSize + body.count
        let isEnd = input.byte() % 16 == 0
        var record = LogRecord(
            kind: isEnd ? .endOfSegment : .transaction, length: UInt64(length), position: position,
            previous: previous, transaction: transaction + 1, wallClock: 0, flushed: position,
            digest: ContentDigest())
        if input.byte() % 16 == 0 {
            switch input.below(4) {
            case 0: record.transaction = input.hurtful(near: transaction)
            case 1: record.previous = input.number()
            case 2: record.flushed = input.hurtful(near: position)
            default: record.position = input.hurtful(near: position)
            }
        }
        previous = record.store(to: start, seed: meta.checksumSeed)
        if !isEnd { transaction = record.transaction & (Format.idLimit - 1) }
        if input.byte() % 16 == 0 {
            start.storeLittleEndian(input.hurtful(near: UInt64(length)), at: 16)
        }
        return input.byte() % 16 == 0 ? length + 8 : length
    }

    /// Appends an operation that has a shape, at least.
    private func operation(_ input: inout some ChoiceSource, _ body: inout [UInt8]) {
        let code = 1 + input.byte() % 9
        body += [code, input.byte() % 4]
        func run(_ count: Int) {
            body.append(UInt8(count & 0x7f) | (count > 127 ? 0x80 : 0))
            if count > 127 { body.append(UInt8(count >> 7)) }
            for _ in 0..<count { body.append(input.byte()) }
        }
        switch code {
        case LogOperation.put, LogOperation.deletePair:
            run(input.below(12))
            run(input.below(input.byte() % 8 == 0 ? 3000 : 40))
        case LogOperation.delete, LogOperation.rename: run(input.below(12))
        case LogOperation.name:
            let names = ["plain", "several", "sized", "counted", "new", "other", ""]
            let name = Array(names[input.below(names.count)].utf8)
            body.append(UInt8(name.count))
            body += name
        case LogOperation.create: body += [input.byte() & 0x7f]
        case LogOperation.deleteRange:
            let ends = input.byte() % 4
            body.append(ends)
            if ends & 1 != 0 { run(input.below(12)) }
            if ends & 2 != 0 { run(input.below(12)) }
        default: break
        }
    }
}
