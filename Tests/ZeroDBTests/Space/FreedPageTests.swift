import Glibc
import Synchronization
import Testing

@testable import Simulator
@testable import ZeroDB

/// When a freed page may be used again, with threads side by side: a commit that waits for its flush frees
/// pages of the state that readers still see, in which they go on to begin until it is visible; and a
/// checkpoint ends while a commit looks at what may be the durable root.
@Suite("Freed pages")
struct FreedPageTests {
    private static let keys = 2000

    private final class Reader {
        let transaction: ReadTransaction
        init(_ environment: Environment) throws { transaction = try environment.beginRead() }
    }

    private static func open(_ disk: SimulatedDisk, process: Int) throws -> Environment {
        var options = EnvironmentOptions()
        options.usesThread = false
        options.maxSize = UInt64(SimulatedMemory.capacity)
        return try Environment(
            path: "/machine/env", options: options,
            fileSystem: SimulatedProcess(disk, number: process))
    }

    private static func key(_ number: Int) -> [UInt8] { Array("key \(number)".utf8) }

    private static func value(_ version: Int) -> [UInt8] {
        [UInt8](repeating: UInt8(truncatingIfNeeded: version), count: 300)
    }

    private static func put(
        _ keys: some Sequence<Int>, _ version: Int, in environment: Environment
    ) throws {
        try environment.write { transaction in
            for number in keys { try transaction.put(key(number), value(version)) }
        }
    }

    @Test(
        "wait for readers that begin before the commit that freed them is seen",
        arguments: [1, 300])
    func waitForReaders(_ keysOfNext: Int) throws {
        let disk = SimulatedDisk(directories: ["/machine"], isRecording: false)
        let environment = try Self.open(disk, process: 1)
        try Self.put(0..<Self.keys, 0, in: environment)
        try environment.checkpoint()
        // What this one frees, and what the unseen one frees, are kept apart for the reader between them.
        try Self.put([7], 1, in: environment)
        let between = Locked<Reader?>(try Reader(environment))
        let seen = environment.store.shared.visible
        let began = Locked<Reader?>(nil)
        let isUnseen = Atomic<Bool>(false)
        disk.duringFlush = { _ in
            disk.duringFlush = nil
            between.withLock { $0 = nil }
            isUnseen.store(true, ordering: .releasing)
            // The next one comes by what both have freed.
            while environment.store.shared.tip < seen + 2 { sched_yield() }
            began.withLock { $0 = try? Reader(environment) }
        }
        onThreads(2) { thread in
            if thread == 0 {
                try Self.put([1000], 2, in: environment)
            } else {
                while !isUnseen.load(ordering: .acquiring) { sched_yield() }
                try Self.put((0..<keysOfNext).map { $0 * 5 + 3 }, 3, in: environment)
            }
        }
        let reader = try #require(began.withLock { $0 })
        #expect(reader.transaction.id == seen)
        // Small commits and large ones come by free pages in different ways.
        for round in 0..<300 {
            let count = round % 30 == 29 ? 600 : 12
            let changed = (0..<count).map { (round * 7 + $0 * 3) % Self.keys }
            try Self.put(Set(changed), 4, in: environment)
            if round % 20 == 0 { try environment.checkpoint() }
        }
        for number in 0..<Self.keys {
            let value = try reader.transaction.get(Self.key(number))
            #expect(value == Self.value(number == 7 ? 1 : 0), "key \(number)")
        }
        #expect(try environment.verify().problems == 0)
    }

    @Test("are not used again under readers that begin all the time, while commits wait")
    func spareBusyReaders() throws {
        let disk = SimulatedDisk(directories: ["/machine"], isRecording: false)
        let environment = try Self.open(disk, process: 1)
        let keys = 200
        try Self.put(0..<keys, 0, in: environment)
        try environment.checkpoint()
        disk.duringFlush = { _ in usleep(100) }
        let writersLeft = Atomic<Int>(3)
        onThreads(6) { thread in
            if thread < 3 {
                defer { writersLeft.subtract(1, ordering: .releasing) }
                var random = SeededGenerator(seed: UInt64(thread))
                for commit in 0..<400 {
                    let changed = (0..<3).map { _ in random.below(keys) }
                    try Self.put(Set(changed), commit, in: environment)
                    if commit % 50 == 49, thread == 0 { try environment.checkpoint() }
                }
            } else {
                while writersLeft.load(ordering: .acquiring) > 0 {
                    let reader = try environment.beginRead()
                    for number in 0..<keys {
                        let value = try reader.get(Self.key(number))
                        try check(value?.count == 300, "key \(number)")
                    }
                }
            }
        }
        #expect(try environment.verify().problems == 0)
    }

    @Test("are not used again while a checkpoint that ends could still be what a power cut leaves")
    func spareCheckpoints() throws {
        let disk = SimulatedDisk(directories: ["/machine"], isRecording: true)
        let environment = try Self.open(disk, process: 1)
        let keys = 200
        try Self.put(0..<keys, 0, in: environment)
        // Some commits go on beside each checkpoint.
        disk.duringFlush = { _ in usleep(150) }
        let hasEnded = Atomic<Bool>(false)
        onThreads(2) { thread in
            if thread == 0 {
                var random = SeededGenerator(seed: TestSettings.seed)
                var commit = 0
                while !hasEnded.load(ordering: .acquiring) {
                    commit += 1
                    var transaction = try environment.beginWrite(durability: .relaxed)
                    try transaction.put(
                        Self.key(random.below(keys)), Self.value(commit))
                    try transaction.commit()
                }
            } else {
                defer { hasEnded.store(true, ordering: .releasing) }
                for _ in 0..<100 { try environment.checkpoint() }
            }
        }
        disk.duringFlush = nil
        let image = DiskImage(
            directories: ["", "/machine"], lockPath: "/machine/env/lock.zdb", staleLock: nil)
        var random = SeededGenerator(seed: TestSettings.seed)
        let journal = disk.journal
        let step = 1 + journal.count / 300
        for event in journal {
            image.apply(event)
            guard random.below(step) == 0, image.position > journal.count / 4 else { continue }
            var survival = Survival(seed: random.next(), position: image.position)
            let left = image.makeDisk(&survival, isRecording: false)
            let again = try Self.open(left, process: 2)
            #expect(try again.verify().problems == 0, "event \(image.position)")
            try again.close()
        }
    }
}
