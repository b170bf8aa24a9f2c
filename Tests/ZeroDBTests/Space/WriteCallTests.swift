import Testing

@testable import Simulator
@testable import ZeroDB

/// How a commit cuts its pages into write calls.
@Suite("Write calls of a commit")
struct WriteCallTests {
    private static let short: UInt64 = 16 << 10
    private static let long: UInt64 = 64 << 10

    @Test(
        "Neighbours are written together, up to a multiple of 16 KiB, values of 64 KiB",
        arguments: [4096, 16384, 65536], [100, 70_000, 1_000_000])
    func endsAtMultiples(pageSize: Int, valueSize: Int) throws {
        let writes = try writes(pageSize: pageSize, valueSize: valueSize, isInOrder: false)
        let unit = valueSize > pageSize ? Self.long : max(Self.short, UInt64(pageSize))
        expect(writes, in: unit, endAt: Self.short)
    }

    @Test(
        "What is put in the order of the keys is written up to a multiple of 64 KiB",
        arguments: [4096, 16384, 65536])
    func endsAtLongMultiples(pageSize: Int) throws {
        let writes = try writes(pageSize: pageSize, valueSize: 100, isInOrder: true)
        expect(writes, in: Self.long, endAt: Self.long)
    }

    @Test("Free pages are written again up to a multiple of 64 KiB")
    func writesFreePagesInLongCalls() throws {
        let writes = try writes(pageSize: 4096, valueSize: 100, isInOrder: false, after: 2)
        let longest = try #require(writes.map(\.count).max())
        #expect(longest == Int(Self.long))
        expect(writes, in: Self.long, endAt: Self.short)
    }

    /// The write calls of a transaction of 2 MB.
    ///
    /// - Parameter after: how many have put the same before, each followed by a checkpoint.
    private func writes(
        pageSize: Int, valueSize: Int, isInOrder: Bool, after earlier: Int = 0
    ) throws -> [Range<UInt64>] {
        let fileSystem = FaultyFileSystem(MemoryFileSystem())
        var options = EnvironmentOptions()
        options.maxSize = 256 << 20
        options.pageSize = pageSize
        options.usesThread = false
        options.durability = .none
        let environment = try Environment(path: "env", options: options, fileSystem: fileSystem)
        defer { try? environment.close() }
        let value = [UInt8](repeating: 7, count: valueSize)
        let count = max(3, 2_000_000 / valueSize)
        for round in 0...earlier {
            if round > 0 { try environment.sync() }
            fileSystem.plan.arm(nil)
            try environment.write { transaction in
                for index in 0..<count {
                    let number = 10_000_000 + (isInOrder ? index : index * 7_919 % count)
                    try transaction.put(Array("key \(number)".utf8), value)
                }
            }
        }
        let writes = fileSystem.plan.dataWrites
        #expect(writes.reduce(0) { $0 + $1.count } > count * valueSize)
        return writes
    }

    private func expect(_ writes: [Range<UInt64>], in unit: UInt64, endAt multiple: UInt64) {
        let total = writes.reduce(0) { $0 + $1.count }
        #expect(writes.count < 2 * total / Int(unit) + 10, "\(writes.count) calls")
        for write in writes {
            #expect(write.count < 3 * unit / 2, "\(write) is a long call")
        }
        for (write, next) in zip(writes, writes.dropFirst())
        where write.upperBound == next.lowerBound {
            #expect(write.upperBound % multiple == 0, "\(write) ends between neighbours")
        }
    }
}
