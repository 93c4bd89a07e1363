#!/usr/bin/env python3
"""Makes the secrets and ids that an installation needs before its control plane runs.

  keys.py operator-key   a typed operator key: mco_, 32 random base62 characters, 6 of their CRC-32
  keys.py signing-key    32 random bytes as base64url, the seed of the Ed25519 signing key
  keys.py password       32 random base62 characters
  keys.py relay-id       rly_ and 22 random base62 characters
"""

import base64
import secrets
import sys
import zlib

BASE62 = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"


def random_text(count):
    return "".join(secrets.choice(BASE62) for _ in range(count))


def checksum(text):
    number = zlib.crc32(text.encode())
    digits = ""
    for _ in range(6):
        digits = BASE62[number % 62] + digits
        number //= 62
    return digits


def typed_key(prefix):
    body = random_text(32)
    return f"{prefix}_{body}{checksum(body)}"


MAKERS = {
    "operator-key": lambda: typed_key("mco"),
    "signing-key": lambda: base64.urlsafe_b64encode(secrets.token_bytes(32)).decode().rstrip("="),
    "password": lambda: random_text(32),
    "relay-id": lambda: "rly_" + random_text(22),
}

if __name__ == "__main__":
    if len(sys.argv) != 2 or sys.argv[1] not in MAKERS:
        sys.exit(__doc__)
    print(MAKERS[sys.argv[1]]())
