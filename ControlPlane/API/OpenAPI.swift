import Core

/// The description of the API (OpenAPI 3.1), made from the route table.
public enum OpenAPI {
    public static func document(of table: RouteTable) -> JSON {
        var paths = JSONObject()
        for route in table.routes {
            var path = paths[route.path.description]?.objectValue ?? JSONObject()
            path[route.method.lowercased()] = operation(route)
            paths[route.path.description] = .object(path)
        }
        return [
            "openapi": "3.1.0",
            "info": ["title": "Minecart", "version": "1"],
            "paths": .object(paths),
            "components": [
                "securitySchemes": [
                    "bearer": [
                        "type": "http", "scheme": "bearer",
                        "description": "Access token, API key, agent key, relay key or operator key.",
                    ]
                ]
            ],
        ]
    }

    private static func operation(_ route: Route) -> JSON {
        var operation: JSONObject = ["summary": .string(route.summary)]
        let parameters = route.path.parameters.map { name -> JSON in
            ["name": .string(name), "in": "path", "required": true, "schema": ["type": "string"]]
        }
        if !parameters.isEmpty { operation["parameters"] = .array(parameters) }
        if case .callers(let kinds) = route.access {
            operation["security"] = [["bearer": []]]
            operation["x-callers"] = .array(kinds.map { .string($0.rawValue) })
        }
        operation["responses"] = [
            "default": ["description": "An answer as described, or a problem (RFC 9457)."]
        ]
        return .object(operation)
    }
}
