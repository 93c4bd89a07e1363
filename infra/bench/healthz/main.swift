import CLinux
import Core
import HTTP
import IO

/// An HTTP server on one loop that answers `/healthz`, to be measured from outside:
/// `wrk -t1 -c64 -d10 http://127.0.0.1:PORT/healthz`. Prints its port; an argument sets it.
let address = "127.0.0.1:\(CommandLine.arguments.dropFirst().first ?? "0")"

do throws(SystemError) {
    ProcessLimits.raiseDescriptors()
    let loop = try EventLoop()
    guard let listen = SocketAddress(address) else {
        throw SystemError("the port in \(address)", code: 22)
    }
    let server = try HTTPServer(loop: loop, address: listen, bodyLimit: { _ in 0 }) { request, responder in
        switch request.path {
        case "/healthz": responder.respond(.json(200, ["status": "ok"]))
        default: responder.respond(.problem(404, detail: "only /healthz is here"))
        }
    }
    let line = "\(server.localAddress.port)\n"
    _ = write(1, line, line.utf8.count)
    loop.run()
} catch {
    print("cannot start: \(error)")
}
