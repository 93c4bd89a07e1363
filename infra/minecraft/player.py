#!/usr/bin/env python3
"""A Minecraft Java player for demos and tests.

  player.py ping  HOST:PORT --name HOSTNAME              what the server list would show
  player.py login HOST:PORT --name HOSTNAME --user NAME  joins in offline mode (1.8) and prints the first chat line

HOST:PORT is where the connection goes; --name is what the player typed, so no DNS entry is needed.
Exit codes: 0 it worked, 1 no connection or no Minecraft answer, 2 wrong arguments, 3 the server said no (its words
are printed).
"""

import argparse
import asyncio
import json
import os
import sys
import time

from packets import (
    LOGIN,
    PLAY_PROTOCOL,
    STATUS,
    ProtocolError,
    frame,
    handshake,
    hang_up,
    plain_text,
    read_packet,
    split_address,
    string,
    varint,
)


class Refused(Exception):
    """The server answered with a disconnect; the text is what a player would read."""


async def ping(reader, writer, options):
    writer.write(handshake(options.name, options.name_port, STATUS, options.protocol) + frame(0))
    packet_id, body = await read_packet(reader)
    if packet_id != 0:
        raise ProtocolError(f"the answer to the status request has id {packet_id}")
    status = json.loads(body.string())
    token = os.urandom(8)
    sent_at = time.monotonic()
    writer.write(frame(1, token))
    packet_id, body = await read_packet(reader)
    if packet_id != 1 or body.take(8) != token:
        raise ProtocolError("the pong does not repeat the ping's eight bytes")
    status["ping_ms"] = round((time.monotonic() - sent_at) * 1000, 1)
    if options.json:
        print(json.dumps(status), flush=True)
        return
    players = status.get("players", {})
    print(f"{plain_text(status.get('description', ''))}")
    print(f"version {status.get('version', {}).get('name', '?')}, ", end="")
    print(f"{players.get('online', '?')} of {players.get('max', '?')} players, {status['ping_ms']} ms", flush=True)


async def login(reader, writer, options):
    writer.write(handshake(options.name, options.name_port, LOGIN, options.protocol))
    writer.write(frame(0, string(options.user)))
    compressed = False
    while True:
        packet_id, body = await read_packet(reader, compressed)
        if packet_id == 0x00:
            raise Refused(disconnect_text(body))
        if packet_id == 0x01:
            raise Refused("this server is in online mode: it wants a real account, which this test player has not")
        if packet_id == 0x03:
            compressed = True
        elif packet_id == 0x02:
            break
        else:
            raise ProtocolError(f"packet {packet_id} does not belong to a login")
    while True:
        packet_id, body = await read_packet(reader, compressed)
        if packet_id == 0x00:
            writer.write(frame(0x00, varint(body.varint()), compressed))
        elif packet_id == 0x40:
            raise Refused(disconnect_text(body))
        elif packet_id == 0x02:
            break
    text = plain_text(json.loads(body.string()))
    print(json.dumps({"user": options.user, "chat": text}) if options.json else text, flush=True)
    if options.stay > 0:
        await stay(reader, writer, options, compressed)


async def stay(reader, writer, options, compressed):
    """Plays on for a while: speaks once a second and counts the answers, so that a cut is noticed at once."""
    sent = heard = 0
    ends_at = time.monotonic() + options.stay
    pending = asyncio.ensure_future(read_packet(reader, compressed))
    try:
        while (left_s := ends_at - time.monotonic()) > 0:
            writer.write(frame(0x01, string(f"still here {sent}"), compressed))
            sent += 1
            pause_ends_at = time.monotonic() + min(1.0, left_s)
            while (pause_s := pause_ends_at - time.monotonic()) > 0:
                done, _ = await asyncio.wait([pending], timeout=pause_s)
                if not done:
                    break
                packet_id, body = pending.result()
                pending = asyncio.ensure_future(read_packet(reader, compressed))
                if packet_id == 0x00:
                    writer.write(frame(0x00, varint(body.varint()), compressed))
                elif packet_id == 0x40:
                    raise Refused(disconnect_text(body))
                elif packet_id == 0x02:
                    heard += 1
    finally:
        pending.cancel()
    print(json.dumps({"sent": sent, "heard": heard}) if options.json else f"stayed: {heard} of {sent} heard", flush=True)
    if heard == 0:
        raise ProtocolError("the server did not answer while playing")


def disconnect_text(body):
    text = body.string()
    try:
        return plain_text(json.loads(text))
    except json.JSONDecodeError:
        return text


async def play(options):
    host, port = options.address
    try:
        async with asyncio.timeout(options.timeout):
            reader, writer = await asyncio.open_connection(host, port)
    except TimeoutError:
        return fail(1, f"nothing answers at {host}:{port} within {options.timeout:g} s")
    except OSError as error:
        reason = os.strerror(error.errno) if error.errno and error.errno > 0 else str(error)
        return fail(1, f"no connection to {host}:{port}: {reason}; is a relay or server listening there?")
    try:
        async with asyncio.timeout(options.timeout + getattr(options, "stay", 0)):
            await options.action(reader, writer, options)
        return 0
    except Refused as refusal:
        return fail(3, f"the server said no: {refusal}")
    except TimeoutError:
        return fail(1, f"connected to {host}:{port}, but no complete answer within {options.timeout:g} s")
    except (asyncio.IncompleteReadError, ConnectionError):
        return fail(1, f"{host}:{port} closed the connection without an answer")
    except (ProtocolError, ValueError) as error:
        return fail(1, f"{host}:{port} does not speak Minecraft as expected: {error}")
    finally:
        await hang_up(writer)


def fail(code, text):
    print(f"player.py: {text}", file=sys.stderr)
    return code


def options_from(arguments):
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    actions = parser.add_subparsers(required=True, metavar="ping|login")
    for name, action in (("ping", ping), ("login", login)):
        sub = actions.add_parser(name)
        sub.add_argument("address", metavar="HOST:PORT")
        sub.add_argument("--name", required=True, help="the hostname the player typed")
        sub.add_argument("--name-port", type=int, help="the port the player typed (default: that of HOST:PORT)")
        sub.add_argument("--protocol", type=int, default=PLAY_PROTOCOL)
        sub.add_argument("--timeout", type=float, default=10, metavar="SECONDS")
        sub.add_argument("--json", action="store_true", help="print one JSON object")
        sub.set_defaults(action=action)
        if action is login:
            sub.add_argument("--user", default="Steve")
            sub.add_argument("--stay", type=float, default=0, metavar="SECONDS", help="play on after the chat line")
    options = parser.parse_args(arguments)
    try:
        options.address = split_address(options.address)
    except ValueError as error:
        parser.error(str(error))
    if options.name_port is None:
        options.name_port = options.address[1]
    return options


if __name__ == "__main__":
    try:
        sys.exit(asyncio.run(play(options_from(sys.argv[1:]))))
    except KeyboardInterrupt:
        sys.exit(130)
