import Testing
@testable import ZeroDB
@Suite struct TempTests {
    @Test func timing() throws {
        let fixture = try DamageFixture()
        let map = try #require(fixture.map)
        print("TEMP pages", map.pageCount, (0..<map.pageCount).map { map.isFree($0) ? "." : "x" }.joined(), fixture.file.count)
        let clock = ContinuousClock()
        print("TEMP look", clock.measure { for _ in 0..<2000 { _ = fixture.look() } } / 2000)
        print("TEMP look no verify", clock.measure { for _ in 0..<2000 { _ = fixture.look(verifies: false) } } / 2000)
        print("TEMP open", clock.measure { for _ in 0..<2000 { _ = fixture.look([], verifies: false) } } / 2000)
        for ps in [16384, 65536] {
        let f = try DamageFixture(pageSize: ps, commits: 3, entries: 40)
        print("TEMP pages", f.map!.pageCount, (0..<f.map!.pageCount).map { f.map!.isFree($0) ? "." : "x" }.joined(), f.file.count)
        print("TEMP look", clock.measure { for _ in 0..<1000 { _ = f.look() } } / 1000)
        }
    }
}
