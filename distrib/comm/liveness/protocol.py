"""The protocol between liveness clients and their server: lines of JSON over a socket."""

from __future__ import annotations

import errno
import json
import os
import socket
import sys
import threading
from dataclasses import dataclass
from typing import Any

from distrib.base import environment
from distrib.base.parse_json import parse_json

BEAT_S = 0.25
"""How often each side says that it lives."""

SILENCE_S = 60.0
"""A process that says nothing for so long is frozen or unreachable. Far longer than any call that holds the GIL."""

UNREACHABLE_S = environment.seconds(environment.UNREACHABLE_S)
"""A host whose kernel has acknowledged nothing for so long is unreachable. That needs no answer of a process."""

HOST_SILENCE_S = environment.seconds(environment.HOST_SILENCE_S)
"""A host whose processes all say nothing for so long, the one that only watches among them, is frozen: a paused
container, say. Longer than `UNREACHABLE_S`, which says more."""

STOPPED_S = environment.seconds(environment.STOPPED_S)
"""A process that a signal has stopped for so long, while others run, is lost."""

CONNECT_TIMEOUT_S = 30.0
"""For a connection to the server."""

_MAX_GREETING_BYTES = 4 * 1024
"""Of who has connected and not said yet who it is."""

_MAX_LINE_BYTES = 64 * 1024
_BYTES_OF_RANK = 128
"""In the table of all ranks: its place, and whether it has left."""


@dataclass(frozen=True, slots=True)
class Peer:
    """A rank of the job.

    Attributes:
        rank: its rank.
        host: its host name.
        pid: its process id there.
        page: its file descriptor of where it is (`comm/liveness/progress_page.py`); -1 if it has none.
    """

    rank: int
    host: str
    pid: int
    page: int = -1

    def __str__(self) -> str:
        return f"rank {self.rank} ({self.host}, pid {self.pid})"


@dataclass(frozen=True, slots=True)
class Fault:
    """The end of a rank, as reported to all others.

    Attributes:
        rank: who failed.
        step: its training step.
        cause: description of what happened.
        exit_code: the exit code for the other ranks.
    """

    rank: int
    step: int
    cause: str
    exit_code: int


def say(text: str) -> None:
    """One line to stderr, in one write, so that lines of several processes do not mix."""
    try:
        sys.stderr.flush()
        os.write(2, f"distrib: {text}\n".encode(errors="replace"))
    except (OSError, ValueError):
        pass  # the server is gone


class JsonLines:
    """Lines of JSON over a socket.

    Args:
        connection: the socket.
        num_ranks: ranks of the job, whose table may come; None for a stranger, of whom little is read.

    Attributes:
        socket: the connection.
        closed: whether it has ended.
        timed_out: whether that is because the other host cannot be reached.
    """

    def __init__(self, connection: socket.socket, num_ranks: int | None = None) -> None:
        self.socket = connection
        self._max_bytes = _MAX_GREETING_BYTES
        if num_ranks is not None:
            self.trust(num_ranks)
        self.closed = self.timed_out = False
        self.unfinished = b""
        self._lock = threading.Lock()
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def trust(self, num_ranks: int) -> None:
        """From here on, lines are those of the job."""
        self._max_bytes = _MAX_LINE_BYTES + _BYTES_OF_RANK * num_ranks

    def between_hosts(self) -> None:
        """Close when the other host cannot be reached; where both ends are on one host, that cannot happen."""
        if sys.platform == "linux":
            timeout_ms = int(1000 * UNREACHABLE_S)
            self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, timeout_ms)

    def send(self, message: dict[str, Any]) -> None:
        """Send one message; a closed connection is noticed by `receive`."""
        data = json.dumps(message).encode() + b"\n"
        with self._lock:
            try:
                self.socket.sendall(data)
            except OSError:
                pass

    def receive(self) -> list[dict[str, Any]]:
        """The messages that have arrived; none if the socket's timeout passes first."""
        try:
            data = self.socket.recv(min(self._max_bytes, _MAX_LINE_BYTES))
        except OSError as error:
            if isinstance(error, TimeoutError) and error.errno is None:
                return []  # the timeout of Python's socket, not that of the connection
            self.timed_out = error.errno in (errno.ETIMEDOUT, errno.EHOSTUNREACH, errno.ENETUNREACH)
            data = b""
        self.unfinished += data
        *lines, self.unfinished = self.unfinished.split(b"\n")
        if not data or max(map(len, [self.unfinished, *lines])) > self._max_bytes:
            self.closed = True
        try:
            messages = [parse_json(line, finite=True) for line in lines]
        except ValueError:
            self.closed = True
            return []
        return [message for message in messages if isinstance(message, dict)]
