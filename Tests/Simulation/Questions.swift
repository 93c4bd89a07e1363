import AgentCore
import Core
import Domain
import Wire

/// What an agent asks a control plane for.
struct PlacementRequest {
    var tunnel: String
    var agentKey: String
    var session: String
    var exclude: Set<String>
}

enum PlacementReply {
    case placed(Placement)
    case refused(Int, String)
}

/// A placement as a transaction answers it.
struct Placed {
    var assignment: Assignment
    var owner: RelayInfo
    var standby: RelayInfo?
    /// Whether the transaction made it, rather than finding it.
    var isNew: Bool
}

/// Writes tickets. Signatures cost time and are tested elsewhere, so a ticket's text is only its place in the book.
struct TicketOffice {
    private var tickets: [Ticket] = []

    mutating func issue(_ placed: Placed, _ request: PlacementRequest, _ wall: WallTime) -> Placement {
        let owner = write(placed, request, placed.owner, .owner, wall)
        let standby = placed.standby.map { write(placed, request, $0, .standby, wall) }
        return Placement(generation: placed.assignment.generation, owner: owner, standby: standby)
    }

    private mutating func write(
        _ placed: Placed, _ request: PlacementRequest, _ relay: RelayInfo, _ role: Ticket.Role,
        _ wall: WallTime
    ) -> PlacedRelay {
        let assignment = placed.assignment
        tickets.append(
            Ticket(
                relay: relay.id, tunnel: assignment.tunnel, account: assignment.account,
                session: request.session, agentKey: request.agentKey, generation: assignment.generation,
                role: role, region: Tables.region, hostnames: assignment.hostnames, limits: assignment.limits,
                issuedAt: wall))
        return PlacedRelay(
            id: relay.id, endpoint: Endpoint(host: relay.id, port: 7000), fingerprint: relay.fingerprint,
            ticket: "k\(tickets.count - 1)")
    }

    /// nil unless it is for this relay.
    func read(_ text: String, at relay: String) -> Ticket? {
        guard let number = Int(text.dropFirst()), tickets.indices.contains(number) else { return nil }
        return tickets[number].relay == relay ? tickets[number] : nil
    }
}

extension Tables.PlacementRow {
    var present: PresentPlacement {
        PresentPlacement(
            owner: owner, standby: standby, previousOwner: previousOwner, generation: generation,
            session: session, replacedSessions: replacedSessions)
    }

    mutating func sit(_ seats: PlacementSeats) {
        generation += 1
        owner = seats.owner
        standby = seats.standby
        previousOwner = seats.previousOwner
        isLinked = false
        isStandbyLinked = false
    }
}

extension Tables {
    // MARK: what relays ask and tell

    mutating func register(_ info: RelayInfo, now_us: Int) -> Bool {
        var now = info
        now.state = .active
        guard relays[info.id]?.info != now else {
            relays[info.id]?.lastSeen_us = now_us
            return true
        }
        relays[info.id] = RelayRow(info: now, lastSeen_us: now_us, since_us: now_us)
        announce(relays: [now])
        return true
    }

    mutating func noteSeen(_ heard: [String], now_us: Int) {
        for id in heard {
            relays[id]?.lastSeen_us = now_us
            guard var row = relays[id], row.info.state == .lost else { continue }
            row.info.state = .active
            relays[id] = row
            announce(relays: [row.info])
        }
    }

    func changes(since: Int, epoch: Int, bug: PlantedBug?) -> AssignmentMessage {
        let headEpoch = self.epoch
        if since == rev, epoch <= headEpoch {
            return .beacon(
                RegionBeacon(epoch: headEpoch, region: Self.region, rev: rev, digest: region.digest.text))
        }
        if since > 0, since < rev, epoch <= headEpoch, rev - since <= 1000 {
            let deltas = deltas(after: since, epoch: headEpoch, limit: 1000)
            if deltas.count == rev - since, var merged = RegionDelta.merged(deltas, epoch: headEpoch) {
                if bug == .forgetDeletes { merged.deletes = [] }
                return .delta(merged)
            }
        }
        return .snapshot(snapshot(epoch: headEpoch))
    }

    mutating func reportLinks(_ relay: String, up: [(String, Int)], down: [(String, Int)], now_us: Int) {
        relays[relay]?.lastSeen_us = now_us
        for (tunnel, generation) in down { note(relay, tunnel, generation, isUp: false) }
        for (tunnel, generation) in up { note(relay, tunnel, generation, isUp: true) }
    }

    /// Only the word of the present owner and standby about the present generation counts.
    private mutating func note(_ relay: String, _ tunnel: String, _ generation: Int, isUp: Bool) {
        guard placements[tunnel]?.generation == generation else { return }
        if placements[tunnel]?.owner == relay { placements[tunnel]?.isLinked = isUp }
        if placements[tunnel]?.standby == relay { placements[tunnel]?.isStandbyLinked = isUp }
    }

    /// Whether it was not counted before.
    mutating func addUsage(_ report: UsageReport, bug: PlantedBug?) -> Bool {
        guard usageReports.insert("\(report.relay) \(report.id)").inserted || bug == .countRetry else {
            return false
        }
        for row in report.rows { usage[row.tunnel, default: 0] += row.bytes_up + row.bytes_down }
        return true
    }

    // MARK: what agents ask

    /// As the store's transaction: the decision is the product's, and what is written is its words in SQL.
    mutating func place(
        _ request: PlacementRequest, bug: PlantedBug?, _ decide: (PlacementQuestion) -> PlacementDecision
    ) throws(StoreFailure) -> Placed {
        guard let tunnel = tunnels[request.tunnel], !revokedKeys.contains(request.agentKey) else {
            throw .notFound
        }
        if tunnel.isSuspended { throw .suspended }
        var row = placements[request.tunnel] ?? PlacementRow(generation: 0)
        if bug == .takeBack { row.replacedSessions = [] }
        let question = PlacementQuestion(
            tunnel: request.tunnel, wish: .session(request.session, excluding: request.exclude),
            present: placements[request.tunnel] == nil ? nil : row.present,
            relays: relays.values.map(\.info).sorted { $0.id < $1.id })
        switch decide(question) {
        case .keep: return try placed(request.tunnel, isNew: false)
        case .wasReplaced: throw .sessionReplaced
        case .noRelay, .full: throw .noRelay
        case .place(var seats):
            if bug == .standbyIsOwner { seats.standby = seats.owner }
            if let session = row.session, session != request.session {
                row.replacedSessions = Array(([session] + row.replacedSessions).prefix(16))
            }
            if let key = row.agentKey, key != request.agentKey {
                row.pastKeys = Array(([key] + row.pastKeys.filter { $0 != key }).prefix(16))
            }
            row.session = request.session
            row.agentKey = request.agentKey
            row.sit(seats)
            placements[request.tunnel] = row
            announce(upserts: [request.tunnel])
            return try placed(request.tunnel, isNew: true)
        }
    }

    private func placed(_ tunnel: String, isNew: Bool) throws(StoreFailure) -> Placed {
        guard let assignment = assignment(of: tunnel),
            let owner = assignment.owner.flatMap({ relays[$0]?.info })
        else { throw .notFound }
        return Placed(
            assignment: assignment, owner: owner, standby: assignment.standby.flatMap { relays[$0]?.info },
            isNew: isNew)
    }

    // MARK: what customers do

    mutating func revoke(_ key: String) {
        guard revokedKeys.insert(key).inserted else { return }
        var touched: [String] = []
        for tunnel in placements.keys.sorted() {
            guard var row = placements[tunnel], row.agentKey == key || row.pastKeys.contains(key) else {
                continue
            }
            row.revokedKeys = Array(([key] + row.revokedKeys).prefix(16))
            if row.agentKey == key {
                row.generation += 1
                row.session = nil
                row.agentKey = nil
                row.previousOwner = row.owner
                row.owner = nil
                row.standby = nil
                row.isLinked = false
            }
            placements[tunnel] = row
            touched.append(tunnel)
        }
        if !touched.isEmpty { announce(upserts: touched) }
    }

    mutating func delete(tunnel: String) {
        guard tunnels.removeValue(forKey: tunnel) != nil else { return }
        placements[tunnel] = nil
        announce(deletes: [tunnel])
    }

    mutating func change(tunnel: String, _ change: (inout TunnelRow) -> Void) {
        guard var row = tunnels[tunnel] else { return }
        change(&row)
        tunnels[tunnel] = row
        announce(upserts: [tunnel])
    }
}
