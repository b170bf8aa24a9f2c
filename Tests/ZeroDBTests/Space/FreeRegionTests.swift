import Testing

@testable import Simulator
@testable import ZeroDB

@Suite("Regions of the free tree")
struct FreeRegionTests {
    private let pageCount = Int(FreeRegion.pageCount)

    @Test("A region holds exactly the pages that were inserted and not removed")
    func holdsPages() throws {
        var random = SeededGenerator(seed: TestSettings.seed)
        let number: UInt64 = 7
        let start = number * FreeRegion.pageCount
        for _ in 0..<200 {
            var region = FreeRegion(number: number)
            var pages: Set<UInt64> = []
            for _ in 0..<100 {
                let first = random.below(pageCount)
                let count = 1 + random.below(min(pageCount - first, random.pick([3, 70, 512])))
                let run = PageRun(start: start + UInt64(first), count: UInt64(count))
                let all = Set(run.start..<run.end)
                var changed = region
                if random.chance(50) {
                    let isInserted = changed.insert(run)
                    #expect(isInserted == pages.isDisjoint(with: all))
                    guard pages.isDisjoint(with: all) else { continue }
                    pages.formUnion(all)
                } else {
                    let isRemoved = changed.remove(run)
                    #expect(isRemoved == all.isSubset(of: pages))
                    guard all.isSubset(of: pages) else { continue }
                    pages.subtract(all)
                }
                region = changed
            }
            #expect(region.count == UInt64(pages.count))
            let runs = region.runs
            #expect(runs.flatMap { Array($0.start..<$0.end) } == pages.sorted())
            for (run, next) in zip(runs, runs.dropFirst()) { #expect(run.end < next.start) }
        }
    }

    @Test("A region reads back as it was stored")
    func readsBack() throws {
        var region = FreeRegion(number: 3)
        for (first, count) in [(0, 1), (63, 2), (200, 150), (511, 1)] {
            let run = PageRun(start: region.start + UInt64(first), count: UInt64(count))
            let isInserted = region.insert(run)
            #expect(isInserted)
        }
        let bytes = UnsafeMutableRawBufferPointer.allocate(
            byteCount: FreeRegion.size, alignment: 8)
        defer { bytes.deallocate() }
        region.store(to: try #require(bytes.baseAddress))
        let read = try #require(FreeRegion(number: 3, at: UnsafeRawBufferPointer(bytes)))
        #expect(read.runs == region.runs)
        #expect(bytes[0] == 1 && bytes[7] == 0x80 && bytes[8] == 1 && bytes[63] == 0x80)
    }

    @Test("An entry of a wrong size or beyond all page numbers is rejected")
    func refusesOthers() {
        let bytes = [UInt8](repeating: 1, count: FreeRegion.size + 1)
        bytes.withUnsafeBytes { bytes in
            #expect(FreeRegion(number: 0, at: bytes) == nil)
            let whole = UnsafeRawBufferPointer(rebasing: bytes[..<FreeRegion.size])
            #expect(FreeRegion(number: 0, at: whole) != nil)
            let limit = PageReference.numberLimit / FreeRegion.pageCount
            #expect(FreeRegion(number: limit - 1, at: whole) != nil)
            #expect(FreeRegion(number: limit, at: whole) == nil)
            #expect(FreeRegion(number: .max, at: whole) == nil)
        }
    }
}
