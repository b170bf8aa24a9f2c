import Testing

@testable import Simulator
@testable import ZeroDB

@Suite("Meta records, tree records and references")
struct MetaTests {
    private func example(pageSize: UInt32 = 4096) -> Meta {
        var meta = Meta()
        meta.pageSize = pageSize
        meta.environmentID = (0x0123_4567_89ab_cdef, 0xfedc_ba98_7654_3210)
        meta.transaction = 12345
        meta.pageCount = 678
        meta.availablePages = 12
        meta.pendingPages = 3
        meta.allocationCursor = 77
        meta.wallClock = 1_700_000_000_000_000_000
        meta.main.root = PageReference(number: 5, transaction: 12345)
        meta.main.depth = 2
        meta.main.entries = 999
        meta.main.leafPages = 9
        meta.main.branchPages = 1
        meta.main.digest = ContentDigest(low: 1, high: 2)
        meta.digest = ContentDigest(low: 3, high: 4)
        meta.features.toWrite = 5
        meta.features.optional = 6
        return meta
    }

    private func bytes(of meta: Meta) -> [UInt8] {
        Array(unsafeUninitializedCapacity: Meta.size) { buffer, count in
            if let start = UnsafeMutableRawBufferPointer(buffer).baseAddress {
                meta.store(to: start)
            }
            count = Meta.size
        }
    }

    private func load(_ bytes: [UInt8], page: UInt64? = nil) throws -> Meta {
        try bytes.withUnsafeBytes { buffer in
            let start = try #require(buffer.baseAddress)
            return try Meta(at: start, page: page)
        }
    }

    @Test("A meta record reads back as it was written")
    func roundTrips() throws {
        let meta = example()
        let read = try load(bytes(of: meta), page: 0)
        #expect(read == meta)
        #expect(read.pageSize == 4096 && read.allocationCursor == 77)
        #expect(read.wallClock == meta.wallClock)
    }

    @Test("A meta record is valid only in the meta page it was written to")
    func knowsItsPage() throws {
        let record = bytes(of: example())
        #expect(try load(record, page: 0).transaction == 12345)
        #expect(throws: Meta.Problem.self) { try load(record, page: 1) }
    }

    @Test("Any flipped bit makes a meta record unusable")
    func noticesFlips() {
        let good = bytes(of: example())
        for index in good.indices {
            for bit in 0..<8 {
                var bad = good
                bad[index] ^= 1 << UInt8(bit)
                #expect(throws: Meta.Problem.self) { try load(bad) }
            }
        }
    }

    @Test("A record of another format version is refused with a message that says so")
    func reportsVersion() {
        var bytes = bytes(of: example())
        bytes[16] = 9
        sealRecord(&bytes)
        do {
            _ = try load(bytes)
            Issue.record("a record of version 9 was read")
        } catch Meta.Problem.version(let version) {
            #expect(version == 9)
        } catch {
            Issue.record("\(error)")
        }
    }

    @Test("Random bytes with a correct checksum are refused or harmless")
    func readsSealedGarbage() {
        var random = SeededGenerator(seed: TestSettings.seed)
        for _ in 0..<50_000 {
            var bytes = bytes(of: example())
            for _ in 0..<random.within(1...20) { bytes[random.within(20...447)] = random.byte() }
            sealRecord(&bytes)
            guard let meta = try? load(bytes) else { continue }
            #expect(Format.isValidPageSize(Int(meta.pageSize)))
            #expect(meta.main.isPlausible && meta.catalog.isPlausible && meta.free.isPlausible)
        }
    }

    @Test("A reference holds a page number of 47 bits and 16 bits of the transaction")
    func packsReferences() {
        let reference = PageReference(
            number: PageReference.numberLimit - 1, transaction: 0xdead_beef_cafe)
        #expect(reference.number == PageReference.numberLimit - 1)
        #expect(reference.transactionTag == 0xcafe)
        #expect(!reference.isFrame && !reference.isNone)
        let frame = PageReference(frame: 123_456)
        #expect(frame.isFrame && frame.frameIndex == 123_456)
        #expect(frame.number >= PageReference.numberLimit)
    }

    @Test("A tree's record reads back as it was written")
    func roundTripsTreeRecord() {
        var record = TreeRecord()
        record.root = PageReference(number: 9, transaction: 8)
        record.entries = 7
        record.branchPages = 6
        record.leafPages = 5
        record.overflowPages = 4
        record.depth = 3
        record.created = 2
        withUnsafeTemporaryAllocation(byteCount: TreeRecord.size, alignment: 8) { buffer in
            guard let start = buffer.baseAddress else { return }
            record.store(to: start)
            #expect(TreeRecord(at: start) == record)
        }
        #expect(record.isPlausible)
        record.depth = 0
        #expect(!record.isPlausible)
    }
}

/// Gives a meta record the checksum of what it holds.
func sealRecord(_ bytes: inout [UInt8], at offset: Int = 0) {
    let checksum = bytes.withUnsafeBytes {
        Checksum.compute(
            UnsafeRawBufferPointer(rebasing: $0[(offset + 8)..<(offset + Meta.size)]),
            seed: Format.magic)
    }
    withUnsafeBytes(of: checksum.littleEndian) {
        bytes.replaceSubrange(offset..<(offset + 8), with: $0)
    }
}
