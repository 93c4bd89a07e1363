import Core

/// The way to a placement: which tunnel, in which region, on which relay.
extension AgentSession {
    /// The next step towards a link, from what is known so far.
    mutating func begin(_ actions: inout [Action]) {
        if tunnel == nil {
            tunnelsSoFar = []
            ask(.tunnels(cursor: nil), &actions)
        } else {
            askForPlacement(&actions)
        }
    }

    mutating func askForPlacement(_ actions: inout [Action]) {
        guard let tunnel else { return }
        var exclude = unreachable
        // The relay that asks us to leave is not where to go.
        if let leaving = active?.placement.relay, !exclude.contains(leaving) { exclude.append(leaving) }
        ask(.place(tunnel: tunnel.id, session: options.session, exclude: exclude), &actions)
    }

    private mutating func ask(_ request: ControlRequest, _ actions: inout [Action]) {
        let call = CallID(nextNumber())
        attempt = .asking(call, request)
        actions.append(.call(call, request))
    }

    mutating func answered(
        _ call: CallID, _ result: Result<ControlAnswer, ControlFailure>, _ now: Instant,
        _ actions: inout [Action]
    ) {
        guard case .asking(call, let request) = attempt else { return }
        switch result {
        case .failure(let failure): failed(request, failure, now, &actions)
        case .success(.tunnels(let tunnels, let next)):
            tunnelsSoFar += tunnels
            if let next, tunnelsSoFar.count < Self.maxTunnels {
                ask(.tunnels(cursor: next), &actions)
            } else {
                chooseTunnel(&actions)
            }
        case .success(.regions(let regions)): chooseRegion(regions, &actions)
        case .success(.created(let created)):
            actions.append(.tell(.tunnelCreated(hostname: created.hostname)))
            tunnel = created
            askForPlacement(&actions)
        case .success(.placed(let placement)): placed(placement, now, &actions)
        }
    }

    /// More than any account has; a list that never ends is not followed.
    private static let maxTunnels = 10_000

    private mutating func chooseTunnel(_ actions: inout [Action]) {
        switch TunnelChoice.choose(label: options.label, region: options.region, from: tunnelsSoFar) {
        case .serve(let chosen):
            tunnel = chosen
            askForPlacement(&actions)
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
        attempt = .probing(call)
        actions.append(.probe(call, regions))
    }

    mutating func probed(
        _ call: CallID, _ times: [RegionTime], _ now: Instant, _ actions: inout [Action]
    ) {
        guard case .probing(call) = attempt else { return }
        guard let nearest = RegionTime.sorted(times).first else { return fail(.noRegions, &actions) }
        actions.append(.tell(.regionChosen(nearest.region, nearest.time)))
        ask(.createTunnel(region: nearest.region, label: options.label), &actions)
    }

    private mutating func placed(_ placement: Placement, _ now: Instant, _ actions: inout [Action]) {
        held = placement
        if let active, active.placement.relay == placement.relay,
            active.placement.generation == placement.generation
        {
            // Asked to move, but there is nowhere to go yet.
            return wait("there is no other relay yet", now, &actions)
        }
        dial(placement, now, &actions)
    }

    mutating func dial(_ placement: Placement, _ now: Instant, _ actions: inout [Action]) {
        let link = LinkID(nextNumber())
        attempt = .linking(link, placement, deadline: now + Self.linkLimit)
        actions.append(.tell(.connecting(relay: placement.relay)))
        actions.append(.dial(link, placement))
    }

    // MARK: refusals

    private mutating func failed(
        _ request: ControlRequest, _ failure: ControlFailure, _ now: Instant, _ actions: inout [Action]
    ) {
        switch failure {
        case .refused(let refusal) where !refusal.isPassing: stop(request, refusal, &actions)
        case .refused(let refusal) where refusal.status == 429:
            wait(refusal.detail, asked: refusal.retryAfter, now, &actions)
        case .refused(let refusal):
            retry(request, refusal.detail, asked: refusal.retryAfter, now, &actions)
        case .unreachable, .unreadable: retry(request, failure.text, asked: nil, now, &actions)
        }
    }

    /// With the control plane away, the relay of the last placement may well still be there: its ticket serves.
    private mutating func retry(
        _ request: ControlRequest, _ reason: String, asked: Milliseconds?, _ now: Instant,
        _ actions: inout [Action]
    ) {
        if case .place = request {
            // Perhaps nothing is left but what we would not have: next time anything will do.
            unreachable = []
            if active == nil, let held { return dial(held, now, &actions) }
        }
        wait(reason, asked: asked, now, &actions)
    }

    private mutating func stop(
        _ request: ControlRequest, _ refusal: Refusal, _ actions: inout [Action]
    ) {
        switch (refusal.status, request) {
        case (401, _): fail(.badKey(detail: refusal.detail), &actions)
        case (402, _), (403, _): fail(.forbidden(detail: refusal.detail), &actions)
        case (404, .place): fail(.tunnelGone(address: tunnel?.hostname ?? ""), &actions)
        case (409, .place) where refusal.code.hasSuffix("replaced"):
            fail(.replaced(address: tunnel?.hostname ?? ""), &actions)
        case (409, .createTunnel(_, let label?)):
            fail(.nameTaken(label: label, detail: refusal.detail), &actions)
        default: fail(.refused(detail: refusal.detail), &actions)
        }
    }
}
