import Glibc

/// A second thread, which makes one call at a time while the first waits for it: the order of calls is
/// that of the input.
final class CallThread: @unchecked Sendable {
    private let asked: UnsafeMutablePointer<sem_t>
    private let done: UnsafeMutablePointer<sem_t>
    // Handed over by the semaphores.
    private var body: (() -> Void)?

    init() {
        asked = .allocate(capacity: 1)
        done = .allocate(capacity: 1)
        sem_init(asked, 0, 0)
        sem_init(done, 0, 0)
        var thread = pthread_t()
        pthread_create(
            &thread, nil,
            { context in
                guard let context else { return nil }
                Unmanaged<CallThread>.fromOpaque(context).takeUnretainedValue().run()
                return nil
            }, Unmanaged.passRetained(self).toOpaque())
    }

    private func run() {
        while true {
            while sem_wait(asked) != 0 {}
            body?()
            sem_post(done)
        }
    }

    /// Runs a body on that thread and waits until it is done.
    func perform(_ body: () -> Void) {
        withoutActuallyEscaping(body) { body in
            start(body)
            wait()
        }
    }

    /// Runs a body on that thread, until `wait`.
    func start(_ body: @escaping () -> Void) {
        self.body = body
        sem_post(asked)
    }

    func wait() {
        while sem_wait(done) != 0 {}
        body = nil
    }
}
