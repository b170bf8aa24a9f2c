import Synchronization
import Testing

@testable import Simulator
@testable import ZeroDB

/// Handles that outlive what they named, or never named anything, lead nowhere.
@Suite("Handles")
struct HandleTableTests {
    private struct Object: ~Copyable {
        var number: Int
    }

    private func object(_ number: Int) -> UnsafeMutablePointer<Object> {
        let pointer = UnsafeMutablePointer<Object>.allocate(capacity: 1)
        pointer.initialize(to: Object(number: number))
        return pointer
    }

    /// A table that is kept for as long as the process lives, as all tables are.
    private func makeTable(kind: UInt64 = 5, capacity: Int) -> HandleTable<Object> {
        let table = HandleTable<Object>(kind: kind, capacity: capacity)
        Self.tables.withLock { $0.append(table) }
        return table
    }

    private static let tables = Locked<[HandleTable<Object>]>([])

    @Test("A handle leads to its object until it is released")
    func resolves() throws {
        let table = makeTable(capacity: 16)
        let claim = try #require(table.claim(hint: 0))
        table.setObject(object(1), at: claim.index)
        #expect(table.resolve(claim.handle)?.pointee.number == 1)
        #expect(HandleTable<Object>.index(of: claim.handle) == claim.index)
        #expect(table.handle(at: claim.index) == claim.handle)
        table.release(claim.index)
        #expect(table.resolve(claim.handle) == nil)
        #expect(table.handle(at: claim.index) == nil)
    }

    @Test("A slot used again has another handle and keeps its object")
    func changesGenerations() throws {
        let table = makeTable(capacity: 1)
        var seen: Set<UInt64> = []
        for round in 0..<1000 {
            let claim = try #require(table.claim(hint: 0))
            if round == 0 { table.setObject(object(7), at: claim.index) }
            #expect(table.object(at: claim.index)?.pointee.number == 7)
            #expect(seen.insert(claim.handle).inserted)
            for old in seen where old != claim.handle { #expect(table.resolve(old) == nil) }
            table.release(claim.index)
            if seen.count > 50 { seen = [claim.handle] }
        }
    }

    @Test("A full table refuses objects until one is released")
    func refusesWhenFull() throws {
        let table = makeTable(capacity: 100)
        var claims: [HandleTable<Object>.Claim] = []
        for _ in 0..<100 { claims.append(try #require(table.claim(hint: 3))) }
        #expect(Set(claims.map(\.index)).count == 100)
        #expect(table.claim(hint: 3) == nil)
        table.release(claims[77].index)
        let claim = try #require(table.claim(hint: 3))
        #expect(claim.index == 77 && claim.handle != claims[77].handle)
    }

    @Test("Numbers that are not handles lead nowhere")
    func refusesGarbage() throws {
        let table = makeTable(capacity: 64)
        var good: Set<UInt64> = []
        for _ in 0..<40 {
            let claim = try #require(table.claim(hint: 0))
            table.setObject(object(0), at: claim.index)
            good.insert(claim.handle)
        }
        var random = SeededGenerator(seed: TestSettings.seed)
        for _ in 0..<100_000 {
            let number: UInt64 =
                switch random.below(4) {
                case 0: random.next()
                case 1: random.next() & 0xffff
                case 2: (good.randomElement(using: &random) ?? 0) ^ 1 << UInt64(random.below(64))
                default: UInt64.max - UInt64(random.below(1000))
                }
            if !good.contains(number) { #expect(table.resolve(number) == nil, "\(number)") }
        }
    }

    @Test("A handle of one table leads nowhere in another")
    func tellsKindsApart() throws {
        let first = makeTable(kind: 1, capacity: 4)
        let second = makeTable(kind: 2, capacity: 4)
        let firstClaim = try #require(first.claim(hint: 0))
        let secondClaim = try #require(second.claim(hint: 0))
        first.setObject(object(1), at: firstClaim.index)
        second.setObject(object(2), at: secondClaim.index)
        #expect(first.resolve(secondClaim.handle) == nil)
        #expect(second.resolve(firstClaim.handle) == nil)
    }

    @Test("Tags count the slots in use of one owner")
    func countsTags() throws {
        let table = makeTable(capacity: 16)
        let claims = try (0..<6).map { _ in try #require(table.claim(hint: 0)) }
        for (place, claim) in claims.enumerated() {
            table.setTag(place < 4 ? 1 : 2, at: claim.index)
        }
        #expect(table.count(tagged: 1) == 4 && table.count(tagged: 2) == 2)
        table.release(claims[0].index)
        #expect(table.count(tagged: 1) == 3)
        // A slot that is claimed again has no owner until one is set.
        _ = table.claim(hint: claims[0].index)
        #expect(table.count(tagged: 1) == 3)
    }

    @Test("No two threads get one slot")
    func claimsFromManyThreads() {
        let table = makeTable(capacity: 64)
        let owners = (0..<64).map { _ in Owner() }
        let rounds = TestSettings.operations(usually: 20_000)
        onThreads(6) { thread in
            var hint = thread
            for _ in 0..<rounds {
                guard let claim = table.claim(hint: hint) else { continue }
                hint = claim.index
                let owner = owners[claim.index]
                let before = owner.thread.exchange(thread + 1, ordering: .acquiring)
                try check(before == 0, "slot \(claim.index) has two owners")
                owner.thread.store(0, ordering: .releasing)
                table.release(claim.index)
            }
        }
        for index in 0..<64 { #expect(table.handle(at: index) == nil) }
    }

    private final class Owner: Sendable {
        let thread = Atomic<Int>(0)
    }
}
