@testable import Simulator
@testable import ZeroDB

extension Environment {
    /// An environment in memory, without threads of the library's.
    static func inMemory(
        _ fileSystem: any FileSystem = MemoryFileSystem(),
        _ change: (inout EnvironmentOptions) -> Void = { _ in }
    ) throws -> Environment {
        var options = EnvironmentOptions()
        options.maxSize = 1 << 30
        options.usesThread = false
        change(&options)
        return try Environment(path: "env", options: options, fileSystem: fileSystem)
    }
}
