/// What a simulated program found wrong.
struct CrashFailure: Error, CustomStringConvertible {
    let description: String
    /// The crash point and disk state, if it is about one.
    let place: String?

    init(_ description: String, place: String? = nil) {
        self.description = description
        self.place = place
    }
}
