extension Environment {
    /// Counts and times of all processes that use the environment or have used it since `lock.zdb` was made.
    /// What a transaction does is counted when it ends, and a read transaction's also when it is reset.
    ///
    /// Metrics of one name follow one another.
    ///
    /// - Throws: `badHandle`, `forked`, a system error.
    /// - Complexity: O(readers); while a reader sees a state that is not the newest also O(pages of the tree
    ///   of free pages).
    public func metrics() throws(DatabaseError) -> [Metric] {
        try store.enter()
        defer { store.leave() }
        store.state.pointee.pending.move(to: store.shared)
        return Metric.grouped(Metric.counted(in: store.shared) + (try gauges()))
    }

    /// The counts and times in the `lock.zdb` of an environment that need not open. Takes no lock and writes
    /// nothing. Gauges are not among them.
    ///
    /// - Throws: `invalidFile` if there is no `lock.zdb` of this version of the library; a system error.
    public static func metrics(path: String) throws(DatabaseError) -> [Metric] {
        let directory = try PosixFileSystem().openDirectory(PathBytes(path), create: nil)
        let file = try directory.open(
            StoreOpening.lockName, access: .readOnly, create: false, mode: 0)
        let size = SharedState.Layout.readerSlots
        let memory = UnsafeMutableRawBufferPointer.allocate(byteCount: size, alignment: 8)
        defer { memory.deallocate() }
        guard let base = memory.baseAddress, try file.read(into: memory, at: 0) == size,
            SharedState.hasThisLayout(base)
        else {
            throw DatabaseError(
                .invalidFile,
                "\(file.name) is not of this version of the library, and has no metrics that it knows"
            )
        }
        let shared = SharedState(base: base, readersMax: 0, file: nil)
        defer { shared.deallocate() }
        return Metric.grouped(Metric.counted(in: shared))
    }

    /// The metrics in Prometheus's text format (version 0.0.4), as node_exporter's textfile collector
    /// takes it.
    ///
    /// - Throws: as `metrics()`.
    public func prometheusText() throws(DatabaseError) -> String {
        Metric.prometheusText(try metrics(), environment: path)
    }

    // MARK: Gauges

    private func gauges() throws(DatabaseError) -> [Metric] {
        let info = try info()
        let readers = store.shared.readerList().filter { $0.snapshot != nil }
        let oldest = readers.map(\.openNanoseconds).max() ?? 0
        func gauge(_ name: String, _ help: String, _ value: Double) -> Metric {
            Metric(MetricName(name, help), .gauge, value)
        }
        return [
            gauge("zerodb_readers", "Reader slots in use.", Double(info.readers)),
            gauge("zerodb_readers_limit", "Reader slots there can be.", Double(info.maxReaders)),
            gauge(
                "zerodb_oldest_reader_age_seconds",
                "For how long the oldest read transaction has had its snapshot.",
                Double(oldest) / 1e9),
            gauge(
                "zerodb_oldest_reader_transactions",
                "Transactions committed since the oldest snapshot that is being read.",
                Double(info.lastTransaction - min(info.lastTransaction, info.oldestReader))),
            gauge(
                "zerodb_oldest_reader_pages",
                "Free pages that the oldest snapshot being read needs.",
                Double(try pagesPinned(by: info.oldestReader, before: info.lastTransaction))),
        ] + spaceGauges(info, gauge)
    }

    private func spaceGauges(
        _ info: EnvironmentInfo, _ gauge: (String, String, Double) -> Metric
    ) -> [Metric] {
        [
            gauge("zerodb_page_size_bytes", "Bytes in a page.", Double(info.pageSize)),
            gauge("zerodb_pages", "Pages in use or free.", Double(info.pageCount)),
            gauge("zerodb_free_pages", "Free pages.", Double(info.freePages)),
            gauge(
                "zerodb_pinned_pages", "Free pages that wait for a checkpoint.",
                Double(info.pinnedPages)),
            gauge("zerodb_data_bytes", "Bytes of the data file.", Double(info.fileSize)),
            gauge(
                "zerodb_data_limit_bytes", "Bytes that the data file may have (max_size).",
                Double(info.maxSize)),
            gauge(
                "zerodb_log_bytes", "Bytes of log that a recovery would have to replay.",
                Double(info.logBytes)),
            gauge(
                "zerodb_archive_lag_bytes", "Bytes of log that are not archived yet.",
                Double(archiveLag)),
            gauge("zerodb_databases", "Named databases.", Double(info.databases)),
            gauge(
                "zerodb_last_transaction", "The newest transaction.", Double(info.lastTransaction)),
            gauge(
                "zerodb_checkpoint_transaction", "The transaction that the last checkpoint holds.",
                Double(info.checkpointTransaction)),
            gauge(
                "zerodb_failed_flush",
                "1 if a flush has failed and nothing can be written, otherwise 0.",
                store.shared.poison == 0 ? 0 : 1),
        ]
    }

    private var archiveLag: UInt64 {
        let archived = store.shared.archived
        guard archived > 0, let tip = try? store.tipMeta() else { return 0 }
        return tip.logEnd - min(tip.logEnd, archived)
    }

    /// Free pages that a snapshot needs. The look at them is not counted as a read transaction.
    private func pagesPinned(
        by snapshot: UInt64, before newest: UInt64
    ) throws(DatabaseError) -> UInt64 {
        guard snapshot < newest else { return 0 }
        let freeList = FreeList.allocate()
        defer { freeList.deallocate() }
        let claim = try beginRead(withFreeList: freeList)
        defer { Transactions.end(claim) }
        try claim.state.pointee.enter()
        var survey = SpaceSurvey(
            claim.state.pointee.source, claim.state.pointee.meta, leavesMax: 1)
        let use = survey.run(database: [], freeList, states: [snapshot], durable: [])
        // Like one that was reset, which has been counted.
        claim.state.pointee.status = .reset
        return use.pins.first?.pages ?? 0
    }
}

// MARK: Counters and histograms

extension Metric {
    /// All that is counted in shared memory.
    static func counted(in shared: SharedState) -> [Metric] {
        let counters =
            Counter.allCases.map { Metric($0.name, .counter, Double(shared.counted($0))) }
            + ReadCounter.allCases.map { Metric($0.name, .counter, Double(shared.counted($0))) }
        return counters + errors(shared) + limits(shared)
            + Timing.allCases.map { timing in
                let (sum, buckets) = shared.timed(timing)
                return Metric(
                    timing.name, .histogram, Double(sum) / timing.scale,
                    buckets: cumulative(buckets, timing.scale))
            }
    }

    private static func cumulative(_ buckets: [UInt64], _ scale: Double) -> [Bucket] {
        var count: UInt64 = 0
        return buckets.enumerated().map { index, own in
            count &+= own
            let bound = SharedState.Histogram.bound(index).map { Double($0) / scale }
            return Bucket(bound: bound ?? .infinity, count: count)
        }
    }

    private static func errors(_ shared: SharedState) -> [Metric] {
        let own = DatabaseError.Code.allCases.filter { $0 != .system && $0 != .notFound }
        let places = own.map { ("\($0)", SharedState.errorIndex($0.rawValue)) } + [("system", 0)]
        return places.map { name, index in
            Metric(
                MetricName(
                    "zerodb_errors_total", "Errors that calls have ended with, by kind.",
                    label: ("kind", name)),
                .counter, Double(shared.countedErrors(index)))
        }
    }

    private static func limits(_ shared: SharedState) -> [Metric] {
        Limit.allCases.map { limit in
            Metric(
                MetricName(
                    "zerodb_limits_hit_total", "How often programs have met a limit.",
                    label: ("limit", limit.name)),
                .counter, Double(shared.counted(limit)))
        }
    }

    /// Those of one name together.
    static func grouped(_ metrics: [Metric]) -> [Metric] {
        var order: [String: Int] = [:]
        for metric in metrics where order[metric.name] == nil { order[metric.name] = order.count }
        return metrics.enumerated().sorted { left, right in
            let (a, b) = (order[left.element.name] ?? 0, order[right.element.name] ?? 0)
            return (a, left.offset) < (b, right.offset)
        }.map(\.element)
    }
}

// MARK: Text

extension Metric {
    /// Metrics in Prometheus's text format.
    ///
    /// - Parameters:
    ///   - metrics: as `Environment.metrics()` returns them.
    ///   - environment: what tells them from those of other environments, as a label; nil for nothing.
    public static func prometheusText(_ metrics: [Metric], environment: String? = nil) -> String {
        let place = environment.map { [Label(name: "environment", value: $0)] } ?? []
        var text = ""
        var last = ""
        for metric in metrics {
            if metric.name != last {
                text += "# HELP \(metric.name) \(metric.help)\n"
                text += "# TYPE \(metric.name) \(metric.kind)\n"
                last = metric.name
            }
            text += metric.prometheusLines(place)
        }
        return text
    }

    private func prometheusLines(_ place: [Label]) -> String {
        let labels = place + (label.map { [$0] } ?? [])
        let text = Self.show(labels)
        guard kind == .histogram else { return "\(name)\(text) \(Self.show(value))\n" }
        var lines = ""
        for bucket in buckets {
            let bound = bucket.bound.isInfinite ? "+Inf" : Self.show(bucket.bound)
            let labels = Self.show(labels + [Label(name: "le", value: bound)])
            lines += "\(name)_bucket\(labels) \(bucket.count)\n"
        }
        return lines + "\(name)_sum\(text) \(Self.show(value))\n\(name)_count\(text) \(count)\n"
    }

    private static func show(_ labels: [Label]) -> String {
        guard !labels.isEmpty else { return "" }
        let parts = labels.map { label in
            var text = "\(label.name)=\""
            for character in label.value.unicodeScalars {
                switch character {
                case "\\": text += "\\\\"
                case "\"": text += "\\\""
                case "\n": text += "\\n"
                default: text.unicodeScalars.append(character)
                }
            }
            return text + "\""
        }
        return "{" + parts.joined(separator: ",") + "}"
    }

    private static func show(_ value: Double) -> String {
        value == value.rounded() && abs(value) < 1e15 ? "\(Int64(value))" : "\(value)"
    }
}
