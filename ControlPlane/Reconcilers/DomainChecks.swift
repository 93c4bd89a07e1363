import Core
import DNS
import Domain
import Store

/// Looks up the proofs of own names.
public struct DomainChecker: Sendable {
    public struct Report: Sendable {
        /// What counted: `taken` when another account was first.
        public var finding: DomainFinding
        /// The records at the name where the proof belongs.
        public var found: [String]
        /// Why nobody could say.
        public var trouble: String?
        public var domain: DomainView
    }

    private let store: Store
    private let resolver: any TXTResolver

    public init(store: Store, resolver: any TXTResolver) {
        self.store = store
        self.resolver = resolver
    }

    /// Looks the proof up now and notes what came of it; nil when the name is gone meanwhile.
    public func check(
        _ id: DomainID, hostname: String, account: AccountID, actor: Actor, as lease: Lease? = nil
    ) async throws(StoreError) -> Report? {
        var found: [String] = []
        var trouble: String?
        let finding: DomainFinding
        switch await resolver.txt(DomainRecords.proofName(hostname)) {
        case .records(let records):
            found = records
            finding = DomainRecords.isProof(records, of: hostname, account: account) ? .found : .missing
        case .none: finding = .missing
        case .unavailable(let reason):
            trouble = reason
            finding = .unavailable
        }
        guard
            let noted = try await store.recordDomainCheck(
                id, account: account, finding, now: .now(), actor: actor, as: lease)
        else { return nil }
        return Report(finding: noted.finding, found: found, trouble: trouble, domain: noted.domain)
    }
}

/// As leader, looks up the names that are due: those not proven yet for a week, proven ones each day.
public struct DomainChecks: Sendable {
    private let store: Store
    private let checker: DomainChecker
    private let leadership: Leadership
    private let interval: Milliseconds
    private let log = Log("domains")
    private static let actor = Actor.system("domains")
    /// Looked up at once; the rest waits for the next turn.
    private static let batch = 32

    public init(
        store: Store, checker: DomainChecker, leadership: Leadership, interval: Milliseconds = .seconds(3)
    ) {
        self.store = store
        self.checker = checker
        self.leadership = leadership
        self.interval = interval
    }

    /// Runs until the task is cancelled.
    public func run() async {
        while await Task.pause(interval) {
            guard let lease = leadership.current else { continue }
            do throws(StoreError) {
                try await turn(lease)
            } catch {
                log.debug("cannot look after domains now: \(error)")
            }
        }
    }

    private func turn(_ lease: Lease) async throws(StoreError) {
        let due = try await store.dueDomains(now: .now(), limit: Self.batch, as: lease)
        await withDiscardingTaskGroup { group in
            for domain in due { group.addTask { await check(domain, lease) } }
        }
    }

    private func check(_ domain: DueDomain, _ lease: Lease) async {
        do throws(StoreError) {
            let report = try await checker.check(
                domain.id, hostname: domain.hostname, account: domain.account, actor: Self.actor, as: lease)
            if let report, report.finding == .unavailable {
                log.debug(
                    "nobody could say whether a domain is proven",
                    ["hostname": domain.hostname, "reason": report.trouble ?? ""])
            }
        } catch {
            log.debug("a domain's check could not be noted: \(error)", ["domain": domain.id.text])
        }
    }
}
