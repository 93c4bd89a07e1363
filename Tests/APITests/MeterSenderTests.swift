import Core
import Domain
import Postgres
import Store
import Stripe
import Synchronization
import Testing

@testable import API
@testable import Reconcilers

/// An account on plus, which includes 1,000 bytes a month here and sells more by a meter.
private struct Metered: Sendable {
    /// 2026-11-10T12:00:00Z
    static let noon = WallTime(seconds: 1_794_312_000)
    static let hour_s: Int64 = 3600

    let stripe = StripeFake()
    let fixture: Fixture
    let pool: Pool
    let account: AccountID
    let lease: Lease
    let metrics = Metrics()
    let sender: MeterSender

    private final class Clock: Sendable {
        let now = Mutex(noon)
    }
    private let time: Clock

    init() async throws {
        let time = Clock()
        self.time = time
        fixture = try await Fixture()
        pool = Pool(url: fixture.url, maxConnections: 1, timeouts: Fixture.patient)
        account = try #require(AccountID(try await fixture.account(plan: "plus").id))
        lease = try #require(try await fixture.store.holdLease(Lease.leader, holder: "test", length_s: 600))
        sender = MeterSender(
            store: fixture.store, meter: StripeMeter(try stripe.client),
            leadership: Leadership(store: fixture.store, holder: "test"), metrics: metrics
        ) { time.now.withLock { $0 } }
        try await run("UPDATE plans SET bytes_per_month = 1000, stripe_meter = 'bytes' WHERE id = 'plus'")
        try await run("UPDATE accounts SET billing_state = 'active' WHERE id = $1", account.text)
        try await run(
            """
            INSERT INTO stripe_customers (id, account_id, bound_by, bound_at) VALUES ('cus_1', $1, 'ours', now())
            """, account.text)
        try await run(
            """
            INSERT INTO stripe_subscriptions (id, customer_id, status, prices, awaits_payment, ends_with_period)
            VALUES ('sub_1', 'cus_1', 'active', '{}', false, false)
            """)
    }

    var now: WallTime { time.now.withLock { $0 } }

    /// As the leader does each minute, at `hours` after noon.
    @discardableResult
    func turn(atHour hours: Double) async throws -> Int {
        time.now.withLock { $0 = Self.noon + Int64(hours * 3600) }
        return await sender.turn(as: lease)
    }

    func use(_ bytes: Int, atHour hour: Int64) async throws {
        let time = Self.noon + hour * Self.hour_s
        try await run(
            """
            INSERT INTO usage_hours AS held (account_id, hour, tunnel_id, bytes_up, bytes_down, player_s)
            VALUES ($1, to_timestamp($2::bigint), 'tun', 0, $3::bigint, 0)
            ON CONFLICT (account_id, hour, tunnel_id) DO UPDATE SET bytes_down = held.bytes_down + excluded.bytes_down
            """, account.text, String(time.seconds), String(bytes))
        try await run(
            """
            INSERT INTO usage_months AS held (month, account_id, bytes_up, bytes_down, player_s)
            VALUES ($1::date, $2, 0, $3::bigint, 0)
            ON CONFLICT (month, account_id) DO UPDATE SET bytes_down = held.bytes_down + excluded.bytes_down
            """, UTCMonth(containing: time).firstDay, account.text, String(bytes))
    }

    func run(_ sql: String, _ binds: String...) async throws {
        try await pool.transaction { tx in
            switch binds.count {
            case 0: _ = try tx.query(sql)
            case 1: _ = try tx.query(sql, binds[0])
            case 2: _ = try tx.query(sql, binds[0], binds[1])
            default: _ = try tx.query(sql, binds[0], binds[1], binds[2])
            }
        }
    }

    /// Bytes by identifier, without the account.
    var told: [String: String] {
        stripe.meterEvents.reduce(into: [:]) { found, event in
            let name = (event["identifier"] ?? "").replacing(account.text + ":", with: "")
            found[name] = event["payload[value]"]
        }
    }

    func name(_ hour: Int64, part: String = "") -> String { "\(Self.noon.seconds / 3600 + hour)" + part }

    func states() async throws -> [MeterState] {
        try await fixture.store.meterEvents(Page(), state: nil).items.map(\.delivery.state)
    }
}

@Suite struct MeterSenderTests {
    @Test func onlyWhatIsBeyondThePlanIsTold() async throws {
        let metered = try await Metered()
        try await metered.use(5000, atHour: 0)
        try await metered.turn(atHour: 0.5)
        try await metered.use(10, atHour: 1)
        try await metered.use(7, atHour: 2)
        try await metered.turn(atHour: 2.1)
        #expect(metered.told.isEmpty)
        try await metered.turn(atHour: 2.5)
        #expect(metered.told == [metered.name(1): "10"])
        try await metered.turn(atHour: 3.5)
        #expect(metered.told == [metered.name(1): "10", metered.name(2): "7"])
        let event = try #require(metered.stripe.meterEvents.first)
        #expect(event["event_name"] == "bytes" && event["payload[stripe_customer_id]"] == "cus_1")
        #expect(event["timestamp"] == String(Metered.noon.seconds + 3600))
        #expect(try await metered.states() == [.sent, .sent])
    }

    @Test func lateUsageIsToldInAPartOfItsOwn() async throws {
        let metered = try await Metered()
        try await metered.turn(atHour: 0)
        try await metered.use(1500, atHour: 1)
        try await metered.turn(atHour: 3)
        try await metered.use(20, atHour: 1)
        try await metered.turn(atHour: 4)
        try await metered.turn(atHour: 5)
        #expect(metered.told == [metered.name(1): "500", metered.name(1, part: ":2"): "20"])
    }

    @Test func whatEndsWithTheSubscriptionIsToldAndNothingAfterIt() async throws {
        let metered = try await Metered()
        try await metered.turn(atHour: 0)
        try await metered.use(1100, atHour: 1)
        try await metered.use(1, atHour: 2)
        try await metered.run("UPDATE accounts SET billing_state = 'revoked', plan_id = 'free'")
        try await metered.turn(atHour: 2.5)
        try await metered.use(1, atHour: 3)
        try await metered.turn(atHour: 6)
        #expect(metered.told == [metered.name(1): "100"])
    }

    @Test func eachMonthHasItsOwnVolume() async throws {
        let metered = try await Metered()
        try await metered.turn(atHour: 0)
        let december: Int64 = 20 * 24 + 12
        try await metered.use(1001, atHour: december - 1)
        try await metered.turn(atHour: Double(december) - 0.5)
        try await metered.use(1000, atHour: december)
        try await metered.turn(atHour: Double(december) + 2)
        #expect(metered.told == [metered.name(december - 1): "1"])
        try await metered.use(2, atHour: december + 1)
        try await metered.turn(atHour: Double(december) + 3)
        #expect(metered.told == [metered.name(december - 1): "1", metered.name(december + 1): "2"])
    }

    @Test func aLargerPlanInTheMiddleOfTheMonthSellsNothingTwice() async throws {
        let metered = try await Metered()
        try await metered.run(
            "UPDATE plans SET bytes_per_month = 1200, stripe_meter = 'bytes' WHERE id = 'team'")
        try await metered.turn(atHour: 0)
        try await metered.use(1100, atHour: 1)
        try await metered.turn(atHour: 3)
        try await metered.run("UPDATE accounts SET plan_id = 'team'")
        try await metered.turn(atHour: 3.2)
        try await metered.use(150, atHour: 4)
        try await metered.turn(atHour: 6)
        #expect(metered.told == [metered.name(1): "100", metered.name(4): "50"])
    }

    @Test(arguments: [
        StripeFake.Fault.failsAfterDoing, .loses, .hangsUp, .status(500), .status(409), .status(429),
        .nonsense,
    ])
    func whateverBecomesOfTheAnswerItCountsOnce(_ fault: StripeFake.Fault) async throws {
        let metered = try await Metered()
        try await metered.turn(atHour: 0)
        try await metered.use(1042, atHour: 1)
        metered.stripe.fail("/v1/billing/meter_events", fault)
        try await metered.turn(atHour: 3)
        #expect(try await metered.states() == [.due])
        try await metered.turn(atHour: 4)
        #expect(try await metered.states() == [.sent])
        #expect(metered.stripe.meterEvents.count == 1)
        let keys = metered.stripe.asked.filter { $0.method == "POST" }.map(\.key)
        #expect(keys.count == 2 && Set(keys).count == 2)
    }

    /// The attempt is committed, the event arrives, and the process is gone before it hears of it.
    @Test func whoDiesBeforeTheAnswerSendsItUnderTheSameName() async throws {
        let metered = try await Metered()
        try await metered.turn(atHour: 0)
        try await metered.use(1042, atHour: 1)
        let store = metered.fixture.store
        let now = Metered.noon + 3 * 3600
        try await store.noteOverage(now: now, as: metered.lease)
        let claims = try await store.claimMeterEvents(limit: 9, now: now, as: metered.lease)
        #expect(claims.count == 1)
        let meter = StripeMeter(try metered.stripe.client)
        for claim in claims { #expect(await meter.tell(claim.event) == .recorded) }
        #expect(try await store.claimMeterEvents(limit: 9, now: now, as: metered.lease).isEmpty)
        try await metered.turn(atHour: 4)
        #expect(try await metered.states() == [.sent])
        #expect(metered.stripe.meterEvents.count == 1)
        // The dead one's answer, late: nothing changes.
        try await store.finishMeterEvent(claims[0], .refused("late"))
        #expect(try await metered.states() == [.sent])
    }

    @Test func whatNobodyKnowsIsNotSentAgainButListed() async throws {
        let metered = try await Metered()
        try await metered.turn(atHour: 0)
        try await metered.use(1042, atHour: 1)
        metered.stripe.fail("/v1/billing/meter_events", .loses)
        metered.stripe.fail("/v1/billing/meter_events", .hangsUp, count: 1000)
        try await metered.turn(atHour: 3)
        try await metered.turn(atHour: 10)
        metered.stripe.clearFaults()
        try await metered.turn(atHour: 40)
        #expect(metered.stripe.meterEvents.count == 1)
        #expect(metered.metrics.render().contains("minecart_meter_events{state=\"unclear\"} 1"))
        let listed = try await metered.fixture.call(
            "GET", "/v1/ops/meter-events?state=unclear", as: Fixture.operatorKey)
        let item = try #require(listed["data"]?.arrayValue?.first)
        #expect(item["identifier"] == .string("\(metered.account.text):\(metered.name(1))"))
        #expect(item["bytes"] == 42 && item["attempts"] == 2)
        let none = try await metered.fixture.call(
            "GET", "/v1/ops/meter-events?state=due", as: Fixture.operatorKey)
        #expect(none["data"] == [])
    }

    @Test func whoDoesNotLeadTellsNothing() async throws {
        let metered = try await Metered()
        try await metered.turn(atHour: 0)
        try await metered.use(1042, atHour: 1)
        try await metered.run("UPDATE leases SET holder = 'another', epoch = epoch + 1")
        try await metered.turn(atHour: 3)
        #expect(metered.stripe.meterEvents.isEmpty)
    }
}
