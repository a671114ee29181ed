"""LivenessServer: the centre of failure detection. Hears from every rank, and informs all of them.

The server is a small process of its own, in a session of its own, beside rank 0. MPICH's mpirun kills all ranks
within a millisecond of the death of one: no survivor could say who died, but the server can. It ends when every rank
has left or is gone, and at the latest a while after the first fault.

It sees for itself how the ranks of its host fare (`comm/liveness/local_ranks.py`); a host
agent reports what happens to those of another host (`comm/liveness/host_agent.py`). If Open MPI ends a rank because
another one died, the one that died first is reported. Where the host agent and all ranks of a host have fallen
silent, that host is frozen.
"""

from __future__ import annotations

import json
import os
import selectors
import socket
import sys
import time
from collections.abc import Callable
from dataclasses import asdict
from typing import Any

from distrib.base.errors import PeerLostError
from distrib.comm.liveness.host_agent import RemoteHost
from distrib.comm.liveness.local_ranks import LocalRanks
from distrib.comm.liveness.protocol import (
    BEAT_S,
    HOST_SILENCE_S,
    SILENCE_S,
    STOPPED_S,
    UNREACHABLE_S,
    Fault,
    JsonLines,
    Peer,
    say,
)
from distrib.comm.liveness.unknown_peers import UnknownPeers
from distrib.host.helper_process import HelperProcess
from distrib.host.process_status import ENDED_BY_OPEN_MPI
from distrib.host.suspend_aware_clock import SuspendAwareClock

_START_S = 60.0
"""For the first rank to connect."""

_CAUSE_S = 0.3
"""Seconds to wait for the root cause after seeing what is only a consequence."""

_LINGER_S = 15.0
"""After a fault, for the ranks to end."""


def start_server(peers: list[Peer], token: str, address: str) -> HelperProcess:
    """Start the server on this host; it answers with the port it listens on.

    Args:
        peers: all ranks.
        token: what a connection must begin with.
        address: host address to listen on.

    Raises:
        PeerLostError: it could not start.
    """
    config = {"peers": [asdict(peer) for peer in peers], "token": token, "address": address}
    return HelperProcess(__name__, config, f"The liveness server on {address}")


def main() -> None:
    """The server's process: reads its configuration from stdin, prints its port, serves."""
    config = json.loads(sys.stdin.readline())
    server = LivenessServer([Peer(**peer) for peer in config["peers"]], config["token"], config["address"])
    print(server.port, flush=True)
    os.close(1)
    server.serve()


class LivenessServer:
    """Receives heartbeats from every rank, and informs all of failures.

    Args:
        peers: all ranks.
        token: what a connection must begin with.
        address: host address to listen on.
    """

    def __init__(self, peers: list[Peer], token: str, address: str) -> None:
        self._peers = peers
        self._lines: dict[int, JsonLines] = {}
        self.monitors: list[LocalRanks | RemoteHost] = [
            LocalRanks([peer for peer in peers if peer.host == peers[0].host])
        ]
        self._selector = selectors.DefaultSelector()
        self._connections: list[socket.socket] = []
        self._clock = SuspendAwareClock()
        self.unknown_peers = UnknownPeers(address, peers, token, self._selector, self._clock, self._welcome)
        self.port: int = self.unknown_peers.listener.getsockname()[1]
        self._table = [[-1, 0, 0] for _ in peers]
        self._heard = [0.0] * len(peers)
        self._left: dict[int, int] = {}
        self._stopped: dict[int, float] = {}  # rank -> since when
        self._fault: Fault | None = None
        self._consequence: tuple[int, str] | None = None  # rank, how it died
        self._cause_at = 0.0
        self._end_at = time.monotonic() + _START_S

    def serve(self) -> None:
        """Serve until every rank has left or is gone; then close all connections."""
        self._when_readable(self.unknown_peers.listener, self.unknown_peers.accept)
        next_beat = time.monotonic() + BEAT_S
        while len(self._left) < len(self._peers) and time.monotonic() < self._end_at:
            events = self._selector.select(max(0.0, next_beat - time.monotonic()))
            self._clock.tick()
            for key, _ in events:
                key.data()
            if self._lines and all(lines.closed for lines in self._lines.values()):
                break
            if time.monotonic() >= next_beat:
                next_beat = time.monotonic() + BEAT_S
                self._tell_places()
                self._find_stopped()
                self._find_silent()
                self._find_frozen_hosts()
                self.unknown_peers.turn_away_the_silent()
                self._find_no_cause()
        if self._consequence is not None:
            self._lose(*self._consequence)
        if len(self._left) == len(self._peers):
            self._tell({"end": True})
        self.unknown_peers.close()
        for connection in self._connections:
            connection.close()

    def _when_readable(self, connection: socket.socket, action: Callable[[], None]) -> None:
        self._connections.append(connection)
        self._selector.register(connection, selectors.EVENT_READ, action)

    def _welcome(self, lines: JsonLines, rank: int, is_agent: bool, more: list[dict[str, Any]]) -> None:
        """Somebody has the token of the job, and says which rank it is or looks after."""
        peer, connection = self._peers[rank], lines.socket
        if rank in self._lines and not is_agent:
            connection.close()  # that one is there
            return
        if peer.host != self._peers[0].host:
            lines.between_hosts()
        if is_agent:
            agent = RemoteHost(lines, [each for each in self._peers if each.host == peer.host])
            agent.heard = self._clock.seconds
            self.monitors.append(agent)
            self._when_readable(connection, lambda: self._hear_host_agent(agent))
            return
        self._lines[rank] = lines
        if self._fault is None:
            self._end_at = float("inf")  # from here on, the ranks' connections decide
        self._heard[rank] = self._clock.seconds
        self._when_readable(connection, lambda: self._hear(rank))
        self._take(rank, more)

    def _hear_host_agent(self, agent: RemoteHost) -> None:
        agent.heard = self._clock.seconds
        agent.hear()
        if agent.lines.closed:
            self._selector.unregister(agent.lines.socket)
            if not agent.is_done:
                self.monitors.remove(agent)
                if self._fault is None and not agent.lines.timed_out:
                    say(
                        f"The host agent on {agent.host} has died: a rank that freezes there will be "
                        f"noticed after {SILENCE_S:.0f} s only, and how one dies there not known."
                    )

    def _hear(self, rank: int) -> None:
        lines = self._lines[rank]
        self._heard[rank] = self._clock.seconds
        self._take(rank, lines.receive())
        if lines.closed:
            self._selector.unregister(lines.socket)
            if rank not in self._left and self._fault is None:
                cause = f"is lost: its host has not answered for {UNREACHABLE_S:.0f} s"
                if not lines.timed_out:
                    cause = f"died: {self._cause_of_death(rank)}"
                self._look_at_places()
                if cause.endswith(ENDED_BY_OPEN_MPI):
                    if self._consequence is None:  # more of them put nothing off
                        self._consequence, self._cause_at = (rank, cause), self._clock.seconds + _CAUSE_S
                else:
                    self._lose(rank, cause)

    def _cause_of_death(self, rank: int) -> str:
        causes = (each.cause(rank) for each in self.monitors if rank in each.ranks)
        return next(causes, "") or "its connection closed: killed, crashed or os._exit"

    def _take(self, rank: int, messages: list[dict[str, Any]]) -> None:
        try:
            self._take_each(rank, messages)
        except (KeyError, TypeError, ValueError, OverflowError) as error:
            self._lose(
                rank, f"said what it should not ({error!r}): all hosts need the same version of distrib"
            )

    def _take_each(self, rank: int, messages: list[dict[str, Any]]) -> None:
        for message in messages:
            if "at" in message:
                at, step, waits = message["at"]
                self._table[rank] = [int(at), int(step), int(waits)]
            if "left" in message:
                self._left[rank] = int(message["left"])
                self._tell_places()
            if "fault" in message:
                self._announce(Fault(**message["fault"]))

    def _look_at_places(self) -> None:
        for local_ranks in self.monitors:
            for rank, page in local_ranks.pages().items():
                # What a host agent says may be older than what the rank has said.
                self._table[rank] = max(self._table[rank], page)

    def _tell_places(self) -> None:
        self._look_at_places()
        self._tell({"table": self._table, "left": list(self._left.items())})

    def _find_stopped(self) -> None:
        """Ranks that a signal has stopped, while others run: suspending all of them is no fault."""
        now = time.monotonic()
        watched = {rank for each in self.monitors for rank in each.ranks}
        stopped = {rank for each in self.monitors for rank in each.stopped()}
        for rank in stopped:
            self._heard[rank] = self._clock.seconds  # why it is silent is known
        if stopped == watched:
            stopped = set()  # those that are woken last count from then on
        self._stopped = {rank: self._stopped.get(rank, now) for rank in stopped}
        for rank, since in self._stopped.items():
            if now - since > STOPPED_S:
                self._lose(rank, f"is frozen: stopped by a signal for {STOPPED_S:.0f} s")

    def _find_silent(self) -> None:
        for rank in self._lines:
            if rank not in self._left and self._clock.seconds - self._heard[rank] > SILENCE_S:
                self._lose(rank, f"said nothing for {SILENCE_S:.0f} s: frozen, or its host is unreachable")

    def _find_frozen_hosts(self) -> None:
        for agent in self.monitors:
            if isinstance(agent, RemoteHost) and not agent.lines.closed:
                heard = max(agent.heard, *(self._heard[rank] for rank in agent.ranks))
                if self._clock.seconds - heard > HOST_SILENCE_S:
                    self._lose(
                        min(agent.ranks),
                        f"is lost: no process of its host has said anything for {HOST_SILENCE_S:.0f} s: frozen, "
                        "as a container that is paused",
                    )

    def _find_no_cause(self) -> None:
        if self._consequence is not None and self._clock.seconds > self._cause_at:
            self._lose(*self._consequence)

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
