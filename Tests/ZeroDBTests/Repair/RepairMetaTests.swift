import Testing

@testable import Simulator
@testable import ZeroDB

/// Meta pages, free pages, log and copies of the environment.
@Suite struct RepairMetaTests {
    private let fixture: RepairFixture
    private let newest: Int
    private let half: Int

    init() throws {
        fixture = try RepairFixture()
        newest = try RepairFixture.meta(in: fixture.image, pageSize: fixture.pageSize).page
        half = fixture.pageSize / 2
    }

    private func damaged(_ offsets: [Int]) -> [UInt8] {
        var image = fixture.image
        for offset in offsets { image[offset] ^= 0xff }
        return image
    }

    @Test func a_damaged_copy_of_a_record_is_written_anew_and_nothing_else() throws {
        for copy in [0, half, fixture.pageSize, fixture.pageSize + half] {
            let outcome = try fixture.repair(damaged([copy + 60]), "the copy at \(copy)")
            #expect(outcome.report.changed && outcome.report.losses.isEmpty)
            #expect(outcome.image == fixture.image)
        }
    }

    @Test func a_damaged_copy_of_the_free_list_is_written_anew_and_nothing_else() throws {
        for copy in [newest * fixture.pageSize, newest * fixture.pageSize + half] {
            let outcome = try fixture.repair(damaged([copy + 600]), "the free list at \(copy)")
            #expect(outcome.report.changed && outcome.report.losses.isEmpty)
            #expect(outcome.image == fixture.image)
        }
    }

    @Test func without_a_free_list_the_free_space_is_made_anew() throws {
        let place = newest * fixture.pageSize + 600
        let outcome = try fixture.repair(damaged([place, place + half]), "no free list")
        #expect(outcome.report.losses.isEmpty)
        #expect(outcome.contents == fixture.contents)
    }

    @Test func the_older_meta_page_is_not_needed() throws {
        let place = (1 - newest) * fixture.pageSize + 60
        let outcome = try fixture.repair(damaged([place, place + half]), "the older meta page")
        #expect(outcome.contents == fixture.contents)
        // It may have been the newer.
        #expect(!outcome.report.losses.isEmpty)
    }

    @Test func without_the_newest_meta_page_the_older_state_is_taken_as_far_as_it_is_there() throws
    {
        let place = newest * fixture.pageSize + 60
        let files = MemoryFileSystem()
        files.setContents("env/data.zdb", MemoryContents(damaged([place, place + half])))
        var options = RepairOptions()
        options.keepsBackup = false
        let report = try Environment.repair(
            path: PathBytes("env"), options: options, fileSystem: files)
        #expect(!report.losses.isEmpty)
        let environment = try RepairFixture.open(files)
        #expect(try environment.verify().problems == 0)
        #expect(try environment.info().lastTransaction > fixture.meta().transaction)
        try environment.close()
    }

    @Test func a_damaged_free_tree_is_made_anew() throws {
        let root = try fixture.meta().free.root
        try #require(!root.isNone)
        var image = fixture.image
        for byte in fixture.range(Int(root.number)) { image[byte] = 0x11 }
        let outcome = try fixture.repair(image, "the free tree")
        #expect(outcome.report.losses.isEmpty)
        #expect(outcome.contents == fixture.contents)
    }

    @Test func a_page_that_the_copy_has_in_the_same_version_is_taken_from_it() throws {
        let files = MemoryFileSystem()
        files.setContents("copy/data.zdb", MemoryContents(fixture.image))
        var options = RepairOptions()
        options.sourcePath = "copy"
        for page in fixture.somePages {
            var image = fixture.image
            for byte in fixture.range(page) { image[byte] = 0 }
            let outcome = try fixture.repair(image, "page \(page), with a copy", options, on: files)
            #expect(outcome.contents == fixture.contents)
            #expect(outcome.report.losses.isEmpty)
        }
    }

    @Test func pages_of_an_older_copy_are_not_mistaken_for_newer_ones() throws {
        for (number, old) in fixture.images.dropLast().enumerated() {
            let files = MemoryFileSystem()
            files.setContents("copy/data.zdb", MemoryContents(old))
            var options = RepairOptions()
            options.sourcePath = "copy"
            for page in fixture.somePages where page % 2 == number % 2 {
                var image = fixture.image
                for byte in fixture.range(page) { image[byte] = 0 }
                try fixture.repair(
                    image, "page \(page), with state \(number)", options, on: files)
            }
        }
    }
}
