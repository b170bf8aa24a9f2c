// As a program sees the library: without @testable.
import Foundation
import Testing
import ZeroDB

@Suite("What errors say to a program in Swift")
struct ErrorTextTests {
    @Test("localizedDescription is the message, whatever type the error is known by")
    func localizedDescriptions() throws {
        let directory = try TemporaryDirectory()
        var options = EnvironmentOptions()
        options.createsIfMissing = false
        let error = #expect(throws: DatabaseError.self) {
            try Environment(path: directory.path, options: options)
        }
        let found = try #require(error)
        #expect(found.message.contains(directory.path))
        #expect(found.localizedDescription == found.message)
        let erased: any Error = found
        #expect(erased.localizedDescription == found.message)
    }
}
