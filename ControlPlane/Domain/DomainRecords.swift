import Core
import Crypto

/// The DNS records that a customer sets for an own name: one that proves whose it is, and one that leads players.
public struct DomainRecords: Sendable, Hashable {
    public struct Record: Sendable, Hashable {
        public var type: String
        public var name: String
        public var value: String
        /// When this is the one to take.
        public var note: String
    }

    public static let proofPrefix = "minecart-verify="
    /// The port that the game takes without being told.
    public static let standardPort = 25565

    public var proof: Record
    /// One of these is enough.
    public var routes: [Record]

    /// `target` is the tunnel's hostname, `port` where its relays are reached.
    public init(_ hostname: String, account: AccountID, target: String, port: Int) {
        proof = Record(
            type: "TXT", name: Self.proofName(hostname), value: Self.proofValue(hostname, account: account),
            note: "Proves that the name is yours. Keep it: it is looked at again each day.")
        let service = Record(
            type: "SRV", name: "_minecraft._tcp.\(hostname)", value: "0 5 \(port) \(target)",
            note: port == Self.standardPort
                ? "Leads players. The one for a domain's own name (such as example.com), which takes no CNAME."
                : "Leads players, and tells them the port.")
        let alias = Record(
            type: "CNAME", name: hostname, value: target,
            note: "Leads players. The simplest for a name below a domain, such as play.example.com.")
        routes = port == Self.standardPort ? [alias, service] : [service]
    }

    /// Where the proof is looked up.
    public static func proofName(_ hostname: String) -> String { "_minecart.\(hostname)" }

    /// Bound to account and name, so that nobody proves with another's record. Nothing secret: the record is public.
    public static func proofValue(_ hostname: String, account: AccountID) -> String {
        let hash = SHA256.hash(Array("minecart-domain\n\(account.text)\n\(hostname)".utf8))
        return proofPrefix + Hex.encode(hash[..<16])
    }

    /// Whether one of the records found is the proof. Spaces and quotes around it, which DNS editors add, and
    /// capital letters are forgiven.
    public static func isProof(_ found: [String], of hostname: String, account: AccountID) -> Bool {
        let wanted = proofValue(hostname, account: account)
        return found.contains { text in
            let isDust = { (character: Character) in character.isWhitespace || character == "\"" }
            let core = text.drop(while: isDust).reversed().drop(while: isDust).reversed()
            return String(core).lowercased() == wanted
        }
    }
}
