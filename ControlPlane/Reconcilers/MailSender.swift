import Core
import Domain
import HTTP
import HTTPCalls
import IO
import Store
import Synchronization

/// Where mails go.
public enum MailDelivery: Sendable {
    case service(MailService)
    case log(MailLog)
    /// Nobody said where: mails wait in the outbox.
    case none
}

/// Takes mails out of the outbox and hands them to the provider. Several processes may do so at once: each claims
/// what it sends, for longer than sending can take.
public final class MailSender: Sendable {
    private let store: Store
    private let delivery: MailDelivery
    private let http: HTTPCaller
    private let sent: Counter
    private let postponed: Counter
    private let givenUp: Counter
    private let log = Log("mail")
    /// Sent, but the database did not hear of it yet.
    private let unmarked = Mutex<[ClaimedMail]>([])

    private static let interval = Milliseconds.seconds(1)
    private static let batch = 8
    static let lease_s = 120
    static let sendDeadline = Milliseconds.seconds(10)

    public init(store: Store, delivery: MailDelivery, http: HTTPCaller, metrics: Metrics) {
        self.store = store
        self.delivery = delivery
        self.http = http
        func counter(_ result: String) -> Counter {
            metrics.counter("minecart_mails_total", "Tries to send a mail.", ["result": result])
        }
        sent = counter("sent")
        postponed = counter("postponed")
        givenUp = counter("given_up")
    }

    /// Runs until the task is cancelled; what is being sent then is finished.
    public func run() async {
        if case .none = delivery {
            log.warning(
                "no mail is sent: sign-ups wait for theirs until MAIL_PROVIDER (or, to try things out, MAIL_LOG) is set"
            )
            return
        }
        while !Task.isCancelled {
            // Of its own, so that being told to stop does not leave a mail in doubt.
            let count = await Task { await turn() }.value
            if count < Self.batch, await !Task.pause(Self.interval) { return }
        }
    }

    /// Sends what is due, up to a batch; how many mails that were.
    func turn() async -> Int {
        do throws(StoreError) {
            try await markSent()
            let begun = Instant.now()
            let claims = try await store.claimMails(limit: Self.batch, lease_s: Self.lease_s)
            await withDiscardingTaskGroup { group in
                for claim in claims { group.addTask { await self.send(claim, claimedAt: begun) } }
            }
            return claims.count
        } catch {
            log.debug("the outbox cannot be read now: \(error)")
            return 0
        }
    }

    private func send(_ claim: ClaimedMail, claimedAt: Instant) async {
        // A process that stood still meanwhile has lost its claim.
        guard claimedAt + .seconds(Self.lease_s) > Instant.now() + Self.sendDeadline else { return }
        do throws(StoreError) {
            switch await deliver(claim) {
            case .sent:
                sent.add()
                unmarked.withLock { $0.append(claim) }
                try await markSent()
            case .later(let problem, let wished_s):
                guard let pause_s = MailRetry.pause_s(after: claim.attempt, wished_s: wished_s) else {
                    return try await giveUp(claim, problem)
                }
                postponed.add()
                log.warning(
                    "a mail could not be sent and is tried again",
                    [
                        "id": claim.id.text, "kind": claim.mail.kind, "problem": problem,
                        "in_s": String(pause_s),
                    ])
                try await store.failMail(claim, pause_s: pause_s, problem: problem)
            case .never(let problem): try await giveUp(claim, problem)
            }
        } catch {
            log.debug("the outbox cannot be told now: \(error)")
        }
    }

    private func giveUp(_ claim: ClaimedMail, _ problem: String) async throws(StoreError) {
        givenUp.add()
        log.error(
            "a mail is given up", ["id": claim.id.text, "kind": claim.mail.kind, "problem": problem])
        try await store.failMail(claim, pause_s: nil, problem: problem)
    }

    private func deliver(_ claim: ClaimedMail) async -> MailOutcome {
        switch delivery {
        case .none: return .later(problem: "no mail is sent", wished_s: nil)
        case .log(let file):
            do throws(SystemError) {
                try file.append(claim.mail, id: claim.id, at: .now())
                return .sent
            } catch {
                return .later(problem: "MAIL_LOG cannot be written: \(error.reason)", wished_s: nil)
            }
        case .service(let service):
            do throws(HTTPCallError) {
                let request = service.request(for: claim.mail, id: claim.id)
                return service.outcome(of: try await http.send(request, deadline: Self.sendDeadline))
            } catch {
                return .later(problem: "\(error)", wished_s: nil)
            }
        }
    }

    /// Tells the database what is sent; what it cannot be told now stays for the next time.
    private func markSent() async throws(StoreError) {
        let claims = unmarked.withLock { list in
            let claims = list
            list = []
            return claims
        }
        for (index, claim) in claims.enumerated() {
            do throws(StoreError) {
                try await store.finishMail(claim)
            } catch {
                unmarked.withLock { $0 += claims[index...] }
                throw error
            }
        }
    }
}
