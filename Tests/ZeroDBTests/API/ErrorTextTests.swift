import Foundation
import Testing
import ZeroDB

@Suite("What errors say to a program in Swift")
struct ErrorTextTests {
    @Test("localizedDescription is the message, whatever type the error is known by")
    func localizedDescriptions() throws {
        let directory = NSTemporaryDirectory() + "zerodb-\(UUID())"
        var options = EnvironmentOptions()
        options.createsIfMissing = false
        do {
            _ = try Environment(path: directory, options: options)
            Issue.record("an environment that is not there was opened")
        } catch let error as DatabaseError {
            #expect(error.localizedDescription == error.message)
            #expect((error as any Error).localizedDescription == error.message)
            #expect(error.message.contains(directory))
        }
    }
}
