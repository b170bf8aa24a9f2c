import Testing

@testable import ZeroDB

@Suite("Paths")
struct PathTests {
    /// C moves a cursor among the values of a key by that word of the step.
    @Test("A step's index lies where C looks for it, and is what C takes it for")
    func layout() {
        #expect(MemoryLayout<PathStep>.offset(of: \.index) == PathStep.indexOffset)
        #expect(MemoryLayout<Int>.size == MemoryLayout<Int64>.size)
    }
}
