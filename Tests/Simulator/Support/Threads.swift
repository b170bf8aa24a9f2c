import Glibc

@testable import ZeroDB

/// Runs a body on several threads at once and waits for all of them.
///
/// The threads are real ones: a body may block.
///
/// - Returns: what bodies have thrown, as text.
func runOnThreads(
    _ count: Int, _ body: @escaping @Sendable (Int) throws -> Void
) -> [String] {
    final class Start: Sendable {
        let index: Int
        let body: @Sendable (Int) throws -> Void
        let failures: Failures

        init(_ index: Int, _ failures: Failures, _ body: @escaping @Sendable (Int) throws -> Void) {
            self.index = index
            self.failures = failures
            self.body = body
        }
    }
    let failures = Failures()
    var threads: [pthread_t] = []
    for index in 0..<count {
        let start = Unmanaged.passRetained(Start(index, failures, body))
        var thread = pthread_t()
        let result = pthread_create(
            &thread, nil,
            { argument in
                guard let argument else { return nil }
                let start = Unmanaged<Start>.fromOpaque(argument).takeRetainedValue()
                do {
                    try start.body(start.index)
                } catch {
                    start.failures.add("thread \(start.index): \(error)")
                }
                return nil
            }, start.toOpaque())
        if result == 0 {
            threads.append(thread)
        } else {
            start.release()
            failures.add("thread \(index) does not start: error \(result)")
        }
    }
    for thread in threads { pthread_join(thread, nil) }
    return failures.all
}

private final class Failures: Sendable {
    private let messages = Locked<[String]>([])

    var all: [String] { messages.withLock { $0 } }

    func add(_ message: String) { messages.withLock { $0.append(message) } }
}
