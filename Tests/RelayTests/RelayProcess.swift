import CLinux
import Core
import Crypto
import IO
import Support
import TLS
import Testing
import Wire

/// The real program, without a control plane: it knows the keys of tickets, and serves links on their strength.
final class RelayProcess: RelayUnderTest {
    let address: SocketAddress
    let fingerprint: String
    let rendezvous: Rendezvous
    private let key: Ed25519PrivateKey
    private let child: ChildProcess
    private let folder: String
    private let processID: String

    init() throws {
        folder = try Files.temporaryFolder("relay")
        key = try Ed25519PrivateKey(seed: SecureRandom.bytes(32))
        let certificate = try SelfSignedCertificate.generate(commonName: "rly_process")
        fingerprint = certificate.fingerprint
        address = try #require(SocketAddress(host: "127.0.0.1", port: Files.freePort()))
        rendezvous = Rendezvous(relay: "rly_process", endpoint: address.description)
        try Files.write(certificate.certificatePEM, to: folder + "/certificate.pem")
        try Files.write(certificate.privateKeyPEM, to: folder + "/key.pem")
        let jwks = VerificationKeys([key.publicKey]).jwks.text
        // The control plane's address is one where nothing answers.
        try Files.write(
            """
            echo $$ >'\(folder)/pid'
            export RELAY_ID=rly_process RELAY_KEY=unused REGION=eu CONTROL_URL=http://127.0.0.1:1
            export RELAY_LISTEN=\(address) HTTP_HOST=127.0.0.1 PORT=0 TICKET_PUBLIC_KEYS='\(jwks)'
            export TLS_CERTIFICATE_FILE='\(folder)/certificate.pem' TLS_KEY_FILE='\(folder)/key.pem'
            exec '\(try Self.program())'
            """, to: folder + "/start.sh")
        child = try ChildProcess(
            command: "/bin/sh '\(folder)/start.sh'", endSignal: "TERM", log: folder + "/log", remove: folder)
        let end = Instant.now() + .seconds(Peer.deadline_s)
        while (try? Peer(to: address)) == nil {
            guard Instant.now() < end else {
                throw TestFailure("the relay did not start:\n\(ChildProcess.tail(of: folder + "/log"))")
            }
            usleep(10_000)
        }
        processID = String((Settings.read(folder + "/pid") ?? "").prefix { $0.isNumber })
    }

    func end() { child.end() }

    /// The program lies where the build put the tests.
    private static func program() throws -> String {
        var path = [CChar](repeating: 0, count: 4096)
        let count = readlink("/proc/self/exe", &path, path.count)
        let mine = String(decoding: path.prefix(max(0, count)).map { UInt8(bitPattern: $0) }, as: UTF8.self)
        // The tests are a program of their own, or run inside the toolchain's helper.
        let besides = mine.split(separator: "/").dropLast().reduce(into: "") { $0 += "/" + $1 }
        for folder in [besides, Files.root + "/.build/debug"] {
            let program = folder + "/minecart-relay"
            if access(program, X_OK) == 0 { return program }
        }
        throw TestFailure("minecart-relay is not built: run swift build --product minecart-relay")
    }

    func ticket(_ name: String) -> String {
        Ticket(
            relay: rendezvous.relay, tunnel: "t-\(name)", account: "acc_1", session: "ses_1", generation: 1,
            region: "eu", hostnames: ["\(name).eu.example.org"], limits: .none, issuedAt: WallTime.now()
        ).signed(with: key)
    }

    var isRunning: Bool { access("/proc/\(processID)/fd", F_OK) == 0 }

    /// How many descriptors the process holds.
    func descriptors() throws -> Int {
        guard let folder = opendir("/proc/\(processID)/fd") else { throw SystemError.last("opendir") }
        defer { closedir(folder) }
        var count = 0
        while let entry = readdir(folder) { if entry.pointee.d_name.0 != 0x2E { count += 1 } }
        return count
    }

    /// Waits until the process holds no more descriptors than this; answers with what it holds.
    func descriptors(settlingTo wanted: Int) throws -> Int {
        let end = Instant.now() + .seconds(Peer.deadline_s)
        while true {
            let count = try descriptors()
            if count <= wanted || Instant.now() >= end { return count }
            usleep(20_000)
        }
    }
}
