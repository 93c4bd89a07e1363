#!/usr/bin/env python3
"""Reserves free TCP ports on 127.0.0.1, so that stacks started at the same moment do not pick the same ones.

  ports.py DIRECTORY COUNT   prints COUNT ports, one a line, reserved for the stack in DIRECTORY

Ports lie in 20000-29999, below the range from which Linux takes the ports of outgoing connections. A reservation
holds while DIRECTORY/run exists.
"""

import fcntl
import json
import os
import pathlib
import random
import socket
import sys
import tempfile

RANGE = range(20_000, 30_000)


def is_free(port):
    with socket.socket() as probe:
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


def reserve(directory, count):
    register = pathlib.Path(tempfile.gettempdir()) / f"minecart-ports-{os.getuid()}.json"
    descriptor = os.open(register, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o600)
    with os.fdopen(descriptor, "r+") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        try:
            taken = {int(port): owner for port, owner in json.load(file).items()}
        except ValueError:
            taken = {}
        taken = {port: owner for port, owner in taken.items() if (pathlib.Path(owner) / "run").is_dir()}
        ports = []
        for port in random.sample(RANGE, len(RANGE)):
            if len(ports) == count:
                break
            if port not in taken and is_free(port):
                ports.append(port)
                taken[port] = str(directory)
        file.seek(0)
        file.truncate()
        json.dump(taken, file)
    if len(ports) < count:
        sys.exit(f"ports.py: fewer than {count} free ports in {RANGE.start}-{RANGE.stop - 1} on 127.0.0.1")
    return ports


if __name__ == "__main__":
    if len(sys.argv) != 3 or not sys.argv[2].isdigit():
        sys.exit(__doc__)
    print(*reserve(pathlib.Path(sys.argv[1]).resolve(), int(sys.argv[2])), sep="\n")
