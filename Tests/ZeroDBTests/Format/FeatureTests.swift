import Testing

@testable import Simulator
@testable import ZeroDB

@Suite("Features of files of later libraries")
struct FeatureTests {
    private let files = MemoryFileSystem()

    private func open(readOnly: Bool = false) throws -> Environment {
        try Environment.inMemory(files) {
            $0.maxSize = 64 << 20
            $0.isReadOnly = readOnly
        }
    }

    /// Changes the newest state of an environment with one entry.
    private func craft(_ change: (inout Meta) -> Void) throws {
        let environment = try open()
        try environment.write { try $0.put("key", "value") }
        try environment.close()
        let image = try #require(
            CraftedImage(files.contents("env/data.zdb") ?? MemoryContents()))
        change(&image.meta)
        image.store()
    }

    private func expectRefusal(
        _ code: DatabaseError.Code, _ words: String, readOnly: Bool
    ) {
        do {
            _ = try open(readOnly: readOnly)
            Issue.record("opened")
        } catch let error as DatabaseError {
            #expect(error.code == code && error.message.contains(words), "\(error)")
        } catch {
            Issue.record("\(error)")
        }
    }

    @Test("An unknown feature that readers need is refused, and named")
    func toRead() throws {
        try craft { $0.features.toRead = 1 << 5 | 1 << 63 }
        for readOnly in [false, true] {
            expectRefusal(.versionMismatch, "features 5, 63 of those", readOnly: readOnly)
        }
    }

    @Test("An unknown feature that writers need leaves an environment readable")
    func toWrite() throws {
        try craft { $0.features.toWrite = 1 << 7 }
        expectRefusal(.versionMismatch, "feature 7 of those", readOnly: false)
        let environment = try open(readOnly: true)
        #expect(try environment.read { try $0.get("key") } == Array("value".utf8))
        try environment.close()
    }

    @Test("An unknown feature that nobody needs is kept")
    func optional() throws {
        try craft { $0.features.optional = 1 << 9 }
        for _ in 0..<3 {
            let environment = try open()
            try environment.write { try $0.put("key", "again") }
            try environment.close()
        }
        let image = try #require(
            CraftedImage(files.contents("env/data.zdb") ?? MemoryContents()))
        #expect(image.meta.features.optional == 1 << 9)
    }

    @Test("An encrypted environment is refused")
    func encrypted() throws {
        try craft { $0.keyIdentifier = (0, 1) }
        for readOnly in [false, true] {
            expectRefusal(.unsupported, "encrypted", readOnly: readOnly)
        }
    }

    @Test("An overflow run in another encoding than the plain one is refused")
    func encodings() throws {
        let environment = try open()
        try environment.write { try $0.put("key", [UInt8](repeating: 1, count: 10_000)) }
        try environment.close()
        let image = try #require(
            CraftedImage(files.contents("env/data.zdb") ?? MemoryContents()))
        let value = try #require(image.page(image.meta.main.root.number).value(0))
        let run = OverflowPointer(at: value.bytes).reference.number
        image.address(run).storeLittleEndian(UInt16(1), at: Format.OverflowHeader.encoding)
        image.reseal(run)
        let crafted = try open()
        expectFailure(.corrupted) { _ = try crafted.read { try $0.get("key") } }
        #expect(try crafted.verify().problems > 0)
        try crafted.close()
    }
}
