import Core
import Testing

@testable import Domain

@Suite struct OverageTests {
    private static func hour(_ index: Int64, _ bytes: Int, metered: Int = 0, parts: Int = 0) -> MeteredHour {
        MeteredHour(hour: WallTime(seconds: index * 3600), bytes: bytes, metered: metered, parts: parts)
    }

    private static func part(_ index: Int64, _ number: Int, _ bytes: Int) -> MeterPart {
        MeterPart(hour: WallTime(seconds: index * 3600), number: number, bytes: bytes)
    }

    @Test func whatThePlanIncludesIsNotSold() {
        #expect(Overage.due([Self.hour(1, 60), Self.hour(2, 40)], included: 100) == [])
    }

    @Test func onlyWhatIsBeyondIsSoldInTheHourThatMovedIt() {
        #expect(
            Overage.due([Self.hour(1, 90), Self.hour(2, 20), Self.hour(3, 5)], included: 100)
                == [Self.part(2, 1, 10), Self.part(3, 1, 5)])
    }

    @Test func whatWasToldBeforeIsNotToldAgain() {
        let hours = [Self.hour(1, 90), Self.hour(2, 20, metered: 10, parts: 1)]
        #expect(Overage.due(hours, included: 100) == [])
    }

    @Test func lateUsageGoesToAFollowingPartOfTheHour() {
        let hours = [Self.hour(1, 90), Self.hour(2, 27, metered: 10, parts: 1)]
        #expect(Overage.due(hours, included: 100) == [Self.part(2, 2, 7)])
    }

    @Test func lateUsageOfAnEarlierHourIsSoldWhereItNowLies() {
        let hours = [Self.hour(1, 110), Self.hour(2, 20, metered: 10, parts: 1)]
        #expect(Overage.due(hours, included: 100) == [Self.part(1, 1, 10), Self.part(2, 2, 10)])
    }

    @Test func aLargerPlanTakesNothingBackAndSellsNothingTwice() {
        let hours = [Self.hour(1, 150, metered: 50, parts: 1), Self.hour(2, 60)]
        #expect(Overage.due(hours, included: 200) == [])
        #expect(
            Overage.due(hours + [Self.hour(3, 100)], included: 200)
                == [Self.part(2, 1, 10), Self.part(3, 1, 50)])
    }

    @Test func volumeOnAnotherPlanUsesUpWhatIsIncludedButIsNeverSold() {
        #expect(Overage.due([Self.hour(5, 10)], earlier: 3000, included: 100) == [Self.part(5, 1, 10)])
        #expect(Overage.due([Self.hour(5, 10)], earlier: 95, included: 100) == [Self.part(5, 1, 5)])
    }

    /// However usage trickles in, what is sold is exactly what is beyond.
    @Test func theSumIsWhatIsBeyondWhateverTheOrder() {
        var random = SystemRandomNumberGenerator()
        for _ in 0..<200 {
            let included = Int.random(in: 1...500, using: &random)
            var hours = (0..<24).map { Self.hour($0, 0) }
            var seen: Set<String> = []
            for _ in 0..<40 {
                let index = Int.random(in: 0..<24, using: &random)
                hours[index].bytes += Int.random(in: 0...60, using: &random)
                for part in Overage.due(hours, included: included) {
                    let at = Int(part.hour.seconds / 3600)
                    #expect(part.bytes > 0)
                    #expect(seen.insert("\(at):\(part.number)").inserted)
                    hours[at].metered += part.bytes
                    hours[at].parts = part.number
                }
                let total = hours.reduce(0) { $0 + $1.bytes }
                #expect(hours.reduce(0) { $0 + $1.metered } == max(0, total - included))
            }
        }
    }

    @Test func identifiersNameTheAccountTheHourAndThePart() throws {
        let account = AccountID(entropy: [UInt8](repeating: 7, count: AccountID.entropyBytes))
        #expect(Self.part(450_000, 1, 1).identifier(of: account) == "\(account.text):450000")
        #expect(Self.part(450_000, 2, 1).identifier(of: account) == "\(account.text):450000:2")
        #expect(Self.part(450_000, 9999, 1).identifier(of: account).utf8.count <= 100)
    }
}

@Suite struct MeterDeliveryTests {
    private let start = WallTime(seconds: 1_800_000_000)
    private var fresh: MeterDelivery { MeterDelivery(hour: start, nextTry: start) }

    private func attempted(_ answer: MeterAnswer, _ delivery: MeterDelivery, at now: WallTime)
        -> MeterDelivery
    {
        var delivery = delivery
        let before = delivery
        let mayBegin = delivery.begin(now: now)
        #expect(mayBegin)
        delivery.end(answer, before: before)
        return delivery
    }

    @Test(arguments: [MeterAnswer.recorded, .duplicate])
    func anEventThatStripeHasIsSentAndNeverSentAgain(_ answer: MeterAnswer) {
        var delivery = attempted(answer, fresh, at: start)
        #expect(delivery.state == .sent)
        let mayBegin = delivery.begin(now: start + 60)
        #expect(!mayBegin)
    }

    @Test func aRefusedEventIsTriedAgainUntilItIsTooOldAndThenReported() {
        var delivery = attempted(.refused("no such meter"), fresh, at: start)
        #expect(delivery.state == .due && delivery.unclearSince == nil)
        delivery = attempted(.refused("no such meter"), delivery, at: start + 30 * 86400)
        let tooOld = start + MeterDelivery.maxAge_s
        let mayBegin = delivery.begin(now: tooOld)
        #expect(!mayBegin && delivery.state == .late)
    }

    @Test func afterAnUnclearAnswerItIsSentAgainWithinADayAndNotAfterwards() {
        var delivery = attempted(.unclear("timed out"), fresh, at: start)
        #expect(delivery.state == .due && delivery.unclearSince == start)
        delivery = attempted(.unclear("timed out"), delivery, at: start + 22 * 3600)
        #expect(delivery.unclearSince == start)
        let mayBegin = delivery.begin(now: start + 24 * 3600)
        #expect(!mayBegin && delivery.state == .unclear)
    }

    @Test func aRefusalDoesNotClearUpWhatWasUnclearBefore() {
        var delivery = attempted(.unclear("timed out"), fresh, at: start)
        delivery = attempted(.refused("too many requests"), delivery, at: start + 3600)
        #expect(delivery.unclearSince == start)
        let mayBegin = delivery.begin(now: start + 24 * 3600)
        #expect(!mayBegin && delivery.state == .unclear)
    }

    @Test func aProcessThatDiesBeforeTheAnswerLeavesItUnclear() {
        var delivery = fresh
        let mayBegin = delivery.begin(now: start)
        #expect(mayBegin)
        #expect(delivery.unclearSince == start && delivery.state == .due)
    }

    @Test func pausesGrowToAnHour() {
        var delivery = fresh
        var pauses: [Int64] = []
        for _ in 0..<12 {
            let now = delivery.nextTry
            delivery = attempted(.refused("no"), delivery, at: now)
            pauses.append(delivery.nextTry.seconds - now.seconds)
        }
        #expect(pauses.prefix(4) == [30, 60, 120, 240])
        #expect(pauses.max() == 3600)
    }
}
