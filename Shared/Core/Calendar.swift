/// A day of the Gregorian calendar in UTC.
public struct CivilDate: Sendable, Hashable {
    public let year: Int
    /// 1 to 12.
    public let month: Int
    /// 1 to 31.
    public let day: Int

    public static let secondsPerDay: Int64 = 86_400

    /// nil for a day that does not exist, and for years that no four digits hold.
    public init?(year: Int, month: Int, day: Int) {
        guard (1...9999).contains(year), (1...12).contains(month),
            (1...Self.length(ofMonth: month, year: year)).contains(day)
        else { return nil }
        self.init(known: year, month, day)
    }

    private init(known year: Int, _ month: Int, _ day: Int) {
        self.year = year
        self.month = month
        self.day = day
    }

    /// The day that a time lies in.
    public init(containing time: WallTime) {
        // Years are counted from March, so that the day that may be missing is the last; eras of 400 years repeat.
        let days = Self.floorDivide(Int(time.seconds), Int(Self.secondsPerDay)) + 719_468
        let era = Self.floorDivide(days, 146_097)
        let dayOfEra = days - era * 146_097
        let yearOfEra = (dayOfEra - dayOfEra / 1460 + dayOfEra / 36_524 - dayOfEra / 146_096) / 365
        let dayOfYear = dayOfEra - (365 * yearOfEra + yearOfEra / 4 - yearOfEra / 100)
        let monthFromMarch = (5 * dayOfYear + 2) / 153
        let month = monthFromMarch < 10 ? monthFromMarch + 3 : monthFromMarch - 9
        self.init(
            known: yearOfEra + era * 400 + (month <= 2 ? 1 : 0), month,
            dayOfYear - (153 * monthFromMarch + 2) / 5 + 1)
    }

    /// Its first second.
    public var start: WallTime {
        let fromMarch = month <= 2 ? year - 1 : year
        let era = Self.floorDivide(fromMarch, 400)
        let yearOfEra = fromMarch - era * 400
        let dayOfYear = (153 * (month > 2 ? month - 3 : month + 9) + 2) / 5 + day - 1
        let dayOfEra = yearOfEra * 365 + yearOfEra / 4 - yearOfEra / 100 + dayOfYear
        return WallTime(seconds: Int64(era * 146_097 + dayOfEra - 719_468) * Self.secondsPerDay)
    }

    public static func length(ofMonth month: Int, year: Int) -> Int {
        switch month {
        case 4, 6, 9, 11: 30
        case 2: year % 4 == 0 && (year % 100 != 0 || year % 400 == 0) ? 29 : 28
        default: 31
        }
    }

    private static func floorDivide(_ value: Int, _ divisor: Int) -> Int {
        value >= 0 ? value / divisor : (value - divisor + 1) / divisor
    }
}

extension WallTime {
    /// From `2026-11-21` (its first second in UTC) or RFC 3339 with `Z` or an offset; parts of a second are cut.
    public init?(rfc3339 text: String) {
        var rest = Array(text.utf8)[...]
        func number(_ digits: Int) -> Int? {
            guard rest.count >= digits, rest.prefix(digits).allSatisfy({ (0x30...0x39).contains($0) }) else {
                return nil
            }
            let value = rest.prefix(digits).reduce(0) { $0 * 10 + Int($1 - 0x30) }
            rest = rest.dropFirst(digits)
            return value
        }
        func skip(_ marks: String) -> UInt8? {
            guard let first = rest.first, marks.utf8.contains(first) else { return nil }
            rest = rest.dropFirst()
            return first
        }
        guard let year = number(4), skip("-") != nil, let month = number(2), skip("-") != nil,
            let day = number(2), let date = CivilDate(year: year, month: month, day: day)
        else { return nil }
        if rest.isEmpty {
            self = date.start
            return
        }
        guard skip("Tt ") != nil, let hour = number(2), hour < 24, skip(":") != nil, let minute = number(2),
            minute < 60, skip(":") != nil, let second = number(2), second <= 60
        else { return nil }
        if skip(".") != nil {
            let digits = rest.prefix { (0x30...0x39).contains($0) }
            guard !digits.isEmpty else { return nil }
            rest = rest.dropFirst(digits.count)
        }
        var offset_s = 0
        if skip("Zz") == nil {
            guard let sign = skip("+-"), let hours = number(2), hours < 24, skip(":") != nil,
                let minutes = number(2), minutes < 60
            else { return nil }
            offset_s = (hours * 3600 + minutes * 60) * (sign == UInt8(ascii: "-") ? -1 : 1)
        }
        guard rest.isEmpty else { return nil }
        self = date.start + Int64(hour * 3600 + minute * 60 + second - offset_s)
    }

    /// The first second of its hour.
    public var startOfHour: WallTime {
        let rest = seconds % 3600
        return WallTime(seconds: seconds - (rest < 0 ? rest + 3600 : rest))
    }
}
