import Testing

@testable import Simulator
@testable import ZeroDB

/// Keys that are out of place under right checksums, with right counts and digests: what only a comparison of
/// keys notices.
@Suite("Order of keys in a verification")
struct VerifyOrderTests {
    private let fixture: VerifyFixture
    private let root: Page

    init() throws {
        fixture = try VerifyFixture()
        try fixture.fill(2000)
        root = fixture.page(try fixture.record(nil).root.number)
        try #require(root.level == 1 && root.count > 8)
    }

    private func problems() throws -> [VerifyProblem] {
        let problems = try fixture.verify { $0.threads = 1 }.problems
        #expect(problems.allSatisfy { $0.kind == .order }, "\(problems)")
        return problems
    }

    @Test("Two entries that have changed places are noticed")
    func exchangesEntries() throws {
        let number = root.child(3).number
        let leaf = fixture.page(number)
        let first = leaf.base + leaf.slotsOffset
        let second = first + Page.leafSlotSize
        let slot = first.loadUnaligned(as: UInt64.self)
        first.storeBytes(of: second.loadUnaligned(as: UInt64.self), as: UInt64.self)
        second.storeBytes(of: slot, as: UInt64.self)
        fixture.reseal(number)
        #expect(try problems().first?.page == number)
    }

    /// Changes the tens of the number in the separator in front of a child.
    private func moveSeparator(_ index: Int, by change: Int) throws {
        let slot = root.base + root.slotsOffset + index * Page.branchSlotSize
        let length = Int(slot.loadUnaligned(fromByteOffset: 6, as: UInt16.self))
        let place = VerifyFixture.key(0).count - 2 - root.prefixLength
        // The first four bytes are in the slot, the others in the heap.
        try #require(place >= 4 && place < length)
        let heap = Int(slot.loadUnaligned(fromByteOffset: 4, as: UInt16.self))
        let byte = root.base + heap + place - 4
        byte.storeBytes(of: UInt8(Int(byte.load(as: UInt8.self)) + change), as: UInt8.self)
        fixture.reseal(root.number)
    }

    @Test("A key that is not below the separator behind it is noticed")
    func lowersSeparator() throws {
        try moveSeparator(4, by: -1)
        #expect(try problems().contains { $0.page == root.child(3).number })
    }

    @Test("A key that is before the separator in front of it is noticed")
    func raisesSeparator() throws {
        try moveSeparator(4, by: 1)
        #expect(try problems().contains { $0.page == root.child(4).number })
    }
}
