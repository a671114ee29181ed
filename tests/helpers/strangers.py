"""Strangers: seeded bad connections to a port, and which ports a process listens on."""

import json
import os
import random
import socket
import struct
from pathlib import Path

BAD_LINES = [
    b"[" * 50_000 + b"\n",
    b'{"rank": ' * 5_000 + b"\n",
    b'{"rank": Infinity, "token": "x"}\n',
    b'{"rank": NaN, "token": "x"}\n',
    b'{"rank": 1e999, "token": "x"}\n',
    b'{"rank": -1, "token": "x"}\n',
    b'{"rank": ' + b"9" * 4_000 + b', "token": "x"}\n',
    b'{"agent": Infinity, "token": ""}\n',
    b'{"agent": [], "token": {}}\n',
    b'{"rank": 0, "token": "\\u00e9"}\n',
    b'{"rank": 0, "token": null}\n',
    b'{"rank": 0}\n',
    b"null\n",
    b"3\n",
    b"\n" * 10_000,
    b"\xff\xfe\x00\n",
    b"GET / HTTP/1.1\r\nHost: x\r\n\r\n",
    b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
    b"x" * 200_000,
    b"",
]


def listening(pid):
    """The TCP ports that a process listens on."""
    inodes = set()
    for session in Path(f"/proc/{pid}/fd").glob("*"):
        try:
            inodes.add(os.readlink(session))
        except OSError:
            continue
    ports = set()
    for table in ("tcp", "tcp6"):
        for line in Path(f"/proc/net/{table}").read_text().splitlines()[1:]:
            fields = line.split()
            if fields[3] == "0A" and f"socket:[{fields[9]}]" in inodes:
                ports.add(int(fields[1].rpartition(":")[2], 16))
    return ports


def bad_bytes(rng):
    """A message that no process of a job sends."""
    kind = rng.randrange(3)
    if kind == 0:
        return rng.choice(BAD_LINES)
    if kind == 1:
        return rng.randbytes(rng.randrange(1, 3_000)) + b"\n" * rng.randrange(2)
    values = [None, -1, 0, 1, 10**400, 1e308, float("inf"), "", "x" * 5_000, [], {}, [[]] * 50, True]
    hello = {
        name: rng.choice(values) for name in ("rank", "agent", "token", "at", "fault") if rng.randrange(2)
    }
    return json.dumps(hello).encode() + b"\n"


def molest(address, seed, connections, half_open=0):
    """Make bad connections; returns how many were made.

    Args:
        address: host and port.
        seed: of what is sent.
        connections: how many that send something.
        half_open: how many that send nothing, and stay.
    """
    rng, idle, made = random.Random(seed), [], 0
    for number in range(connections + half_open):
        try:
            connection = socket.create_connection(address, 2.0)
        except OSError:
            continue
        made += 1
        if number < half_open:
            idle.append(connection)
            continue
        try:
            connection.sendall(bad_bytes(rng))
            if rng.randrange(2):  # reset, not closed
                connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        except OSError:
            pass
        connection.close()
    for connection in idle:
        connection.close()
    return made
