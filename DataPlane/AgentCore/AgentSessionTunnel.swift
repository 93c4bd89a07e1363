import Core

/// The way to the tunnel: which one, or a new one and in which region.
extension AgentSession {
    /// More than any account has; a list that never ends is not followed.
    private static let maxTunnels = 10_000

    /// The next question, from what is known so far.
    mutating func ask(_ now: Instant, _ actions: inout [Action]) {
        nextAsk = nil
        quietUntil = nil
        if tunnel == nil {
            tunnelsSoFar = []
            ask(.tunnels(cursor: nil), &actions)
        } else {
            askForPlacement(now, &actions)
        }
    }

    mutating func ask(_ request: ControlRequest, _ actions: inout [Action]) {
        let call = CallID(nextNumber())
        conversation = .asking(call, request)
        actions.append(.call(call, request))
    }

    mutating func answered(
        _ call: CallID, _ result: Result<ControlAnswer, ControlFailure>, _ now: Instant,
        _ actions: inout [Action]
    ) {
        guard case .asking(call, let request) = conversation else { return }
        conversation = .none
        switch result {
        case .failure(let failure): failed(request, failure, now, &actions)
        case .success(.tunnels(let tunnels, let next)):
            tunnelsSoFar += tunnels
            if let next, tunnelsSoFar.count < Self.maxTunnels {
                ask(.tunnels(cursor: next), &actions)
            } else {
                chooseTunnel(now, &actions)
            }
        case .success(.regions(let regions)): chooseRegion(regions, &actions)
        case .success(.created(let created)):
            actions.append(.tell(.tunnelCreated(hostname: created.hostname)))
            tunnel = created
            askForPlacement(now, &actions)
        case .success(.placed(let placement)):
            guard case .place(_, _, let excluded) = request else { return }
            placed(placement, excluded: excluded, now, &actions)
        }
    }

    private mutating func chooseTunnel(_ now: Instant, _ actions: inout [Action]) {
        switch TunnelChoice.choose(label: options.label, region: options.region, from: tunnelsSoFar) {
        case .serve(let chosen):
            tunnel = chosen
            askForPlacement(now, &actions)
        case .create: ask(.regions, &actions)
        case .ambiguous(let tunnels): fail(.severalTunnels(tunnels), &actions)
        }
    }

    private mutating func chooseRegion(_ regions: [Region], _ actions: inout [Action]) {
        guard let first = regions.first else { return fail(.noRegions, &actions) }
        if let wanted = options.region {
            guard regions.contains(where: { $0.id == wanted }) else {
                return fail(.unknownRegion(wanted, known: regions.map { $0.id }), &actions)
            }
            return ask(.createTunnel(region: wanted, label: options.label), &actions)
        }
        guard regions.count > 1 else {
            actions.append(.tell(.regionChosen(first.id, nil)))
            return ask(.createTunnel(region: first.id, label: options.label), &actions)
        }
        let call = CallID(nextNumber())
        conversation = .probing(call)
        actions.append(.probe(call, regions))
    }

    mutating func probed(_ call: CallID, _ times: [RegionTime], _ actions: inout [Action]) {
        guard case .probing(call) = conversation else { return }
        guard let nearest = RegionTime.sorted(times).first else { return fail(.noRegions, &actions) }
        actions.append(.tell(.regionChosen(nearest.region, nearest.time)))
        ask(.createTunnel(region: nearest.region, label: options.label), &actions)
    }
}
