import Glibc
import Testing

@testable import Simulator
@testable import ZeroDB

/// Pages that the device cannot read, or that were cut off, while an environment is open. Touching
/// them in the map would end the process.
@Suite("Pages that cannot be read")
struct LostPageTests {
    @Test(
        "A page that cannot be read is an error that names it",
        arguments: [4096, 65536], [ChecksumMode.none, .fast, .full])
    func losesEachPage(pageSize: Int, mode: ChecksumMode) throws {
        let fixture = try DamageFixture(pageSize: pageSize)
        let map = try #require(fixture.map)
        let faulty = FaultyFileSystem(fixture.fileSystem)
        fixture.lens = faulty
        for page in Format.metaPageCount..<map.meta.pageCount {
            let start = page * UInt64(pageSize)
            faulty.plan.lose(start..<start + UInt64(pageSize))
            let findings = fixture.look(mode: mode)
            #expect(findings.couldOpen)
            #expect(findings.wrong.isEmpty, "page \(page): \(findings.wrong)")
            for error in findings.errors {
                #expect(error.systemError == EIO && error.page == page, "page \(page): \(error)")
                #expect(error.message.contains("read page \(page) at byte \(start) of data.zdb"))
            }
            // Pages of which something depends on each byte, but for the rest of a run.
            if map.matters(Int(start)) {
                #expect(findings.problems > 0, "page \(page): verify notices nothing")
            }
        }
    }

    @Test("A sector that cannot be read fails no read of other pages")
    func losesASector() throws {
        let fixture = try DamageFixture(pageSize: 16384)
        let map = try #require(fixture.map)
        let faulty = FaultyFileSystem(fixture.fileSystem)
        fixture.lens = faulty
        for page in Format.metaPageCount..<map.meta.pageCount where map.matters(Int(page) * 16384) {
            let start = page * 16384 + 8192
            faulty.plan.lose(start..<start + 512)
            let findings = fixture.look()
            #expect(findings.wrong.isEmpty)
            for error in findings.errors {
                #expect(error.systemError == EIO && error.page == page, "page \(page): \(error)")
            }
        }
    }

    @Test("A file cut off while it is open is an error that says where")
    func cutsTheFileOff() throws {
        let fixture = try DamageFixture()
        let map = try #require(fixture.map)
        for page in Format.metaPageCount..<map.meta.pageCount {
            let environment = try Environment(
                path: DamageFixture.path, options: fixture.options, fileSystem: fixture.fileSystem)
            fixture.file.count = Int(page) * map.pageSize
            let failures = try readAll(environment, fixture, cutAt: page)
            if page == Format.metaPageCount { #expect(failures == fixture.newest[0].count) }
            try? environment.close()
            fixture.restore()
        }
    }

    /// - Returns: how many entries of the main database cannot be read.
    private func readAll(
        _ environment: Environment, _ fixture: DamageFixture, cutAt page: UInt64
    ) throws -> Int {
        var failures = 0
        let transaction = try environment.beginRead()
        for entry in fixture.newest[0] {
            do throws(DatabaseError) {
                let value = try transaction.value(for: entry.key)
                let isRight = value?.withUnsafeBytes { entry.value.matches($0) } ?? false
                #expect(isRight)
            } catch {
                failures += 1
                #expect(error.code == .corrupted)
                #expect(error.page.map { $0 >= page } == true)
                #expect(error.message.contains("cut off at byte \(fixture.file.count)"))
            }
        }
        return failures
    }
}
