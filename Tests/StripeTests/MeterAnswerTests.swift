import Domain
import HTTP
import Testing

@testable import Stripe

@Suite struct MeterAnswerTests {
    private func answer(_ status: Int, code: String? = nil, _ message: String = "no") -> MeterAnswer {
        StripeMeter.answer(.refused(status: status, code: code, message: message, requestID: nil))
    }

    @Test func aSecondEventUnderTheSameNameIsTheFirst() {
        #expect(
            answer(400, code: "invalid_request_error", "An event already exists with identifier a:1.")
                == .duplicate)
        #expect(answer(400, code: "duplicate_meter_event") == .duplicate)
    }

    @Test func whatStripeRefusesDidNotCount() {
        for status in [400, 401, 403, 404, 429] {
            guard case .refused = answer(status) else {
                Issue.record("\(status)")
                continue
            }
        }
        guard case .refused = StripeMeter.answer(.unsent("no connection")) else {
            Issue.record("it was never sent")
            return
        }
    }

    @Test func whatMayHaveCountedIsUnclear() {
        let errors = [StripeError.unreachable("cut off"), .nonsense("<html>")]
        for answer in [409, 500, 503].map({ answer($0) }) + errors.map({ StripeMeter.answer($0) }) {
            guard case .unclear = answer else {
                Issue.record("\(answer)")
                continue
            }
        }
    }
}
