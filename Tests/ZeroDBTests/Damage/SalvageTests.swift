import Glibc
import Testing

@testable import Simulator
@testable import ZeroDB

/// What a salvage copies of damaged environments, compared with what was there before.
@Suite("Salvage")
struct SalvageTests {
    private static let target = "salvaged"

    private struct Salvaged {
        var report: Salvage.Report
        var entries: [EntryPaths.Entry] = []
        var flags: [[UInt8]: DatabaseFlags] = [:]
        var pageSize = 0
    }

    /// Salvages what is in memory, and reads the copy, which must be sound.
    private func salvage(
        _ path: String, _ fileSystem: MemoryFileSystem, keepsLostLeaves: Bool = false
    ) throws -> Salvaged {
        var options = Salvage.Options()
        options.keepsLostLeaves = keepsLostLeaves
        let report = try Salvage.run(path, to: Self.target, options, fileSystem)
        var result = Salvaged(report: report)
        var copyOptions = EnvironmentOptions()
        copyOptions.maxSize = 1 << 28
        copyOptions.usesThread = false
        let copy = try Environment(
            path: Self.target, options: copyOptions, fileSystem: fileSystem)
        #expect(try copy.verify().problems == 0)
        result.pageSize = copy.store.pageSize
        let read = try copy.beginRead()
        let names = [[]] + (try read.databases()).map(\.nameBytes)
        for name in names {
            let handle: Database = name.isEmpty ? .main : try read.database(name)
            result.flags[name] = try read.flags(of: handle)
            let cursor = ModelCursor(read.access.claim, 0, handle)
            while let next = try cursor.state.move(.next) {
                result.entries.append(
                    EntryPaths.Entry(
                        database: name, key: Array(next.key), value: Array(next.value)))
            }
        }
        _ = consume read
        try copy.close()
        for name in ["data.zdb", "lock.zdb"] { try fileSystem.remove("\(Self.target)/\(name)") }
        for name in try fileSystem.list("\(Self.target)/log") {
            try fileSystem.remove("\(Self.target)/log/\(name)")
        }
        return result
    }

    private func expect(
        _ salvaged: Salvaged, _ paths: EntryPaths, damaged: Set<Int>, _ what: String
    ) {
        let found = Set(salvaged.entries)
        let all = Set(paths.entries.map(\.entry))
        #expect(found.isSubset(of: all), "\(what): entries that never were")
        let missing = paths.entries.filter {
            $0.pages.isDisjoint(with: damaged) && !found.contains($0.entry)
        }
        #expect(missing.isEmpty, "\(what): \(missing.count) entries are missing that are unharmed")
        #expect(salvaged.report.isComplete == (found == all), "\(what)")
        for (name, flags) in salvaged.flags { #expect(paths.databases[name]?.flags == flags) }
        #expect(salvaged.pageSize == Int(paths.meta.pageSize))
        guard found != all else { return }
        let told =
            salvaged.report.missingNames.map(\.page)
            + salvaged.report.databases.flatMap { $0.missing.map(\.page) }
        // A run is named by its first page.
        let pages = paths.entries.filter { !found.contains($0.entry) }.map(\.pages)
        #expect(
            told.contains { page in pages.contains { $0.contains(Int(page)) } },
            "\(what): told of \(told)")
    }

    @Test("A sound environment is copied whole", arguments: [4096, 16384])
    func copiesAll(pageSize: Int) throws {
        let fixture = try DamageFixture(pageSize: pageSize, entries: 300)
        let paths = try EntryPaths(fixture.file)
        let salvaged = try salvage(DamageFixture.path, fixture.fileSystem)
        expect(salvaged, paths, damaged: [], "sound")
        #expect(salvaged.report.isComplete)
        #expect(fixture.file.bytes == fixture.image)
    }

    @Test("Whatever page is damaged, all else is copied")
    func damagesEachPage() throws {
        let fixture = try DamageFixture(entries: 300)
        let paths = try EntryPaths(fixture.file)
        for page in 2..<Int(paths.meta.pageCount) {
            fixture.file[page * Int(paths.meta.pageSize) + 50] ^= 0x10
            let before = fixture.file.bytes
            let salvaged = try salvage(DamageFixture.path, fixture.fileSystem)
            expect(salvaged, paths, damaged: [page], "page \(page)")
            #expect(fixture.file.bytes == before)
            fixture.restore()
        }
    }

    @Test("The same with duplicates, counts, and keys that are held in reverse")
    func damagesEachPageOfDuplicates() throws {
        let fixture = try DuplicatesDamageFixture()
        let paths = try EntryPaths(fixture.file)
        for page in 1..<Int(paths.meta.pageCount) {
            if page > 1 { fixture.file[page * Int(paths.meta.pageSize) + 50] ^= 0x10 }
            let salvaged = try salvage(DuplicatesDamageFixture.path, fixture.fileSystem)
            expect(salvaged, paths, damaged: [page], "page \(page)")
            fixture.restore()
        }
    }

    @Test("A link to another page of the tree brings nothing twice, nor to a wrong place")
    func crossesLinks() throws {
        let fixture = try DamageFixture(commits: 4, entries: 800)
        let paths = try EntryPaths(fixture.file)
        let size = Int(paths.meta.pageSize)
        let root = Int(paths.meta.main.root.number)
        let branch = Page(fixture.file.base + root * size, size: size)
        #expect(branch.isBranch && branch.count > 3)
        for (from, to) in [(0, 1), (2, 1), (1, branch.count - 1)] {
            let lost = Set([Int(branch.child(from).number)])
            branch.setChild(from, branch.child(to))
            let checksum = Checksum.ofPage(
                branch.base, length: size, seed: paths.meta.checksumSeed)
            branch.base.storeLittleEndian(checksum, at: 0)
            let salvaged = try salvage(DamageFixture.path, fixture.fileSystem)
            let found = Set(salvaged.entries)
            #expect(found.count == salvaged.entries.count)
            #expect(found.isSubset(of: Set(paths.entries.map(\.entry))))
            #expect(
                paths.entries.allSatisfy {
                    found.contains($0.entry) || !$0.pages.isDisjoint(with: lost)
                })
            #expect(!salvaged.report.isComplete)
            fixture.restore()
        }
    }

    // MARK: The log

    private func content(_ salvaged: Salvaged) -> [[UInt8]: [UInt8]] {
        Dictionary(salvaged.entries.map { ($0.key, $0.value) }) { first, _ in first }
    }

    private func inMemory(_ files: [String: [UInt8]]) -> MemoryFileSystem {
        let fileSystem = MemoryFileSystem()
        for (name, bytes) in files {
            fileSystem.setContents("env/\(name)", MemoryContents(bytes))
        }
        return fileSystem
    }

    @Test("What the log has behind the checkpoint is copied, too")
    func appliesTheLog() throws {
        let crashed = try CrashedFiles()
        let salvaged = try salvage("env", inMemory(crashed.files))
        let found = content(salvaged)
        #expect(found == crashed.states.last?.content)
        #expect(salvaged.report.isComplete)
        #expect(salvaged.report.lastTransaction == crashed.states.last?.transaction)
    }

    @Test("The log is applied beside lost leaves, and brings nothing back that it deleted")
    func appliesTheLogBesideDamage() throws {
        let crashed = try CrashedFiles()
        let data = try #require(crashed.files["data.zdb"])
        let paths = try EntryPaths(MemoryContents(data))
        let newest = try #require(crashed.states.last?.content)
        let root = crashed.states[0].content
        for page in 2..<Int(paths.meta.pageCount) {
            var files = crashed.files
            files["data.zdb"]?[page * 4096 + 50] ^= 0x10
            let salvaged = try salvage("env", inMemory(files))
            let found = content(salvaged)
            for (key, value) in found { #expect(newest[key] == value) }
            for (key, value) in newest where found[key] == nil {
                // Not put by the log, and below the damaged page.
                #expect(root[key] == value)
                #expect(
                    paths.entries.contains { $0.entry.key == key && $0.pages.contains(page) })
            }
            #expect(salvaged.report.isComplete == (found == newest))
        }
    }

    @Test("A damaged log is applied up to the damage, and what is behind is missed")
    func appliesADamagedLog() throws {
        let crashed = try CrashedFiles()
        let roots = try Environment.roots(path: crashed.path)
        let name = try #require(crashed.files.keys.first { $0.hasSuffix(".log") })
        for (index, state) in roots.logged.enumerated().dropLast() {
            var files = crashed.files
            files[name]?[Int(state.position) + 85] ^= 1
            let salvaged = try salvage("env", inMemory(files))
            let found = content(salvaged)
            #expect(found == crashed.states[index].content)
            #expect(salvaged.report.logProblem != nil)
        }
    }

    // MARK: Lost and found

    @Test("Leaves below a damaged branch are found, with all their entries")
    func findsLostLeaves() throws {
        let fixture = try DamageFixture(commits: 4, entries: 800)
        let paths = try EntryPaths(fixture.file)
        let root = Int(paths.meta.main.root.number)
        fixture.file[root * Int(paths.meta.pageSize) + 50] ^= 0x10
        let salvaged = try salvage(
            DamageFixture.path, fixture.fileSystem, keepsLostLeaves: true)
        var kept: Set<EntryPaths.Entry> = []
        for entry in salvaged.entries where entry.database.starts(with: "lost+found/".utf8) {
            #expect(entry.key.count == 12)
            let length = entry.value[4..<8].reversed().reduce(0) { $0 << 8 | Int($1) }
            guard entry.value[0] == Salvage.LostKind.value.rawValue else { continue }
            kept.insert(
                EntryPaths.Entry(
                    database: [], key: Array(entry.value[8..<(8 + length)]),
                    value: Array(entry.value[(8 + length)...])))
        }
        let lost = paths.entries.map(\.entry).filter { $0.database.isEmpty }
        #expect(!lost.isEmpty && lost.allSatisfy { kept.contains($0) })
        #expect(salvaged.report.lostEntries >= UInt64(lost.count))
        // Nothing of it passes for current.
        #expect(salvaged.entries.allSatisfy { !$0.database.isEmpty })
    }

    @Test("Without damage, lost leaves are older versions only, and the rest is as without them")
    func findsOldLeaves() throws {
        let fixture = try DuplicatesDamageFixture()
        let paths = try EntryPaths(fixture.file)
        let salvaged = try salvage(
            DuplicatesDamageFixture.path, fixture.fileSystem, keepsLostLeaves: true)
        #expect(salvaged.report.isComplete)
        let current = salvaged.entries.filter { !$0.database.starts(with: "lost+found/".utf8) }
        #expect(Set(current) == Set(paths.entries.map(\.entry)))
        for found in salvaged.report.lostAndFound {
            let transaction = try #require(UInt64(found.name.dropFirst("lost+found/".count)))
            #expect(transaction <= paths.meta.transaction)
        }
    }

    // MARK: Files made to do harm

    @Test("Impossible numbers under right checksums: it comes to an end, and the copy is sound")
    func survivesHostilePages() throws {
        let fixture = try DuplicatesDamageFixture()
        let size = fixture.map.pageSize
        var random = SeededGenerator(seed: TestSettings.seed)
        for _ in 0..<200 {
            for _ in 0..<random.within(1...3) {
                let page = random.within(2...fixture.map.pageCount - 1)
                for _ in 0..<random.within(1...4) {
                    // Headers and slots more often than what they lead to.
                    let offset = 24 + random.below(random.chance(70) ? 120 : size - 24)
                    fixture.file[page * size + offset] = random.byte()
                }
                fixture.reseal(page)
            }
            do {
                _ = try salvage(
                    DuplicatesDamageFixture.path, fixture.fileSystem,
                    keepsLostLeaves: random.chance(50))
                try scanBounded(fixture.fileSystem)
            } catch let error as DatabaseError {
                #expect(DamageFixture.isAboutDamage(error), "\(error.code): \(error)")
            }
            for name in try fixture.fileSystem.list(Self.target) {
                try fixture.fileSystem.remove("\(Self.target)/\(name)")
            }
            fixture.restore()
        }
    }

    /// Moves cursors in recovery mode, which go on for as long as they are asked to.
    private func scanBounded(_ fileSystem: MemoryFileSystem) throws {
        var options = EnvironmentOptions()
        options.maxSize = 1 << 20
        options.recovery = true
        let environment = try Environment(
            path: DuplicatesDamageFixture.path, options: options, fileSystem: fileSystem)
        let read = try environment.beginRead()
        for name in [nil] + (try read.databases()).map({ Optional($0.nameBytes) }) {
            let handle: Database = try name.map { try read.database($0) } ?? .main
            let cursor = ModelCursor(read.access.claim, 0, handle)
            for move in [CursorState.Move.next, .previous] {
                _ = try? cursor.state.move(move == .next ? .first : .last)
                for _ in 0..<3000 {
                    guard let entry = try? cursor.state.move(move), entry.key.count > 0 else {
                        break
                    }
                }
            }
        }
        _ = consume read
        try environment.close()
    }

    // MARK: Where it cannot

    @Test("A directory that is there is left alone")
    func refusesATarget() throws {
        let crashed = try CrashedFiles()
        let error = #expect(throws: DatabaseError.self) {
            _ = try Salvage.run(crashed.path, to: crashed.path, Salvage.Options())
        }
        #expect(error?.systemError == EEXIST)
        try crashed.expectUnchanged()
    }
}
