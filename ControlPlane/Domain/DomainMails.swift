import Core

extension Mail {
    /// The record of a proven name is missing.
    public static func domainWillLapse(
        to: String, hostname: String, proof: DomainRecords.Record, at time: WallTime
    ) -> Mail {
        Mail(
            to: to, subject: "\(hostname): its TXT record is missing",
            text: """
                Hello,

                players reach your Minecraft server as \(hostname). The record that proves that this name is yours \
                cannot be found any more:

                    \(proof.type)  \(proof.name)
                    \(proof.value)

                Please set it again. Otherwise players can no longer join by this name from \(time.rfc3339) on; \
                your other names are not concerned.

                """, kind: "domain-will-lapse")
    }

    /// A name is served no more, since its record has been missing for days.
    public static func domainLapsed(to: String, hostname: String, proof: DomainRecords.Record) -> Mail {
        Mail(
            to: to, subject: "\(hostname) is detached: its TXT record is missing",
            text: """
                Hello,

                the record that proves that \(hostname) is yours has been missing for days. Players can no longer \
                join by this name; your other names are not concerned.

                To use it again, set the record and have it looked up once more \
                (POST /v1/tunnels/…/domains/…/check):

                    \(proof.type)  \(proof.name)
                    \(proof.value)

                """, kind: "domain-lapsed")
    }
}
