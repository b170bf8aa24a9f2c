import Testing

@testable import Simulator
@testable import ZeroDB

@Suite("What an error says of how a page came to be damaged")
struct DiagnosisTests {
    /// Changes a leaf, and returns what reading it says.
    private func message(
        pageSize: Int = 4096, _ change: (VerifyFixture, Page) -> Void
    ) throws -> String {
        let fixture = try VerifyFixture(pageSize: pageSize)
        try fixture.fill(150 * pageSize / 1024)
        let number = fixture.leaf(of: try fixture.record(nil), 3).number
        let leaf = fixture.page(number)
        change(fixture, leaf)
        let (_, problems) = try fixture.verify()
        let problem = try #require(problems.first { $0.page == number })
        #expect(problem.kind == .checksum)
        // Reading says the same as verifying, where it has not read the page before.
        return problem.message
    }

    @Test("A changed bit leaves the header that is expected")
    func changedBit() throws {
        let message = try message { fixture, leaf in fixture.flip(leaf.number) }
        #expect(message.contains("its header is the expected one"))
        #expect(message.contains("bits have changed, or it was written in part only"))
        #expect(!message.contains("zeros"))
    }

    @Test("The sectors that are zeros are named", arguments: [4096, 16384])
    func lostSectors(pageSize: Int) throws {
        let sector = pageSize > 4096 ? 4096 : 512
        let message = try message(pageSize: pageSize) { _, leaf in
            let start = leaf.base + (pageSize - 2 * sector)
            start.initializeMemory(as: UInt8.self, repeating: 0, count: sector)
        }
        let first = pageSize - 2 * sector
        #expect(message.contains("its bytes \(first) to \(first + sector - 1) are zeros"))
        #expect(message.contains("its header is the expected one"))
    }

    @Test("Zeros where nothing is are no lost sector")
    func freeSpace() throws {
        let message = try message { fixture, leaf in
            // Few entries, and so a gap of many sectors.
            leaf.set(2, at: Format.Header.count)
            leaf.set(600, at: Format.Header.heapUsed)
            (leaf.base + 512).initializeMemory(as: UInt8.self, repeating: 0, count: 2560)
        }
        #expect(!message.contains("its bytes"))
    }

    @Test("A page of zeros, and the header of another page")
    func headers() throws {
        let zeros = try message { _, leaf in
            leaf.base.initializeMemory(as: UInt8.self, repeating: 0, count: 4096)
        }
        #expect(zeros.contains("it is all zeros"))
        let other = try message { _, leaf in
            leaf.base.storeLittleEndian(leaf.number + 1, at: Format.Header.number)
        }
        #expect(other.contains("its header names page"))
    }

    @Test("The first sectors of an older version name its transaction")
    func olderHeader() throws {
        let message = try message { _, leaf in
            leaf.base.storeLittleEndian(leaf.transaction - 1, at: Format.Header.transaction)
        }
        #expect(message.contains("its header is that of transaction"))
        #expect(message.contains("not of the one that its parent names"))
    }
}
