import Testing

@testable import Simulator
@testable import ZeroDB

/// Invariants 1 and 2 around checkpoints: transactions that began before a checkpoint and commit
/// beside it, others that want the pages these free, and processes that die when they have written
/// a meta page.
@Suite("Simulated crashes beside checkpoints")
struct CheckpointSimulationTests {
    private func explore(_ seed: UInt64, _ change: (inout ProgramPlan) -> Void) throws {
        var plan = ProgramPlan.commitsOnly(seed: seed)
        plan.steps = 24
        plan.shape = Attempt.Shape(
            operationsMax: 20, valueMax: 300, overflowPercent: 0, keys: 120, namedDatabases: 1,
            structurePercent: 0)
        plan.straddlePercent = 30
        change(&plan)
        var effort = CrashExploration.Effort()
        effort.points = 120
        effort.states = 2
        effort.secondCrashPercent = 0
        if CrashSettings.workloads != nil || CrashSettings.seed != nil {
            effort.everyPointPercent = 100
        }
        var exploration = CrashExploration(effort)
        try exploration.explore(plan, seed: seed, suite: "CheckpointSimulationTests")
    }

    @Test(
        "Pages of a root that is being written are not reused",
        arguments: CrashSettings.seeds(usually: 2, percent: 5))
    func keepsRootBeingWritten(_ seed: UInt64) throws {
        try explore(seed) { _ in }
    }

    @Test(
        "A root is not forgotten when the process that wrote it dies",
        arguments: CrashSettings.seeds(usually: 2, percent: 5))
    func finishesInterruptedCheckpoint(_ seed: UInt64) throws {
        try explore(seed) {
            $0.processes = 2
            $0.deathPercent = 100
        }
    }

    @Test(
        "A checkpoint that another process began and did not live to note is not made twice",
        arguments: 1...4)
    func doesNotRepeatInterruptedCheckpoint(_ lastWrite: Int) throws {
        let disk = SimulatedDisk(directories: ["/machine"], isRecording: false)
        var options = EnvironmentOptions()
        options.usesThread = false
        options.maxSize = UInt64(SimulatedMemory.capacity)
        let processes = (1...2).map { SimulatedProcess(disk, number: $0) }
        let environments = try processes.map {
            try Environment(path: "/machine/env", options: options, fileSystem: $0)
        }
        for round in 0..<3 { try environments[0].write { try $0.put("key", "\(round)") } }
        disk.arm(Trap(number: lastWrite, effect: .killAfter, calls: [.write]))
        #expect(throws: (any Error).self) {
            try environments[0].checkpoint()
            #expect(!processes[0].isDead || lastWrite > 3)
            throw DatabaseError.forked
        }
        disk.arm(nil)
        try environments[1].checkpoint()
        let file = try processes[1].openDirectory(
            PathBytes("/machine/env"), create: nil
        ).open(
            "data.zdb", access: .readOnly, create: false, mode: 0)
        var held: [UInt64] = []
        for page in 0..<Format.metaPageCount {
            let bytes = UnsafeMutableRawBufferPointer.allocate(byteCount: Meta.size, alignment: 8)
            defer { bytes.deallocate() }
            #expect(try file.read(into: bytes, at: page * 4096) == Meta.size)
            let start = try #require(bytes.baseAddress)
            held.append(try Meta(at: start, page: page).transaction)
        }
        #expect(Set(held).count == 2)
        let newest = try environments[1].info().lastTransaction
        #expect(held.max() == newest)
    }
}
