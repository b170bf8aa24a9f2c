import Testing

@testable import Simulator
@testable import ZeroDB

/// How a commit cuts its pages into write calls.
@Suite("Write calls of a commit")
struct WriteCallTests {
    @Test(
        "Neighbours are written together: pages of trees up to a multiple of 16 KiB, values of 64 KiB",
        arguments: [4096, 16384, 65536], [100, 70_000, 1_000_000])
    func endsAtMultiples(pageSize: Int, valueSize: Int) throws {
        let fileSystem = FaultyFileSystem(MemoryFileSystem())
        var options = EnvironmentOptions()
        options.maxSize = 256 << 20
        options.pageSize = pageSize
        options.usesThread = false
        options.durability = .none
        let environment = try Environment(path: "env", options: options, fileSystem: fileSystem)
        defer { try? environment.close() }
        fileSystem.plan.arm(nil)
        let value = [UInt8](repeating: 7, count: valueSize)
        let count = max(3, 2_000_000 / valueSize)
        let unit: UInt64 = valueSize > pageSize ? 64 << 10 : max(16 << 10, UInt64(pageSize))
        try environment.write { transaction in
            for index in 0..<count { try transaction.put(Array("key \(index)".utf8), value) }
        }
        let writes = fileSystem.plan.dataWrites
        let total = writes.reduce(0) { $0 + $1.count }
        #expect(total > count * valueSize)
        #expect(writes.count < 2 * total / Int(unit) + 10, "\(writes.count) calls")
        for write in writes {
            #expect(write.count < 3 * unit / 2, "\(write) is a long call")
        }
        for (write, next) in zip(writes, writes.dropFirst())
        where write.upperBound == next.lowerBound {
            #expect(write.upperBound % (16 << 10) == 0, "\(write) ends between neighbours")
        }
    }
}
