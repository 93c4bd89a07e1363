/// Numbers as people read them.
public enum Quantity {
    private static let prefixes = ["", "k", "M", "G", "T", "P", "E"]

    /// `49.9 GB`: decimal units, at most one digit behind the point, cut rather than rounded up.
    public static func bytes(_ count: Int) -> String { scaled(count, "B") }

    /// `1 Mbit/s`
    public static func rate(bytes_per_s: Int) -> String {
        scaled(bytes_per_s.multipliedReportingOverflow(by: 8).overflow ? Int.max : bytes_per_s * 8, "bit/s")
    }

    private static func scaled(_ value: Int, _ unit: String) -> String {
        var unitSize = 1
        var index = 0
        while index + 1 < prefixes.count, value / unitSize >= 1000 {
            unitSize *= 1000
            index += 1
        }
        let tenths = index == 0 ? 0 : value % unitSize / (unitSize / 10)
        return "\(value / unitSize)\(tenths == 0 ? "" : ".\(tenths)") \(prefixes[index])\(unit)"
    }
}
