import Core
import HTTP
import Testing

@testable import API

extension Schema {
    /// What of a value does not fit, each with its place; empty when all is well.
    func misfits(_ value: JSON, at place: String = "") -> [String] {
        if isNullable, value.isNull { return [] }
        switch (shape, value) {
        case (.text(let length, let pattern, let format), .string(let text)):
            return misfits(text, length, pattern, format).map { "\(place) \($0)" }
        case (.words(let words), .string(let text)):
            return words.contains(text) ? [] : ["\(place) \"\(text)\" is none of \(words)"]
        case (.integer(let range), .integer(let number)):
            return range.contains(number) ? [] : ["\(place) \(number) is not in \(range)"]
        case (.bool, .bool): return []
        case (.list(let item, let max), .array(let items)):
            let tooMany = max.map { items.count > $0 } ?? false
            return (tooMany ? ["\(place) has \(items.count) entries"] : [])
                + items.enumerated().flatMap { item.misfits($1, at: "\(place)/\($0)") }
        case (.object(let members, let others), .object(let object)):
            return Self.misfits(object, members, others, at: place)
        case (.choice(let schemas), _):
            let fitting = schemas.filter { $0.misfits(value, at: place).isEmpty }.count
            return fitting == 1 ? [] : ["\(place) fits \(fitting) of \(schemas.count) choices"]
        default: return ["\(place) is of another type: \(value.text.prefix(80))"]
        }
    }

    private var time: String { "^[0-9]{4}(-[0-9]{2}){2}T[0-9]{2}(:[0-9]{2}){2}(\\.[0-9]+)?Z$" }

    private func misfits(
        _ text: String, _ length: ClosedRange<Int>, _ pattern: String?, _ format: String?
    ) -> [String] {
        var wrong: [String] = []
        let count = text.unicodeScalars.count
        if !length.contains(count) { wrong.append("has \(count) characters, not \(length)") }
        if let pattern, !Self.matches(text, pattern) { wrong.append("\"\(text)\" is not \(pattern)") }
        if format == "date-time", !Self.matches(text, time) { wrong.append("\"\(text)\" is no time") }
        return wrong
    }

    private static func matches(_ text: String, _ pattern: String) -> Bool {
        guard let regex = try? Regex(pattern).matchingSemantics(.unicodeScalar) else { return false }
        return text.firstMatch(of: regex) != nil
    }

    private static func misfits(
        _ object: JSONObject, _ members: [Member], _ others: Others, at place: String
    ) -> [String] {
        var wrong: [String] = []
        for member in members {
            if let value = object[member.name] {
                wrong += member.schema.misfits(value, at: "\(place)/\(member.name)")
            } else if member.isRequired {
                wrong.append("\(place)/\(member.name) is missing")
            }
        }
        for (name, value) in object.members where !members.contains(where: { $0.name == name }) {
            switch others {
            case .none: wrong.append("\(place)/\(name) is not in the schema")
            case .anything: break
            case .each(let schema): wrong += schema.misfits(value, at: "\(place)/\(name)")
            }
        }
        return wrong
    }
}

/// Whether answers are as the route table says. Every answer that any test gets through the fixture is looked at.
enum Contract {
    /// What is wrong with an answer that the HTTP server gives by itself.
    static func misfits(refusal response: HTTPResponse) -> [String] {
        missingHeaders(response).map { "the header field \($0) is missing" }
            + misfits(problem: response, Problem.common)
    }

    static func misfits(_ request: HTTPRequest, _ response: HTTPResponse, in table: RouteTable) -> [String] {
        let headers = missingHeaders(response).map { "the header field \($0) is missing" }
        switch table.match(method: request.method, path: request.path) {
        case .unknown: return headers + misfits(problem: response, [404: ["not-found"]])
        case .wrongMethod: return headers + misfits(problem: response, [405: ["method-not-allowed"]])
        case .route(let route, _):
            guard let success = route.gives else { return [] }
            guard response.status < 400 else {
                return headers + misfits(problem: response, route.allProblems)
            }
            return headers + misfits(response, success)
        }
    }

    private static func missingHeaders(_ response: HTTPResponse) -> [String] {
        var names = ["X-Request-Id", "Cache-Control"]
        switch response.status {
        case 401 where code(of: response) == "unauthenticated": names.append("WWW-Authenticate")
        case 405: names.append("Allow")
        case 429, 503: names.append("Retry-After")
        default: break
        }
        return names.filter { !response.headers.contains($0) }
    }

    private static func misfits(_ response: HTTPResponse, _ success: Success) -> [String] {
        guard response.status == success.status else {
            return ["\(response.status) where `gives:` says \(success.status)"]
        }
        let missing = success.headers.filter { !response.headers.contains($0) }
        guard missing.isEmpty else { return ["the header fields \(missing) are missing"] }
        let type = response.headers["content-type"]
        switch success.body {
        case .none: return response.body.isEmpty ? [] : ["there is a body where none should be"]
        case .text(_, let contentType): return type == contentType ? [] : ["the type is \(type ?? "none")"]
        case .json(let schema):
            guard type == "application/json", let json = try? JSON.parse(response.body) else {
                return ["the answer is no JSON"]
            }
            return schema.misfits(json)
        }
    }

    private static func misfits(problem response: HTTPResponse, _ codes: [Int: [String]]) -> [String] {
        guard response.headers["content-type"] == Problem.contentType,
            let json = try? JSON.parse(response.body)
        else { return ["a refusal that is no problem"] }
        var wrong = Schemas.problem.misfits(json)
        let code = code(of: response)
        if codes[response.status]?.contains(code) != true {
            wrong.append("add the code to the route: problems: [\(response.status): [\"\(code)\"]]")
        }
        return wrong
    }

    private static func code(of response: HTTPResponse) -> String {
        let type = (try? JSON.parse(response.body))?["type"]?.stringValue ?? ""
        return type.split(whereSeparator: { $0 == ":" || $0 == "#" }).last.map(String.init) ?? ""
    }
}

@Suite struct SchemaCheckTests {
    @Test(arguments: [
        "{}", #"{"a":1,"b":"x"}"#, #"{"a":"y"}"#, #"{"a":"x","c":1}"#, #"{"a":"xxxx"}"#, "[]", #"{"a":null}"#,
    ])
    func aValueThatDoesNotFitIsFound(_ text: String) throws {
        let schema = Schema.object(["a": .text("x", 1...3, pattern: "^x*$")], optional: ["b": .bool(true)])
        #expect(!schema.misfits(try JSON.parse(text)).isEmpty)
    }

    @Test(arguments: [#"{"a":"x"}"#, #"{"a":"xxx","b":false}"#, #"{"a":"x","b":null}"#])
    func aValueThatFitsIsFine(_ text: String) throws {
        let schema = Schema.body(["a": .text("x", 1...3, pattern: "^x*$")], optional: ["b": .bool(true)])
        #expect(schema.misfits(try JSON.parse(text)) == [])
    }

    @Test(arguments: RouteTable.standard.routes.map(\.name))
    func examplesFitTheirSchemas(_ name: String) throws {
        let route = try #require(RouteTable.standard.routes.first { $0.name == name })
        for schema in [route.takes, route.query, route.fields, route.answer].compactMap({ $0 }) {
            #expect(schema.misfits(schema.example) == [])
            #expect(schema.misfits(schema.smallestExample) == [])
        }
    }
}
