import Core

/// What the relay counts. Loops add without locks; `/metrics` and the load report read.
final class RelayMetrics: Sendable {
    let registry = Metrics()
    let accepted: Counter
    let acceptPauses: Counter
    let handshakeTimeouts: Counter
    let invalidFirstPackets: Counter
    let turnedAway: Counter
    let joins: Counter
    let statusPings: Counter
    let tlsRefused: Counter
    let linkRefused: Counter
    let strayData: Counter
    let forwarded: Counter
    let forwardFailures: Counter
    let forwardArrivals: Counter
    let strayForwards: Counter
    let forwardedLinks: Gauge
    let forwardedPlayers: Gauge
    let bytesToServers: Counter
    let bytesToPlayers: Counter
    let connections: Gauge
    let players: Gauge
    let waiting: Gauge
    let links: Gauge
    let parked: Gauge
    let sleeps: Counter
    let meshPeers: Gauge
    let meshRefused: Counter
    let meshAsks: Counter
    let meshAsked: Counter
    let usageReports: Counter
    let usageLostBytes: Counter

    init() {
        accepted = registry.counter(
            "minecart_relay_accepted_total", "Connections accepted on public listeners.")
        acceptPauses = registry.counter(
            "minecart_relay_accept_pauses_total", "Times accepting paused because descriptors ran out.")
        handshakeTimeouts = registry.counter(
            "minecart_relay_handshake_timeouts_total",
            "Connections closed because they did not say what they want.")
        invalidFirstPackets = registry.counter(
            "minecart_relay_invalid_first_packets_total",
            "Connections closed because their first bytes are no protocol of ours.")
        turnedAway = registry.counter(
            "minecart_relay_turned_away_total", "Players who got a readable reason instead of their server.")
        joins = registry.counter(
            "minecart_relay_joins_total", "Player connections spliced with their server, pings included.")
        statusPings = registry.counter("minecart_relay_status_pings_total", "Server-list pings that arrived.")
        tlsRefused = registry.counter(
            "minecart_relay_tls_refused_total", "TLS handshakes refused because too many were under way.")
        linkRefused = registry.counter(
            "minecart_relay_link_refused_total", "Links refused: bad ticket, old generation, no HELLO.")
        strayData = registry.counter(
            "minecart_relay_stray_data_connections_total", "Data connections whose nonce nobody expected.")
        forwarded = registry.counter(
            "minecart_relay_forwarded_total", "Connections passed on to the relay that they were meant for.")
        forwardFailures = registry.counter(
            "minecart_relay_forward_failures_total",
            "Connections for a relay behind the same entry that could not be reached.")
        forwardArrivals = registry.counter(
            "minecart_relay_forward_arrivals_total", "Connections that other relays passed on to this one.")
        strayForwards = registry.counter(
            "minecart_relay_stray_forwards_total",
            "Connections that came as if passed on, but that no relay had announced.")
        forwardedLinks = registry.gauge(
            "minecart_relay_forwarded_links", "Other relays' links that pass through this one now.")
        forwardedPlayers = registry.gauge(
            "minecart_relay_forwarded_players",
            "Data connections with players that pass through this one to other relays now.")
        bytesToServers = registry.counter(
            "minecart_relay_bytes_to_servers_total", "Bytes from players to home servers.")
        bytesToPlayers = registry.counter(
            "minecart_relay_bytes_to_players_total", "Bytes from home servers to players.")
        connections = registry.gauge("minecart_relay_connections", "Connections on public listeners now.")
        players = registry.gauge("minecart_relay_players", "Player connections spliced now.")
        waiting = registry.gauge("minecart_relay_waiting", "Players who wait for their server now.")
        links = registry.gauge("minecart_relay_links", "Agents' links now.")
        parked = registry.gauge("minecart_relay_parked", "Data connections parked now.")
        sleeps = registry.counter(
            "minecart_relay_sleeps_total",
            "Tunnels closed because nobody played for as long as they may idle.")
        meshPeers = registry.gauge(
            "minecart_relay_mesh_peers", "Other relays of the region that this one has a connection to.")
        meshRefused = registry.counter(
            "minecart_relay_mesh_refused_total",
            "Connections that said they are a relay and did not show its certificate.")
        meshAsks = registry.counter(
            "minecart_relay_mesh_asks_total", "Questions to other relays about players who wait here.")
        meshAsked = registry.counter(
            "minecart_relay_mesh_asked_total", "Questions of other relays about players who wait there.")
        usageReports = registry.counter(
            "minecart_relay_usage_reports_total", "Usage reports that the control plane acknowledged.")
        usageLostBytes = registry.counter(
            "minecart_relay_usage_lost_bytes_total",
            "Bytes that no account will be told of: too many tunnels at once, or a report that was refused.")
    }
}
