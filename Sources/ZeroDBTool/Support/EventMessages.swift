@preconcurrency import Glibc
import Synchronization
import ZeroDB

/// What the library tells of damage while an environment is opened and read.
final class EventMessages: Sendable {
    private let kept = Mutex<[String]>([])

    private static let countMax = 100

    func add(_ event: Event) {
        guard event.level != .information else { return }
        kept.withLock { if $0.count < Self.countMax { $0.append(event.message) } }
    }

    var messages: [String] { kept.withLock { $0 } }
}
