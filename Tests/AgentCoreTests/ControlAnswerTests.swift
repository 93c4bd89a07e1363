import Core
import Testing

@testable import AgentCore

struct ControlAnswerTests {
    private let place = ControlRequest.place(tunnel: "tun_1", session: "ses_1", exclude: ["rly_a"])

    private func read(
        _ request: ControlRequest, _ status: Int, _ body: String, retryAfter_s: Int? = nil
    ) -> Result<ControlAnswer, ControlFailure> {
        request.read(status: status, body: Array(body.utf8), retryAfter_s: retryAfter_s)
    }

    @Test func requestsAreAsTheAPISays() {
        #expect(place.method == "POST")
        #expect(place.target == "/v1/tunnels/tun_1/placements")
        #expect(place.body?.text == #"{"session":"ses_1","exclude":["rly_a"]}"#)
        #expect(
            ControlRequest.place(tunnel: "tun_1", session: "ses_1", exclude: []).body?.text
                == #"{"session":"ses_1"}"#)
        #expect(ControlRequest.tunnels(cursor: "a b/&").target == "/v1/tunnels?limit=100&cursor=a%20b%2F%26")
        #expect(
            ControlRequest.createTunnel(region: "eu", label: "castle").body?.text
                == #"{"region":"eu","name":"castle"}"#)
        #expect(ControlRequest.createTunnel(region: "eu", label: nil).body?.text == #"{"region":"eu"}"#)
    }

    @Test func aPlacementIsRead() {
        let body =
            #"{"generation":3,"session":"ses_1","ticket":"a.b.c","expires_in_s":300,"relay":{"id":"rly_1","endpoint":"relay.example:7000","fingerprint":"ab"},"standby":null}"#
        #expect(
            read(place, 201, body)
                == .success(
                    .placed(
                        Placement(
                            generation: 3,
                            owner: PlacedRelay(
                                id: "rly_1", endpoint: Endpoint(host: "relay.example", port: 7000),
                                fingerprint: "ab", ticket: "a.b.c")))))
    }

    @Test(arguments: [
        (
            #""standby":{"id":"rly_2","endpoint":"relay.example:7001","fingerprint":"cd","ticket":"d.e.f"}"#,
            true
        ),
        (#""standby":null"#, false), (#""expires_in_s":300"#, false), (#""standby":{"id":"rly_2"}"#, false),
        (#""standby":{"id":"rly_1","endpoint":"r.example:1","fingerprint":"ab","ticket":"t"}"#, false),
    ])
    func aStandbyIsReadWhereThereIsOne(_ field: String, _ isThere: Bool) {
        let body =
            #"{"generation":3,"ticket":"a.b.c","relay":{"id":"rly_1","endpoint":"relay.example:7000","fingerprint":"ab"},"#
            + field + "}"
        guard case .success(.placed(let placement)) = read(place, 201, body) else {
            Issue.record("not read")
            return
        }
        let standby = PlacedRelay(
            id: "rly_2", endpoint: Endpoint(host: "relay.example", port: 7001), fingerprint: "cd",
            ticket: "d.e.f")
        #expect(placement.owner.id == "rly_1")
        #expect(placement.standby == (isThere ? standby : nil))
    }

    @Test func listsAreRead() {
        let tunnels =
            #"{"data":[{"id":"tun_1","hostname":"a.eu.dvv.one","region":"eu","state":"offline"}],"next_cursor":"n"}"#
        #expect(
            read(.tunnels(cursor: nil), 200, tunnels)
                == .success(
                    .tunnels([Tunnel(id: "tun_1", hostname: "a.eu.dvv.one", region: "eu")], next: "n")))
        let regions =
            #"{"data":[{"id":"eu","name":"Europe","endpoints":["192.0.2.1:7000"]},{"id":"us","name":"US","endpoints":[]}],"next_cursor":null}"#
        #expect(
            read(.regions, 200, regions)
                == .success(
                    .regions([
                        Region(id: "eu", probes: [Endpoint(host: "192.0.2.1", port: 7000)]),
                        Region(id: "us", probes: []),
                    ])))
    }

    @Test func aProblemIsTheControlPlanesWord() {
        let body =
            #"{"type":"urn:minecart:problem:plan-limit","title":"Forbidden","status":403,"detail":"Your plan has one tunnel."}"#
        #expect(
            read(place, 403, body)
                == .failure(
                    .refused(Refusal(status: 403, code: "plan-limit", detail: "Your plan has one tunnel."))))
        let busy =
            #"{"type":"https://iana.org/assignments/http-problem-types#quota-exceeded","status":429,"title":"T"}"#
        #expect(
            read(place, 429, busy, retryAfter_s: 7)
                == .failure(
                    .refused(
                        Refusal(status: 429, code: "quota-exceeded", detail: "T", retryAfter: .seconds(7)))))
    }

    @Test func whatIsWrongInDetailIsWhatThePersonReads() {
        let body =
            #"{"type":"urn:minecart:problem:invalid","status":422,"detail":"See errors.","errors":[{"pointer":"/name","detail":"The name is reserved."}]}"#
        #expect(
            read(place, 422, body)
                == .failure(.refused(Refusal(status: 422, code: "invalid", detail: "The name is reserved."))))
    }

    @Test func otherAnswersAreUnreadable() {
        for (status, body) in [
            (404, "<html>"), (502, ""), (404, #"{"status":"error"}"#), (401, #"{"code":401}"#), (200, "[]"),
            (201, #"{"generation":1}"#),
        ] {
            guard case .failure(.unreadable) = read(place, status, body) else {
                Issue.record("\(status) \(body)")
                continue
            }
        }
    }

    @Test func aHostnameThatATerminalWouldObeyIsNotTaken() {
        let body = #"{"id":"tun_1","hostname":"a\u001b[31m.eu","region":"eu"}"#
        guard case .failure(.unreadable) = read(.createTunnel(region: "eu", label: nil), 201, body) else {
            Issue.record("taken")
            return
        }
    }

    @Test func theTicketDoesNotPrint() {
        #expect(!"\(SessionDriver.relayA) \(SessionDriver.onAWithB)".contains("ticket-"))
        #expect(!"\(KeySource.text("mca_secret"))".contains("mca_secret"))
    }
}
