import Testing

@testable import Simulator
@testable import ZeroDB

/// What a word of the memory is changed to.
private let damagingNumbers: [UInt64] = [
    0, 1, 2, 63, 4096, 1 << 32, 1 << 47, Format.idLimit, 1 << 63, UInt64.max,
]

/// `lock.zdb` is memory of all programs that have the environment open: any of them may change it by
/// mistake. Calls may fail then; none may end the process, or wait without end.
@Suite("Damage to shared memory")
struct SharedMemoryDamageTests {
    private typealias Offset = SharedState.Layout

    private final class Shared {
        let fileSystem = MemoryFileSystem()
        let environment: Environment
        let file: MemoryContents
        private let data: [UInt8]

        init(durability: Durability = .full) throws {
            var options = EnvironmentOptions()
            options.maxSize = 16 << 20
            options.maxReaders = 300
            options.usesThread = false
            options.durability = durability
            environment = try Environment(path: "env", options: options, fileSystem: fileSystem)
            try environment.write { transaction in
                for number in 0..<200 {
                    try transaction.put(
                        Array("key \(number)".utf8), Array(repeating: 1, count: 100))
                }
                _ = try transaction.createDatabase("named")
            }
            try environment.checkpoint()
            try environment.write { try $0.put(Array("key 1".utf8), [2]) }
            file = try #require(fileSystem.contents("env/lock.zdb"))
            data = file.bytes
        }

        func restore() { file.restore(data) }

        /// The place of the newest state's record and of its free list.
        var record: Int { Offset.metas + entry * Offset.metaSize }
        var freeList: Int { Offset.freeLists + entry * FreeList.size }
        private var entry: Int {
            Int(file.base.littleEndian(Offset.tip, as: UInt64.self) % Offset.ringEntries)
        }

        /// Calls whatever reads shared memory.
        func use(_ durability: Durability) {
            _ = try? environment.read { transaction in
                _ = try transaction.value(for: Array("key 7".utf8))
                let named = try transaction.database("named")
                _ = try transaction.count(in: named)
                _ = try transaction.databases().count
            }
            _ = try? environment.info()
            _ = try? environment.readers()
            _ = try? environment.checkReaders()
            _ = try? environment.verify()
            for number in 0..<3 {
                do {
                    var transaction = try environment.beginWrite(durability: durability)
                    try transaction.put(Array("key \(number)".utf8), [3])
                    try transaction.commit()
                } catch {}
            }
            try? environment.sync()
            try? environment.checkpoint()
        }

        /// Closes the environment, which may only say that shared memory is damaged. It is closed then.
        func close() throws {
            do {
                try environment.close()
            } catch {
                #expect(error.code == .corrupted)
            }
        }
    }

    @Test("Wrong numbers anywhere are errors", arguments: [Durability.full, .relaxed, .none])
    func wrongNumbers(_ durability: Durability) throws {
        let shared = try Shared(durability: durability)
        let places =
            Array(stride(from: 0, to: 272, by: 8))
            + stride(from: shared.record, to: shared.record + Meta.size, by: 8)
            + [0, 1, 2, 95, 96, 97, 98, 99, 191].map { shared.freeList + $0 * 8 }
            + [Offset.processes, Offset.readerSlots, Offset.readerSlots + Offset.slotSnapshot]
        for place in places {
            for number in damagingNumbers {
                shared.file.base.storeLittleEndian(number, at: place)
                shared.use(durability)
                shared.restore()
            }
        }
        shared.file.restore(Array(repeating: 0xff, count: shared.file.count))
        shared.use(durability)
        shared.file.restore(Array(repeating: 0, count: shared.file.count))
        shared.use(durability)
        try shared.environment.close()
    }

    @Test("An environment closes whatever is there", arguments: damagingNumbers)
    func closes(_ number: UInt64) throws {
        for place in stride(from: 0, to: 272, by: 8) {
            // Processes that have it open for writing were counted down below 0: found by fuzzing.
            let shared = try Shared()
            shared.file.base.storeLittleEndian(number, at: place)
            shared.file.base.storeLittleEndian(number, at: Offset.processes)
            try shared.close()
        }
    }

    @Test("What a state says and cannot be is named, and reopening mends it")
    func isNamed() throws {
        let shared = try Shared()
        let transaction = Offset.visible
        for place in [transaction, shared.record + 40, shared.record + 48, shared.record + 176] {
            shared.file.base.storeLittleEndian(UInt64(1) << 60 | 77, at: place)
            let error = #expect(throws: DatabaseError.self) {
                _ = try shared.environment.read { try $0.value(for: Array("key 1".utf8)) == nil }
            }
            #expect(error?.code == .corrupted)
            #expect(error?.message.contains("open it again") == true)
            shared.restore()
        }
        shared.file.base.storeLittleEndian(UInt64.max, at: shared.record + 48)
        try shared.close()
        var options = EnvironmentOptions()
        options.usesThread = false
        options.maxSize = 16 << 20
        let again = try Environment(path: "env", options: options, fileSystem: shared.fileSystem)
        #expect(try again.verify().problems == 0)
        let size = try again.read { try $0.value(for: Array("key 1".utf8))?.byteCount }
        #expect(size == 1)
        try again.close()
    }

    /// Found by fuzzing.
    @Test("No process waits for itself, whatever is said of its entry")
    func doesNotWaitForItself() throws {
        let shared = try Shared()
        let owner = shared.environment.store.process
        let entry = Offset.processes + owner.entry * Offset.processSize
        for generation in [0, owner.generation, owner.generation + 1, 1 << 40] {
            shared.file.base.storeLittleEndian(UInt64(2), at: Offset.writers)
            shared.file.base.storeLittleEndian(generation, at: entry)
            let writer = SharedState.Owner(entry: owner.entry, generation: generation)
            shared.file.base.storeLittleEndian(writer.raw, at: Offset.loneWriter)
            Transactions.end(
                try Transactions.beginWrite(
                    shared.environment.store.state, durability: nil, wait: .never))
            shared.restore()
        }
        try shared.close()
    }

    @Test("Reader slots behind the end of the file are not touched")
    func slotsBehindTheEnd() throws {
        let shared = try Shared()
        shared.file.base.storeLittleEndian(UInt64.max, at: Offset.readers)
        shared.file.base.storeLittleEndian(UInt64.max, at: Offset.slotsUsed)
        #expect(try shared.environment.info().readers == 0)
        let readers = shared.environment.store.shared.readerList()
        #expect(readers.isEmpty)
        try shared.environment.close()
    }
}
