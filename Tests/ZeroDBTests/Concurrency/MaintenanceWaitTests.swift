import Glibc
import Synchronization
import Testing

@testable import Simulator
@testable import ZeroDB

/// The library takes the writer's lock for moments, as it moves pages or cuts the file off.
@Suite("Waiting for the library itself")
struct MaintenanceWaitTests {
    @Test(
        "Whoever waits for another writer a little or not at all waits for the library",
        arguments: [WriterWait.never, .milliseconds(1), .milliseconds(20), .forever])
    func waitsForMaintenance(_ wait: WriterWait) throws {
        let environment = try Environment.inMemory()
        let store = environment.store
        let isHeld = Atomic(false)
        let hasBegun = Atomic(false)
        onThreads(2) { thread in
            if thread == 0 {
                let isTooSoon = try store.maintain(.forever) { () throws(DatabaseError) -> Bool in
                    isHeld.store(true, ordering: .sequentiallyConsistent)
                    usleep(100_000)
                    defer { store.unlockWriter() }
                    return hasBegun.load(ordering: .sequentiallyConsistent)
                }
                try check(!isTooSoon, "it did not wait")
            } else {
                while !isHeld.load(ordering: .sequentiallyConsistent) { sched_yield() }
                let claim = try Transactions.beginWrite(store.state, wait: wait)
                hasBegun.store(true, ordering: .sequentiallyConsistent)
                Transactions.end(claim)
            }
        }
        try environment.close()
    }
}
