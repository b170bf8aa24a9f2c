import Glibc
import Testing

@testable import Simulator
@testable import ZeroDB

/// Invariants 3 and 8: whatever call of the operating system fails, the transaction fails whole
/// and the environment stays usable; after a flush that failed it stays readable.
@Suite("System calls that fail")
struct FaultTests {
    struct Failing: Sendable, CustomStringConvertible {
        var name: String
        var error: Int32
        var extent: Fault.Extent
        var tearsWrites = true

        var description: String { name }
    }

    static let failings = [
        Failing(name: "full disk, once", error: ENOSPC, extent: .once),
        Failing(
            name: "full disk, nothing written", error: ENOSPC, extent: .once, tearsWrites: false),
        Failing(name: "I/O error, once", error: EIO, extent: .once),
        Failing(name: "dead disk", error: EIO, extent: .fromThenOn),
        Failing(name: "no memory", error: ENOMEM, extent: .once),
    ]

    @Test(
        "A call that fails while an environment is in use leaves it consistent", arguments: failings
    )
    func survivesEveryCall(_ failing: Failing) throws {
        var number = 1
        while true {
            let workload = FaultWorkload()
            let plan = workload.fileSystem.plan
            plan.arm(
                Fault(
                    number: number, error: failing.error, extent: failing.extent,
                    tearsWrites: failing.tearsWrites))
            try workload.run("call \(number)")
            // The workload has fewer calls than this.
            if plan.failures == 0 { break }
            number += 1
        }
        #expect(number > 50, "only \(number) calls went through the seam")
    }

    @Test("Opening can fail at any call, leaves nothing open then, and can be tried again")
    func opensAfterFailure() throws {
        for isNew in [true, false] {
            var number = 1
            while true {
                let workload = FaultWorkload()
                if !isNew {
                    try workload.open().close()
                }
                let plan = workload.fileSystem.plan
                plan.arm(Fault(number: number, error: EIO))
                do {
                    let environment = try workload.open()
                    plan.arm(nil)
                    try environment.close()
                } catch let error as DatabaseError {
                    #expect(error.systemError == EIO || error.code == .panic, "\(error)")
                    #expect(error.message.contains("injected"), "\(error)")
                }
                let failures = plan.failures
                #expect(plan.openFiles == 0, "files left open after call \(number)")
                #expect(plan.maps == 0, "maps left after call \(number)")
                plan.arm(nil)
                let environment = try workload.open()
                #expect(try environment.verify().problems == 0)
                try environment.close()
                guard failures > 0 else { break }
                number += 1
            }
            #expect(number > 10, "opening makes only \(number) calls")
        }
    }

    @Test("After a failed flush nothing is written until the environment is reopened")
    func poisons() throws {
        let workload = FaultWorkload()
        let environment = try workload.open()
        try workload.commit(1, environment)
        workload.fileSystem.plan.arm(Fault(call: .sync, number: 1, error: EIO))
        #expect(throws: DatabaseError.self) { try workload.commit(2, environment) }
        // The disk works again; what the failed flush has lost is unknown (invariant 3).
        workload.fileSystem.plan.arm(nil)
        for _ in 0..<3 {
            do {
                _ = try environment.beginWrite()
                Issue.record("a write transaction began")
            } catch {
                #expect(error.code == .panic)
            }
            do {
                try environment.sync()
                Issue.record("a flush was tried again")
            } catch {
                #expect(error.code == .panic)
            }
        }
        #expect(try workload.state(environment) == 1, "reads go on")
        try environment.close()
        let again = try workload.open()
        #expect([1, 2].contains(try workload.state(again)))
        try workload.commit(3, again)
        #expect(try workload.state(again) == 3)
        try again.close()
    }

    @Test("A transaction that did not fit on the disk can be repeated when there is room")
    func retriesAfterFullDisk() throws {
        let workload = FaultWorkload()
        let environment = try workload.open()
        try workload.commit(1, environment)
        workload.fileSystem.plan.arm(
            Fault(call: .write, number: 1, error: ENOSPC, extent: .fromThenOn))
        for _ in 0..<5 {
            do {
                try workload.commit(2, environment)
                Issue.record("a commit to a full disk succeeded")
            } catch let error as DatabaseError {
                #expect(error.systemError == ENOSPC, "\(error)")
            }
            #expect(try workload.state(environment) == 1)
            #expect(try environment.verify().problems == 0)
        }
        workload.fileSystem.plan.arm(nil)
        try workload.commit(2, environment)
        #expect(try workload.state(environment) == 2)
        #expect(try environment.verify().problems == 0)
        try environment.close()
    }
}
