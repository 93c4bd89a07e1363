/// What a region may be called: a DNS label that begins with a letter, at most 15 characters.
public enum RegionName {
    public static func isValid(_ text: String) -> Bool {
        let bytes = Array(text.utf8)
        guard (1...15).contains(bytes.count), let first = bytes.first, let last = bytes.last else {
            return false
        }
        return isLetter(first) && last != hyphen
            && bytes.allSatisfy { isLetter($0) || (0x30...0x39).contains($0) || $0 == hyphen }
    }

    private static let hyphen = UInt8(ascii: "-")
    private static func isLetter(_ byte: UInt8) -> Bool { (0x61...0x7A).contains(byte) }
}
