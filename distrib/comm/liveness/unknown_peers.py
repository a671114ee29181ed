"""UnknownPeers: connections to the liveness server that have not identified themselves yet.

Each may say one line, which is not read further than a greeting is long, within a moment. There may be so many at
once; where there are more, the one that has waited longest makes room. Nothing that one of them sends ends the
server.
"""

from __future__ import annotations

import hmac
import selectors
import socket
from collections.abc import Callable, Sequence
from typing import Any

from distrib.comm.liveness.protocol import JsonLines, Peer
from distrib.host.suspend_aware_clock import SuspendAwareClock

_GREETING_S = 2.0
"""For who has connected to say who it is."""

_MAX_STRANGERS = 64
"""How many may wait at once, besides the ranks."""

_BACKLOG = 128
"""Connections that the kernel keeps until they are accepted."""

Greeted = Callable[[JsonLines, int, bool, list[dict[str, Any]]], None]
"""Takes a connection, the rank that it is of, whether it is that of a host agent, and what came with the greeting."""


class UnknownPeers:
    """Accepts connections, and hands on those that belong to the job.

    Args:
        address: host address to listen on.
        peers: all ranks.
        token: what a connection must begin with.
        selector: says when there is something to read.
        clock: the server's clock.
        greeted: called with each that belongs to the job.

    Attributes:
        listener: where they connect to.
    """

    def __init__(
        self,
        address: str,
        peers: Sequence[Peer],
        token: str,
        selector: selectors.BaseSelector,
        clock: SuspendAwareClock,
        greeted: Greeted,
    ) -> None:
        self._peers, self._token, self._greeted = peers, token, greeted
        self._selector, self._clock = selector, clock
        self._since: dict[socket.socket, float] = {}
        self.listener = socket.create_server((address, 0), backlog=max(_BACKLOG, len(peers)))

    def accept(self) -> None:
        """Somebody connects."""
        if len(self._since) >= _MAX_STRANGERS + len(self._peers):
            self._turn_away(min(self._since, key=self._since.__getitem__))
        try:
            connection, _ = self.listener.accept()
        except OSError:
            return  # it has gone already, or there is no file descriptor left
        connection.settimeout(_GREETING_S)
        self._since[connection] = self._clock.seconds
        self._selector.register(connection, selectors.EVENT_READ, lambda: self._greet(connection))

    def turn_away_the_silent(self) -> None:
        """Close the connections of those that have said nothing for too long."""
        for connection, since in list(self._since.items()):
            if self._clock.seconds - since > _GREETING_S:
                self._turn_away(connection)

    def close(self) -> None:
        """Close the connections of all."""
        for connection in self._since:
            connection.close()

    def _turn_away(self, connection: socket.socket) -> None:
        self._forget(connection)
        connection.close()

    def _forget(self, connection: socket.socket) -> None:
        self._selector.unregister(connection)
        del self._since[connection]

    def _greet(self, connection: socket.socket) -> None:
        self._forget(connection)
        try:
            lines = JsonLines(connection)
            hello, *more = lines.receive()  # a script that ends soon has said so by now
            is_agent = "agent" in hello
            rank = hello["agent" if is_agent else "rank"]
            if type(rank) is not int or not 0 <= rank < len(self._peers):
                raise ValueError
            if not hmac.compare_digest(str(hello["token"]), self._token):
                raise ValueError
        except (OSError, ValueError, KeyError, TypeError):
            connection.close()  # not one of ours
            return
        lines.trust(len(self._peers))
        self._greeted(lines, rank, is_agent, more)
