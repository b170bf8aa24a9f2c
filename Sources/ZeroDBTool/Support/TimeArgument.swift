import ArgumentParser
@preconcurrency import Glibc

/// A time on the command line, in UTC unless it says otherwise: "2026-11-26 18:00:00.25",
/// "2026-11-26T19:00:00+01:00", "@1795716000" in seconds since 1970, or nanoseconds since then as JSON has
/// them.
struct TimeArgument: ExpressibleByArgument {
    let nanoseconds: UInt64

    init?(argument: String) {
        guard let found = Self.seconds(argument) ?? Self.date(argument) else { return nil }
        nanoseconds = found
    }

    /// "@1795716000.5", or at least 16 digits.
    private static func seconds(_ text: String) -> UInt64? {
        if text.count >= 16, let nanoseconds = UInt64(text) { return nanoseconds }
        guard text.first == "@" else { return nil }
        let parts = text.dropFirst().split(separator: ".", omittingEmptySubsequences: false)
        guard parts.count <= 2, let first = parts.first, let seconds = UInt64(first),
            let fraction = parts.count == 2 ? fraction(parts[1]) : 0
        else { return nil }
        return sum(seconds, fraction)
    }

    private static func sum(_ seconds: UInt64, _ fraction: UInt64) -> UInt64? {
        let (product, isTooMuch) = seconds.multipliedReportingOverflow(by: 1_000_000_000)
        guard !isTooMuch, product <= UInt64.max - fraction else { return nil }
        return product + fraction
    }

    /// Nanoseconds of the digits behind a point.
    private static func fraction(_ digits: Substring) -> UInt64? {
        guard !digits.isEmpty, digits.allSatisfy({ $0.isASCII && $0.isNumber }) else { return nil }
        let nine = digits.prefix(9)
        return UInt64(nine + String(repeating: "0", count: 9 - nine.count))
    }

    private static func date(_ text: String) -> UInt64? {
        // Year, month, day; hour, minute, second.
        let lengths = [4, 2, 2, 2, 2, 2]
        let marks: [[Character]] = [[], ["-"], ["-"], ["T", " "], [":"], [":"]]
        var numbers: [Int] = []
        var rest = text[...]
        for (length, marks) in zip(lengths, marks) {
            var next = rest
            if !marks.isEmpty {
                guard let mark = next.popFirst(), marks.contains(mark) else { break }
            }
            let digits = next.prefix(length)
            guard digits.count == length, let number = Int(digits), number >= 0 else { break }
            numbers.append(number)
            rest = next.dropFirst(length)
        }
        // A date, with the hour and minute or without.
        guard numbers.count == 3 || numbers.count >= 5 else { return nil }
        numbers += [Int](repeating: 0, count: 6 - numbers.count)
        guard (1970...2500).contains(numbers[0]), (1...12).contains(numbers[1]),
            (1...31).contains(numbers[2]), numbers[3] < 24, numbers[4] < 60, numbers[5] < 61
        else { return nil }
        var parts = tm()
        parts.tm_year = Int32(numbers[0] - 1900)
        parts.tm_mon = Int32(numbers[1] - 1)
        parts.tm_mday = Int32(numbers[2])
        parts.tm_hour = Int32(numbers[3])
        parts.tm_min = Int32(numbers[4])
        parts.tm_sec = Int32(numbers[5])
        var nanoseconds: UInt64 = 0
        if rest.first == "." {
            let digits = rest.dropFirst().prefix { $0.isASCII && $0.isNumber }
            guard let found = fraction(digits) else { return nil }
            nanoseconds = found
            rest = rest.dropFirst(1 + digits.count)
        }
        guard let offset = zone(rest) else { return nil }
        let seconds = timegm(&parts) - offset
        // No 30th of February.
        guard seconds >= 0, parts.tm_mday == Int32(numbers[2]) || numbers[5] == 60 else {
            return nil
        }
        return sum(UInt64(seconds), nanoseconds)
    }

    /// Seconds east of Greenwich: "Z", " UTC", "+01:00", "" for none.
    private static func zone(_ text: Substring) -> Int? {
        if ["", "Z", " UTC"].contains(text) { return 0 }
        guard let sign = text.first, sign == "+" || sign == "-" else { return nil }
        let digits = text.dropFirst().filter { $0 != ":" }
        guard digits.count == 4, let number = Int(digits), number % 100 < 60, number < 2400 else {
            return nil
        }
        return (number / 100 * 3600 + number % 100 * 60) * (sign == "-" ? -1 : 1)
    }
}

/// A length of time on the command line: "90", "90s", "15m", "36h", "7d".
struct DurationArgument: ExpressibleByArgument {
    let seconds: UInt64

    init(seconds: UInt64) { self.seconds = seconds }

    init?(argument: String) {
        let digits = argument.prefix { $0.isASCII && $0.isNumber }
        let factors: [Substring: UInt64] = ["": 1, "s": 1, "m": 60, "h": 3600, "d": 86400]
        guard let number = UInt64(digits), let factor = factors[argument.dropFirst(digits.count)],
            case (let product, let isTooMuch) = number.multipliedReportingOverflow(by: factor),
            !isTooMuch, product <= 1 << 32
        else { return nil }
        seconds = product
    }

    var defaultValueDescription: String { "\(seconds)s" }
}
