@testable import ZeroDB

/// Changes `lock.zdb` between calls. Where the copies of the state are wrong, calls fail; none may end the
/// process or hang.
private struct FuzzLock {
    private let fileSystem = MemoryFileSystem()
    private let image: [UInt8]

    init() throws {
        try FuzzProgram.make(fileSystem)
        image = fileSystem.contents("env/data.zdb")?.bytes ?? []
    }

    func run(_ start: UnsafePointer<UInt8>?, _ count: Int) {
        fileSystem.contents("env/data.zdb")?.restore(image)
        for name in (try? fileSystem.list("env/log")) ?? [] {
            try? fileSystem.remove("env/log/\(name)")
        }
        if let file = fileSystem.contents("env/data.zdb"), let crafted = CraftedImage(file) {
            crafted.cutLog()
            crafted.store()
        }
        var input = FuzzInput(start, count)
        var options = FuzzProgram.options()
        options.durability = [.full, .relaxed, .none][input.below(3)]
        guard
            let environment = try? Environment(
                path: FuzzProgram.path, options: options, fileSystem: fileSystem)
        else { return }
        var steps = 0
        while !input.isAtEnd, steps < 40 {
            steps += 1
            step(environment, &input)
        }
        try? environment.close()
    }

    private func step(_ environment: Environment, _ input: inout FuzzInput) {
        switch input.below(12) {
        case 0, 1, 2, 3, 4: change(&input)
        case 5: FuzzProgram.read(environment)
        case 6: FuzzProgram.write(environment, &input)
        case 7: try? environment.checkpoint()
        case 8: _ = try? environment.verify()
        case 9: try? environment.sync()
        case 10:
            _ = try? environment.info()
            _ = try? environment.readers()
            _ = try? environment.checkReaders()
        default: change(during: environment, &input)
        }
    }

    /// Changes the file while transactions are open.
    private func change(during environment: Environment, _ input: inout FuzzInput) {
        do {
            let reader = try environment.beginRead()
            change(&input)
            _ = try? reader.value(for: Array("key 7".utf8))
            FuzzProgram.read(environment)
            var writer = try environment.beginWrite()
            try? writer.put([1], [2])
            change(&input)
            try writer.commit()
            _ = try? reader.value(for: Array("key 9".utf8))
        } catch {}
    }

    private func change(_ input: inout FuzzInput) {
        guard let file = fileSystem.contents("env/lock.zdb") else { return }
        typealias Layout = SharedState.Layout
        let transaction = file.base.littleEndian(Layout.tip, as: UInt64.self)
        let entry = Int(transaction % Layout.ringEntries)
        for _ in 0..<(1 + input.below(4)) {
            let offset: Int =
                switch input.below(6) {
                case 0, 1: 8 * input.below(36)
                case 2: Layout.metas + entry * Layout.metaSize + 8 * input.below(56)
                case 3:
                    Layout.freeLists + entry * FreeList.size + 8 * input.below(FreeList.wordCount)
                case 4: Layout.processes + 8 * input.below(4)
                default: Layout.readerSlots + 8 * input.below(32)
                }
            guard offset + 8 <= file.count else { continue }
            let known: UInt64 = file.base.littleEndian(offset)
            file.base.storeLittleEndian(input.hurtful(near: known), at: offset)
        }
        if input.byte() % 32 == 0 {
            let offset = 8 * input.below(file.count / 8)
            let length = min(8 * input.word(), file.count - offset)
            let byte = input.byte()
            for place in offset..<(offset + length) { file[place] = byte &* UInt8(place & 0xff) }
        }
    }
}

private let target = try? FuzzLock()

/// What libFuzzer calls with each input.
@_cdecl("LLVMFuzzerTestOneInput")
public func testOneInput(_ start: UnsafePointer<UInt8>?, _ count: Int) -> CInt {
    check(target != nil, "the environment to change cannot be made")
    target?.run(start, count)
    return 0
}
