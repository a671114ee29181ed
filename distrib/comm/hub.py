"""Hub: rank 0's side of the watch (`comm/watch.py`). It hears from every rank and tells all."""

from __future__ import annotations

import hmac
import selectors
import socket
import threading
import time
from dataclasses import asdict
from typing import Any

from distrib.comm.lines import BEAT_S, SILENCE_S, Fault, Lines, Peer, death_of
from distrib.comm.postmortem import Postmortem
from distrib.errors import PeerLostError


class Hub:
    """Hears from every rank and tells all, in a thread, until all have left.

    Args:
        peers: all ranks.
        token: what a connection must begin with.
        address: host address to listen on.
    """

    def __init__(self, peers: list[Peer], token: str, address: str) -> None:
        self._peers, self._token = peers, token
        self._listener = socket.create_server((address, 0), backlog=len(peers))
        self.port: int = self._listener.getsockname()[1]
        self._lines: dict[int, Lines] = {}
        self._postmortems: dict[int, Postmortem] = {}
        self._table = [[-1, 0] for _ in peers]
        self._heard = [time.monotonic()] * len(peers)
        self._left: dict[int, int] = {}
        self._fault: Fault | None = None
        self._thread = threading.Thread(target=self._serve, name="distrib-hub", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Wait for the last messages to be sent."""
        self._thread.join(1.0)

    def sockets(self) -> list[socket.socket]:
        """The open sockets, to be closed in a forked child."""
        return [self._listener, *(lines.socket for lines in self._lines.values())]

    def _serve(self) -> None:
        selector = selectors.DefaultSelector()
        selector.register(self._listener, selectors.EVENT_READ)
        next_beat = time.monotonic() + BEAT_S
        while len(self._left) < len(self._peers):
            for key, _ in selector.select(max(0.0, next_beat - time.monotonic())):
                if key.fileobj is self._listener:
                    self._accept(selector)
                else:
                    self._hear(key.data, selector)
            if time.monotonic() >= next_beat:
                next_beat = time.monotonic() + BEAT_S
                self._tell({"table": self._table, "left": list(self._left.items())})
                self._find_silent()
        self._tell({"end": True})

    def _accept(self, selector: selectors.BaseSelector) -> None:
        connection, _ = self._listener.accept()
        connection.settimeout(2.0)
        lines = Lines(connection)
        try:
            hello = lines.wait_for_one()
            rank = int(hello["rank"])
            if not hmac.compare_digest(str(hello["token"]), self._token) or rank in self._lines:
                raise ValueError
            peer = self._peers[rank]
        except (OSError, ValueError, KeyError, IndexError, TypeError):
            connection.close()  # not one of ours
            return
        self._lines[rank] = lines
        self._heard[rank] = time.monotonic()
        if peer.host == self._peers[0].host:
            self._postmortems[rank] = Postmortem(peer.pid)
        selector.register(connection, selectors.EVENT_READ, rank)

    def _hear(self, rank: int, selector: selectors.BaseSelector) -> None:
        lines = self._lines[rank]
        self._heard[rank] = time.monotonic()
        for message in lines.receive():
            if "at" in message:
                self._table[rank] = message["at"]
            if "left" in message:
                self._left[rank] = message["left"]
                self._tell({"table": self._table, "left": list(self._left.items())})
            if "fault" in message:
                self._announce(Fault(**message["fault"]))
        if lines.closed:
            selector.unregister(lines.socket)
            if rank not in self._left:
                self._announce(death_of(rank, self._table[rank][1], self._postmortems.get(rank)))

    def _find_silent(self) -> None:
        now = time.monotonic()
        for rank in self._lines:
            if rank not in self._left and now - self._heard[rank] > SILENCE_S:
                cause = f"said nothing for {SILENCE_S:.0f} s: frozen, or its host is unreachable"
                self._announce(Fault(rank, self._table[rank][1], cause, PeerLostError.exit_code))

    def _announce(self, fault: Fault) -> None:
        if self._fault is None:  # what follows a first fault are its consequences
            self._fault = fault
            self._tell({"fault": asdict(fault)})

    def _tell(self, message: dict[str, Any]) -> None:
        for lines in self._lines.values():
            lines.send(message)
