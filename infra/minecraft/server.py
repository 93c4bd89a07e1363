#!/usr/bin/env python3
"""A small Minecraft Java server for demos and tests.

It answers status pings of every version and lets Minecraft 1.8 (protocol 47) players join in offline mode: they
stand in an empty world and read one chat line. What it saw goes to standard output, one JSON object a line.
"""

import argparse
import asyncio
import hashlib
import ipaddress
import json
import signal
import struct
import sys
import uuid

from packets import (
    LOGIN,
    PLAY_PROTOCOL,
    STATUS,
    TRANSFER,
    ProtocolError,
    frame,
    hang_up,
    read_packet,
    split_address,
    string,
    varint,
)

HANDSHAKE_DEADLINE_S = 10
KEEP_ALIVE_S = 10
SILENCE_S = 30
PROXY_V2_SIGNATURE = b"\r\n\r\n\0\r\nQUIT\n"


def tell(event, **facts):
    print(json.dumps({"event": event, **facts}), flush=True)


def address_text(peer):
    host, port = peer[0], peer[1]
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


async def read_proxy_header(reader):
    """The player's address from a PROXY protocol v1 or v2 header; None when it names none (LOCAL, UNKNOWN)."""
    start = await reader.readexactly(5)
    if start == b"PROXY":
        line = start + await reader.readuntil(b"\r\n")
        if len(line) > 107:
            raise ProtocolError("the PROXY line is longer than 107 bytes")
        words = line.decode("ascii").split()
        if words[1] == "UNKNOWN":
            return None
        if len(words) != 6 or words[1] not in ("TCP4", "TCP6"):
            raise ProtocolError(f"not a PROXY line: {line!r}")
        return address_text((str(ipaddress.ip_address(words[2])), int(words[4])))
    rest = await reader.readexactly(11) if PROXY_V2_SIGNATURE.startswith(start) else b""
    if start + rest[:7] != PROXY_V2_SIGNATURE:
        raise ProtocolError("a PROXY protocol header was expected; start the agent with --proxy-protocol v1 or v2")
    version_command, family, count = rest[7], rest[8], struct.unpack(">H", rest[9:11])[0]
    if version_command >> 4 != 2:
        raise ProtocolError("a PROXY protocol header of an unknown version")
    facts = await reader.readexactly(count)
    if version_command & 0x0F == 0:
        return None
    if family == 0x11:
        return address_text((str(ipaddress.IPv4Address(facts[0:4])), struct.unpack(">H", facts[8:10])[0]))
    if family == 0x21:
        return address_text((str(ipaddress.IPv6Address(facts[0:16])), struct.unpack(">H", facts[32:34])[0]))
    return None


class Server:
    def __init__(self, options):
        self.options = options
        self.players = {}
        self.next_entity = 1

    async def serve_connection(self, reader, writer):
        peer = address_text(writer.get_extra_info("peername"))
        facts = {"peer": peer, "player_address": peer}
        try:
            await self.greet(reader, writer, facts)
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        except asyncio.TimeoutError:
            tell("error", **facts, reason="the client fell silent")
        except (ProtocolError, ValueError, asyncio.LimitOverrunError) as error:
            tell("error", **facts, reason=str(error))
        finally:
            await hang_up(writer)

    async def greet(self, reader, writer, facts):
        if self.options.proxy_protocol:
            named = await asyncio.wait_for(read_proxy_header(reader), HANDSHAKE_DEADLINE_S)
            facts["player_address"] = named or facts["peer"]
        packet_id, body = await asyncio.wait_for(read_packet(reader), HANDSHAKE_DEADLINE_S)
        if packet_id != 0:
            raise ProtocolError(f"the first packet has id {packet_id}, not a handshake")
        facts["protocol"] = body.varint()
        facts["host"] = body.string()
        facts["port"] = body.fixed(">H")[0]
        facts["intent"] = body.varint()
        if facts["intent"] == STATUS:
            await self.answer_status(reader, writer, facts)
        elif facts["intent"] in (LOGIN, TRANSFER):
            await self.let_in(reader, writer, facts)
        else:
            raise ProtocolError(f"unknown intent {facts['intent']}")

    async def answer_status(self, reader, writer, facts):
        while True:
            packet_id, body = await asyncio.wait_for(read_packet(reader), HANDSHAKE_DEADLINE_S)
            if packet_id == 0:
                tell("status", **facts)
                writer.write(frame(0, string(json.dumps(self.status()))))
            elif packet_id == 1:
                writer.write(frame(1, body.take(8)))
                await writer.drain()
                return
            else:
                raise ProtocolError(f"packet {packet_id} does not belong to a status ping")
            await writer.drain()

    def status(self):
        online = self.options.online if self.options.online is not None else len(self.players)
        return {
            "version": {"name": self.options.version, "protocol": self.options.protocol},
            "players": {
                "max": self.options.max_players,
                "online": online,
                "sample": [{"name": name, "id": str(offline_uuid(name))} for name in list(self.players)[:12]],
            },
            "description": {"text": self.options.motd},
        }

    async def let_in(self, reader, writer, facts):
        packet_id, body = await asyncio.wait_for(read_packet(reader), HANDSHAKE_DEADLINE_S)
        if packet_id != 0:
            raise ProtocolError(f"packet {packet_id} where a login start belongs")
        name = body.string(max_bytes=64)
        facts["player"] = name
        if facts["protocol"] != PLAY_PROTOCOL:
            kick = {"text": "This demo server lets in Minecraft 1.8 only. The tunnel works, though: you reached it."}
            writer.write(frame(0, string(json.dumps(kick))))
            await writer.drain()
            tell("kicked", **facts, reason="not Minecraft 1.8")
            return
        tell("login", **facts)
        writer.write(frame(2, string(str(offline_uuid(name))) + string(name)))
        entity = self.next_entity
        self.next_entity += 1
        # Join game: entity, creative, overworld, peaceful, list size, flat world, full debug screen.
        writer.write(frame(0x01, struct.pack(">iBbBB", entity, 1, 0, 0, 20) + string("flat") + b"\0"))
        # Flying keeps the player from falling through a world without chunks.
        writer.write(frame(0x39, struct.pack(">Bff", 0x0D, 0.05, 0.1)))
        writer.write(frame(0x08, struct.pack(">dddffB", 0.5, 64.0, 0.5, 0.0, 0.0, 0)))
        welcome = f"Welcome, {name}! You reached the home server as {facts['host']}."
        writer.write(chat(welcome))
        await writer.drain()
        self.players[name] = writer
        try:
            await self.keep_company(reader, writer, name)
        finally:
            if self.players.get(name) is writer:
                del self.players[name]
            tell("left", player=name)

    async def keep_company(self, reader, writer, name):
        alive = asyncio.create_task(self.keep_alive(writer))
        try:
            while True:
                packet_id, body = await asyncio.wait_for(read_packet(reader), SILENCE_S)
                if packet_id == 0x01:
                    text = body.string()
                    tell("chat", player=name, text=text)
                    for other in list(self.players.values()):
                        other.write(chat(f"<{name}> {text}"))
        finally:
            alive.cancel()

    async def keep_alive(self, writer):
        number = 0
        while True:
            await asyncio.sleep(KEEP_ALIVE_S)
            number += 1
            writer.write(frame(0x00, varint(number)))


def chat(text):
    return frame(0x02, string(json.dumps({"text": text})) + b"\0")


def offline_uuid(name):
    """The id that every offline-mode server derives from a name: MD5 with version 3."""
    return uuid.UUID(bytes=hashlib.md5(f"OfflinePlayer:{name}".encode()).digest(), version=3)


async def run(options):
    host, port = options.listen
    stop = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    try:
        listener = await asyncio.start_server(Server(options).serve_connection, host, port, backlog=1024)
    except OSError as error:
        sys.exit(f"server.py: cannot listen on {host}:{port}: {error.strerror}; is another server running there?")
    tell("listening", address=address_text(listener.sockets[0].getsockname()))
    await stop.wait()
    listener.close()


def address_option(text):
    try:
        return split_address(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def options_from(arguments):
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--listen", type=address_option, default=("127.0.0.1", 25565), metavar="HOST:PORT")
    parser.add_argument("--motd", default="A Minecart demo server")
    parser.add_argument("--version", default="1.8.9", help="version name in the status (default 1.8.9)")
    parser.add_argument("--protocol", type=int, default=PLAY_PROTOCOL, help="protocol number in the status")
    parser.add_argument("--max-players", type=int, default=20)
    parser.add_argument("--online", type=int, help="player count to show instead of the real one")
    parser.add_argument("--proxy-protocol", action="store_true", help="require a PROXY v1 or v2 header")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    asyncio.run(run(options_from(sys.argv[1:])))
