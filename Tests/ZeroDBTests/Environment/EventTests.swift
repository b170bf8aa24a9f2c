import Glibc
import Testing

@testable import Simulator
@testable import ZeroDB

/// What the host program is told of work that the library does by itself.
@Suite("Events")
struct EventTests {
    private final class Heard: @unchecked Sendable {
        var events: [Event] = []
    }

    private let fileSystem = FaultyFileSystem(MemoryFileSystem())
    private let heard = Heard()

    private func open() throws -> Environment {
        var options = EnvironmentOptions()
        options.maxSize = 64 << 20
        options.usesThread = false
        let heard = heard
        options.onEvent = { heard.events.append($0) }
        let environment = try Environment(path: "env", options: options, fileSystem: fileSystem)
        try environment.write { try $0.put(Array("key".utf8), Array("old".utf8)) }
        return environment
    }

    /// The one event so far is a warning that tells of an injected failure; writing goes on.
    private func expectWarning(_ environment: Environment) throws {
        #expect(fileSystem.plan.failures == 1)
        #expect(heard.events.map(\.level) == [.warning])
        #expect(heard.events.first?.message.contains("(injected)") == true)
        try environment.write { try $0.put(Array("key".utf8), Array("new".utf8)) }
        try environment.checkpoint()
        #expect(heard.events.count == 1)
        try environment.close()
    }

    @Test("A log that cannot be recycled causes a warning, and the checkpoint counts")
    func recycling() throws {
        let environment = try open()
        fileSystem.plan.arm(Fault(call: .list, number: 1, error: EIO))
        try environment.checkpoint()
        #expect(
            try environment.store.shared.checkpoint == environment.store.visibleMeta().transaction)
        try expectWarning(environment)
    }

    @Test("A segment that cannot be made in advance causes a warning")
    func preparing() throws {
        let environment = try open()
        fileSystem.plan.arm(Fault(call: .write, number: 3, error: ENOSPC))
        environment.store.prepareSegment()
        try expectWarning(environment)
    }
}
