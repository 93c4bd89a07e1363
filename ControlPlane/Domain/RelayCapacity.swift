/// What a relay may say that it moved. More is a fault or a lie.
public enum RelayCapacity {
    /// 100 Gbit/s each way.
    public static let bytes_per_s = 12_500_000_000
    /// As many connections as one process may have by far.
    public static let players = 100_000
    /// A report that was held up may be old, and clocks differ; one from longer ago or from the future counts as of now.
    public static let oldest_s: Int64 = 7 * 86_400
    public static let newest_s: Int64 = 300

    public static func allows(bytes: Int, player_s: Int, interval_s: Int64) -> Bool {
        // What passed in the second before the interval began may have been counted in it.
        let seconds = Int(min(max(0, interval_s), oldest_s)) + 60
        return bytes <= 2 * bytes_per_s * seconds && player_s <= players * seconds
    }
}
