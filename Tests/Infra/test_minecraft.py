"""The small Minecraft server and player under infra/minecraft, played against each other as programs."""

import json
import pathlib
import socket
import struct
import subprocess
import sys
import unittest

MINECRAFT = pathlib.Path(__file__).resolve().parents[2] / "infra" / "minecraft"
sys.path.insert(0, str(MINECRAFT))

import packets  # noqa: E402


class RunningServer:
    """server.py on a free port; `next_event` waits for its next line."""

    def __init__(self, *options):
        command = [sys.executable, str(MINECRAFT / "server.py"), "--listen", "127.0.0.1:0", *options]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        self.address = self.next_event()["address"]

    def next_event(self):
        return json.loads(self.process.stdout.readline())

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.terminate()
        self.process.wait(10)
        self.process.stdout.close()


def player(*arguments):
    command = [sys.executable, str(MINECRAFT / "player.py"), *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=30)


class PacketTests(unittest.TestCase):
    def test_varints_read_back_as_written(self):
        for number in (0, 1, 127, 128, 255, 25565, 2**31 - 1, -1):
            self.assertEqual(packets.Body(packets.varint(number)).varint(), number)

    def test_a_field_past_the_end_is_a_protocol_error(self):
        with self.assertRaises(packets.ProtocolError):
            packets.Body(b"\x05ab").string()

    def test_nested_chat_reads_as_plain_text(self):
        nested = {"text": "a", "extra": ["b", {"text": "c", "extra": [{"text": "d"}]}]}
        self.assertEqual(packets.plain_text(nested), "abcd")


class PlayTests(unittest.TestCase):
    def test_ping_shows_motd_version_and_players(self):
        with RunningServer("--motd", "Hello §aworld", "--version", "1.21.4", "--online", "7") as server:
            result = player("ping", server.address, "--name", "Sleepy.eu.example", "--json")
            self.assertEqual(result.returncode, 0, result.stderr)
            status = json.loads(result.stdout)
            self.assertEqual(status["description"]["text"], "Hello §aworld")
            self.assertEqual(status["version"]["name"], "1.21.4")
            self.assertEqual(status["players"]["online"], 7)
            event = server.next_event()
            self.assertEqual((event["event"], event["host"], event["intent"]), ("status", "Sleepy.eu.example", 1))

    def test_login_reaches_the_chat_line_and_plays_on(self):
        with RunningServer() as server:
            result = player("login", server.address, "--name", "a.b", "--user", "Alex", "--stay", "0.2")
            self.assertEqual(result.returncode, 0, result.stderr)
            self.assertIn("Welcome, Alex! You reached the home server as a.b.", result.stdout)
            self.assertEqual(server.next_event()["player"], "Alex")

    def test_a_kick_is_printed_and_exits_with_3(self):
        with RunningServer() as server:
            result = player("login", server.address, "--name", "a.b", "--protocol", "763")
            self.assertEqual(result.returncode, 3)
            self.assertIn("Minecraft 1.8 only", result.stderr)

    def test_no_server_exits_with_1_and_says_so(self):
        with socket.socket() as taken:
            taken.bind(("127.0.0.1", 0))
            result = player("ping", f"127.0.0.1:{taken.getsockname()[1]}", "--name", "a.b")
        self.assertEqual(result.returncode, 1)
        self.assertIn("no connection", result.stderr)

    def test_a_bad_address_exits_with_2(self):
        self.assertEqual(player("ping", "nowhere", "--name", "a.b").returncode, 2)


class ProxyProtocolTests(unittest.TestCase):
    def status_with_header(self, header):
        """The player address that the server saw behind this PROXY header."""
        with RunningServer("--proxy-protocol") as server:
            with socket.create_connection(packets.split_address(server.address), 10) as connection:
                connection.sendall(header + packets.handshake("a.b", 25565, packets.STATUS) + packets.frame(0))
                event = server.next_event()
        self.assertEqual(event["event"], "status", event)
        return event["player_address"]

    def test_version_1_names_the_player(self):
        header = b"PROXY TCP4 203.0.113.9 127.0.0.1 4242 25565\r\n"
        self.assertEqual(self.status_with_header(header), "203.0.113.9:4242")

    def test_version_2_names_the_player(self):
        addresses = bytes([203, 0, 113, 9, 127, 0, 0, 1]) + struct.pack(">HH", 4242, 25565)
        header = b"\r\n\r\n\0\r\nQUIT\n\x21\x11" + struct.pack(">H", len(addresses)) + addresses
        self.assertEqual(self.status_with_header(header), "203.0.113.9:4242")

    def test_version_2_names_a_player_on_ipv6(self):
        source = socket.inet_pton(socket.AF_INET6, "2001:db8::9")
        addresses = source + socket.inet_pton(socket.AF_INET6, "::1") + struct.pack(">HH", 4242, 25565)
        header = b"\r\n\r\n\0\r\nQUIT\n\x21\x21" + struct.pack(">H", len(addresses)) + addresses
        self.assertEqual(self.status_with_header(header), "[2001:db8::9]:4242")

    def test_a_connection_without_the_header_is_refused(self):
        with RunningServer("--proxy-protocol") as server:
            self.assertEqual(player("ping", server.address, "--name", "a.b").returncode, 1)
            self.assertEqual(server.next_event()["event"], "error")


if __name__ == "__main__":
    unittest.main()
