"""Minecraft Java packets, as little as a status ping and an offline-mode login need.

Protocol 47 (Minecraft 1.8) is used for play because its join needs no registries; the status part is the same in
every version since 1.7. A frame is VarInt length, VarInt packet id, body.
"""

import asyncio
import struct
import zlib

PLAY_PROTOCOL = 47
MAX_FRAME_BYTES = 2_097_151
STATUS, LOGIN, TRANSFER = 1, 2, 3


class ProtocolError(Exception):
    """The other side sent something that is not the Minecraft protocol."""


def varint(number):
    number &= 0xFFFFFFFF
    out = bytearray()
    while number > 0x7F:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    out.append(number)
    return bytes(out)


def string(text):
    raw = text.encode()
    return varint(len(raw)) + raw


def frame(packet_id, body=b"", compressed=False):
    payload = varint(packet_id) + body
    if compressed:
        payload = varint(0) + payload
    return varint(len(payload)) + payload


def handshake(host, port, intent, protocol=PLAY_PROTOCOL):
    return frame(0, varint(protocol) + string(host) + struct.pack(">H", port) + varint(intent))


class Body:
    """Reads the fields of one packet, front to back."""

    def __init__(self, raw):
        self.raw = raw
        self.at = 0

    def take(self, count):
        if count < 0 or self.at + count > len(self.raw):
            raise ProtocolError("a packet ends in the middle of a field")
        part = self.raw[self.at : self.at + count]
        self.at += count
        return part

    def varint(self):
        number = 0
        for shift in range(0, 35, 7):
            byte = self.take(1)[0]
            number |= (byte & 0x7F) << shift
            if byte < 0x80:
                return number - (1 << 32) if number & 0x80000000 else number
        raise ProtocolError("a VarInt is longer than five bytes")

    def string(self, max_bytes=131_068):
        count = self.varint()
        if count > max_bytes:
            raise ProtocolError(f"a string of {count} bytes is too long")
        try:
            return self.take(count).decode()
        except UnicodeDecodeError:
            raise ProtocolError("a string is not UTF-8") from None

    def fixed(self, layout):
        return struct.unpack(layout, self.take(struct.calcsize(layout)))


async def read_varint(reader, first=None):
    number = 0
    for shift in range(0, 21, 7):
        byte = first if first is not None else (await reader.readexactly(1))[0]
        first = None
        number |= (byte & 0x7F) << shift
        if byte < 0x80:
            return number
    raise ProtocolError("a frame length is longer than three bytes")


async def read_packet(reader, compressed=False):
    """The next packet as (id, Body). Raises asyncio.IncompleteReadError when the connection ends."""
    raw = await reader.readexactly(await read_varint(reader))
    if compressed:
        body = Body(raw)
        plain_bytes = body.varint()
        if plain_bytes > MAX_FRAME_BYTES:
            raise ProtocolError(f"a compressed packet of {plain_bytes} bytes is too long")
        raw = raw[body.at :]
        if plain_bytes > 0:
            raw = zlib.decompressobj().decompress(raw, plain_bytes)
    body = Body(raw)
    return body.varint(), body


def plain_text(component):
    """What a player would read of a chat component: strings, lists and objects with text and extra."""
    if isinstance(component, str):
        return component
    if isinstance(component, list):
        return "".join(plain_text(part) for part in component)
    if isinstance(component, dict):
        return str(component.get("text", component.get("translate", ""))) + plain_text(component.get("extra", []))
    return str(component)


def split_address(text):
    """"host:port" or "[v6]:port" as (host, port). Raises ValueError with a sentence for the user."""
    host, colon, port = text.rpartition(":")
    if not colon or not port.isdigit() or not 0 <= int(port) <= 65535 or not host:
        raise ValueError(f"'{text}' is not HOST:PORT, as in 127.0.0.1:25565")
    return host.strip("[]"), int(port)


async def hang_up(writer):
    writer.close()
    try:
        await writer.wait_closed()
    except (ConnectionError, asyncio.CancelledError):
        pass
