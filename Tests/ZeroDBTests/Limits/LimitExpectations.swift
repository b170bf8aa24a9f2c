import Testing

@testable import ZeroDB

/// The error that a body ends with; nil if it ends with none.
func databaseError(_ body: () throws -> Void) throws -> DatabaseError? {
    do {
        try body()
        return nil
    } catch let error as DatabaseError {
        return error
    }
}

/// The body is refused for a limit, which the environment counts once.
func expectHit(
    _ limit: Limit, _ code: DatabaseError.Code, in environment: Environment,
    sourceLocation: SourceLocation = #_sourceLocation, _ body: () throws -> Void
) throws {
    let before = try MetricReading(environment)
    let found = try databaseError(body)
    #expect(found?.code == code, sourceLocation: sourceLocation)
    #expect(found?.limit == limit, sourceLocation: sourceLocation)
    let after = try MetricReading(environment)
    #expect(after.hits(limit) == (before.hits(limit) ?? 0) + 1, sourceLocation: sourceLocation)
    #expect(
        after.errors("\(code)") == (before.errors("\(code)") ?? 0) + 1,
        sourceLocation: sourceLocation)
}

/// The body is not refused, and no limit is counted.
func expectNoHit(
    in environment: Environment, sourceLocation: SourceLocation = #_sourceLocation,
    _ body: () throws -> Void
) throws {
    let before = try hits(environment)
    #expect(try databaseError(body) == nil, sourceLocation: sourceLocation)
    #expect(try hits(environment) == before, sourceLocation: sourceLocation)
}

private func hits(_ environment: Environment) throws -> [UInt64?] {
    let reading = try MetricReading(environment)
    return Limit.allCases.map { reading.hits($0) }
}
