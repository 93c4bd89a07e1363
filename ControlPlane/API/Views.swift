import Core
import Domain
import Store
import Wire

/// How things look in answers.
extension AgentKeyView {
    var json: JSON {
        [
            "id": .string(id.text), "name": .string(name), "created_at": .string(createdAt.rfc3339),
            "last_used_at": lastUsedAt.map { .string($0.rfc3339) } ?? .null,
        ]
    }
}

extension TunnelView {
    var json: JSON {
        [
            "id": .string(id.text), "hostname": .string(hostname), "name": .string(label),
            "region": .string(region), "state": .string(state.rawValue),
            "suspended_reason": suspendedReason.map { .string($0) } ?? .null,
            "created_at": .string(createdAt.rfc3339),
        ]
    }

    /// For operators: with its place.
    var operatorJSON: JSON {
        [
            "id": .string(id.text), "account_id": .string(account.text), "hostname": .string(hostname),
            "region": .string(region), "state": .string(state.rawValue),
            "suspended_reason": suspendedReason.map { .string($0) } ?? .null,
            "relay_id": owner.map { .string($0) } ?? .null,
            "standby_relay_id": standby.map { .string($0) } ?? .null,
            "generation": generation.map { .integer(Int64($0)) } ?? .null,
            "created_at": .string(createdAt.rfc3339),
        ]
    }
}

extension AccountTerms {
    /// For operators: where the limits come from.
    var json: JSON {
        [
            "account_id": .string(account.text), "plan": .string(plan.plan.id),
            "exception": state.exception.json,
            "billing_state": .string(state.billing.rawValue), "over_quota": .bool(state.isOverQuota),
            "suspended": .bool(state.isSuspended),
            "effective": [
                "max_tunnels": .limit(effective.maxTunnels), "players": .limit(effective.limits.players),
                "bytes_per_s": .limit(effective.limits.bytes_per_s),
                "bytes_per_month": .limit(bytes_per_month),
                "idle_timeout_s": .limit(effective.limits.idle_timeout_s),
            ],
        ]
    }
}

extension AccountView {
    /// For the customer; null is no limit.
    var json: JSON {
        let effective = terms.effective
        return [
            "id": .string(terms.account.text), "name": name.map { .string($0) } ?? .null,
            "suspended": .bool(!terms.state.isServed),
            "billing_state": .string(terms.state.billing.rawValue),
            "throttled": .bool(terms.state.isThrottled),
            "plan": ["id": .string(terms.plan.plan.id), "name": .string(terms.plan.name)],
            "limits": [
                "max_tunnels": .limit(effective.maxTunnels), "players": .limit(effective.limits.players),
                "bytes_per_s": .limit(effective.limits.bytes_per_s),
                "bytes_per_month": .limit(terms.bytes_per_month),
                "idle_timeout_s": .limit(effective.limits.idle_timeout_s),
                "chosen_names": .bool(effective.chosenNames), "own_domains": .bool(terms.plan.ownDomains),
                "priority": .bool(terms.plan.priority), "members": .limit(terms.plan.maxMembers),
                "unused_after_days": .limit(terms.plan.unusedAfterDays),
            ],
            "usage": [
                "tunnels": .integer(Int64(tunnels)), "suspended_tunnels": .integer(Int64(suspendedTunnels)),
                "members": .integer(Int64(members)),
                "bytes_this_month": .integer(Int64(bytesThisMonth)),
            ],
        ]
    }
}

extension JSON {
    /// null is no limit.
    static func limit(_ value: Int?) -> JSON { value.map { .integer(Int64($0)) } ?? .null }
}

extension RelayView {
    /// With what the relay last said of itself, and how long ago.
    func json(_ loads: RelayLoads, now: Instant) -> JSON {
        let load = loads[info.id]
        return [
            "id": .string(info.id), "region": .string(info.region), "endpoint": .string(info.endpoint),
            "mesh_address": info.meshAddress.map { .string($0) } ?? .null,
            "fingerprint": .string(info.fingerprint), "shared_entry": .bool(info.sharedEntry),
            "state": .string(
                load?.draining == true && info.state == .active ? "draining" : info.state.rawValue),
            "state_since": .string(stateSince.rfc3339), "registered_at": .string(registered.rfc3339),
            "last_seen_at": .string(lastSeen.rfc3339),
            "placements": [
                "owner": .integer(Int64(owned)), "owner_linked": .integer(Int64(ownedLinked)),
                "standby": .integer(Int64(standby)), "standby_linked": .integer(Int64(standbyLinked)),
            ],
            "load": load.map { json($0, loads, now) } ?? .null,
        ]
    }

    private func json(_ load: LoadReport, _ loads: RelayLoads, _ now: Instant) -> JSON {
        [
            "score": .integer(Int64(load.score)), "players": .integer(Int64(load.players)),
            "links": .integer(Int64(load.links)), "standby_links": .integer(Int64(load.standbyLinks)),
            "connections": .integer(Int64(load.connections)),
            "bytes_per_s": .integer(Int64(load.bytes_per_s)),
            "cpu_permille": .integer(Int64(load.cpu_permille)),
            "free_descriptors": .integer(Int64(load.freeDescriptors)), "epoch": .integer(Int64(load.epoch)),
            "rev": .integer(Int64(load.rev)), "behind": .integer(Int64(max(0, regionRev - load.rev))),
            "digest": .string(load.digest), "draining": .bool(load.draining),
            "age_ms": loads.heard(info.id).map { .integer(Int64(now.since($0).count)) } ?? .null,
            "fresh": .bool(loads.isFresh(info.id, now: now)),
        ]
    }
}
