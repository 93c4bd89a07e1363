import Core
import Crypto
import Domain
import Postgres

/// Everything that is kept in Postgres, and all SQL. Every function is one transaction; what belongs together is
/// written together, with its revision, outbox row and audit row.
public struct Store: Sendable {
    let pool: Pool
    let digests = RegionDigests()
    let placements = PlacementQueue()

    public init(pool: Pool) { self.pool = pool }

    /// Whether the database answers.
    public func ping() async throws(StoreError) {
        try await transaction(.none) { tx in _ = try tx.query("SELECT 1") }
    }

    /// One transaction, with whatever goes wrong told as a `StoreError`.
    func transaction<Result: Sendable>(
        _ isolation: Isolation = .readCommitted, _ body: @Sendable (inout Transaction) throws -> Result
    ) async throws(StoreError) -> Result {
        do {
            return try await pool.transaction(isolation, body)
        } catch let error as StoreError {
            throw error
        } catch let error as PostgresError {
            throw StoreError(error)
        } catch {
            throw .database(.unexpectedValue("\(error)"))
        }
    }
}

/// Why the store did not do it.
public enum StoreError: Error, Sendable, Hashable, CustomStringConvertible {
    /// The database is away or too slow: try again in a moment.
    case unavailable(String)
    case unknownRegion(String)
    case unknownPlan(String)
    case invalidLabel(Label.Problem)
    case labelTaken(String)
    case plan(Plan.Refusal)
    case suspended
    /// Another session of the agent took the tunnel over.
    case sessionReplaced
    /// No relay of the region takes placements.
    case noRelay(region: String)
    /// Every relay of the region is as good as full, for this account's plan at least.
    case regionFull(String)
    /// Nobody has heard of the relay for long: it cannot be told anything.
    case relayLost
    case emailTaken
    /// Of members, invitations and their keys.
    case membership(Membership.Refusal)
    /// Nobody has the invited address yet.
    case passwordNeeded
    /// Another plan is sold by this Stripe price.
    case priceTaken
    /// This key waits to sign already.
    case rotationUnderWay(kid: String)
    case tooManySigningKeys
    /// The account has attached this name to the tunnel of the second one already.
    case domainAttached(String, to: String)
    /// Another account has proven this name.
    case domainTaken(String)
    /// A tunnel has no more of its customer's names than this.
    case tooManyDomains(Int)
    /// Another process leads by now.
    case leaseLost
    /// A fault of ours.
    case database(PostgresError)

    init(_ error: PostgresError) {
        switch error {
        case .unavailable(let reason): self = .unavailable(reason)
        case .serializationFailure: self = .unavailable("too many transactions were in the way")
        default: self = .database(error)
        }
    }

    public var description: String {
        switch self {
        case .unavailable(let reason): "the database is not available: \(reason)"
        case .unknownRegion(let region): "there is no region \(region)"
        case .unknownPlan(let plan): "there is no plan \(plan)"
        case .invalidLabel(let problem): problem.description
        case .labelTaken(let label): "the name \(label) is taken in this region: choose another one"
        case .plan(.tunnels(let count)):
            "your plan allows \(count) tunnel\(count == 1 ? "" : "s"): delete one or take a larger plan"
        case .plan(.chosenName):
            "your plan has generated names only: leave the name out or take a larger plan"
        case .plan(.ownDomain):
            "your plan has no own domains: take a larger plan"
        case .suspended: "the account or tunnel is suspended: see your bill or ask support"
        case .sessionReplaced: "another agent session has taken this tunnel over, and the newest one wins"
        case .noRelay(let region): "no relay of region \(region) is ready: try again in a moment"
        case .regionFull(let region): "region \(region) has no room right now: try again later"
        case .relayLost: "nobody has heard of this relay for long: what it had is moved already"
        case .membership(let refusal): refusal.description
        case .passwordNeeded: "nobody has this address yet: choose a password"
        case .emailTaken: "there is a user with this e-mail address"
        case .priceTaken: "another plan is sold by this Stripe price"
        case .rotationUnderWay(let kid): "a rotation is under way: the key \(kid) is published and will sign"
        case .tooManySigningKeys: "there are too many retired signing keys: remove some first"
        case .domainAttached(let name, let hostname):
            "you have attached \(name) to \(hostname) already: detach it there first"
        case .domainTaken(let name):
            "another account has proven \(name): it must detach the name first"
        case .tooManyDomains(let count):
            "a tunnel takes at most \(count) own names: detach one first"
        case .leaseLost: "another process leads"
        case .database(let error): error.description
        }
    }

    static func refusing(
        _ check: () throws(Membership.Refusal) -> Void
    ) throws(StoreError) {
        do { try check() } catch { throw .membership(error) }
    }
}
