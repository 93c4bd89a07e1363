import Core

extension ControlRequest {
    /// Reads the HTTP answer to this request.
    public func read(
        status: Int, body: [UInt8], retryAfter_s: Int?
    ) -> Result<ControlAnswer, ControlFailure> {
        guard let json = try? JSON.parse(body) else {
            return .failure(.unreadable("the control plane answered \(status) without a text for programs"))
        }
        guard (200...299).contains(status) else {
            return .failure(Self.failure(status, json, retryAfter_s))
        }
        guard let answer = read(json) else {
            return .failure(
                .unreadable("the control plane's answer makes no sense to this agent: is there a newer one?"))
        }
        return .success(answer)
    }

    /// Only a problem document that names its own status is the control plane's word; something in front of it
    /// that answers while it is away is not.
    private static func failure(_ status: Int, _ json: JSON, _ retryAfter_s: Int?) -> ControlFailure {
        guard json["status"]?.integerValue == Int64(status) else {
            return .unreadable("something in front of the control plane answered \(status)")
        }
        let type = json["type"]?.stringValue ?? ""
        let code = type.split { $0 == ":" || $0 == "#" || $0 == "/" }.last.map { String($0) } ?? ""
        var detail = json["detail"]?.stringValue ?? json["title"]?.stringValue ?? "status \(status)"
        let errors = (json["errors"]?.arrayValue ?? []).compactMap { $0["detail"]?.stringValue }
        if !errors.isEmpty { detail = errors.joined(separator: "; ") }
        return .refused(
            Refusal(
                status: status, code: code, detail: Self.oneLine(detail),
                retryAfter: retryAfter_s.map { .seconds(min(max(0, $0), 3600)) }))
    }

    private static func oneLine(_ text: String) -> String {
        String(
            String.UnicodeScalarView(
                text.unicodeScalars.prefix(500).map { $0.value < 0x20 || $0.value == 0x7F ? " " : $0 }))
    }

    private func read(_ json: JSON) -> ControlAnswer? {
        switch self {
        case .tunnels:
            guard let rows = json["data"]?.arrayValue else { return nil }
            let tunnels = rows.compactMap(Tunnel.init(json:))
            guard tunnels.count == rows.count else { return nil }
            return .tunnels(tunnels, next: json["next_cursor"]?.stringValue)
        case .regions:
            guard let rows = json["data"]?.arrayValue else { return nil }
            return .regions(rows.compactMap(Region.init(json:)))
        case .createTunnel: return Tunnel(json: json).map { .created($0) }
        case .place: return Placement(json: json).map { .placed($0) }
        }
    }
}

extension Tunnel {
    init?(json: JSON) {
        guard let id = json["id"]?.stringValue, let hostname = json["hostname"]?.stringValue,
            let region = json["region"]?.stringValue, !id.isEmpty, Self.isHostname(hostname)
        else { return nil }
        self.init(id: id, hostname: hostname, region: region)
    }

    /// It is printed, so nothing that a terminal would obey.
    private static func isHostname(_ text: String) -> Bool {
        (1...255).contains(text.utf8.count) && text.utf8.allSatisfy { $0 > 0x20 && $0 < 0x7F }
    }
}

extension Region {
    init?(json: JSON) {
        guard let id = json["id"]?.stringValue, !id.isEmpty else { return nil }
        let endpoints = json["endpoints"]?.arrayValue ?? []
        self.init(id: id, probes: endpoints.compactMap { $0.stringValue.flatMap { Endpoint($0) } })
    }
}

extension Placement {
    init?(json: JSON) {
        guard let generation = json["generation"]?.integerValue, let ticket = json["ticket"]?.stringValue,
            let owner = json["relay"].flatMap({ PlacedRelay(json: $0, ticket: ticket) })
        else { return nil }
        var standby: PlacedRelay?
        if let other = json["standby"], let ticket = other["ticket"]?.stringValue {
            standby = PlacedRelay(json: other, ticket: ticket)
        }
        self.init(
            generation: Int(generation), owner: owner, standby: standby?.id == owner.id ? nil : standby)
    }
}

extension PlacedRelay {
    init?(json: JSON, ticket: String) {
        guard let id = json["id"]?.stringValue, !id.isEmpty,
            let endpoint = json["endpoint"]?.stringValue.flatMap({ Endpoint($0) }),
            let fingerprint = json["fingerprint"]?.stringValue
        else { return nil }
        self.init(id: id, endpoint: endpoint, fingerprint: fingerprint, ticket: ticket)
    }
}
