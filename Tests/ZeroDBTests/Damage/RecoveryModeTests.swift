import Glibc
import Testing

@testable import Simulator
@testable import ZeroDB

/// What recovery mode shows of damaged environments, compared with what was there before.
@Suite("Recovery mode")
struct RecoveryModeTests {
    private typealias Damage = @Sendable (_ file: MemoryContents, _ page: Int, _ size: Int) -> Void

    private static let damages: [(String, Damage)] = [
        ("a flipped bit", { file, page, size in file[page * size + 50] ^= 0x10 }),
        (
            "zeros",
            { file, page, size in for byte in 0..<size { file[page * size + byte] = 0 } }
        ),
        (
            "another page",
            { file, page, size in
                let other = page == 2 ? 3 : page - 1
                for byte in 0..<size { file[page * size + byte] = file[other * size + byte] }
            }
        ),
    ]

    @Test("Whatever page is damaged, entries to which no damaged page leads are there")
    func damagesEachPage() throws {
        let fixture = try DamageFixture(entries: 300)
        let paths = try EntryPaths(fixture.file)
        for page in 2..<Int(paths.meta.pageCount) {
            for (name, damage) in Self.damages {
                damage(fixture.file, page, Int(paths.meta.pageSize))
                let look = try RecoveryLook(
                    DamageFixture.path, fixture.fileSystem, fixture.options)
                look.expect(paths, damaged: [page], "page \(page), \(name)")
                fixture.restore()
            }
        }
    }

    @Test("The same with duplicates, counts, and keys that are held in reverse")
    func damagesEachPageOfDuplicates() throws {
        let fixture = try DuplicatesDamageFixture()
        let paths = try EntryPaths(fixture.file)
        var options = EnvironmentOptions()
        options.maxSize = 1 << 20
        for page in 2..<Int(paths.meta.pageCount) {
            for (name, damage) in Self.damages {
                damage(fixture.file, page, Int(paths.meta.pageSize))
                let look = try RecoveryLook(
                    DuplicatesDamageFixture.path, fixture.fileSystem, options)
                look.expect(paths, damaged: [page], "page \(page), \(name)")
                fixture.restore()
            }
        }
    }

    @Test("Several pages are damaged at once")
    func damagesSeveralPages() throws {
        let fixture = try DamageFixture(commits: 4, entries: 800)
        let paths = try EntryPaths(fixture.file)
        var random = SeededGenerator(seed: TestSettings.seed)
        for _ in 0..<60 {
            let damaged = Set(
                (0..<random.within(2...12)).map { _ in
                    random.within(2...Int(paths.meta.pageCount) - 1)
                })
            for page in damaged { fixture.file[page * Int(paths.meta.pageSize) + 60] ^= 1 }
            let look = try RecoveryLook(DamageFixture.path, fixture.fileSystem, fixture.options)
            look.expect(paths, damaged: damaged, "pages \(damaged)")
            fixture.restore()
        }
    }

    @Test("A file that is cut off shows what is left")
    func cutsTheFileOff() throws {
        let fixture = try DamageFixture(entries: 300)
        let paths = try EntryPaths(fixture.file)
        let pages = Int(paths.meta.pageCount)
        for page in stride(from: 3, to: pages, by: 5) {
            fixture.file.count = page * Int(paths.meta.pageSize) + 100
            let look = try RecoveryLook(DamageFixture.path, fixture.fileSystem, fixture.options)
            look.expect(paths, damaged: Set(page..<pages), "cut off at page \(page)")
            fixture.restore()
        }
    }

    @Test("Pages that the device cannot read are passed over like damaged ones")
    func losesPages() throws {
        let fixture = try DamageFixture(entries: 300)
        let paths = try EntryPaths(fixture.file)
        let faulty = FaultyFileSystem(fixture.fileSystem)
        let size = paths.meta.pageSize
        for page in 2..<paths.meta.pageCount {
            let start = page * UInt64(size)
            faulty.plan.lose(start..<start + UInt64(size))
            let look = try RecoveryLook(DamageFixture.path, faulty, fixture.options)
            look.expect(paths, damaged: [Int(page)], "page \(page)")
        }
    }

    @Test("A get of a key that may be below a damaged page is an error that names it")
    func getsBelowDamage() throws {
        let fixture = try DamageFixture(entries: 300)
        let paths = try EntryPaths(fixture.file)
        var options = fixture.options
        options.recovery = true
        for page in 2..<Int(paths.meta.pageCount) {
            fixture.file[page * Int(paths.meta.pageSize) + 50] ^= 0x10
            let environment = try Environment(
                path: DamageFixture.path, options: options, fileSystem: fixture.fileSystem)
            let transaction = try environment.beginRead()
            for (entry, pages) in paths.entries where entry.database.isEmpty {
                do throws(DatabaseError) {
                    let value = try transaction.get(entry.key)
                    #expect(value == entry.value)
                } catch {
                    #expect(error.code == .corrupted && pages.contains(page))
                    #expect(error.page.map { pages.contains(Int($0)) } == true)
                }
            }
            _ = consume transaction
            try environment.close()
            fixture.restore()
        }
    }

    @Test("A lost meta page shows the state before, and says so")
    func losesAMetaPage() throws {
        let fixture = try DamageFixture()
        let newest = try EntryPaths(fixture.file)
        let size = Int(newest.meta.pageSize)
        for page in 0..<2 {
            let other = try Meta(at: fixture.file.base + (1 - page) * size, page: UInt64(1 - page))
            for byte in 0..<size { fixture.file[page * size + byte] = 0xff }
            let look = try RecoveryLook(DamageFixture.path, fixture.fileSystem, fixture.options)
            #expect(look.transaction == other.transaction)
            #expect(look.events.contains { $0.level == .error && $0.message.contains("is lost") })
            // The state before has lost pages to the newest; none of what it shows never was.
            let state = fixture.states[fixture.states.count - (page == 0 ? 1 : 2)]
            _ = state
            if other.transaction == newest.meta.transaction {
                look.expect(newest, damaged: [], "page \(page)")
            } else {
                let before = fixture.states[fixture.states.count - 2]
                let main = look.entries.filter { $0.database.isEmpty }
                for entry in main {
                    let index = before[0].lowerBound(entry.key)
                    let known = before[0].entry(at: index)
                    #expect(known?.key == entry.key && known?.value.bytes == entry.value)
                }
            }
            fixture.restore()
        }
    }

    @Test("Damaged copies of a meta record and of free lists do not matter")
    func damagesCopies() throws {
        let fixture = try DamageFixture()
        let paths = try EntryPaths(fixture.file)
        let size = Int(paths.meta.pageSize)
        for offset in [0, size / 2, size, size + size / 2] {
            fixture.file[offset + 100] ^= 1
            fixture.file[(offset + 512) % (2 * size) + 8] ^= 1
            let look = try RecoveryLook(DamageFixture.path, fixture.fileSystem, fixture.options)
            look.expect(paths, damaged: [], "the copy at byte \(offset)")
            fixture.restore()
        }
    }

    // MARK: The log

    private func content(_ look: RecoveryLook) -> [[UInt8]: [UInt8]] {
        Dictionary(look.entries.map { ($0.key, $0.value) }) { first, _ in first }
    }

    private var options: EnvironmentOptions {
        var options = EnvironmentOptions()
        options.maxSize = 64 << 20
        return options
    }

    @Test("The log is replayed in memory, and nothing is written")
    func replaysInMemory() throws {
        let crashed = try CrashedFiles()
        let look = try RecoveryLook(crashed.path, PosixFileSystem(), options)
        let newest = try #require(crashed.states.last)
        #expect(look.transaction == newest.transaction)
        #expect(content(look) == newest.content)
        try crashed.expectUnchanged()
    }

    @Test("Every state that a meta record or the log leads to can be chosen")
    func choosesStates() throws {
        let crashed = try CrashedFiles()
        let roots = try Environment.roots(path: crashed.path)
        #expect(roots.logged.map(\.transaction) == crashed.states.dropFirst().map(\.transaction))
        #expect(roots.roots.filter { $0.problem == nil }.count == 4)
        for state in crashed.states {
            let look = try RecoveryLook(
                crashed.path, PosixFileSystem(), options, root: state.transaction)
            #expect(look.transaction == state.transaction)
            #expect(content(look) == state.content, "transaction \(state.transaction)")
        }
        #expect(throws: DatabaseError.self) {
            try RecoveryLook(crashed.path, PosixFileSystem(), self.options, root: 1_000_000)
        }
        try crashed.expectUnchanged()
    }

    @Test("What cannot be replayed is told, and the state before it is shown")
    func cannotReplayAll() throws {
        let crashed = try CrashedFiles()
        let sound = try EntryPaths(MemoryContents(try #require(crashed.files["data.zdb"])))
        let leaves = Set(
            sound.entries.compactMap { entry in
                entry.pages.first { page in
                    sound.entries.filter { $0.pages.contains(page) }.count < sound.entries.count
                }
            })
        for leaf in leaves {
            var data = try #require(crashed.files["data.zdb"])
            data[leaf * 4096 + 70] ^= 1
            try CrashedFiles.write(data, to: crashed.directory.dataPath)
            let look = try RecoveryLook(crashed.path, PosixFileSystem(), options)
            let state = try #require(crashed.states.first { $0.transaction == look.transaction })
            let found = content(look)
            for (key, value) in found { #expect(state.content[key] == value) }
            #expect(found.count < state.content.count)
            if state.transaction != crashed.states.last?.transaction {
                #expect(
                    look.events.contains {
                        $0.level == .error && $0.message.contains("are not shown")
                    })
            }
        }
    }

    @Test("A log that is damaged in the middle leads to where the damage is")
    func damagesTheLog() throws {
        let crashed = try CrashedFiles()
        let roots = try Environment.roots(path: crashed.path)
        let name = try #require(
            crashed.files.keys.first { $0.hasSuffix(".log") })
        for (index, state) in roots.logged.enumerated() {
            var log = try #require(crashed.files[name])
            log[Int(state.position) - 4096 + 4096 + 85] ^= 1
            try CrashedFiles.write(log, to: "\(crashed.path)/\(name)")
            let look = try RecoveryLook(crashed.path, PosixFileSystem(), options)
            #expect(look.transaction == crashed.states[index].transaction)
            #expect(content(look) == crashed.states[index].content)
            let isLast = index + 1 == roots.logged.count
            #expect(isLast || look.events.contains { $0.level == .error })
        }
    }

    @Test("A file system whose maps cannot be changed shows the checkpoint")
    func cannotReplayAtAll() throws {
        let crashed = try CrashedFiles()
        let fileSystem = MemoryFileSystem()
        for (name, bytes) in crashed.files {
            fileSystem.setContents("env/\(name)", MemoryContents(bytes))
        }
        let look = try RecoveryLook("env", fileSystem, options)
        #expect(look.transaction == crashed.states[0].transaction)
        #expect(content(look) == crashed.states[0].content)
        #expect(look.events.contains { $0.level == .error })
    }

    // MARK: Opening

    @Test("Neither a damaged lock.zdb nor one of another kind is in the way, and none is touched")
    func ignoresLockFile() throws {
        let crashed = try CrashedFiles()
        let garbage = (0..<200_000).map { UInt8(truncatingIfNeeded: $0 &* 31) }
        for bytes in [garbage, [], [1, 2, 3]] {
            try CrashedFiles.write(bytes, to: crashed.path + "/lock.zdb")
            let look = try RecoveryLook(crashed.path, PosixFileSystem(), options)
            #expect(content(look) == crashed.states.last?.content)
            #expect(CrashedFiles.read(crashed.path + "/lock.zdb") == bytes)
        }
    }

    @Test("A sound environment is sound in recovery mode, with and without a log to replay")
    func verifiesSoundEnvironments() throws {
        var options = options
        options.recovery = true
        let crashed = try CrashedFiles()
        for _ in 0..<2 {
            let environment = try Environment(path: crashed.path, options: options)
            let report = try environment.verify { problem in Issue.record("\(problem)") }
            #expect(report.problems == 0 && report.treePages > 0)
            try environment.close()
            try Environment(path: crashed.path, options: self.options).close()
        }
    }

    @Test("Nothing can be written in recovery mode, nor by others meanwhile")
    func refusesToWrite() throws {
        let crashed = try CrashedFiles()
        var options = options
        options.recovery = true
        let environment = try Environment(path: crashed.path, options: options)
        for write in [
            { _ = try environment.beginWrite() }, { try environment.checkpoint() },
            { _ = try environment.compact() },
        ] as [() throws -> Void] {
            let error = #expect(throws: DatabaseError.self) { try write() }
            #expect(error?.code == .readOnly)
        }
        let error = #expect(throws: DatabaseError.self) {
            _ = try Environment(path: crashed.path, options: self.options)
        }
        #expect(error?.code == .busy)
        try environment.close()
        let sound = try Environment(path: crashed.path, options: self.options)
        #expect(try sound.verify().problems == 0)
        try sound.close()
    }

    @Test("A root without recovery mode is a wrong argument; what is not there is not made")
    func checksOptions() throws {
        var options = options
        options.recoveryRoot = 5
        var error = #expect(throws: DatabaseError.self) {
            _ = try Environment(path: "/nonexistent", options: options)
        }
        #expect(error?.code == .badArgument)
        options.recovery = true
        error = #expect(throws: DatabaseError.self) {
            _ = try Environment(path: "/nonexistent", options: options)
        }
        #expect(error?.systemError == ENOENT)
    }
}
