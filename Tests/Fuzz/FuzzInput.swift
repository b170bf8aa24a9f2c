@testable import ZeroDB

/// The bytes that libFuzzer made up, read as numbers: which changes to make, and where. Behind the end
/// all is zero.
struct FuzzInput: ChoiceSource {
    private let bytes: UnsafeRawBufferPointer
    private var position = 0

    init(_ start: UnsafePointer<UInt8>?, _ count: Int) {
        bytes = UnsafeRawBufferPointer(start: start, count: count)
    }

    var isAtEnd: Bool { position >= bytes.count }

    mutating func byte() -> UInt8 {
        guard position < bytes.count else { return 0 }
        defer { position += 1 }
        return bytes[position]
    }

    mutating func below(_ limit: Int) -> Int { limit > 256 ? word() % limit : Int(byte()) % limit }

    mutating func number() -> UInt64 {
        var value: UInt64 = 0
        for _ in 0..<8 { value = value << 8 | UInt64(byte()) }
        return value
    }

    mutating func run(_ count: Int) -> [UInt8] {
        let end = min(bytes.count, position + count)
        defer { position = end }
        return Array(bytes[position..<end])
    }
}

/// Stops at what no input may lead to.
func check(_ condition: Bool, _ message: @autoclosure () -> String) {
    guard condition else { fatalError(message()) }
}
