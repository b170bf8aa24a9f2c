@testable import ZeroDB

/// Makes up a log behind a sound data file, with right checksums or without, and replays it.
private struct FuzzLog {
    private let fileSystem = MemoryFileSystem()
    private let image: [UInt8]
    private let meta: Meta

    init?() throws {
        try FuzzProgram.make(fileSystem)
        guard let file = fileSystem.contents("env/data.zdb"), let crafted = CraftedImage(file)
        else {
            return nil
        }
        crafted.cutLog()
        crafted.store()
        image = file.bytes
        meta = crafted.meta
    }

    func run(_ start: UnsafePointer<UInt8>?, _ count: Int) {
        fileSystem.contents("env/data.zdb")?.restore(image)
        for name in (try? fileSystem.list("env/log")) ?? [] {
            try? fileSystem.remove("env/log/\(name)")
        }
        var input = FuzzInput(start, count)
        var log = CraftedLog(after: meta)
        var base = LogSegment.firstBase
        for _ in 0..<(1 + input.below(3)) {
            let bytes = log.segment(&input, base: base)
            fileSystem.setContents("env/log/\(LogSegment.name(base: base))", MemoryContents(bytes))
            base &+= UInt64(input.byte() % 8 == 0 ? input.word() * 8 : CraftedLog.capacity)
        }
        for _ in 0..<2 {
            guard
                let environment = try? Environment(
                    path: FuzzProgram.path, options: FuzzProgram.options(), fileSystem: fileSystem)
            else { return }
            let problems = (try? environment.verify())?.problems
            check(problems == 0, "a replay has damaged the data: \(problems ?? 0) problems")
            FuzzProgram.use(environment, &input)
            check((try? environment.close()) != nil, "an environment does not close")
        }
    }
}

private let target = try? FuzzLog()

/// What libFuzzer calls with each input.
@_cdecl("LLVMFuzzerTestOneInput")
public func testOneInput(_ start: UnsafePointer<UInt8>?, _ count: Int) -> CInt {
    check(target != nil, "the environment to change cannot be made")
    target?.run(start, count)
    return 0
}
