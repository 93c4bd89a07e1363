import Core
import Testing

@Suite struct MetricsTests {
    @Test func theTextIsPrometheus() {
        let metrics = Metrics()
        let players = metrics.gauge("minecart_players", "Players connected now.")
        let refused = metrics.counter("minecart_refused_total", "Refused.", ["reason": "unknown_name"])
        let limited = metrics.counter("minecart_refused_total", "Refused.", ["reason": "li\"mit\\"])
        metrics.gauge("minecart_descriptors", "Open descriptors.") { 12 }
        players.add(3)
        players.add(-1)
        refused.add()
        limited.add(41)
        #expect(
            metrics.render() == """
                # HELP minecart_descriptors Open descriptors.
                # TYPE minecart_descriptors gauge
                minecart_descriptors 12
                # HELP minecart_players Players connected now.
                # TYPE minecart_players gauge
                minecart_players 2
                # HELP minecart_refused_total Refused.
                # TYPE minecart_refused_total counter
                minecart_refused_total{reason="unknown_name"} 1
                minecart_refused_total{reason="li\\"mit\\\\"} 41

                """)
    }

    @Test func countersAreExactFromManyThreads() async {
        let counter = Counter()
        await withTaskGroup(of: Void.self) { group in
            for _ in 0..<8 { group.addTask { for _ in 0..<10_000 { counter.add() } } }
        }
        #expect(counter.total == 80_000)
    }

    @Test func aGaugeCanBeSet() {
        let gauge = Gauge()
        gauge.add(5)
        gauge.set(2)
        #expect(gauge.current == 2)
    }
}
