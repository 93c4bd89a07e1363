import Core
import Testing

@Suite struct JSONTests {
    @Test func membersKeepTheirOrder() throws {
        let text = #"{"z":1,"a":[true,null,{"b":"c"}],"m":-2.5}"#
        #expect(try JSON.parse(text).text == text)
    }

    @Test func manyMembersKeepTheirOrderAndAreFound() throws {
        var object = JSONObject()
        for index in 0..<100 { object["name\(99 - index)"] = .integer(Int64(index)) }
        object["name50"] = nil
        object["name1"] = "changed"
        #expect(object.count == 99)
        #expect(object["name50"] == nil && object["name1"] == "changed" && object["name0"] == 99)
        let read = try JSON.parse(JSON.object(object).bytes)
        #expect(read.objectValue?.members.map(\.name) == object.members.map(\.name))
    }

    @Test func objectsAreEqualWhateverTheirOrder() throws {
        let left = try JSON.parse(#"{"a":1,"b":2}"#)
        let right = try JSON.parse(#"{"b":2,"a":1}"#)
        #expect(left == right)
        #expect(Set([left, right]).count == 1)
        #expect(left != (try JSON.parse(#"{"a":1,"c":2}"#)))
    }

    @Test func wholeNumbersStayWhole() throws {
        #expect(try JSON.parse("9223372036854775807") == .integer(.max))
        #expect(try JSON.parse("-9223372036854775808") == .integer(.min))
        #expect(try JSON.parse("9223372036854775808") == .number(9_223_372_036_854_775_808))
        #expect(try JSON.parse("1.0") == .number(1))
        #expect(try JSON.parse("1e2") == .number(100))
        #expect(try JSON.parse("-0") == .integer(0))
    }

    @Test func escapesAreReadAndOnlyWhatMustIsEscaped() throws {
        let value = try JSON.parse(#""\"\\\/\b\f\n\r\t\u0041\u00e9\ud83d\ude00\u0000""#)
        #expect(value == "\"\\/\u{8}\u{C}\n\r\tAé😀\0")
        #expect(value.text == #""\"\\/\u0008\u000c\n\r\tAé😀\u0000""#)
    }

    @Test func aByteOrderMarkInAStringIsKept() throws {
        #expect(try JSON.parse("\"\u{FEFF}a\"").stringValue?.unicodeScalars.count == 2)
    }

    @Test func notANumberIsWrittenAsNull() {
        #expect(JSON.number(.nan).text == "null")
        #expect(JSON.number(.infinity).text == "null")
    }

    @Test(arguments: [
        "", " ", "nul", "nulll", "True", "'a'", "[", "]", "[1", "[1,", "[1,]", "[,1]", "[1 2]", "{", "{}}",
        #"{"a"}"#, #"{"a":}"#, #"{"a":1,}"#, #"{a:1}"#, #"{"a":1 "b":2}"#, #"{1:2}"#, "01", "-", "-01", "+1",
        ".5",
        "1.", "1e", "1e+", "0x1", "1e999", "-1e999", "NaN", "Infinity", #"""#, #""a"#, #""\x""#, #""\u12""#,
        #""\u12g4""#, #""\ud800""#, #""\udc00""#, #""\ud800\u0041""#, #""\ud800\ud800""#, "\"a\u{1}\"",
        "\"\t\"",
        "1 1", "[]x", "// a\n1", "\u{FEFF}1", "\u{A0}1",
    ])
    func whatIsNotJSONIsRefused(text: String) {
        #expect(throws: JSONError.self) { try JSON.parse(text) }
    }

    @Test(
        arguments: [
            [0xFF], [0x22, 0xFF, 0x22], [0x22, 0xC0, 0x80, 0x22], [0x22, 0xED, 0xA0, 0x80, 0x22],
            [0x22, 0xF5, 0x80, 0x80, 0x80, 0x22], [0x22, 0xE2, 0x82, 0x22], [0x00], [0x31, 0x00],
        ] as [[UInt8]])
    func whatIsNotUTF8IsRefused(bytes: [UInt8]) {
        #expect(throws: JSONError.self) { try JSON.parse(bytes) }
    }

    @Test func aMemberNamedTwiceIsRefused() {
        let error = #expect(throws: JSONError.self) { try JSON.parse(#"{"a":1,"b":2,"a":3}"#) }
        #expect(error?.reason == "the member name occurs twice")
        #expect(throws: JSONError.self) { try JSON.parse(#"{"a":1,"\u0061":2}"#) }
        let many = (0..<40).map { #""n\#($0)":0"# }.joined(separator: ",")
        #expect(throws: JSONError.self) { try JSON.parse("{\(many),\"n7\":1}") }
    }

    @Test func nestingIsBounded() throws {
        func nested(_ depth: Int) -> String {
            String(repeating: "[", count: depth) + String(repeating: "]", count: depth)
        }
        #expect(try JSON.parse(nested(33)).arrayValue != nil)
        #expect(throws: JSONError.self) { try JSON.parse(nested(34)) }
        #expect(throws: JSONError.self) { try JSON.parse(String(repeating: "[", count: 1_000_000)) }
        #expect(throws: JSONError.self) {
            try JSON.parse(String(repeating: #"{"a":"#, count: 100_000))
        }
        #expect(throws: JSONError.self) { try JSON.parse(Array("[[1]]".utf8), maxDepth: 1) }
    }

    @Test func errorsNameTheirPlace() {
        let error = #expect(throws: JSONError.self) { try JSON.parse("[1, 2, x]") }
        #expect(error?.offset == 7)
        #expect(error.map { "\($0)" } == "unexpected character at byte 7")
    }

    @Test func lookingIntoAnotherKindGivesNothing() {
        let value: JSON = ["a": 1, "b": "text", "c": [1, 2], "d": nil, "e": true]
        #expect(value["a"]?.integerValue == 1 && value["a"]?.stringValue == nil)
        #expect(value["b"]?.stringValue == "text" && value["b"]?["x"] == nil)
        #expect(value["c"]?.arrayValue?.count == 2 && value["c"]?.objectValue == nil)
        #expect(value["d"]?.isNull == true && value["x"] == nil)
        #expect(value["e"]?.boolValue == true && value["e"]?.integerValue == nil)
    }
}
