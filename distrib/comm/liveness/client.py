"""LivenessClient: informs a rank at once when another one dies, fails, or ends.

MPI does not say so. A rank that is killed, that raises, or that leaves while others wait for it makes them wait for
ever. So beside MPI each rank keeps one TCP connection to a server (`comm/liveness/server.py`), served by a thread of
its own. When a process dies, its kernel closes the connection, and the server informs all others; when a
rank raises, it says so before it ends; a rank whose script has ended says so too and waits for the rest.

A host on which all processes have fallen silent is frozen. The server finds that out of the others, and
the ranks of the others of the server's own.

A rank that was frozen or cut off for a while was given up by the others. It learns so when it is back, and ends;
until it has heard from the server again it publishes nothing (`confirm`).

Every rank reports in which collective and step it is, and whether it waits there for another one. The server passes
the table on, so that a rank that waits too long can name the one that is late. In a ring each waits for its
neighbour, and all but one of these only wait themselves: late is who does not wait.

Messages are lines of JSON, of bounded length. A connection begins with the job's token, which travels over MPI; one
that does not is closed.
The server listens on loopback where all ranks are on one host.
"""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable
from dataclasses import asdict
from typing import Any

from distrib.base import background
from distrib.base.errors import DistribError, PeerLostError, ProtocolError
from distrib.comm.liveness.late import who_is_late
from distrib.comm.liveness.progress_page import ProgressPage, is_odd
from distrib.comm.liveness.protocol import (
    BEAT_S,
    CONNECT_TIMEOUT_S,
    HOST_SILENCE_S,
    SILENCE_S,
    UNREACHABLE_S,
    Fault,
    JsonLines,
    Peer,
)
from distrib.host.suspend_aware_clock import SuspendAwareClock

_NEWS_S = 1.0
"""What was heard within so long is news: shorter than what a rank may be stopped for (`STOPPED_S`)."""

_POLL_S = 0.01


class LivenessClient:
    """A rank's side: reports where it is, and hears about the others.

    Args:
        me: this rank.
        page: where it is.
        peers: all ranks.
        token: the job's token.
        address: address and port of the server.
        on_fault: called in the liveness client's thread when another rank has failed.
    """

    def __init__(
        self,
        me: Peer,
        page: ProgressPage,
        peers: list[Peer],
        token: str,
        address: tuple[str, int],
        on_fault: Callable[[Fault], None],
    ) -> None:
        self.me, self.peers = me, peers
        self.failure: DistribError | None = None
        self.ended = threading.Event()
        self._on_fault = on_fault
        self._page = page
        self._table = [[-1, 0, 0] for _ in peers]
        self._left: dict[int, int] = {}
        self._announces, self._announced = False, threading.Event()
        self._heard = time.monotonic()
        self.server_is_lost = False
        self._lines = JsonLines(socket.create_connection(address, CONNECT_TIMEOUT_S), len(peers))
        self._lines.send({"rank": me.rank, "token": token})
        self._lines.socket.settimeout(BEAT_S)
        self._longest_silence_s = SILENCE_S
        if me.host != peers[0].host:
            self._lines.between_hosts()
            self._longest_silence_s = HOST_SILENCE_S
        self.thread = background.start(
            self._run,
            "distrib-liveness",
            lambda error: self._lose_server(f"cannot be heard any more ({error!r})"),
        )

    # --- called by the training thread

    def enter(self, sequence: int) -> None:
        """This rank is in collective `sequence`."""
        self._page.enter(sequence)

    def at_step(self, step: int) -> None:
        """This rank is at training step `step`."""
        self._page.at_step(step)

    def wait(self, waits: bool) -> None:
        """This rank begins to wait for another one, or has done so."""
        self._page.wait(waits)

    @property
    def step(self) -> int:
        """The training step this rank is at."""
        return self._page.step

    def check(self) -> None:
        """Raise what has befallen another rank, if this rank can no longer go on."""
        if self.failure is not None:
            raise self.failure
        for rank, last in list(self._left.items()):
            if last < self._page.sequence and rank != self.me.rank:
                raise PeerLostError(
                    f"{self.peers[rank]} at step {self._table[rank][1]} has ended its script (sys.exit, or its last "
                    f"line), while {self.me} waits for it at step {self.step}. "
                    "Every rank must make the same calls.",
                    calls_differ=True,
                )

    def confirm(self) -> None:
        """Return when this rank has lately been one of the job; raise as `check` does.

        A process does not notice that it was stopped. But what it has heard is old then: so it waits for news first,
        or until the client has given up the server.
        """
        while time.monotonic() - self._heard > _NEWS_S:
            self.check()
            time.sleep(_POLL_S)
        self.check()

    def late(self, sequence: int) -> str:
        """The ranks that collective `sequence` waits for, as text; empty if unknown."""
        working = [
            (at, f"{self.peers[rank]} at step {step}")
            for rank, (at, step, waits) in enumerate(self._table)
            if rank != self.me.rank and not is_odd(waits)
        ]
        return who_is_late(sequence, working)

    def announce(self, fault: Fault, patience_s: float = 0.5) -> None:
        """Tell all others that this rank fails; returns when the server has passed it on, or after a while."""
        self._announces = True
        self._lines.send({"fault": asdict(fault)})
        self._announced.wait(patience_s)

    def leave(self) -> None:
        """Say that this rank's script has ended. `ended` is set when all have said so."""
        self._lines.send({"left": self._page.sequence})

    @property
    def socket(self) -> socket.socket:
        """The connection, to be closed in a forked child."""
        return self._lines.socket

    # --- the liveness client's own thread

    def _run(self) -> None:
        next_beat, clock, heard = time.monotonic(), SuspendAwareClock(), 0.0
        while not self.ended.is_set():
            now = time.monotonic()
            if now >= next_beat:
                next_beat = now + BEAT_S
                self._lines.send({"at": [self._page.sequence, self._page.step, self._page.waits]})
            messages = self._lines.receive()
            clock.tick()
            for message in messages:
                try:
                    self.take(message)
                except (KeyError, TypeError, ValueError, IndexError) as error:
                    self._lose_server(
                        f"said what it should not ({error!r}): all hosts need the same version of distrib"
                    )
                    return
            if messages:
                self._heard, heard = time.monotonic(), clock.seconds  # and what it said is taken
            if self._lines.closed and not self.ended.is_set():
                silent = f"has not answered for {UNREACHABLE_S:.0f} s"
                self._lose_server(silent if self._lines.timed_out else "died")
                return
            if clock.seconds - heard > self._longest_silence_s:
                self._lose_server(
                    f"said nothing for {self._longest_silence_s:.0f} s: frozen, or its whole host is"
                )
                return

    def _lose_server(self, what: str) -> None:
        """The server runs beside rank 0: without it the state of the ranks is unknown."""
        self.server_is_lost = True
        cause = f"or its host is lost: the liveness server beside it {what}"
        self._lost(Fault(0, self._table[0][1], cause, PeerLostError.exit_code))

    def take(self, message: dict[str, Any]) -> None:
        """Handle a message of the server."""
        if "table" in message:
            self._table = message["table"]
            self._left = dict(message["left"])
        if "fault" in message:
            fault = Fault(**message["fault"])
            if fault.rank == self.me.rank and self._announces:
                self._announced.set()
            else:
                self._lost(fault)
        if "end" in message:
            self.ended.set()

    def _lost(self, fault: Fault) -> None:
        if self.failure is None:
            kind = ProtocolError if fault.exit_code == ProtocolError.exit_code else PeerLostError
            who = f"{self.peers[fault.rank]} at step {fault.step}"
            if fault.rank == self.me.rank:
                who = "the others have given it up, because it"
            self.failure = kind(f"{who} {fault.cause}")
            self._on_fault(fault)
