@testable import ZeroDB

/// Damages to the log.
extension Damager {
    mutating func damageLog(_ kind: DamageKind) -> String? {
        let names = files.log.keys.sorted()
        guard !names.isEmpty else { return nil }
        var name = random.pick(names)
        var place = random.below(max(1, files.log[name]?.bytes.count ?? 1))
        // As a rule what is to be replayed.
        let tail = subject.log.tail
        if !tail.isEmpty, random.chance(80) {
            let record = tail[max(0, tail.count - 1 - random.below(min(tail.count, 6)))]
            name = record.file
            place = record.range.lowerBound + random.below(record.range.count)
        }
        guard var file = files.log[name] else { return nil }
        switch kind {
        case .logFlip:
            guard place < file.bytes.count else { return nil }
            file.bytes[place] ^= 1 << UInt8(random.below(8))
            files.log[name] = file
            return "a bit of byte \(place) of \(name) flipped"
        case .logCut:
            file.cut(at: place)
            files.log[name] = file
            return "\(name) cut off at \(place)"
        case .logZeros:
            let end = min(file.bytes.count, place + random.pick([8, 512, 4096, 1 << 20]))
            guard place < end else { return nil }
            for index in place..<end { file.bytes[index] = 0 }
            files.log[name] = file
            return "bytes \(place)..<\(end) of \(name) zeroed"
        case .logMissing:
            files.log[name] = nil
            return "\(name) removed"
        default:
            let other = random.pick(names)
            guard other != name, let kept = files.log[other] else { return nil }
            files.log[other] = file
            files.log[name] = kept
            return "\(name) and \(other) swapped"
        }
    }

    /// Changes operations that are to be replayed, and chains the records anew.
    mutating func editLog() -> String? {
        let records = subject.log.tail.filter { !$0.isMark && $0.range.count > 80 }
        guard !records.isEmpty else { return nil }
        let record = random.pick(records)
        guard var file = files.log[record.file], record.range.upperBound <= file.bytes.count else {
            return nil
        }
        let place = record.range.lowerBound + 64 + random.below(record.range.count - 64)
        file.bytes[place] ^= 1 << UInt8(random.below(8))
        let later = subject.log.tail.filter {
            $0.file == record.file && $0.position >= record.position
        }
        var previous: UInt64?
        file.bytes.withUnsafeMutableBytes { memory in
            guard let base = memory.baseAddress else { return }
            for record in later where record.range.upperBound <= memory.count {
                let start = base + record.range.lowerBound
                if let previous { start.storeLittleEndian(previous, at: 32) }
                let checksum = Checksum.compute(
                    UnsafeRawBufferPointer(start: start + 8, count: record.range.count - 8),
                    seed: seed)
                start.storeLittleEndian(checksum, at: 0)
                previous = checksum
            }
        }
        files.log[record.file] = file
        return "byte \(place) of \(record.file) changed, checksums right"
    }

    /// Puts a log in place of the one there is, whose records are right by their checksums.
    mutating func makeUpLog() -> String? {
        let data = MemoryContents(files.data)
        guard let image = CraftedImage(data) else { return nil }
        var log = CraftedLog(after: image.meta, previous: image.meta.logChecksum)
        // Where the state names no segment that is there, the log goes on at the next page.
        let base = image.meta.logEnd == 0 ? 4096 : (image.meta.logEnd + 4095) / 4096 * 4096
        let contents = MemoryContents(log.segment(&random, base: base))
        files.log = [LogSegment.name(base: base): EnvironmentFiles.LogFile(contents)]
        return "a log that was made up"
    }

    /// Of the checksums of the subject's pages and log records.
    private var seed: UInt64 {
        let reader = LittleEndianReader(subject.files.data)
        return reader.u64(24) ^ reader.u64(32)
    }
}
