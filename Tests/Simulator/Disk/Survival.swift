/// Which of the unflushed writes a power cut keeps.
struct Survival {
    /// How a file's writes fare.
    private enum Fate: CaseIterable {
        case lost
        case kept
        /// Whole writes, each for itself.
        case writes
        /// Sectors, each for itself: torn everywhere.
        case sectors
        /// All sectors but a few.
        case mostSectors
        /// Only a few sectors.
        case fewSectors
        /// What was written first, and a part of the write it ended in.
        case beginning
    }

    private var random: SeededGenerator
    /// The event that the power cut interrupts, for those files whose writes reach the medium in
    /// order. nil: every file has a fate of its own.
    private let cut: Int?
    private let percent: Int

    /// - Parameters:
    ///   - seed: repeats the choice.
    ///   - position: of the image.
    init(seed: UInt64, position: Int) {
        random = SeededGenerator(seed: seed)
        // Near the end: what is further back has mostly been flushed.
        let reach = 1 << random.below(10)
        cut = random.chance(20) ? max(0, position - random.below(reach)) : nil
        percent = random.pick([3, 20, 50, 80, 97])
    }

    /// The changes of names that are kept, in order.
    mutating func choose(_ pending: [DiskImage.PendingName]) -> [NameChange] {
        guard !pending.isEmpty else { return [] }
        var kept: [Bool]
        if let cut {
            kept = pending.map { $0.event < cut }
        } else {
            switch random.below(3) {
            case 0: kept = pending.map { _ in false }
            case 1: kept = pending.map { _ in true }
            default: kept = pending.map { _ in random.chance(50) }
            }
        }
        // A file's changes keep their order: one that is kept keeps those before it.
        var keptFiles: Set<Int> = []
        for index in pending.indices.reversed() {
            guard let inode = pending[index].change.inode else { continue }
            if keptFiles.contains(inode) { kept[index] = true }
            if kept[index] { keptFiles.insert(inode) }
        }
        return zip(pending, kept).filter(\.1).map(\.0.change)
    }

    mutating func keepsLock() -> Bool { random.chance(50) }

    /// Applies what is kept of a file's unflushed changes.
    mutating func apply(_ pending: [DiskImage.PendingChange], to memory: SimulatedMemory) {
        guard !pending.isEmpty else { return }
        let fate = cut == nil ? random.pick(Fate.allCases) : .beginning
        let last = cut ?? pending[random.below(pending.count)].event
        // The file's size and its content reach the medium on different ways.
        let sizeGoesFirst = random.chance(20)
        for (index, change) in pending.enumerated() {
            switch change.change {
            case .truncate(let size):
                if keepsWhole(fate, change.event, last) { memory.resize(to: size) }
            case .write(let write):
                if sizeGoesFirst { extend(memory, to: write.end) }
                apply(write, fate, index, change.event, last, to: memory)
            }
        }
    }

    private mutating func keepsWhole(_ fate: Fate, _ event: Int, _ last: Int) -> Bool {
        switch fate {
        case .lost: false
        case .kept: true
        case .writes, .sectors, .mostSectors, .fewSectors: random.chance(percent)
        case .beginning: event < last
        }
    }

    private mutating func apply(
        _ write: SectorWrite, _ fate: Fate, _ index: Int, _ event: Int, _ last: Int,
        to memory: SimulatedMemory
    ) {
        switch fate {
        case .lost: return
        case .kept: store(write, to: memory)
        case .writes:
            if random.chance(percent) { store(write, to: memory) }
        case .sectors: storeSome(write, percent, to: memory)
        case .mostSectors: storeSome(write, 97, to: memory)
        case .fewSectors: storeSome(write, 3, to: memory)
        case .beginning:
            if event < last {
                store(write, to: memory)
            } else if event == last {
                storeSome(write, percent, to: memory)
            }
        }
    }

    private func store(_ write: SectorWrite, to memory: SimulatedMemory) {
        extend(memory, to: write.end)
        write.copy(write.sectors, to: memory.base)
    }

    private mutating func storeSome(
        _ write: SectorWrite, _ percent: Int, to memory: SimulatedMemory
    ) {
        for sector in write.sectors where random.chance(percent) {
            extend(memory, to: write.end(of: sector))
            write.copy(sector..<(sector + 1), to: memory.base)
        }
    }

    private func extend(_ memory: SimulatedMemory, to size: Int) {
        if memory.size < size { memory.resize(to: size) }
    }
}
