/// A number that describes how an environment is used, by the naming rules of Prometheus.
public struct Metric: Sendable, Equatable {
    /// What a number is.
    public enum Kind: UInt32, Sendable {
        /// It only grows, and begins at 0 again when `lock.zdb` is made anew.
        case counter = 1
        /// It goes up and down.
        case gauge = 2
        /// How often something took how long, or had which size.
        case histogram = 3
    }

    /// A label that tells metrics of one name apart.
    public struct Label: Sendable, Equatable {
        /// Its name.
        public var name: String
        /// Its value.
        public var value: String
    }

    /// A bucket of a histogram.
    public struct Bucket: Sendable, Equatable {
        /// What no number in it exceeds, in seconds unless the name has another unit; infinite in the last.
        public var bound: Double
        /// Numbers up to `bound`, those of the buckets before included.
        public var count: UInt64
    }

    /// Such as `zerodb_operations_total`. Bytes and seconds are named as such.
    public var name: String
    /// A sentence about it.
    public var help: String
    /// What it is.
    public var kind: Kind
    /// What tells it from others of the name.
    public var label: Label?
    /// The number; of a histogram the sum.
    public var value: Double
    /// Of a histogram, from the smallest to the largest.
    public var buckets: [Bucket]

    init(_ name: MetricName, _ kind: Kind, _ value: Double, buckets: [Bucket] = []) {
        self.name = name.name
        help = name.help
        self.kind = kind
        label = name.label.map { Label(name: $0.name, value: $0.value) }
        self.value = value
        self.buckets = buckets
    }

    /// How many numbers a histogram has.
    public var count: UInt64 { buckets.last?.count ?? 0 }

    /// The name with the label, as in `zerodb_operations_total{operation="put"}`.
    public var fullName: String {
        guard let label else { return name }
        return "\(name){\(label.name)=\"\(label.value)\"}"
    }
}
