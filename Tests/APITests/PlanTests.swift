import Core
import Testing

@testable import API

@Suite struct PlanRouteTests {
    private func patch(_ fixture: Fixture, _ plan: String, _ body: JSON) async throws -> Fixture.Answer {
        try await fixture.call("PATCH", "/v1/ops/plans/\(plan)", body, as: Fixture.operatorKey)
    }

    @Test func plansAreListedWithAllTheirNumbers() async throws {
        let fixture = try await Fixture()
        let answer = try await fixture.call("GET", "/v1/ops/plans", as: Fixture.operatorKey)
        #expect(answer.status == 200)
        #expect(
            answer["data"]?.arrayValue?.first == [
                "id": "free", "name": "Free", "position": 1, "max_tunnels": 1, "players": 10,
                "bytes_per_s": 2_500_000, "bytes_per_month": 50_000_000_000, "idle_timeout_s": 1800,
                "chosen_names": false, "own_domains": false, "priority": false, "members": 1,
                "stripe_price": nil, "stripe_meter": nil, "stripe_meter_price": nil,
                "throttled_bytes_per_s": 125_000, "unused_after_days": 90,
            ])
    }

    @Test func aChangeTouchesOnlyWhatIsSentAndNullIsNoLimit() async throws {
        let fixture = try await Fixture()
        let before = try await patch(fixture, "plus", [:])
        #expect(before.status == 200)
        #expect(before["players"] == 60)
        let answer = try await patch(
            fixture, "plus",
            [
                "name": "Plus!", "position": 9, "max_tunnels": 6, "bytes_per_month": nil, "members": 4,
                "unused_after_days": 400, "idle_timeout_s": 900, "own_domains": false,
                "stripe_price": "price_plus",
                "stripe_meter": "minecart_bytes", "stripe_meter_price": "price_more",
            ])
        #expect(answer.status == 200)
        var expected = try #require(before.json.objectValue)
        expected["name"] = "Plus!"
        expected["position"] = 9
        expected["max_tunnels"] = 6
        expected["bytes_per_month"] = .null
        expected["members"] = 4
        expected["unused_after_days"] = 400
        expected["idle_timeout_s"] = 900
        expected["own_domains"] = false
        expected["stripe_price"] = "price_plus"
        expected["stripe_meter"] = "minecart_bytes"
        expected["stripe_meter_price"] = "price_more"
        #expect(answer.json == .object(expected))
        let taken = try await patch(fixture, "team", ["stripe_price": "price_plus"])
        #expect(taken.status == 409)
        #expect(taken.code == "price-taken")
        #expect(try await patch(fixture, "plus", ["stripe_price": nil])["stripe_price"] == .null)
        #expect(try await patch(fixture, "plus", ["stripe_meter": nil])["stripe_meter"] == .null)
        #expect(try await patch(fixture, "gold", ["name": "Gold"]).status == 404)
    }

    @Test(
        arguments: [
            ("/max_tunnels", ["max_tunnels": -1]), ("/players", ["players": "10"]),
            ("/bytes_per_s", ["bytes_per_s": 0]), ("/bytes_per_s", ["bytes_per_s": true]),
            ("/bytes_per_month", ["bytes_per_month": 0]), ("/idle_timeout_s", ["idle_timeout_s": 0]),
            ("/members", ["members": 0]), ("/name", ["name": ""]), ("/name", ["name": nil]),
            ("/position", ["position": nil]), ("/chosen_names", ["chosen_names": nil]),
            ("/unused_after_days", ["unused_after_days": 14]), ("/priority", ["priority": 1]),
            ("/stripe_price", ["stripe_price": "two words"]),
            ("/stripe_price", ["stripe_price": ""]), ("/stripe_meter", ["stripe_meter": "two words"]),
            ("/stripe_meter_price", ["stripe_meter_price": "two words"]),
            ("/id", ["id": "other"]),
            ("/max_players", ["max_players": 3]),
        ] as [(String, JSON)])
    func badNumbersAndUnknownMembersAreRefused(_ pointer: String, _ body: JSON) async throws {
        let fixture = try await Fixture()
        let answer = try await patch(fixture, "free", body)
        #expect(answer.status == 422)
        #expect(answer.pointers == [pointer])
    }
}

@Suite struct AccountLimitRouteTests {
    @Test func anExceptionIsReplacedAndShownWithWhatCounts() async throws {
        let fixture = try await Fixture()
        let account = try await fixture.account(plan: "free")
        let path = "/v1/ops/accounts/\(account.id)/limits"
        let plain: JSON = [
            "account_id": .string(account.id), "plan": "free", "exception": [:],
            "billing_state": "none", "over_quota": false, "suspended": false,
            "effective": [
                "max_tunnels": 1, "players": 10, "bytes_per_s": 2_500_000, "bytes_per_month": 50_000_000_000,
                "idle_timeout_s": 1800,
            ],
        ]
        #expect(try await fixture.call("GET", path, as: Fixture.operatorKey).json == plain)
        let given = try await fixture.call(
            "PUT", path, ["max_tunnels": 2, "players": nil], as: Fixture.operatorKey)
        #expect(given.status == 200)
        #expect(given["exception"] == ["max_tunnels": 2, "players": nil])
        #expect(
            given["effective"] == [
                "max_tunnels": 2, "players": nil, "bytes_per_s": 2_500_000, "bytes_per_month": 50_000_000_000,
                "idle_timeout_s": 1800,
            ])
        #expect(try await fixture.call("GET", path, as: Fixture.operatorKey).json == given.json)
        _ = try await fixture.tunnel(account)
        _ = try await fixture.tunnel(account)
        let third = try await fixture.call("POST", "/v1/tunnels", ["region": "eu"], as: account.apiKey)
        #expect(third.code == "plan-limit")
        let other = try await fixture.call(
            "PUT", path, ["bytes_per_s": 5000, "bytes_per_month": nil], as: Fixture.operatorKey)
        #expect(other["exception"] == ["bytes_per_s": 5000, "bytes_per_month": nil])
        #expect(other["effective"]?["bytes_per_month"] == .null)
        #expect(try await fixture.call("PUT", path, [:], as: Fixture.operatorKey).json == plain)
        let unknown = try await fixture.call("PUT", path, ["bytes": 1], as: Fixture.operatorKey)
        #expect(unknown.pointers == ["/bytes"])
        let negative = try await fixture.call("PUT", path, ["players": -1], as: Fixture.operatorKey)
        #expect(negative.pointers == ["/players"])
    }

    @Test func aDowngradeShowsSurplusTunnelsAsSuspended() async throws {
        let fixture = try await Fixture()
        let account = try await fixture.account(plan: "plus")
        try await fixture.relay("r1")
        var made: [String] = []
        for _ in 0..<3 { made.append(try await fixture.tunnel(account)) }
        func states() async throws -> [JSON?] {
            try await fixture.call("GET", "/v1/tunnels", as: account.apiKey)["data"]?.arrayValue?.map {
                $0["state"]
            } ?? []
        }
        func move(_ plan: JSON) async throws -> Fixture.Answer {
            try await fixture.call(
                "PUT", "/v1/ops/accounts/\(account.id)/plan", ["plan": plan], as: Fixture.operatorKey)
        }
        #expect(try await move("free")["plan"] == "free")
        #expect(try await states() == ["offline", "suspended", "suspended"])
        let newest = try await fixture.call("GET", "/v1/tunnels/\(made[2])", as: account.apiKey)
        #expect(newest["suspended_reason"] == "surplus")
        let oldest = try await fixture.call("GET", "/v1/tunnels/\(made[0])", as: account.apiKey)
        #expect(oldest["suspended_reason"] == .null)
        #expect(try await fixture.place(made[2], "ses_1", account).code == "suspended")
        let shown = try await fixture.call("GET", "/v1/account", as: account.apiKey)
        #expect(shown["plan"] == ["id": "free", "name": "Free"])
        #expect(
            shown["usage"] == ["tunnels": 3, "suspended_tunnels": 2, "members": 1, "bytes_this_month": 0])
        #expect(try await move("team").status == 200)
        #expect(try await states() == ["offline", "offline", "offline"])
        #expect(try await fixture.place(made[2], "ses_1", account).status == 201)
        #expect(try await move("gold").pointers == ["/plan"])
        #expect(try await move(nil).pointers == ["/plan"])
    }

    @Test func unknownAccountsAreNotThere() async throws {
        let fixture = try await Fixture()
        for id in ["acc_0000000000000000000000", "acc_x", "tun_0000000000000000000000"] {
            let path = "/v1/ops/accounts/\(id)"
            #expect(try await fixture.call("GET", path + "/limits", as: Fixture.operatorKey).status == 404)
            #expect(
                try await fixture.call("PUT", path + "/limits", [:], as: Fixture.operatorKey).status == 404)
            #expect(
                try await fixture.call("PUT", path + "/plan", ["plan": "free"], as: Fixture.operatorKey)
                    .status == 404)
        }
    }

    @Test func aCustomerSeesTheOwnAccountOnly() async throws {
        let fixture = try await Fixture()
        let account = try await fixture.account(plan: "plus")
        let answer = try await fixture.call("GET", "/v1/account", as: account.apiKey)
        #expect(answer.status == 200)
        #expect(answer["id"] == .string(account.id))
        #expect(answer["suspended"] == false)
        #expect(
            answer["limits"] == [
                "max_tunnels": 5, "players": 60, "bytes_per_s": 12_500_000,
                "bytes_per_month": 1_000_000_000_000, "idle_timeout_s": nil, "chosen_names": true,
                "own_domains": true, "priority": true, "members": 1, "unused_after_days": nil,
            ])
    }

    /// Only an operator passes, on every one of these routes.
    @Test func strangersAndOtherKeysAreTurnedAway() async throws {
        let fixture = try await Fixture()
        let account = try await fixture.account()
        let relay = try await fixture.relayKey()
        for (method, path) in [
            ("GET", "/v1/ops/plans"), ("PATCH", "/v1/ops/plans/free"),
            ("GET", "/v1/ops/accounts/\(account.id)/limits"),
            ("PUT", "/v1/ops/accounts/\(account.id)/limits"),
            ("PUT", "/v1/ops/accounts/\(account.id)/plan"),
        ] {
            #expect(try await fixture.call(method, path).status == 401)
            #expect(try await fixture.call(method, path, as: "nonsense").status == 401)
            for key in [account.apiKey, account.agentKey, relay] {
                #expect(try await fixture.call(method, path, as: key).status == 403, "\(method) \(path)")
            }
        }
        #expect(try await fixture.call("GET", "/v1/account").status == 401)
        for key in [account.agentKey, relay, Fixture.operatorKey] {
            #expect(try await fixture.call("GET", "/v1/account", as: key).status == 403)
        }
    }
}
