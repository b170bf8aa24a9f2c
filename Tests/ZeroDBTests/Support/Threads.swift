import Testing

@testable import Simulator

/// Runs a body on several threads at once and waits for all of them. Errors it throws become issues
/// of the test, which other threads cannot record themselves.
func onThreads(_ count: Int, _ body: @escaping @Sendable (Int) throws -> Void) {
    for failure in runOnThreads(count, body) { Issue.record("\(failure)") }
}

/// Fails a thread's body.
func check(_ condition: Bool, _ message: @autoclosure () -> String) throws {
    if !condition { throw ModelFailure(description: message()) }
}
