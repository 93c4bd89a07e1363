/// What `minecart help` prints.
public enum UsageText {
    public static func help(on topic: String?) -> String {
        switch topic {
        case "up": up
        case "regions": regions
        default: overview
        }
    }

    private static let overview = """
        minecart gives a Minecraft server at home a public address.

          minecart up        connect this machine's server, and stay connected until Ctrl-C
          minecart regions   list the regions and how far away they are
          minecart version   print the version
          minecart help up   explain the options of a command

        A session:
          minecart up --local 127.0.0.1:25565 --key-file ~/.minecart-key

        """

    private static let up = """
        minecart up: connect a Minecraft server to its public address, and stay connected until Ctrl-C.

          --local HOST:PORT          the Minecraft server (127.0.0.1:25565)
          --name LABEL               the tunnel by the first part of its address, such as sleepy-creeper; made if
                                     there is none of that name. Without it: your only tunnel, or a new one
          --region auto|REGION       where to make a new tunnel; auto takes the nearest (auto)
          --key KEY                  your agent key; also from MINECART_KEY. Both are wiped from the process list
          --key-file FILE            ... or the first line of a file; also from MINECART_KEY_FILE
          --proxy-protocol off|v1|v2 tell the server the players' addresses; it must be set up for it (off)
          --control URL              the control plane; also from CONTROL_URL (\(ControlURL.standard))
          --json                     one JSON object a line instead of text: ready, connecting, player_joined,
                                     player_left, migrated, standby, standby_lost, reconnecting, asleep,
                                     finishing, error

        A plan may close a tunnel that nobody plays on for a while. In a terminal, Enter opens it again.

        Exit: 0 after Ctrl-C, 1 when it cannot go on, 2 when the command line is wrong, 3 when the tunnel was
        closed because nobody played and there is no terminal to press Enter in.

        """

    private static let regions = """
        minecart regions: list the regions and the time to reach each.

          --key KEY                  your agent key; also from MINECART_KEY
          --key-file FILE            ... or the first line of a file; also from MINECART_KEY_FILE
          --control URL              the control plane; also from CONTROL_URL (\(ControlURL.standard))
          --json                     one JSON object a line instead of text

        """
}
