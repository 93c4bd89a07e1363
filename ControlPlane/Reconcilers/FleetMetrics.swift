import Core
import Store
import Wire

/// Counts relays and placements for those who watch, by region: in every process, so that it does not matter which
/// one is asked.
public actor FleetMetrics {
    private let store: Store
    private let metrics: Metrics
    private var gauges: [String: Gauge] = [:]
    private let log = Log("fleet")
    private static let interval = Milliseconds.seconds(10)

    public init(store: Store, metrics: Metrics) {
        self.store = store
        self.metrics = metrics
    }

    /// Runs until the task is cancelled.
    public func run() async {
        repeat {
            do throws(StoreError) {
                show(try await store.fleetCounts())
            } catch {
                log.debug("cannot count now: \(error)")
            }
        } while await Task.pause(Self.interval)
    }

    func show(_ counts: FleetCounts) {
        for (region, states) in counts.relays {
            for state in [RelayState.active, .draining, .lost] {
                set(
                    "minecart_relays", "Relays that there are.", region, "state", state.rawValue,
                    states[state] ?? 0)
            }
        }
        for (region, placements) in counts.placements {
            for (kind, count) in [
                ("placed", placements.placed), ("owner_linked", placements.owned),
                ("standby_linked", placements.standby), ("without_standby", placements.alone),
            ] {
                set(
                    "minecart_placements",
                    "Placed tunnels, agents' links to owners and standbys, linked ones without a standby.",
                    region, "kind", kind, count)
            }
        }
    }

    private func set(
        _ name: String, _ help: String, _ region: String, _ label: String, _ value: String, _ count: Int
    ) {
        let key = "\(name) \(region) \(value)"
        if gauges[key] == nil { gauges[key] = metrics.gauge(name, help, ["region": region, label: value]) }
        gauges[key]?.set(count)
    }
}
