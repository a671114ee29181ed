"""Hub: the middle of the watch (`comm/watch.py`). It hears from every rank and tells all.

The hub is a small process of its own, in a session of its own, beside rank 0. MPICH's mpirun kills all ranks within
a millisecond of the death of one: no survivor could say who died, but the hub can. It ends when every rank
has left or is gone, and at the latest a while after the first fault.

It is started without this package's `__init__`, so it loads neither NumPy nor anything else that is large.
"""

from __future__ import annotations

import hmac
import json
import os
import selectors
import socket
import subprocess
import sys
import time
from dataclasses import asdict
from pathlib import Path
from typing import Any

from distrib.comm.lines import (
    BEAT_S,
    SILENCE_S,
    STOPPED_S,
    UNREACHABLE_S,
    Fault,
    Lines,
    Peer,
    cause_of_death,
    say,
)
from distrib.comm.place import PlaceOf
from distrib.comm.postmortem import Postmortem
from distrib.errors import PeerLostError

_START_S = 60.0
"""For the first rank to connect."""

_LINGER_S = 15.0
"""After a fault, for the ranks to end."""

# A package without its __init__: submodules are found, nothing else is imported.
_BOOT = """
import sys, types
for name, folder in (("distrib", sys.argv[1]), ("distrib.comm", sys.argv[1] + "/comm")):
    sys.modules[name] = types.ModuleType(name)
    sys.modules[name].__path__ = [folder]
from distrib.comm.hub import main
main()
"""


class HubProcess:
    """The hub as rank 0 sees it.

    Args:
        peers: all ranks.
        token: what a connection must begin with.
        address: host address to listen on.

    Attributes:
        pid: its process id.
        port: the port it listens on.
    """

    def __init__(self, peers: list[Peer], token: str, address: str) -> None:
        package = str(Path(__file__).parents[1])
        self._process = subprocess.Popen(
            [sys.executable, "-I", "-S", "-c", _BOOT, package],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            start_new_session=True,
            text=True,
        )
        # The token goes through a pipe: command lines can be read by every user of the host.
        config = json.dumps({"peers": [asdict(peer) for peer in peers], "token": token, "address": address})
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        with self._process.stdin as stdin, self._process.stdout as stdout:
            stdin.write(config + "\n")
            stdin.flush()
            line = stdout.readline()
        if not line:
            raise PeerLostError(f"The hub of the watch could not start on {address}; its error stands above.")
        self.pid, self.port = self._process.pid, int(line)

    def close(self) -> None:
        """Wait for it to end, when every rank has left."""
        try:
            self._process.wait(1.0)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()


def main() -> None:
    """The hub's process: reads its configuration from stdin, prints its port, serves."""
    config = json.loads(sys.stdin.readline())
    hub = Hub([Peer(**peer) for peer in config["peers"]], config["token"], config["address"])
    print(hub.port, flush=True)
    os.close(1)
    hub.serve()


class Hub:
    """Hears from every rank and tells all.

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
        self._places: dict[int, PlaceOf] = {}
        self._table = [[-1, 0] for _ in peers]
        self._heard = [time.monotonic()] * len(peers)
        self._left: dict[int, int] = {}
        self._stopped: dict[int, float] = {}  # rank -> since when
        self._fault: Fault | None = None
        self._end_at = time.monotonic() + _START_S

    def serve(self) -> None:
        """Serve until every rank has left or is gone."""
        selector = selectors.DefaultSelector()
        selector.register(self._listener, selectors.EVENT_READ)
        next_beat = time.monotonic() + BEAT_S
        while len(self._left) < len(self._peers) and time.monotonic() < self._end_at:
            for key, _ in selector.select(max(0.0, next_beat - time.monotonic())):
                if key.fileobj is self._listener:
                    self._accept(selector)
                else:
                    self._hear(key.data, selector)
            if self._lines and all(lines.closed for lines in self._lines.values()):
                return
            if time.monotonic() >= next_beat:
                next_beat = time.monotonic() + BEAT_S
                self._tell_places()
                self._find_silent()
                self._find_stopped()
        if len(self._left) == len(self._peers):
            self._tell({"end": True})

    def _accept(self, selector: selectors.BaseSelector) -> None:
        connection, _ = self._listener.accept()
        connection.settimeout(2.0)
        lines = Lines(connection)
        try:
            hello, *more = lines.receive()  # a script that ends soon has said so by now
            rank, place = int(hello["rank"]), int(hello["place"])
            if not hmac.compare_digest(str(hello["token"]), self._token) or rank in self._lines:
                raise ValueError
            peer = self._peers[rank]
        except (OSError, ValueError, KeyError, IndexError, TypeError):
            connection.close()  # not one of ours
            return
        self._lines[rank] = lines
        if self._fault is None:
            self._end_at = float("inf")  # from here on, the ranks' connections decide
        self._heard[rank] = time.monotonic()
        if peer.host != self._peers[0].host:
            lines.between_hosts()
        else:
            self._postmortems[rank] = Postmortem(peer.pid)
            self._places[rank] = PlaceOf(peer.pid, place)
        selector.register(connection, selectors.EVENT_READ, rank)
        self._take(rank, more)

    def _hear(self, rank: int, selector: selectors.BaseSelector) -> None:
        lines = self._lines[rank]
        self._heard[rank] = time.monotonic()
        self._take(rank, lines.receive())
        if lines.closed:
            selector.unregister(lines.socket)
            if rank not in self._left:
                self._look_at_places()
                cause = f"died: {cause_of_death(self._postmortems.get(rank))}"
                unreachable = f"is lost: its host has not answered for {UNREACHABLE_S:.0f} s"
                self._lose(rank, unreachable if lines.timed_out else cause)

    def _take(self, rank: int, messages: list[dict[str, Any]]) -> None:
        for message in messages:
            if "at" in message:
                self._table[rank] = message["at"]
            if "left" in message:
                self._left[rank] = message["left"]
                self._tell_places()
            if "fault" in message:
                self._announce(Fault(**message["fault"]))

    def _look_at_places(self) -> None:
        for rank, place in self._places.items():
            self._table[rank] = list(place.read() or self._table[rank])

    def _tell_places(self) -> None:
        self._look_at_places()
        self._tell({"table": self._table, "left": list(self._left.items())})

    def _find_silent(self) -> None:
        now = time.monotonic()
        for rank in self._lines:
            if rank not in self._left and now - self._heard[rank] > SILENCE_S:
                self._lose(rank, f"said nothing for {SILENCE_S:.0f} s: frozen, or its host is unreachable")

    def _find_stopped(self) -> None:
        """Ranks of this host that a signal has stopped, while others run: suspending all of them is no fault."""
        now = time.monotonic()
        stopped = [rank for rank, each in self._postmortems.items() if each.is_stopped()]
        self._stopped = {rank: self._stopped.get(rank, now) for rank in stopped}
        if len(stopped) < len(self._postmortems):
            for rank, since in self._stopped.items():
                if now - since > STOPPED_S:
                    self._lose(rank, f"is frozen: stopped by a signal for {STOPPED_S:.0f} s")

    def _lose(self, rank: int, cause: str) -> None:
        """Name a rank that no longer takes part."""
        if self._fault is None:
            say(f"{self._peers[rank]} at step {self._table[rank][1]} {cause}")
            self._announce(Fault(rank, self._table[rank][1], cause, PeerLostError.exit_code))

    def _announce(self, fault: Fault) -> None:
        if self._fault is None:  # what follows a first fault are its consequences
            self._fault = fault
            self._end_at = time.monotonic() + _LINGER_S
            self._tell({"fault": asdict(fault)})

    def _tell(self, message: dict[str, Any]) -> None:
        for lines in self._lines.values():
            lines.send(message)
