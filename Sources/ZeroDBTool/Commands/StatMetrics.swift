@preconcurrency import Glibc
import ZeroDB

/// `zerodb stat --metrics`: what programs have done with an environment, in Prometheus's text format.
struct StatMetrics {
    let arguments: EnvironmentArguments

    private struct MetricResult: Encodable {
        var name: String
        var kind: String
        var label: String?
        var labelValue: String?
        var value: Double
        var count: UInt64?
        /// Bounds and counts; the last bucket, which has no bound, is left out.
        var buckets: [BucketResult]?
    }

    private struct BucketResult: Encodable {
        var bound: Double
        var count: UInt64
    }

    private struct Result: Encodable {
        var environment: String
        var metrics: [MetricResult]
        var notes: [String]
    }

    /// - Returns: `damaged` if damage kept gauges from being shown.
    func run() -> ExitStatus {
        do throws(DatabaseError) {
            let (metrics, failure) = try arguments.inspect(withoutRights: true) {
                environment throws(DatabaseError) in
                try environment.metrics()
            } closed: { path throws(DatabaseError) in
                try Environment.metrics(path: path)
            }
            if arguments.json {
                JSON.print(
                    Result(
                        environment: arguments.environment, metrics: metrics.map(Self.result),
                        notes: failure.map { [$0.message] } ?? []))
            } else {
                Output.writeRaw(
                    String(
                        Metric.prometheusText(metrics, environment: arguments.environment)
                            .dropLast()))
                if let failure { Output.write("zerodb stat: \(failure.message)", to: stderr) }
            }
            return failure?.code == .corrupted ? .damaged : .success
        } catch {
            return arguments.fail(error, "stat")
        }
    }

    private static func result(_ metric: Metric) -> MetricResult {
        let isHistogram = metric.kind == .histogram
        return MetricResult(
            name: metric.name, kind: "\(metric.kind)", label: metric.label?.name,
            labelValue: metric.label?.value, value: metric.value,
            count: isHistogram ? metric.count : nil,
            buckets: isHistogram
                ? metric.buckets.dropLast().map { BucketResult(bound: $0.bound, count: $0.count) }
                : nil)
    }
}
