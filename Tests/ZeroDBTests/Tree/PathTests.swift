import Testing

@testable import ZeroDB

@Suite("Paths")
struct PathTests {
    /// C moves a cursor among the values of a key by that word of the step.
    @Test("C reads the index of a step where Swift stores it")
    func layout() {
        #expect(MemoryLayout<PathStep>.offset(of: \.index) == PathStep.indexOffset)
        #expect(MemoryLayout<Int>.size == MemoryLayout<Int64>.size)
    }
}
