import AgentCore
import Core
import IO

/// `minecart regions`: which regions there are and how far away they are.
enum RegionsCommand {
    static func run(_ options: RegionsOptions) -> Int32 {
        do throws(AgentFailure) {
            let key = try AgentKey(options.key)
            let loop = try AgentFailure.onThisMachine { () throws(SystemError) in try EventLoop() }
            return list(options, key, loop)
        } catch {
            Terminal.complain("minecart: \(error.text)\n")
            return 1
        }
    }

    private static func list(_ options: RegionsOptions, _ key: AgentKey, _ loop: EventLoop) -> Int32 {
        var exitCode: Int32 = 0
        let control = ControlClient(loop: loop, url: options.control, key: key)
        control.send(.regions) { result in
            switch result {
            case .success(.regions(let regions)):
                RegionProbe.measure(regions, on: loop) { times in
                    show(RegionTime.sorted(times), json: options.json)
                    loop.stop()
                }
            case .success: loop.stop()
            case .failure(let failure):
                Terminal.complain("minecart: \(failure.text)\n")
                exitCode = 1
                loop.stop()
            }
        }
        loop.run()
        return exitCode
    }

    private static func show(_ times: [RegionTime], json: Bool) {
        let width = times.map { $0.region.count }.max() ?? 0
        for entry in times {
            if json {
                let time = entry.time.map { JSON.integer(Int64($0.count)) } ?? .null
                Terminal.print(
                    JSON.object(["region": .string(entry.region), "connect_ms": time]).text + "\n")
            } else {
                let gap = String(repeating: " ", count: width - entry.region.count + 3)
                Terminal.print(
                    entry.region + gap + (entry.time.map { $0.words } ?? "no answer") + "\n")
            }
        }
        if times.isEmpty, !json { Terminal.print("There are no regions yet.\n") }
    }
}
