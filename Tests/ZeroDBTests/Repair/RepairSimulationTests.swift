import Glibc
import Testing

@testable import Simulator
@testable import ZeroDB

/// A repair that is killed at a call, or loses power there, leaves the state before or after, and
/// can be made again.
@Suite struct RepairSimulationTests {
    private let writing: Set<SeamCall> = [
        .open, .makeDirectory, .rename, .remove, .syncDirectory, .write, .sync, .truncate,
    ]
    private let fixture: RepairFixture
    private let damaged: [UInt8]

    init() throws {
        fixture = try RepairFixture(commits: 1)
        var image = fixture.image
        let records = try fixture.records()
        let counted = try #require(records[Array("counted".utf8)])
        let leaf = fixture.children(of: counted.root.number)[2]
        let main = try #require(records[[]])
        for page in [leaf.number, main.root.number] {
            for byte in fixture.range(Int(page)) { image[byte] = 0 }
        }
        // A copy of a record, too.
        image[60] ^= 0xff
        damaged = image
    }

    private func disk(_ bytes: [UInt8]) -> SimulatedDisk {
        let memory = SimulatedMemory(bytes.withUnsafeBytes { DurableBytes($0) })
        return SimulatedDisk(
            files: ["env/data.zdb": SimulatedDisk.File(inode: 1, memory: memory)],
            directories: ["env"], isRecording: true)
    }

    private func repair(_ disk: SimulatedDisk, process: Int) throws(DatabaseError) -> RepairReport {
        try Environment.repair(
            path: PathBytes("env"), options: RepairOptions(),
            fileSystem: SimulatedProcess(disk, number: process))
    }

    private func contents(_ disk: SimulatedDisk, process: Int) throws -> RepairFixture.Contents {
        let environment = try RepairFixture.open(SimulatedProcess(disk, number: process))
        let report = try environment.verify { problem in Issue.record("\(problem)") }
        #expect(report.problems == 0)
        return try RepairFixture.read(environment)
    }

    @Test func killed_at_any_call_it_can_be_made_again() throws {
        let whole = disk(damaged)
        whole.arm(Trap(number: .max, effect: .killBefore, calls: writing))
        let report = try repair(whole, process: 0)
        let calls = whole.callCount
        let wanted = try contents(whole, process: 1)
        #expect(calls > 20 && !report.losses.isEmpty)
        var random = SeededGenerator(seed: TestSettings.seed)
        let step = TestSettings.operations == nil ? 3 : 1
        for number in stride(from: 1 + random.below(step), through: calls, by: step) {
            let effect: Trap.Effect = random.chance(50) ? .killBefore : .killAfter
            let disk = disk(damaged)
            let image = DiskImage(disk, lockPath: "env/lock.zdb", staleLock: nil)
            disk.arm(Trap(number: number, effect: effect, calls: writing))
            let first = try? repair(disk, process: 0)
            disk.arm(nil)
            for event in disk.journal { image.apply(event) }
            var survival = Survival(seed: random.next(), position: image.position)
            let cut = image.makeDisk(&survival, isRecording: false)
            for (left, name) in [(disk, "killed"), (cut, "power cut")] {
                do {
                    let second = try repair(left, process: 2)
                    #expect(
                        second.changed || first != nil || number > calls - 8,
                        "\(name) at call \(number)")
                    let found = try contents(left, process: 3)
                    #expect(found == wanted, "\(name) at call \(number) of \(calls)")
                } catch {
                    Issue.record("\(name) at call \(number) of \(calls): \(error)")
                }
            }
        }
    }

    @Test func a_call_that_fails_changes_nothing_or_all() throws {
        let whole = disk(damaged)
        whole.arm(Trap(number: .max, effect: .fail(EIO), calls: writing))
        _ = try repair(whole, process: 0)
        let calls = whole.callCount
        let wanted = try contents(whole, process: 1)
        var random = SeededGenerator(seed: TestSettings.seed)
        for number in stride(from: 1 + random.below(4), through: calls, by: 4) {
            let disk = disk(damaged)
            disk.arm(
                Trap(
                    number: number, effect: .fail(random.pick([EIO, ENOSPC])), calls: writing,
                    storedPercent: 50))
            _ = try? repair(disk, process: 0)
            disk.arm(nil)
            do {
                _ = try repair(disk, process: 1)
                #expect(try contents(disk, process: 2) == wanted, "call \(number) of \(calls)")
            } catch {
                Issue.record("call \(number) of \(calls): \(error)")
            }
        }
    }

    @Test func an_environment_that_is_open_is_not_touched() throws {
        let disk = disk(fixture.image)
        let environment = try RepairFixture.open(SimulatedProcess(disk, number: 0))
        #expect {
            try repair(disk, process: 1)
        } throws: { error in
            (error as? DatabaseError)?.code == .busy
        }
        try environment.close()
        #expect(try !repair(disk, process: 1).changed)
    }

    @Test func the_copy_puts_back_what_was_there() throws {
        let disk = disk(damaged)
        let report = try repair(disk, process: 0)
        let backup = try #require(report.backupPath)
        #expect(backup == "env.before-repair-1")
        let files = disk.contents
        let manifest = try #require(files["\(backup)/manifest"]?.memory)
        let text = String(
            decoding: UnsafeRawBufferPointer(start: manifest.base, count: manifest.size),
            as: UTF8.self)
        let lines = text.split(separator: "\n").map { $0.split(separator: " ") }
        #expect(lines.first?.joined(separator: " ") == "ZeroDB repair backup 1")
        #expect(lines.last?.first == "end")
        let pages = try #require(files["\(backup)/pages"]?.memory)
        let data = try #require(files["env/data.zdb"]?.memory)
        var bytes = Array(UnsafeRawBufferPointer(start: data.base, count: data.size))
        let numbers = lines.filter { $0.first == "page" }.compactMap { Int($0[1]) }
        for (place, number) in numbers.enumerated() {
            let page = UnsafeRawBufferPointer(start: pages.base + place * 4096, count: 4096)
            bytes.replaceSubrange(number * 4096..<(number + 1) * 4096, with: page)
        }
        let size = try #require(lines.first { $0.first == "size" }.flatMap { Int($0[1]) })
        #expect(Array(bytes[..<size]) == damaged)
    }
}
