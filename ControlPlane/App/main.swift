import CLinux
import IO

// First of all, so that every thread inherits it.
Signals.block([SIGTERM, SIGINT])
let arguments = Array(CommandLine.arguments.dropFirst())
Task.detached { exit(await Program.run(arguments)) }
// Dispatch's own main loop would let signals through again while it waits, so this thread waits here.
while true { pause() }
