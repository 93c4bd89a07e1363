import Core
import DNS
import Domain
import HTTP
import IO
import Reconcilers
import Store
import Support
import Testing

@testable import API

/// A customer's zone on a real name server, and the client that the program asks with.
private final class Names: Sendable {
    let server: PrivateNameServer
    let client: DNSClient
    private let thread: LoopThread

    static let zone = "customer.example"

    init(broken: [String] = []) throws {
        server = try PrivateNameServer(zones: [Self.zone: ""], broken: broken)
        thread = try LoopThread.start(name: "dns-test")
        client = DNSClient(
            servers: try #require(DNSServers.list(server.address)), on: thread.mailbox)
    }

    deinit {
        server.end()
        thread.stop()
        thread.join()
    }

    /// Sets the TXT records of `_minecart.LABEL` and waits until the server tells of them.
    func set(_ label: String, _ values: [String]) async throws {
        let lines = values.map { "_minecart.\(label) TXT \"\($0)\"" }
        let wanted = values.isEmpty ? nil : Set(values)
        var looks = 0
        try await eventually("the zone is loaded") {
            // Told again now and then: a server that is loading may miss it.
            if looks % 50 == 0 { try server.replace(Self.zone, lines.joined(separator: "\n")) }
            looks += 1
            return switch await client.txt("_minecart.\(label).\(Self.zone)") {
            case .records(let found): Set(found) == wanted
            case .none: wanted == nil
            case .unavailable: false
            }
        }
    }
}

extension Fixture {
    fileprivate func attach(
        _ hostname: String, _ tunnel: String, _ account: Account, headers: HTTPHeaders = [:]
    ) async throws -> Answer {
        try await call(
            "POST", "/v1/tunnels/\(tunnel)/domains", ["hostname": .string(hostname)], as: account.apiKey,
            headers: headers)
    }
}

@Suite(.timeLimit(.minutes(5)))
struct DomainRouteTests {
    @Test func aNameIsAttachedProvenServedAndDetached() async throws {
        let names = try Names()
        let fixture = try await Fixture(names: names.client)
        try await fixture.relay("r1")
        let account = try await fixture.account(plan: "plus")
        let tunnel = try await fixture.tunnel(account)
        let target = try await fixture.call("GET", "/v1/tunnels/\(tunnel)", as: account.apiKey)
            .text("hostname")
        let made = try await fixture.attach("Play.Customer.Example.", tunnel, account)
        #expect(made.status == 201)
        let path = "/v1/tunnels/\(tunnel)/domains/\(try made.text("id"))"
        #expect(made.headers["location"] == path)
        #expect(made["hostname"] == "play.customer.example")
        #expect(made["state"] == "pending" && made["served"] == false)
        let proof = try #require(made["records"]?["proof"])
        #expect(proof["type"] == "TXT" && proof["name"] == "_minecart.play.customer.example")
        // The relays here are reached at port 7000.
        let routes = try #require(made["records"]?["routes"]?.arrayValue)
        #expect(routes.map { $0["type"] } == ["SRV"])
        #expect(routes.map { $0["name"] } == ["_minecraft._tcp.play.customer.example"])
        #expect(routes.map { $0["value"] } == [.string("0 5 7000 \(target)")])

        func check() async throws -> Fixture.Answer {
            let answer = try await fixture.call("POST", path + "/check", as: account.apiKey)
            #expect(answer.status == 200)
            #expect(answer["expected"] == proof)
            return answer
        }
        var answer = try await check()
        #expect(answer["result"] == "missing" && answer["found"] == [])
        #expect(answer["domain"]?["state"] == "pending")
        try await names.set("play", ["v=spf1 -all", "minecart-verify=0"])
        answer = try await check()
        #expect(answer["result"] == "different")
        #expect(answer["found"]?.arrayValue?.count == 2)
        let value = try #require(proof["value"]?.stringValue)
        try await names.set("play", ["v=spf1 -all", value])
        answer = try await check()
        #expect(answer["result"] == "proven")
        #expect(answer["domain"]?["state"] == "proven" && answer["domain"]?["served"] == true)

        let shown = try await fixture.call("GET", path, as: account.apiKey)
        #expect(shown.status == 200 && shown.json == answer["domain"])
        let list = try await fixture.call("GET", "/v1/tunnels/\(tunnel)/domains", as: account.apiKey)
        #expect(list["data"] == [shown.json] && list["next_cursor"] == .null)
        // The record is gone: the name is served on, for now.
        try await names.set("play", [])
        answer = try await check()
        #expect(answer["result"] == "missing")
        #expect(answer["domain"]?["state"] == "proven" && answer["domain"]?["missing_since"] != .null)

        #expect(try await fixture.call("DELETE", path, as: account.apiKey).status == 204)
        #expect(try await fixture.call("DELETE", path, as: account.apiKey).status == 404)
        #expect(try await fixture.call("GET", path, as: account.apiKey).status == 404)
        #expect(try await fixture.call("POST", path + "/check", as: account.apiKey).status == 404)
    }

    @Test func theLeaderProvesByItself() async throws {
        let names = try Names()
        let fixture = try await Fixture(names: names.client)
        let account = try await fixture.account(plan: "plus")
        let tunnel = try await fixture.tunnel(account)
        let made = try await fixture.attach("play.customer.example", tunnel, account)
        let value = try #require(made["records"]?["proof"]?["value"]?.stringValue)
        try await names.set("play", [value])
        let leadership = Leadership(store: fixture.store, holder: "test")
        let checks = DomainChecks(
            store: fixture.store, checker: DomainChecker(store: fixture.store, resolver: names.client),
            leadership: leadership, interval: Milliseconds(20))
        let work = Task {
            await withDiscardingTaskGroup { group in
                group.addTask { await leadership.run() }
                group.addTask { await checks.run() }
            }
        }
        try await eventually("the name is proven") {
            try await fixture.call(
                "GET", "/v1/tunnels/\(tunnel)/domains/\(try made.text("id"))", as: account.apiKey)["state"]
                == "proven"
        }
        work.cancel()
        await work.value
    }

    @Test func aNameServerThatCannotSayChangesNothing() async throws {
        let names = try Names(broken: ["broken.example"])
        let fixture = try await Fixture(names: names.client)
        let account = try await fixture.account(plan: "plus")
        let tunnel = try await fixture.tunnel(account)
        for hostname in ["play.broken.example", "play.not-served.example"] {
            let made = try await fixture.attach(hostname, tunnel, account)
            let answer = try await fixture.call(
                "POST", "/v1/tunnels/\(tunnel)/domains/\(try made.text("id"))/check", as: account.apiKey)
            #expect(answer.status == 200 && answer["result"] == "unavailable")
            #expect(try answer.text("detail").contains("name server"))
            #expect(answer["domain"]?["state"] == "pending")
        }
    }

    @Test func aStrangersRecordIsShownWithoutControlCharacters() async throws {
        struct Liar: TXTResolver {
            func txt(_ name: String) async -> TXTAnswer { .records(["a\u{0}\r\nb", "", "ö"]) }
        }
        let fixture = try await Fixture(names: Liar())
        let account = try await fixture.account(plan: "plus")
        let tunnel = try await fixture.tunnel(account)
        let made = try await fixture.attach("play.customer.example", tunnel, account)
        let answer = try await fixture.call(
            "POST", "/v1/tunnels/\(tunnel)/domains/\(try made.text("id"))/check", as: account.apiKey)
        #expect(answer["found"] == ["a\u{FFFD}\u{FFFD}\u{FFFD}b", "", "ö"])
    }

    @Test func twoClaimAndTheSecondProofIsTooLate() async throws {
        struct Everything: TXTResolver {
            let values: [String]
            func txt(_ name: String) async -> TXTAnswer { .records(values) }
        }
        let fixture = try await Fixture()
        var checks: [(Fixture.Account, String, AccountID)] = []
        for _ in 0..<2 {
            let account = try await fixture.account(plan: "plus")
            let tunnel = try await fixture.tunnel(account)
            let made = try await fixture.attach("play.customer.example", tunnel, account)
            #expect(made.status == 201)
            checks.append(
                (
                    account, "/v1/tunnels/\(tunnel)/domains/\(try made.text("id"))/check",
                    try #require(AccountID(account.id))
                ))
        }
        // The same accounts behind a control plane whose name server knows both records.
        let proofs = checks.map { DomainRecords.proofValue("play.customer.example", account: $0.2) }
        let other = try await Fixture(url: fixture.url, names: Everything(values: proofs))
        let first = try await other.call("POST", checks[0].1, as: checks[0].0.apiKey)
        #expect(first["result"] == "proven")
        let second = try await other.call("POST", checks[1].1, as: checks[1].0.apiKey)
        #expect(second.status == 200 && second["result"] == "taken")
        #expect(second["domain"]?["state"] == "pending")
        let third = try await fixture.account(plan: "plus")
        let late = try await fixture.attach(
            "PLAY.customer.example", try await fixture.tunnel(third), third)
        #expect(late.status == 409 && late.code == "domain-taken")
    }

    @Test func aPlanWithoutOwnDomainsAndAFullTunnelRefuseWithAReason() async throws {
        let fixture = try await Fixture()
        let free = try await fixture.account(plan: "free")
        let refused = try await fixture.attach("a.customer.example", try await fixture.tunnel(free), free)
        #expect(refused.status == 403 && refused.code == "plan-limit")
        let account = try await fixture.account(plan: "plus")
        let tunnel = try await fixture.tunnel(account)
        for number in 0..<Store.maxDomainsPerTunnel {
            #expect(
                try await fixture.attach("n\(number).customer.example", tunnel, account).status == 201)
        }
        let full = try await fixture.attach("more.customer.example", tunnel, account)
        #expect(full.status == 409 && full.code == "too-many-domains")
        let again = try await fixture.attach("n0.customer.example", tunnel, account)
        #expect(again.status == 409 && again.code == "domain-attached")
    }

    @Test(arguments: [
        "castle.eu.mine.example", "MINE.example.", "*.customer.example", "münchen.example", "203.0.113.7",
        "localhost", "pc.local", "play.customer.example:25565", "",
    ])
    func whatIsNoNameOfTheirsIsRefused(_ hostname: String) async throws {
        let fixture = try await Fixture()
        let account = try await fixture.account(plan: "plus")
        let tunnel = try await fixture.tunnel(account)
        let answer = try await fixture.attach(hostname, tunnel, account)
        #expect(answer.status == 422)
        #expect(answer.pointers == ["/hostname"])
    }

    @Test func whatIsSentTwiceIsAttachedOnce() async throws {
        let fixture = try await Fixture()
        let account = try await fixture.account(plan: "plus")
        let tunnel = try await fixture.tunnel(account)
        let headers: HTTPHeaders = ["Idempotency-Key": "once"]
        let first = try await fixture.attach("a.customer.example", tunnel, account, headers: headers)
        let again = try await fixture.attach("a.customer.example", tunnel, account, headers: headers)
        #expect(first.status == 201 && again.status == 201 && first.text == again.text)
        #expect(again.headers["idempotency-replayed"] == "true")
        let other = try await fixture.attach("b.customer.example", tunnel, account, headers: headers)
        #expect(other.status == 422 && other.code == "idempotency-mismatch")
    }

    @Test func othersNamesDoNotExist() async throws {
        let fixture = try await Fixture()
        let account = try await fixture.account(plan: "plus")
        let tunnel = try await fixture.tunnel(account)
        let made = try await fixture.attach("a.customer.example", tunnel, account)
        let other = try await fixture.account(plan: "plus")
        let second = try await fixture.tunnel(account)
        let id = try made.text("id")
        for (bearer, at) in [(other.apiKey, tunnel), (account.apiKey, second)] {
            let path = "/v1/tunnels/\(at)/domains/\(id)"
            for (method, path) in [("GET", path), ("DELETE", path), ("POST", path + "/check")] {
                #expect(try await fixture.call(method, path, as: bearer).status == 404, "\(method)")
            }
        }
        #expect(try await fixture.attach("b.customer.example", tunnel, other).status == 404)
        let list = try await fixture.call("GET", "/v1/tunnels/\(tunnel)/domains", as: other.apiKey)
        #expect(list.status == 404)
    }

    @Test func checksHaveALimitOfTheirOwn() async throws {
        let fixture = try await Fixture()
        let account = try await fixture.account(plan: "plus")
        let tunnel = try await fixture.tunnel(account)
        let made = try await fixture.attach("a.customer.example", tunnel, account)
        let answer = try await fixture.call(
            "POST", "/v1/tunnels/\(tunnel)/domains/\(try made.text("id"))/check", as: account.apiKey)
        #expect(answer.headers["ratelimit-policy"]?.contains("\"domain-checks\";q=30;w=60") == true)
    }
}
