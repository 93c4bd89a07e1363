import Synchronization

/// A number that only grows. Loops add to it without a lock.
public final class Counter: Sendable {
    private let value = Atomic<Int>(0)

    public init() {}
    public func add(_ amount: Int = 1) { value.wrappingAdd(amount, ordering: .relaxed) }
    public var total: Int { value.load(ordering: .relaxed) }
}

/// A number that goes up and down.
public final class Gauge: Sendable {
    private let value = Atomic<Int>(0)

    public init() {}
    public func add(_ amount: Int) { value.wrappingAdd(amount, ordering: .relaxed) }
    public func set(_ amount: Int) { value.store(amount, ordering: .relaxed) }
    public var current: Int { value.load(ordering: .relaxed) }
}

/// What `/metrics` shows, in Prometheus' text format 0.0.4.
public final class Metrics: Sendable {
    private struct Entry: Sendable {
        let name: String
        let help: String
        let kind: String
        let labels: KeyValuePairs<String, String>
        let read: @Sendable () -> Int
    }

    public static let contentType = "text/plain; version=0.0.4; charset=utf-8"

    private let entries = Mutex<[Entry]>([])

    public init() {}

    public func counter(_ name: String, _ help: String, _ labels: KeyValuePairs<String, String> = [:])
        -> Counter
    {
        let counter = Counter()
        add(Entry(name: name, help: help, kind: "counter", labels: labels) { counter.total })
        return counter
    }

    public func gauge(_ name: String, _ help: String, _ labels: KeyValuePairs<String, String> = [:]) -> Gauge
    {
        let gauge = Gauge()
        add(Entry(name: name, help: help, kind: "gauge", labels: labels) { gauge.current })
        return gauge
    }

    /// A gauge that is read when somebody looks.
    public func gauge(_ name: String, _ help: String, read: @escaping @Sendable () -> Int) {
        add(Entry(name: name, help: help, kind: "gauge", labels: [:], read: read))
    }

    private func add(_ entry: Entry) { entries.withLock { $0.append(entry) } }

    public func render() -> String {
        var text = ""
        var described: Set<String> = []
        for entry in entries.withLock({ $0 }).sorted(by: { $0.name < $1.name }) {
            if described.insert(entry.name).inserted {
                text += "# HELP \(entry.name) \(entry.help)\n# TYPE \(entry.name) \(entry.kind)\n"
            }
            let labels = entry.labels.map { "\($0)=\(JSON.string($1).text)" }.joined(separator: ",")
            text += entry.name + (labels.isEmpty ? "" : "{\(labels)}") + " \(entry.read())\n"
        }
        return text
    }
}
