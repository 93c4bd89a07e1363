import Core

/// A running `minecart up --json`.
struct Agent: Sendable {
    let part: Part
    let fleet: Fleet

    /// What it told so far, oldest first.
    var events: [JSON] {
        let text = part.output
        // The last line may be half written.
        let whole = text[..<(text.lastIndex(of: "\n") ?? text.startIndex)]
        return whole.split(separator: "\n").map { (try? JSON.parse(String($0))) ?? .string(String($0)) }
    }

    /// The first event of this name behind the first `skipped` ones.
    @discardableResult
    func event(_ name: String, after skipped: Int = 0, within limit: Milliseconds = patience) throws -> JSON {
        try event([name], after: skipped, within: limit)
    }

    /// The first event of one of these names.
    private func event(
        _ names: [String], after skipped: Int, within limit: Milliseconds = patience
    ) throws -> JSON {
        let name = names.joined(separator: " or ")
        return try eventually("\(part.name) tells \(name)", within: limit) {
            // Looked at before the events: what it told last is then among them.
            let end = part.end
            let found = events.dropFirst(skipped).first { names.contains($0["event"]?.stringValue ?? "") }
            if found == nil, let end {
                throw Trouble("\(part.name) ended (\(end)) instead of telling \(name)")
            }
            return found
        }
    }

    /// Waits until players can join, or do so by another relay; `status` is what the home server answers with.
    func waitForTunnel(after skipped: Int = 0, status: String = HomeServer.plainStatus) throws -> Tunnel {
        let ready = try event(["ready", "migrated"], after: skipped)
        guard let hostname = ready["address"]?.stringValue, let id = ready["relay"]?.stringValue else {
            throw Trouble("the ready event lacks address or relay: \(ready.text)")
        }
        let tunnel = Tunnel(hostname: hostname, relay: try fleet.relay(id))
        // The relay may hear of the agent a moment before it hears of the assignment.
        try eventuallyWorks("\(hostname) leads home", within: .seconds(5)) {
            let answer = try Player.ping(port: tunnel.port, hostname)
            guard answer == status else { throw Trouble("the status is \(answer)") }
        }
        return tunnel
    }
}
