import Core
import HTTP
import Testing

@testable import API

/// What the documents need to know of every route.
@Suite struct ContractTests {
    @Test(arguments: RouteTable.standard.routes.map(\.name))
    func everyRouteSaysWhatItTakesAndGives(_ name: String) throws {
        let route = try #require(RouteTable.standard.routes.first { $0.name == name })
        #expect(
            route.gives != nil,
            """
            \(name) does not say what it answers: add `gives:` to its Route in ControlPlane/API, such as \
            gives: .ok(Schemas.tunnel), and `takes: .body([…], optional: […])` when it has a body, `query:` when it has \
            a query, `problems: [409: ["name-taken"]]` for its own refusals. New things go into Schemas.swift. See \
            "A new route" in README.md.
            """)
        for parameter in route.path.parameters {
            #expect(
                PathSchemas.schema(of: parameter, in: route.path) != nil,
                "say what {\(parameter)} of \(name) is: add the path segment before it to PathSchemas")
        }
    }

    @Test(arguments: [400, 408, 413, 414, 431, 500, 503])
    func whatTheHTTPServerRefusesByItselfIsAProblemOfOurs(_ status: Int) async throws {
        let response = try await Fixture().api.refuse(HTTPRefusal(status, "this is too much"))
        #expect(response.status == status)
        #expect(Contract.misfits(refusal: response) == [])
        for route in RouteTable.standard.routes { #expect(route.allProblems[status] != nil, "\(route.name)") }
    }

    @Test func operationsAndTheirNamesAreOneToOne() {
        let ids = RouteTable.standard.routes.map(\.operationID)
        #expect(Set(ids).count == ids.count)
    }

    @Test func aNameMeansOneSchema() {
        var first = JSONObject()
        for route in RouteTable.standard.routes {
            for schema in [route.takes, route.query, route.answer].compactMap({ $0 }) {
                var components = JSONObject()
                _ = schema.json(&components)
                for (name, value) in components.members {
                    #expect(first[name] == nil || first[name] == value, "\(name) means two things")
                    first[name] = value
                }
            }
        }
    }

    @Test func everyReferenceOfTheDocumentLeadsSomewhere() throws {
        let document = OpenAPI.document(of: .standard)
        for reference in references(in: document) {
            let place = reference.split(separator: "/").dropFirst().reduce(document as JSON?) {
                $0?[String($1)]
            }
            #expect(place != nil && place != .null, "\(reference) leads nowhere")
        }
    }

    private func references(in json: JSON) -> Set<String> {
        switch json {
        case .object(let object):
            object.members.reduce(into: []) { found, member in
                if member.name == "$ref", let text = member.value.stringValue { found.insert(text) }
                found.formUnion(references(in: member.value))
            }
        case .array(let items): items.reduce(into: []) { $0.formUnion(references(in: $1)) }
        default: []
        }
    }
}

extension Route {
    var name: String { "\(method) \(path)" }
    var answer: Schema? { if case .json(let schema)? = gives?.body { schema } else { nil } }
}
