"""From a player's client to a server at home, over real programs, with a client of others: mcstatus."""

import contextlib
import socket
import unittest
from unittest import mock

import mcstatus
from stack import BIN, JSONLines, StackTestCase, player, processes_naming

import packets


@contextlib.contextmanager
def names_lead_to_loopback():
    """Stands in for DNS, so that a client dials 127.0.0.1 and still says the name in its handshake."""
    real = socket.getaddrinfo
    with mock.patch("socket.getaddrinfo", lambda host, *rest, **named: real("127.0.0.1", *rest, **named)):
        yield


class TunnelTests(StackTestCase):
    relays = "eu=1,us=1"

    def way(self, *server_options, agent_options=("--region", "eu", "--name", "tests")):
        """A home server with an agent: (server, agent, host, port of the relay)."""
        server = self.home_server(*server_options)
        agent = self.agent(server, *agent_options)
        host, port = self.stack.relay_address(agent).split(":")
        return server, agent, host, int(port)

    def test_mcstatus_reads_the_home_servers_status_unchanged(self):
        options = ["--motd", "Grüße aus dem Keller", "--version", "1.21.4", "--protocol", "769", "--online", "7"]
        _, agent, _, port = self.way(*options, "--max-players", "33")
        with names_lead_to_loopback():
            client = mcstatus.JavaServer(agent.hostname, port)
            status = client.status()
            self.assertEqual(status.version.name, "1.21.4")
            self.assertEqual(status.version.protocol, 769)
            self.assertEqual(status.motd.to_plain(), "Grüße aus dem Keller")
            self.assertEqual((status.players.online, status.players.max), (7, 33))
            self.assertGreater(client.ping(), 0)

    def test_a_login_reaches_the_chat(self):
        server, agent, host, port = self.way()
        result = player("login", f"{host}:{port}", "--name", agent.hostname, "--user", "Alex", "--stay", "0.5")
        self.assertEqual(result.returncode, 0, result.stderr)
        self.assertIn(f"Welcome, Alex! You reached the home server as {agent.hostname}.", result.stdout)
        self.assertEqual(server.wait_for("login")["player"], "Alex")
        agent.wait_for("player_joined")
        agent.wait_for("player_left")

    def test_the_home_server_gets_the_typed_name_as_it_came(self):
        server, agent, host, port = self.way()
        typed = agent.hostname.upper() + "."
        self.assertEqual(player("ping", f"{host}:{port}", "--name", typed).returncode, 0)
        self.assertEqual(server.wait_for("status")["host"], typed)

    def test_proxy_protocol_tells_the_players_address(self):
        for version in ("v1", "v2"):
            with self.subTest(version=version):
                options = ("--region", "eu", "--name", f"proxy-{version}", "--proxy-protocol", version)
                server, agent, host, port = self.way("--proxy-protocol", agent_options=options)
                with socket.create_connection((host, port)) as connection:
                    connection.sendall(packets.handshake(agent.hostname, port, 1) + packets.frame(0))
                    seen = server.wait_for("status")["player_address"]
                    self.assertEqual(seen, "%s:%d" % connection.getsockname())

    def test_an_unknown_name_gets_a_readable_answer(self):
        address = self.stack.env["RELAY_1_ADDRESS"]
        ping = player("ping", address, "--name", "nobody.eu.dvv.one")
        self.assertEqual(ping.returncode, 0, ping.stderr)
        self.assertGreater(len(ping.stdout.splitlines()[0]), 10)
        login = player("login", address, "--name", "nobody.eu.dvv.one")
        self.assertEqual(login.returncode, 3, login.stderr)

    def test_a_name_whose_agent_left_gets_a_readable_answer(self):
        _, agent, host, port = self.way()
        agent.stop()
        login = player("login", f"{host}:{port}", "--name", agent.hostname)
        self.assertEqual(login.returncode, 3, login.stderr)

    def test_the_agents_key_shows_in_no_process_list(self):
        server = self.home_server()
        env = self.stack.env
        agent = JSONLines(
            [BIN / "minecart", "up", "--local", server.address, "--control", env["CONTROL_URL"], "--json"]
            + ["--region", "eu", "--name", "tests", "--key", env["AGENT_KEY"]]
        )
        self.addCleanup(agent.stop)
        agent.wait_for("ready")
        self.assertEqual(processes_naming(env["AGENT_KEY"]), [])


if __name__ == "__main__":
    unittest.main()
