/// What a commit waits for.
public enum Durability: UInt32, Sendable {
    /// Its log record is on disk. No reader sees it before.
    case full = 1
    /// Nothing: visible at once, on disk within 100 ms. A power cut loses only the tail, never
    /// consistency.
    case relaxed = 2
    /// Nothing, and no log record is written: on disk with the next checkpoint.
    case none = 3
}
