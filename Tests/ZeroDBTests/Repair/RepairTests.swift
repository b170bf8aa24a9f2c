import Testing

@testable import Simulator
@testable import ZeroDB

/// What a repair promises, whatever is damaged.
@Suite struct RepairTests {
    @Test func a_sound_environment_is_left_as_it_is() throws {
        let fixture = try RepairFixture()
        let outcome = try fixture.repair(fixture.image, "nothing")
        #expect(!outcome.report.changed)
        #expect(outcome.image == fixture.image)
        #expect(outcome.contents == fixture.contents)
    }

    @Test func a_page_of_zeros_anywhere_is_mended() throws {
        let fixture = try RepairFixture()
        var lost = 0
        for page in fixture.somePages {
            var image = fixture.image
            image.replaceSubrange(
                fixture.range(page), with: Array(repeating: 0, count: fixture.pageSize))
            let outcome = try fixture.repair(image, "page \(page) is zeros")
            let missing = fixture.countMissing(outcome.contents)
            #expect(
                (missing == 0) == outcome.report.losses.isEmpty, "page \(page): \(outcome.report)")
            lost += missing == 0 ? 0 : 1
        }
        #expect(lost > 0 && lost < fixture.pageCount - 2)
    }

    @Test func a_flipped_bit_anywhere_is_put_right() throws {
        let fixture = try RepairFixture()
        var random = SeededGenerator(seed: TestSettings.seed)
        for page in fixture.somePages {
            var image = fixture.image
            let place = fixture.range(page).lowerBound + random.below(fixture.pageSize)
            image[place] ^= 1 << UInt8(random.below(8))
            let outcome = try fixture.repair(image, "a bit of byte \(place)")
            #expect(outcome.report.losses.isEmpty, "\(outcome.report)")
            #expect(outcome.contents == fixture.contents)
        }
    }

    @Test func lost_sectors_and_garbage_bring_nothing_back() throws {
        let fixture = try RepairFixture()
        var random = SeededGenerator(seed: TestSettings.seed)
        for page in fixture.somePages {
            var image = fixture.image
            let start = fixture.range(page).lowerBound + 512 * random.below(fixture.pageSize / 512)
            let isZero = random.chance(50)
            for byte in start..<(start + 512) { image[byte] = isZero ? 0 : random.byte() }
            try fixture.repair(image, "a sector of page \(page)")
        }
    }

    @Test func older_versions_of_pages_bring_nothing_back() throws {
        let fixture = try RepairFixture()
        for (number, old) in fixture.images.enumerated() {
            for page in fixture.somePages
            where old.count >= fixture.range(page).upperBound
                && old[fixture.range(page)] != fixture.image[fixture.range(page)]
            {
                var image = fixture.image
                image.replaceSubrange(fixture.range(page), with: old[fixture.range(page)])
                try fixture.repair(image, "page \(page) of state \(number)")
            }
        }
    }

    @Test func pages_in_each_others_places_bring_nothing_back() throws {
        let fixture = try RepairFixture()
        var random = SeededGenerator(seed: TestSettings.seed)
        for _ in 0..<20 {
            let first = random.within(2...fixture.pageCount - 1)
            let second = random.within(2...fixture.pageCount - 1)
            var image = fixture.image
            image.replaceSubrange(fixture.range(first), with: fixture.image[fixture.range(second)])
            if random.chance(50) {
                image.replaceSubrange(
                    fixture.range(second), with: fixture.image[fixture.range(first)])
            }
            try fixture.repair(image, "pages \(first) and \(second) exchanged")
        }
    }

    @Test func several_damages_at_once_are_mended() throws {
        let fixture = try RepairFixture()
        var random = SeededGenerator(seed: TestSettings.seed)
        for round in 0..<TestSettings.operations(usually: 40) {
            var image = fixture.image
            for _ in 0..<random.within(2...4) {
                let page = random.within(2...fixture.pageCount - 1)
                let start = fixture.range(page).lowerBound
                switch random.below(4) {
                case 0:
                    for byte in fixture.range(page) { image[byte] = 0 }
                case 1: image[start + random.below(fixture.pageSize)] ^= random.byte() | 1
                case 2:
                    for byte in start..<(start + 512 * random.within(1...8)) {
                        image[byte] = random.byte()
                    }
                default:
                    let old = random.pick(fixture.images)
                    if old.count >= fixture.range(page).upperBound {
                        image.replaceSubrange(
                            fixture.range(page), with: old[fixture.range(page)])
                    }
                }
            }
            try fixture.repair(image, "round \(round), \(TestSettings.rerun)")
        }
    }

    @Test func a_file_that_was_cut_off_keeps_what_is_left() throws {
        let fixture = try RepairFixture()
        var random = SeededGenerator(seed: TestSettings.seed)
        for _ in 0..<10 {
            let size = random.within(2 * fixture.pageSize...fixture.image.count - 1)
            try fixture.repair(Array(fixture.image[..<size]), "cut off at \(size)")
        }
    }

    @Test func other_page_sizes_are_mended_too() throws {
        for pageSize in [16384, 65536] {
            let fixture = try RepairFixture(pageSize: pageSize, commits: 1)
            for page in fixture.somePages {
                var image = fixture.image
                for byte in fixture.range(page).prefix(512) { image[byte] = 0xa5 }
                try fixture.repair(image, "page \(page) of \(pageSize) bytes")
            }
        }
    }
}
