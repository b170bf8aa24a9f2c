import Testing

@testable import Simulator
@testable import ZeroDB

/// What each rule of docs/internals/repair.md brings back, and what it does not.
@Suite struct RepairRuleTests {
    private func damage(_ image: inout [UInt8], _ bytes: Range<Int>) {
        for byte in bytes { image[byte] ^= 0x5a }
    }

    @Test func leaves_of_a_destroyed_branch_are_found_again_by_the_digest() throws {
        let fixture = try RepairFixture()
        for (name, record) in try fixture.records() where record.depth > 1 {
            var image = fixture.image
            for byte in fixture.range(Int(record.root.number)) { image[byte] = 0 }
            let outcome = try fixture.repair(image, "the root of \(name)")
            #expect(outcome.report.losses.isEmpty, "\(outcome.report)")
            #expect(outcome.contents == fixture.contents)
        }
    }

    @Test func a_damaged_branch_still_leads_to_the_children_that_it_names() throws {
        let fixture = try RepairFixture()
        let record = try #require(try fixture.records()[Array("counted".utf8)])
        let children = fixture.children(of: record.root.number)
        var image = fixture.image
        // A leaf is lost, so the digest proves nothing.
        for byte in fixture.range(Int(children[3].number)) { image[byte] = 0 }
        let start = fixture.range(Int(record.root.number)).lowerBound
        // The header stays, and the first children.
        damage(&image, (start + 3000)..<(start + 3512))
        let outcome = try fixture.repair(image, "a branch and a leaf")
        let left = outcome.contents[Array("counted".utf8)]?.count ?? 0
        #expect(left > 0 && left < fixture.contents[Array("counted".utf8)]?.count ?? 0)
    }

    @Test func leaves_that_nothing_proves_are_not_taken() throws {
        let fixture = try RepairFixture()
        let record = try #require(try fixture.records()[Array("twin".utf8)])
        var image = fixture.image
        for byte in fixture.range(Int(record.root.number)) { image[byte] = 0 }
        for byte in fixture.range(Int(fixture.children(of: record.root.number)[0].number)) {
            image[byte] = 0
        }
        let outcome = try fixture.repair(image, "a root and a leaf")
        #expect(outcome.contents[Array("twin".utf8)]?.isEmpty ?? false)
        #expect(outcome.contents[Array("other twin".utf8)]?.count == 150)
    }

    /// What looks for something to take its place must not come to the same leaf again, and again.
    @Test func a_leaf_that_nothing_leads_to_and_whose_keys_are_out_of_order_is_passed_by() throws {
        let fixture = try RepairFixture()
        let record = try #require(try fixture.records()[Array("twin".utf8)])
        let contents = MemoryContents(fixture.image)
        let image = try #require(CraftedImage(contents))
        let leaf = fixture.children(of: record.root.number)[1].number
        let (left, right) = (image.page(leaf).slot(3), image.page(leaf).slot(4))
        for byte in 0..<8 {
            let kept = left.load(fromByteOffset: byte, as: UInt8.self)
            left.storeBytes(
                of: right.load(fromByteOffset: byte, as: UInt8.self), toByteOffset: byte,
                as: UInt8.self)
            right.storeBytes(of: kept, toByteOffset: byte, as: UInt8.self)
        }
        image.reseal(leaf)
        var bytes = contents.bytes
        for byte in fixture.range(Int(record.root.number)) { bytes[byte] = 0 }
        let outcome = try fixture.repair(bytes, "a root, and a leaf out of order")
        #expect(outcome.contents[Array("twin".utf8)]?.isEmpty ?? false)
        #expect(outcome.contents[Array("other twin".utf8)]?.count == 150)
    }

    @Test func a_page_that_two_databases_claim_stays_with_its_own() throws {
        let fixture = try RepairFixture()
        let records = try fixture.records()
        let mine = try #require(records[Array("twin".utf8)]?.root)
        let others = try #require(records[Array("other twin".utf8)]?.root)
        let contents = MemoryContents(fixture.image)
        let image = try #require(CraftedImage(contents))
        // The first leaf of one becomes one of the other too, with right checksums.
        image.page(mine.number).setChild(1, image.page(others.number).child(1))
        image.reseal(mine.number)
        let outcome = try fixture.repair(contents.bytes, "a crossing")
        #expect(outcome.contents == fixture.contents)
    }

    @Test func a_cycle_is_cut() throws {
        let fixture = try RepairFixture()
        let root = try #require(try fixture.records()[[]]?.root)
        let contents = MemoryContents(fixture.image)
        let image = try #require(CraftedImage(contents))
        image.page(root.number).setChild(2, root)
        image.reseal(root.number)
        let outcome = try fixture.repair(contents.bytes, "a cycle")
        #expect(outcome.contents == fixture.contents)
    }

    @Test func a_damaged_value_tree_loses_its_values_only() throws {
        let fixture = try RepairFixture()
        var image = fixture.image
        var wrong = 0
        for page in 2..<fixture.pageCount
        where image[fixture.range(page).lowerBound + 26] == 1 && wrong == 0 {
            for byte in fixture.range(page) { image[byte] = 0 }
            wrong += 1
        }
        try #require(wrong == 1)
        try fixture.repair(image, "a value leaf")
    }

    @Test func the_damaged_catalog_of_one_leaf_is_read_if_the_digest_proves_it() throws {
        let fixture = try RepairFixture()
        let page = Int(try fixture.meta().catalog.root.number)
        var image = fixture.image
        // Where nothing is.
        damage(
            &image, (fixture.range(page).lowerBound + 400)..<(fixture.range(page).lowerBound + 500))
        let outcome = try fixture.repair(image, "the catalog")
        #expect(outcome.contents == fixture.contents)
    }

    @Test func without_its_catalog_the_main_database_is_there() throws {
        let fixture = try RepairFixture()
        let page = Int(try fixture.meta().catalog.root.number)
        var image = fixture.image
        for byte in fixture.range(page) { image[byte] = 0 }
        let outcome = try fixture.repair(image, "no catalog")
        #expect(outcome.contents == [[]: fixture.contents[[]] ?? []])
        #expect(!outcome.report.losses.isEmpty)
    }
}
