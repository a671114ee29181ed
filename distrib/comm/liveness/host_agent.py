"""HostAgent: monitors the ranks of one host for the liveness server, which runs on the host of rank 0.

Whether a rank is stopped, how it died and where it was can be read on its own host only. So the first rank of every
host but the server's starts a small process there, in a session of its own. Every quarter of a second it
says how its ranks fare, and at once when one has died. It ends when they all have, or when the server has.
"""

from __future__ import annotations

import json
import os
import selectors
import socket
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from distrib.comm.liveness.local_ranks import LocalRanks
from distrib.comm.liveness.protocol import BEAT_S, CONNECT_TIMEOUT_S, JsonLines, Peer
from distrib.host.helper_process import HelperProcess

_PATIENCE_S = 0.6
"""For word of how a rank died: its connection closes a little earlier than it ends (`host/process_status.py`)."""


def start_agent(peers: Sequence[Peer], token: str, server: tuple[str, int]) -> HelperProcess:
    """Start a host agent on this host, connected to the server.

    Args:
        peers: the ranks of this host.
        token: what a connection must begin with.
        server: address and port of the server.

    Raises:
        PeerLostError: it could not start, or not reach the server.
    """
    config = {"peers": [asdict(peer) for peer in peers], "token": token, "server": server}
    return HelperProcess(__name__, config, f"The host agent on {peers[0].host}")


def main() -> None:
    """The host agent's process: reads its configuration from stdin, connects, says so, looks out."""
    config = json.loads(sys.stdin.readline())
    agent = HostAgent([Peer(**peer) for peer in config["peers"]], config["token"], tuple(config["server"]))
    print("connected", flush=True)
    os.close(1)
    agent.look_out()


class HostAgent:
    """The host agent's side.

    Args:
        peers: the ranks of this host.
        token: what a connection must begin with.
        server: address and port of the server.
    """

    def __init__(self, peers: Sequence[Peer], token: str, server: tuple[str, int]) -> None:
        self._local_ranks = LocalRanks(peers)
        self._dead: dict[int, str] = {}
        self._lines = JsonLines(socket.create_connection(server, CONNECT_TIMEOUT_S), len(peers))
        self._lines.between_hosts()
        self._lines.send({"agent": peers[0].rank, "token": token})

    def look_out(self) -> None:
        """Tell the server, until it or all ranks have ended."""
        selector = selectors.DefaultSelector()
        selector.register(self._lines.socket, selectors.EVENT_READ)
        for rank, end in self._local_ranks.ends().items():
            selector.register(end, selectors.EVENT_READ, rank)
        while not self._lines.closed and len(self._dead) < len(self._local_ranks.ranks):
            for key, _ in selector.select(BEAT_S):
                if key.data is None:
                    self._lines.receive()  # the server says nothing: this is its end
                else:
                    selector.unregister(key.fileobj)
                    self._dead[key.data] = self._local_ranks.cause(key.data)
            self._lines.send(self._report())
        self._lines.socket.close()

    def _report(self) -> dict[str, Any]:
        pages, stopped = self._local_ranks.pages(), self._local_ranks.stopped()
        # Pairs: the keys of a JSON object would be text.
        return {
            "places": list(pages.items()),
            "stopped": list(stopped),
            "dead": list(self._dead.items()),
        }


class RemoteHost:
    """The ranks of another host, as its host agent reports them: what `LocalRanks` is for the server's own host.

    Args:
        lines: the connection.
        peers: the ranks of that host.

    Attributes:
        lines: the connection.
        host: that host.
        ranks: its ranks.
        heard: when the host agent was heard last, by the server's clock.
    """

    def __init__(self, lines: JsonLines, peers: Sequence[Peer]) -> None:
        self.lines, self.host = lines, peers[0].host
        self.ranks = {peer.rank for peer in peers}
        self.heard = 0.0
        self._pages: dict[int, list[int]] = {}
        self._stopped: set[int] = set()
        self._dead: dict[int, str] = {}

    def hear(self) -> None:
        """Take what has arrived; what is not of the ranks of that host is left out.

        A message that a host agent of this version does not send closes the connection.
        """
        try:
            for message in self.lines.receive():
                self._pages = {rank: page for rank, page in message["places"] if rank in self.ranks}
                self._stopped = self.ranks.intersection(message["stopped"])
                self._dead = {rank: cause for rank, cause in message["dead"] if rank in self.ranks}
        except (KeyError, TypeError, ValueError):
            self.lines.closed = True

    @property
    def is_done(self) -> bool:
        """Whether it has reported how all ranks have ended."""
        return len(self._dead) == len(self.ranks)

    def pages(self) -> dict[int, list[int]]:
        """As of `LocalRanks`."""
        return self._pages

    def stopped(self) -> set[int]:
        """As of `LocalRanks`."""
        return self._stopped

    def cause(self, rank: int) -> str:
        """As of `LocalRanks`: waits a moment for the host agent's word."""
        deadline = time.monotonic() + _PATIENCE_S
        while rank not in self._dead and not self.lines.closed and (left := deadline - time.monotonic()) > 0:
            self.lines.socket.settimeout(left)
            self.hear()
        return self._dead.get(rank, "")
