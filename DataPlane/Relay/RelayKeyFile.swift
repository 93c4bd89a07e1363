import Core
import Crypto

/// The keys that tickets and assignments are signed with, kept in STATE_DIR as the control plane last told them, so
/// that a relay which restarts while the control plane is away still knows whom to believe.
struct RelayKeyFile: Sendable {
    private let path: String?
    private let log = Log("relay")

    /// Without a directory nothing is kept.
    init(directory: String?) { path = directory.map { $0 + "/relay-keys.json" } }

    /// nil when there is none, or none that can be used: the control plane will tell.
    func read() -> VerificationKeys? {
        guard let path, let text = Settings.read(path) else { return nil }
        if let json = try? JSON.parse(text), let keys = try? VerificationKeys(jwks: json) { return keys }
        log.warning("the kept keys cannot be read: waiting for the control plane's", ["path": path])
        return nil
    }

    func write(_ keys: VerificationKeys) {
        guard let path else { return }
        do throws(StateError) {
            try StateFile.write(keys.jwks.text, to: path)
        } catch {
            log.warning(
                "the keys cannot be kept: a restart needs the control plane", ["reason": error.description])
        }
    }
}
