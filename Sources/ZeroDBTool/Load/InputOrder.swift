/// Guesses whether the next entry of the input is after all others, so that no search need be made for
/// its place.
struct InputOrder {
    /// Whether keys have several values, which are put beside each other and not appended.
    let hasDuplicates: Bool
    /// Entries for which nothing is guessed.
    private var waiting = 0
    private var pause = 64

    private static let pauseMax = 1 << 20

    init(hasDuplicates: Bool) { self.hasDuplicates = hasDuplicates }

    /// Whether to try. Called once for each entry.
    var expectsAppend: Bool {
        mutating get {
            guard !hasDuplicates, waiting > 0 else { return !hasDuplicates }
            waiting -= 1
            return false
        }
    }

    /// An entry was not after all others: tries less often from now on.
    mutating func missed() {
        waiting = pause
        pause = min(pause * 2, Self.pauseMax)
    }
}
