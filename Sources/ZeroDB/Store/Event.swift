/// Something the library did by itself that its host may want to know.
public struct Event: Sendable {
    /// How much it matters.
    public enum Level: UInt32, Sendable {
        /// A recovery that replayed the log to its end.
        case information = 1
        /// Recovery cut off a record that does not check, torn in a crash or damaged since; a damaged copy
        /// in a meta page was written anew from the other one; or the library failed to recycle the log
        /// or to make its next segment in advance, and will try again.
        case warning = 2
        /// A flush failed; the environment refuses to write, as ``DatabaseError/Code/panic`` says.
        case error = 3
    }

    /// How much it matters.
    public var level: Level
    /// What happened, in a sentence.
    public var message: String
}
