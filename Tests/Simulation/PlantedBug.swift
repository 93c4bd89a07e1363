/// Faults that the simulation can build into its own adapters, to show that it finds them.
public enum PlantedBug: String, CaseIterable, Sendable {
    /// A relay takes an older snapshot from Redis for the truth.
    case olderSnapshot
    /// A leader's transaction does not look whether the lease is still held.
    case skipFence
    /// A relay applies a delta although those before it are missing.
    case ignoreGap
    /// A usage report that comes again is added again.
    case countRetry
    /// A relay lets a link of an older generation in.
    case oldGeneration
    /// Merged changes leave out what was deleted.
    case forgetDeletes
    /// A relay takes a missing snapshot in Redis for an empty region.
    case absenceIsEmpty
    /// A session that was replaced gets its tunnel back.
    case takeBack
    /// A placement has one relay as both owner and standby.
    case standbyIsOwner
    /// A session that asks again counts as another link to come.
    case countRetryAsLoad
    /// A relay forgets a usage report that was not acknowledged.
    case forgetReport
    /// A held question is not answered when something changes.
    case pollNotReleased
    /// A relay closes its players' connections when their tunnel's link breaks.
    case dropPlayers
    /// A relay that has no link passes a question for one on to others.
    case forwardAsk
}
