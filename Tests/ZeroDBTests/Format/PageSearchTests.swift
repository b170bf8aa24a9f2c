import Testing

@testable import Simulator
@testable import ZeroDB

@Suite("Searching in a page")
struct PageSearchTests {
    @Test(
        "A leaf finds keys where a sorted array does", arguments: KeyPattern.allCases, allPageSizes)
    func searchesLeaf(_ pattern: KeyPattern, pageSize: Int) throws {
        var random = SeededGenerator(seed: TestSettings.seed)
        let fixture = try PageFixture(size: pageSize)
        for _ in 0..<8 {
            let entries = [PageEntry].random(pattern, pageSize: pageSize, isLeaf: true, &random)
            fixture.scramble(&random)
            fixture.write(entries)
            #expect(fixture.page.structuralProblem() == nil)
            #expect(try fixture.entries() == entries)
            for probe in entries.sample(&random).probes(pattern, pageSize: pageSize, &random) {
                let expected = entries.search(probe)
                let position = probe.withUnsafeBytes { fixture.page.searchLeaf($0) }
                try #require(
                    position.index == expected.index && position.found == expected.found,
                    "\(show(probe)) at \(position), not \(expected); \(TestSettings.rerun)")
            }
        }
    }

    @Test(
        "A branch leads to the child whose range holds a key", arguments: KeyPattern.allCases,
        allPageSizes)
    func searchesBranch(_ pattern: KeyPattern, pageSize: Int) throws {
        var random = SeededGenerator(seed: TestSettings.seed)
        let fixture = try PageFixture(size: pageSize)
        for _ in 0..<8 {
            var entries = [PageEntry].random(pattern, pageSize: pageSize, isLeaf: false, &random)
            guard !entries.isEmpty else { continue }
            // The first child has no separator: it holds all that is below the next one.
            entries[0].key = []
            fixture.scramble(&random)
            fixture.write(entries, isLeaf: false)
            #expect(fixture.page.structuralProblem() == nil)
            #expect(try fixture.entries() == entries)
            for probe in entries.sample(&random).probes(pattern, pageSize: pageSize, &random) {
                let next = entries.search(probe)
                let expected = max(0, next.found ? next.index : next.index - 1)
                let child = probe.withUnsafeBytes { fixture.page.searchBranch($0) }
                try #require(
                    child == expected,
                    "\(show(probe)) in child \(child), not \(expected); \(TestSettings.rerun)")
            }
        }
    }

    @Test("Keys that differ only in zeros at their ends are told apart")
    func tellsZerosApart() throws {
        let fixture = try PageFixture(size: 4096)
        let keys: [[UInt8]] = (1...12).map { [UInt8](repeating: 0, count: $0) }
        fixture.write(keys.map { PageEntry(key: $0, value: [UInt8($0.count)]) })
        for (index, key) in keys.enumerated() {
            let position = key.withUnsafeBytes { fixture.page.searchLeaf($0) }
            #expect(position.index == index && position.found)
        }
    }

    @Test("A key that is the page's whole prefix is found")
    func findsPrefixItself() throws {
        let fixture = try PageFixture(size: 4096)
        let prefix = Array("the common beginning".utf8)
        let keys = [
            prefix, prefix + [0], prefix + [0, 0], prefix + [1], prefix + Array("more".utf8),
        ]
        fixture.write(keys.map { PageEntry(key: $0) })
        #expect(fixture.page.prefixLength == prefix.count)
        for (index, key) in keys.enumerated() {
            let position = key.withUnsafeBytes { fixture.page.searchLeaf($0) }
            #expect(position.index == index && position.found)
        }
        let shorter = Array(prefix.dropLast())
        #expect(shorter.withUnsafeBytes { fixture.page.searchLeaf($0) }.index == 0)
    }
}

extension [PageEntry] {
    /// Some of the entries, so that searching in arrays stays quick.
    fileprivate func sample(_ random: inout SeededGenerator) -> Self {
        count < 60 ? self : (0..<60).map { _ in random.pick(self) }
    }
}
