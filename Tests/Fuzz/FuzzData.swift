@testable import ZeroDB

/// Changes `data.zdb` as the input says, puts all checksums right, and uses what has become of it.
private struct FuzzData {
    private let fileSystem = MemoryFileSystem()
    private let image: [UInt8]

    init() throws {
        try FuzzProgram.make(fileSystem)
        let file = fileSystem.contents("env/data.zdb")
        for name in try fileSystem.list("env/log") { try fileSystem.remove("env/log/\(name)") }
        if let file, let crafted = CraftedImage(file) {
            crafted.cutLog()
            crafted.store()
        }
        image = file?.bytes ?? []
    }

    func run(_ start: UnsafePointer<UInt8>?, _ count: Int) {
        guard let file = fileSystem.contents("env/data.zdb") else { return }
        file.restore(image)
        guard let crafted = CraftedImage(file) else { return }
        var input = FuzzInput(start, count)
        let changes = 1 + input.below(12)
        for _ in 0..<changes where !input.isAtEnd { crafted.change(&input) }
        crafted.store()
        var options = FuzzProgram.options()
        options.checksumMode = input.byte() % 4 == 0 ? .none : .fast
        for _ in 0..<2 {
            guard
                let environment = try? Environment(
                    path: FuzzProgram.path, options: options, fileSystem: fileSystem)
            else { break }
            FuzzProgram.use(environment, &input)
            check((try? environment.close()) != nil, "an environment does not close")
        }
        for name in (try? fileSystem.list("env/log")) ?? [] {
            try? fileSystem.remove("env/log/\(name)")
        }
    }
}

private let target = try? FuzzData()

/// What libFuzzer calls with each input.
@_cdecl("LLVMFuzzerTestOneInput")
public func testOneInput(_ start: UnsafePointer<UInt8>?, _ count: Int) -> CInt {
    check(target != nil, "the environment to change cannot be made")
    target?.run(start, count)
    return 0
}
