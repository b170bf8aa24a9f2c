import Testing

@testable import Simulator
@testable import ZeroDB

@Suite("Inline values")
struct InlineValuesTests {
    private static let capacity = 8192

    /// The values of a field, read back.
    private func read(_ field: UnsafeRawBufferPointer) throws -> [[UInt8]] {
        let values = try #require(InlineValues(field))
        return try (0..<values.count).map { Array(try #require(values.duplicate($0))) }
    }

    @Test(
        "Inline values stay equal to a sorted array through inserts and removals",
        arguments: ValueShape.all)
    func edits(_ shape: ValueShape) throws {
        for pattern in KeyPattern.allCases {
            var random = SeededGenerator(seed: TestSettings.seed)
            var maker = KeyMaker(pattern, keySizeMax: 100)
            // Guarded memory, used from its end: a write behind the field ends the process.
            let buffers = [
                try PageFixture(size: Self.capacity), try PageFixture(size: Self.capacity),
            ]
            var duplicates = try firstTwo(shape, &maker, &random)
            var current = 0
            var size = InlineValues.fieldSize(
                count: 2, bytes: duplicates[0].count + duplicates[1].count, width: shape.width)
            var field = place(buffers[current], size)
            let written = duplicates[0].withUnsafeBytes { first in
                duplicates[1].withUnsafeBytes { second in
                    InlineValues.store(first, second, width: shape.width, to: field)
                }
            }
            #expect(written == size)
            for round in 0..<500 {
                let values = try #require(
                    InlineValues(UnsafeRawBufferPointer(start: field, count: size)))
                let duplicate =
                    random.chance(30) ? random.pick(duplicates) : shape.make(&maker, &random)
                let found = duplicate.withUnsafeBytes {
                    values.search($0, reversed: shape.isReversed)
                }
                let expected = search(duplicates, duplicate, shape)
                try #require(
                    found.index == expected.index && found.found == expected.found,
                    "search for \(show(duplicate)); \(TestSettings.rerun)")
                let next = 1 - current
                if expected.found {
                    guard duplicates.count > 2 else { continue }
                    let newSize = InlineValues.fieldSize(
                        count: duplicates.count - 1,
                        bytes: duplicates.reduce(0) { $0 + $1.count } - duplicate.count,
                        width: shape.width)
                    let target = place(buffers[next], newSize)
                    #expect(values.copy(removing: expected.index, to: target) == newSize)
                    duplicates.remove(at: expected.index)
                    (current, field, size) = (next, target, newSize)
                } else {
                    let newSize = values.fieldSize(adding: duplicate.count)
                    guard newSize <= Self.capacity / 2 || round > 400 && newSize <= Self.capacity
                    else { continue }
                    let target = place(buffers[next], newSize)
                    let written = duplicate.withUnsafeBytes {
                        values.copy(inserting: $0, at: expected.index, to: target)
                    }
                    #expect(written == newSize)
                    duplicates.insert(duplicate, at: expected.index)
                    (current, field, size) = (next, target, newSize)
                }
                try #require(
                    try read(UnsafeRawBufferPointer(start: field, count: size)) == duplicates,
                    "\(TestSettings.rerun)")
                if shape.width > 0 {
                    let values = try #require(
                        InlineValues(UnsafeRawBufferPointer(start: field, count: size)))
                    let from = random.below(duplicates.count)
                    #expect(
                        Array(values.packedValues(from..<duplicates.count))
                            == duplicates[from...].flatMap { $0 })
                }
            }
        }
    }

    private func firstTwo(
        _ shape: ValueShape, _ maker: inout KeyMaker, _ random: inout SeededGenerator
    ) throws -> [[UInt8]] {
        let first = shape.make(&maker, &random)
        var second = first
        while second == first { second = shape.make(&maker, &random) }
        return keyOrder(shape.key(first), shape.key(second)) < 0
            ? [first, second] : [second, first]
    }

    private func search(
        _ duplicates: [[UInt8]], _ duplicate: [UInt8], _ shape: ValueShape
    ) -> (index: Int, found: Bool) {
        let key = shape.key(duplicate)
        let index = duplicates.firstIndex { keyOrder(shape.key($0), key) >= 0 } ?? duplicates.count
        return (index, index < duplicates.count && duplicates[index] == duplicate)
    }

    /// The last bytes of guarded memory.
    private func place(_ buffer: PageFixture, _ size: Int) -> UnsafeMutableRawPointer {
        buffer.page.base + (buffer.page.size - size)
    }

    @Test("The values of a value leaf become inline values", arguments: ValueShape.all)
    func storesPage(_ shape: ValueShape) throws {
        var random = SeededGenerator(seed: TestSettings.seed)
        var maker = KeyMaker(.few, keySizeMax: 100)
        let fixture = try PageFixture(size: 4096)
        let target = try PageFixture(size: Self.capacity)
        fixture.page.format(
            kind: .leaf, level: 0, prefix: KeyBytes(start: nil, count: 0), layout: shape.layout,
            width: shape.width)
        var duplicates: [[UInt8]] = []
        for _ in 0..<10 {
            let duplicate = shape.make(&maker, &random)
            let place = search(duplicates, duplicate, shape)
            if place.found { continue }
            shape.key(duplicate).withUnsafeBytes {
                fixture.page.insertDuplicate(at: place.index, key: $0)
            }
            duplicates.insert(duplicate, at: place.index)
        }
        let size = InlineValues.fieldSize(
            count: duplicates.count, bytes: duplicates.reduce(0) { $0 + $1.count },
            width: shape.width)
        let field = place(target, size)
        #expect(InlineValues.store(fixture.page, width: shape.width, to: field) == size)
        #expect(try read(UnsafeRawBufferPointer(start: field, count: size)) == duplicates)
    }

    /// Invariant 4: whatever the bytes of inline values are, using them neither traps nor reads
    /// beyond them, nor writes beyond the memory for the result.
    @Test("Random bytes are read as inline values without harm")
    func readsRandomBytes() throws {
        var random = SeededGenerator(seed: TestSettings.seed)
        let fixture = try PageFixture(size: 4096)
        // As much as a write transaction provides.
        let target = try PageFixture(size: 8192)
        let wanted = random.bytes(5)
        var sound = 0
        for _ in 0..<TestSettings.operations(usually: 200_000) {
            let size = random.chance(50) ? random.below(40) : random.below(2020)
            let field = place(fixture, size)
            for offset in 0..<size {
                field.storeBytes(of: random.byte(), toByteOffset: offset, as: UInt8.self)
            }
            if size >= 8, random.chance(90) { plausible(field, size, &random) }
            let bytes = UnsafeRawBufferPointer(start: field, count: size)
            guard let values = InlineValues(bytes) else { continue }
            sound += 1
            for index in 0..<values.count {
                guard let duplicate = values.duplicate(index), let start = duplicate.baseAddress
                else {
                    continue
                }
                #expect(start >= UnsafeRawPointer(field) && start + duplicate.count <= field + size)
            }
            wanted.withUnsafeBytes { wanted in
                for isReversed in [false, true] {
                    #expect(values.search(wanted, reversed: isReversed).index <= values.count)
                }
                let index = random.below(values.count)
                let newSize = values.fieldSize(adding: wanted.count)
                #expect(newSize <= 8192)
                let written = values.copy(
                    inserting: wanted, at: index, to: target.page.base + (8192 - newSize))
                #expect(written == newSize)
                _ = values.copy(removing: index, to: target.page.base)
            }
        }
        #expect(sound > 1000)
    }

    /// A header and a table that let the rest be looked at.
    private func plausible(
        _ field: UnsafeMutableRawPointer, _ size: Int, _ random: inout SeededGenerator
    ) {
        if random.chance(30) {
            let width = random.within(1...max(1, (size - 4) / 2))
            field.storeLittleEndian(UInt16((size - 4) / width), at: 0)
            field.storeLittleEndian(UInt16(width), at: 2)
            return
        }
        let count = random.within(1...((size - 4) / 2))
        field.storeLittleEndian(UInt16(count), at: 0)
        field.storeLittleEndian(UInt16(0), at: 2)
        field.storeLittleEndian(UInt16(size - 4 - 2 * count), at: 4 + 2 * (count - 1))
        for entry in 0..<(count - 1) where random.chance(80) {
            field.storeLittleEndian(UInt16(random.below(size)), at: 4 + 2 * entry)
        }
    }
}
