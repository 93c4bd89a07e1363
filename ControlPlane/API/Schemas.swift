import Core
import Domain
import Store
import Wire

/// What the API's values look like, each said once. Named ones are components of the document.
enum Schemas {
    // MARK: Parts

    static let region = Schema.text("eu", 1...15, pattern: "^[a-z]([a-z0-9-]{0,13}[a-z0-9])?$")
        .about("One of GET /v1/regions.").named("Region")
    static let plan = Schema.text("free", 1...32).about("One of the plans.")
    static let email = Schema.text("alex@example.com", 3...254, format: "email")
    static let password = Schema.text("correct horse battery", 1...256)
    static let newPassword = Schema.text("correct horse battery", PasswordRule.length)
    static let keyName = Schema.text("home", 1...100)
    /// The part of a hostname that a person chooses. Reserved names are refused beyond this pattern.
    static let label = Schema.text(
        "castle", Label.length, pattern: "^[A-Za-z0-9]+(-[A-Za-z0-9]+)*$")
    static let hostname = Schema.text("castle.eu.mine.example", 1...253)
    /// An id that another program chose.
    static let word = Schema.text("relay-1", 1...64, pattern: "^[A-Za-z0-9][A-Za-z0-9._-]*$")
    static let endpoint = Schema.text(
        "203.0.113.7:7000", 3...300,
        pattern:
            "^([A-Za-z0-9][A-Za-z0-9.-]*|\\[[0-9A-Fa-f]*:[0-9A-Fa-f:.]+\\]):([1-9][0-9]{0,3}|[1-5][0-9]{4}"
            + "|6[0-4][0-9]{3}|65[0-4][0-9]{2}|655[0-2][0-9]|6553[0-5])$")
    static let fingerprint = Schema.text(
        String(repeating: "0123456789abcdef", count: 4), 64...64, pattern: "^[0-9a-f]{64}$"
    ).about("SHA-256 of the certificate.")
    static let message = Schema.object(["message": .text("Done.", 1...300)]).named("Message")

    /// Of a list. More members of the query may be given.
    static func page(_ more: KeyValuePairs<String, Schema> = [:], cursor: String = "Mg") -> Schema {
        let limits = Int64(Page.limits.lowerBound)...Int64(Page.limits.upperBound)
        let standard = Schema.object(
            [:],
            optional: [
                "limit": .integer(limits, Int64(Page.standardLimit)).about("How many at most."),
                "cursor": .text(cursor, 1...64, pattern: "^[A-Za-z0-9_-]*$")
                    .about("The next_cursor of an earlier answer."),
            ])
        return standard.with(optional: more)
    }

    private static func limit(_ example: Int64) -> Schema { .count(example).orNull }

    // MARK: People

    static let session = Schema.object([
        "access_token": .text("eyJhbGciOiJFZERTQSJ9.e30.c2ln", 1...4096),
        "refresh_token": .text("mcr_c2lu", 1...512), "token_type": .words("Bearer"),
        "expires_in_s": .count(AccessTokens.lifetime_s), "account_id": .id(AccountID.self),
    ]).named("Session")

    static let signIn = Schema.object([
        "id": .id(SignInID.self), "account_id": .id(AccountID.self),
        "current": .bool(true).about("The one that this request was made with."),
        "address": .text("203.0.113.7", 1...64).orNull,
        "user_agent": .text("curl/8.14.1", 1...200).orNull,
        "created_at": .time, "last_used_at": .time, "expires_at": .time,
    ]).named("SignIn")

    static let person = Schema.object([
        "id": .id(UserID.self), "email": email, "verified_at": .time.orNull, "created_at": .time,
        "account_id": .id(AccountID.self), "role": .words(Role.self),
    ]).named("Person")

    static let export = Schema.object(
        [
            "exported_at": .time, "account": .anyObject(["plan": "free"]),
            "cut": .list(of: .text("audit_log", 1...64)).about(
                "Sections that have more rows: the newest \(Store.maxExportedRows) are there."),
            "members": .list(of: .anyObject(["email": "alex@example.com", "role": "owner"])),
        ], others: .each(.list(of: .anyObject()))
    ).named("Export")

    static let account = Schema.object([
        "id": .id(AccountID.self), "name": accountName.orNull, "suspended": .bool(false),
        "billing_state": .words(BillingState.self), "throttled": .bool(false),
        "plan": .object(["id": plan, "name": .text("Free", 1...100)]),
        "limits": .object([
            "max_tunnels": limit(1), "players": limit(10), "bytes_per_s": limit(2_500_000),
            "bytes_per_month": limit(50_000_000_000), "idle_timeout_s": limit(1800),
            "chosen_names": .bool(false), "own_domains": .bool(false), "priority": .bool(false),
            "members": limit(1), "unused_after_days": limit(90),
        ]),
        "usage": .object([
            "tunnels": .count(1), "suspended_tunnels": .count(0), "members": .count(1),
            "bytes_this_month": .count(1_500_000_000),
        ]),
    ]).named("Account")

    static let accountName = Schema.text("Castle Crew", 1...60)

    /// An account among those that a person belongs to.
    static let membership = Schema.object([
        "id": .id(AccountID.self), "name": accountName.orNull, "plan": plan, "role": .words(Role.self),
        "members": .count(1), "surplus": surplus,
        "current": .bool(true).about("Whether this sign-in is for it."),
    ]).named("Membership")

    static let member = Schema.object([
        "id": .id(UserID.self), "email": email, "role": .words(Role.self), "surplus": surplus,
        "joined_at": .time,
    ]).named("Member")

    private static let surplus = Schema.bool(false)
        .about("The plan has room for fewer members: this one may only look at the account.")

    static let invitation = Schema.object([
        "id": .id(InvitationID.self), "email": email, "role": invitedRole,
        "state": .words("pending", "expired"), "invited_by": email.orNull, "created_at": .time,
        "expires_at": .time,
    ]).named("Invitation")

    static let invitedRole = Schema.words("admin", "support", "viewer")

    static let receivedInvitation = Schema.object([
        "email": email, "role": invitedRole, "account_name": accountName.orNull, "invited_by": email.orNull,
        "expires_at": .time,
        "needs_password": .bool(false).about("Nobody has this address yet: accepting takes a password."),
    ]).named("ReceivedInvitation")

    static let acceptedInvitation = Schema.object([
        "account_id": .id(AccountID.self), "user_id": .id(UserID.self), "role": .words(Role.self),
    ]).named("AcceptedInvitation")

    static let agentKey = Schema.object([
        "id": .id(AgentKeyID.self), "name": keyName, "created_at": .time, "last_used_at": .time.orNull,
    ]).named("AgentKey")

    static let newAgentKey = Schema.object([
        "id": .id(AgentKeyID.self), "name": keyName, "key": secret("mca_"), "created_at": .time,
    ]).named("NewAgentKey")

    static let scopes = Schema.list(of: .words(Scope.self), max: Scope.allCases.count)

    static let apiKey = Schema.object([
        "id": .id(APIKeyID.self), "name": keyName, "scopes": scopes, "created_at": .time,
        "last_used_at": .time.orNull,
    ]).named("APIKey")

    static let newAPIKey = Schema.object([
        "id": .id(APIKeyID.self), "name": keyName, "scopes": scopes, "key": secret("mck_"),
        "created_at": .time,
    ]).named("NewAPIKey")

    /// Shown once.
    static func secret(_ prefix: String) -> Schema {
        .text(prefix + "…", 1...256).about("Shown once: it cannot be asked for again.")
    }

    // MARK: Money

    static let billing = Schema.object([
        "state": .words(BillingState.self).like("active"),
        "plan": .object(["id": plan.like("plus"), "name": .text("Plus", 1...100)]),
        "grace_until": Schema.time.orNull.about("After a failed payment everything works on until then."),
        "has_subscription": .bool(true), "next_step": .words(BillingStep.self),
        "message": .text("The bill is paid.", 1...300).about("What is the matter and what to do."),
        "offers": .list(of: .object(["plan": plan.like("plus"), "name": .text("Plus", 1...100)]))
            .about("What POST /v1/billing/checkout takes."),
    ]).named("Billing")

    static let meterEvent = Schema.object([
        "identifier": .text("acc_0000000000000000000001:490000", 1...100),
        "account_id": .id(AccountID.self), "customer": .text("cus_1", 1...255),
        "event_name": .text("minecart_bytes", 1...100), "hour": .time, "part": .count(1),
        "bytes": .count(1_000_000), "state": .words(MeterState.self), "attempts": .count(1),
        "unclear_since": .time.orNull, "problem": .text("Stripe cannot be reached", 1...1000).orNull,
    ]).named("MeterEvent")

    static let stripePage = Schema.object([
        "url": .text("https://checkout.stripe.com/c/pay/cs_1", 9...4096, pattern: "^https://")
            .about("A page of Stripe's, good for a few minutes to a day.")
    ]).named("StripePage")

    // MARK: Tunnels

    static let tunnel = Schema.object([
        "id": .id(TunnelID.self), "hostname": hostname, "name": .text("castle", 1...63), "region": region,
        "state": .words(TunnelState.self), "suspended_reason": .text("plan", 1...64).orNull,
        "created_at": .time,
    ]).named("Tunnel")

    static let usage = Schema.object([
        "from": .time, "to": .time,
        "tunnel": Schema.object([
            "id": .id(TunnelID.self), "hostname": hostname, "deleted": .bool(false),
        ]).orNull.about("null is all of the account's tunnels together."),
        "bytes_up": Schema.count(120_000).about("From players to home servers."),
        "bytes_down": Schema.count(4_000_000).about("From home servers to players."),
        "player_s": Schema.count(3600).about("Seconds that players were in, summed over all of them."),
    ]).named("Usage")

    static let regionEntry = Schema.object([
        "id": region, "name": .text("Europe", 1...100), "endpoints": .list(of: address),
    ]).named("RegionEntry")

    /// Of a relay, as it is told to us; wider than what we take.
    private static let address = Schema.text("203.0.113.7:7000", 3...300)

    static let placement = Schema.object([
        "generation": .count(1), "session": word.like("ses-1"),
        "ticket": ticket, "expires_in_s": .count(60),
        "relay": .object(["id": word, "endpoint": address, "fingerprint": fingerprint]),
        "standby": Schema.object([
            "id": word, "endpoint": address, "fingerprint": fingerprint, "ticket": ticket,
        ]).orNull.about("Where a second link goes; null while the region has no other good relay."),
    ]).named("Placement")

    private static let ticket = Schema.text("eyJhbGciOiJFZERTQSJ9.e30.c2ln", 1...65536)

    // MARK: Own domains

    static let ownHostname = Schema.text(
        "play.example.com", 4...OwnHostname.maxLength,
        pattern:
            "^([A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?\\.)+[A-Za-z][A-Za-z0-9-]{0,61}[A-Za-z0-9]\\.?$"
    ).about("A domain name of the customer's, in its ASCII form. Names under our own domain are refused.")

    private static let record = Schema.object([
        "type": .words("TXT", "SRV", "CNAME"), "name": .text("_minecart.play.example.com", 1...255),
        "value": .text("minecart-verify=0123456789abcdef0123456789abcdef", 1...512),
        "note": .text("Proves that the name is yours.", 1...300),
    ]).named("DNSRecord")

    static let domain = Schema.object([
        "id": .id(DomainID.self), "tunnel_id": .id(TunnelID.self),
        "hostname": .text("play.example.com", 1...253), "state": .words(DomainState.self),
        "served": Schema.bool(true).about(
            "Whether relays know it: it is proven, and the plan has own domains."),
        "created_at": .time,
        "proven_at": .time.orNull, "checked_at": .time.orNull, "missing_since": .time.orNull,
        "next_check_at": Schema.time.orNull.about("null when it is looked up only on request."),
        "records": .object([
            "proof": record,
            "routes": Schema.list(of: record).about("Set one of these: it leads players to us."),
        ]),
    ]).named("Domain")

    static let domainCheck = Schema.object([
        "result": .words("proven", "missing", "different", "taken", "unavailable"),
        "detail": .text("The record is there.", 1...1000), "expected": record,
        "found": .list(of: .text("v=spf1 -all", 0...1024)), "domain": domain,
    ]).named("DomainCheck")

    // MARK: Relays

    static let keySet = Schema.object([
        "keys": .list(
            of: .object(
                [
                    "kty": .words("OKP"), "crv": .words("Ed25519"),
                    "x": .text(String(repeating: "A", count: 43), 43...43),
                    "kid": .text("k1", 1...128),
                ], optional: ["alg": .words("Ed25519"), "use": .words("sig")], others: .anything))
    ]).named("KeySet")

    static let registration = Schema.body(
        ["id": word, "region": region, "endpoint": endpoint, "fingerprint": fingerprint],
        optional: [
            "mesh_address": endpoint, "shared_entry": .bool(false),
            "run": word.about("Names one start of the relay: a drain is for the start that heard of it."),
        ])

    static let registered = Schema.object([
        "id": word, "state": .words("active", "draining"),
        "rev": Schema.count(0).about("The region's revision that has it."),
    ])

    static let usageReport = Schema.body(
        ["relay": word, "report": word, "from": .time, "to": .time],
        optional: [
            "tunnels": .list(
                of: .object([
                    "tunnel": .id(TunnelID.self), "bytes_up": .integer(0...(1 << 48), 0),
                    "bytes_down": .integer(0...(1 << 48), 0), "player_s": .integer(0...(1 << 48), 0),
                ]), max: UsageReport.maxRows)
        ])

    static let links = Schema.body(
        ["relay": word],
        optional: [
            "up": .list(of: link, max: RelayRoutes.maxLinks),
            "down": .list(of: link, max: RelayRoutes.maxLinks),
        ])

    private static let link = Schema.object([
        "tunnel": .id(TunnelID.self), "generation": .integer(1...Int64.max, 1),
    ])

    /// A newer relay may say more.
    static let load = Schema.object(
        [
            "relay": .text("relay-1", 0...256), "region": .text("eu", 0...256), "players": anyInteger,
            "links": anyInteger, "bytes_per_s": anyInteger, "cpu_permille": anyInteger,
            "free_descriptors": anyInteger, "epoch": anyInteger, "rev": anyInteger,
            "digest": .text("", 0...256), "draining": .bool(false),
        ], others: .anything
    ).named("LoadReport")

    private static let anyInteger = Schema.count(1)

    // MARK: The audit log

    private static let auditMembers: KeyValuePairs<String, Schema> = [
        "id": .count(1), "at": .time, "actor": .text("usr_1", 1...128),
        "address": Schema.text("203.0.113.7", 1...64).orNull, "action": .text("tunnel.create", 1...64),
        "subject": .text("tun_1", 0...256), "before": Schema.anyObject().orNull,
        "after": Schema.anyObject(["hostname": "castle.eu.mine.example"]).orNull,
        "detail": Schema.anyObject().orNull,
    ]

    static let auditEntry = Schema.object(auditMembers).named("AuditEntry")

    static let operatorAuditEntry = Schema.object(auditMembers)
        .with(required: ["account_id": .id(AccountID.self).orNull]).named("OperatorAuditEntry")

    // MARK: Operators

    static let operatorKey = Schema.object([
        "id": .id(OperatorKeyID.self), "name": keyName, "role": .words(OperatorRole.self),
        "created_at": .time, "last_used_at": .time.orNull,
    ]).named("OperatorKey")

    static let stripeEvent = Schema.object([
        "id": stripeID("evt_1"), "type": stripeID("invoice.paid"), "customer": stripeID("cus_1").orNull,
        "state": .words(StripeEventState.self), "attempts": .count(1),
        "problem": Schema.text("Stripe cannot be reached", 0...4096).orNull, "received_at": .time,
    ]).named("StripeEvent")

    /// An identifier or a word of Stripe's.
    static func stripeID(_ example: String) -> Schema { .text(example, 1...255, pattern: "^[!-~]+$") }

    static let newOperatorKey = Schema.object([
        "id": .id(OperatorKeyID.self), "name": keyName, "role": .words(OperatorRole.self),
        "key": secret("mco_"), "created_at": .time,
    ]).named("NewOperatorKey")

    static let operatorTunnel = Schema.object([
        "id": .id(TunnelID.self), "account_id": .id(AccountID.self), "hostname": hostname, "region": region,
        "state": .words(TunnelState.self), "suspended_reason": .text("plan", 1...64).orNull,
        "relay_id": word.orNull, "standby_relay_id": word.orNull, "generation": Schema.count(1).orNull,
        "created_at": .time,
    ]).named("OperatorTunnel")

    static let relay = Schema.object([
        "id": word, "region": region, "endpoint": address, "mesh_address": address.orNull,
        "fingerprint": fingerprint, "shared_entry": .bool(false),
        "state": Schema.text("active", 1...32).about(
            "draining also when only the relay itself says so: it was told to stop."),
        "state_since": .time, "registered_at": .time, "last_seen_at": .time,
        "placements": .object([
            "owner": Schema.count(120).about("Tunnels whose owner it is."),
            "owner_linked": Schema.count(80).about("Those of them whose agent has a link here."),
            "standby": .count(115), "standby_linked": .count(78),
        ]),
        "load": Schema.object([
            "score": anyInteger, "players": anyInteger, "links": anyInteger, "standby_links": anyInteger,
            "connections": anyInteger, "bytes_per_s": anyInteger, "cpu_permille": anyInteger,
            "free_descriptors": anyInteger, "epoch": anyInteger,
            "rev": Schema.count(1).about("The revision that it has applied."),
            "behind": Schema.count(0).about("How many revisions its region is ahead of it."),
            "digest": .text("", 0...256), "draining": .bool(false), "age_ms": Schema.count(400).orNull,
            "fresh": Schema.bool(true).about("Whether it was heard of within the last seconds."),
        ]).orNull.about("What it last said of itself; null when this control plane never heard of it."),
    ]).named("Relay")

    static let planDetails = Schema.object([
        "id": plan, "name": .text("Free", 1...100), "position": .count(0), "max_tunnels": limit(1),
        "players": limit(10), "bytes_per_s": limit(2_500_000), "bytes_per_month": limit(50_000_000_000),
        "idle_timeout_s": limit(1800), "chosen_names": .bool(false), "own_domains": .bool(false),
        "priority": .bool(false), "members": limit(1),
        "stripe_price": .text("price_1ABC", 1...255).orNull,
        "stripe_meter": .text("minecart_bytes", 1...100).orNull,
        "stripe_meter_price": .text("price_1DEF", 1...255).orNull, "throttled_bytes_per_s": limit(125_000),
        "unused_after_days": limit(90),
    ]).named("Plan")

    /// RFC 7638: the SHA-256 of the public key.
    static let keyID = Schema.text(
        "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k", 43...43, pattern: "^[A-Za-z0-9_-]{43}$")

    static let signingKey = Schema.object(
        [
            "kid": keyID, "state": .words("published", "signing", "retired"),
            "source": .words("database", "environment"),
        ],
        optional: [
            "created_at": .time, "signs_since": Schema.time.orNull, "retired_at": Schema.time.orNull,
            "signs_at": Schema.time.orNull, "gone_at": Schema.time.orNull,
        ]
    ).named("SigningKey")

    static let exception = Schema.object(
        [:],
        optional: [
            "max_tunnels": PlanRoutes.number(PlanRoutes.Range.tunnels, 25),
            "players": PlanRoutes.number(PlanRoutes.Range.players, 250),
            "bytes_per_s": PlanRoutes.number(PlanRoutes.Range.bytes_per_s, 62_500_000),
            "bytes_per_month": PlanRoutes.number(PlanRoutes.Range.bytes_per_month, 5_000_000_000_000),
            "idle_timeout_s": PlanRoutes.number(PlanRoutes.Range.idle_timeout_s, 3600),
        ]
    ).named("Exception")

    static let terms = Schema.object([
        "account_id": .id(AccountID.self), "plan": plan, "exception": exception,
        "billing_state": .words(BillingState.self), "over_quota": .bool(false), "suspended": .bool(false),
        "effective": .object([
            "max_tunnels": limit(25), "players": limit(250), "bytes_per_s": limit(62_500_000),
            "bytes_per_month": limit(5_000_000_000_000), "idle_timeout_s": limit(3600),
        ]),
    ]).named("Terms")

    // MARK: Problems

    static let problem = Schema.object(
        [
            "type": .text("urn:minecart:problem:not-found", 1...200)
                .about("Stable: its last part is the code to look at."),
            "title": .text("Not Found", 1...100), "status": .integer(400...599, 404),
            "detail": .echo("There is nothing here under this name for you.", 1...2000)
                .about("What is wrong and what to do about it."),
        ],
        optional: [
            "instance": .echo("/v1/tunnels/tun_x", 1...16384), "request_id": .text("req_1", 1...128),
            "errors": .list(
                of: .object([
                    "pointer": .echo("/email", 1...2000)
                        .about("JSON pointer into the body, or ?name for the query."),
                    "detail": .echo("is required", 1...2000),
                ])),
        ], others: .anything
    ).named("Problem")
}
