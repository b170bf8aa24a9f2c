/// Something the library did by itself that its host may want to know.
public struct Event: Sendable {
    /// How much it matters.
    public enum Level: UInt32, Sendable {
        case information = 1
        case warning = 2
        case error = 3
    }

    public var level: Level
    /// What happened, in a sentence.
    public var message: String
}

extension Environment {
    /// Tells the host program.
    func report(_ level: Event.Level, _ message: @autoclosure () -> String) {
        options.onEvent?(Event(level: level, message: message()))
    }
}
