import CZeroDBPlatform
import Glibc

/// A thread that runs one body, for a caller that waits until it has ended. All signals are blocked in it:
/// they are the host program's.
final class JoinedThread {
    private let thread: pthread_t

    /// What a thread is to run.
    private final class Body: Sendable {
        let run: @Sendable () -> Void

        init(_ run: @escaping @Sendable () -> Void) { self.run = run }
    }

    /// Starts the thread.
    ///
    /// - Returns: nil if the system has none to give.
    init?(_ body: @escaping @Sendable () -> Void) {
        var all = sigset_t()
        var before = sigset_t()
        sigfillset(&all)
        pthread_sigmask(SIG_BLOCK, &all, &before)
        defer { pthread_sigmask(SIG_SETMASK, &before, nil) }
        var new = pthread_t()
        let argument = Unmanaged.passRetained(Body(body))
        let result = pthread_create(
            &new, nil,
            { argument in
                guard let argument else { return nil }
                Unmanaged<Body>.fromOpaque(argument).takeRetainedValue().run()
                return nil
            }, argument.toOpaque())
        guard result == 0 else {
            argument.release()
            return nil
        }
        thread = new
    }

    /// Waits until the body has ended. Once, and before the last reference goes.
    func join() { pthread_join(thread, nil) }

    /// Processors that this process may use.
    static var processors: Int { max(1, zp_processors()) }
}
