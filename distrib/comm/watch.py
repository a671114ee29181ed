"""Watch: every rank knows at once when another one dies, fails, or has ended.

MPI does not tell. A rank that is killed, that raises, or that leaves while others wait for it makes them wait for
ever. So beside MPI each rank keeps one TCP connection to a hub in rank 0, served by a thread of its own.
When a process dies, its kernel closes the connection, and the hub tells all others who it was; when a rank
raises, it says so before it ends; a rank whose script has ended says so too and waits for the rest.

Every rank reports in which collective and step it is, and the hub passes the table on, so that a rank
that waits too long can name the one that is absent.

Messages are lines of JSON of at most 64 KiB. A connection begins with the job's token, which travels over MPI.
The hub listens on loopback where all ranks are on one host.
"""

from __future__ import annotations

import hmac
import json
import selectors
import socket
import threading
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

from distrib.comm.postmortem import Postmortem
from distrib.errors import DistribError, PeerLostError, ProtocolError

BEAT_S = 0.25
SILENCE_S = 60.0
"""A process that says nothing for so long is frozen or unreachable. Far longer than any call that holds the GIL."""

_CONNECT_TIMEOUT_S = 30.0
_MAX_LINE_BYTES = 64 * 1024


@dataclass(frozen=True, slots=True)
class Peer:
    """A rank of the job.

    Attributes:
        rank: its rank.
        host: its host name.
        pid: its process id there.
    """

    rank: int
    host: str
    pid: int

    def __str__(self) -> str:
        return f"rank {self.rank} ({self.host}, pid {self.pid})"


@dataclass(frozen=True, slots=True)
class Fault:
    """The end of a rank, as told to all others.

    Attributes:
        rank: who failed.
        step: its training step.
        cause: what happened, in words.
        exit_code: the exit code for the other ranks.
    """

    rank: int
    step: int
    cause: str
    exit_code: int


class Hub:
    """Rank 0's side: hears from every rank and tells all. Runs in a thread until all have left.

    Args:
        peers: all ranks.
        token: what a connection must begin with.
        address: host address to listen on.
    """

    def __init__(self, peers: list[Peer], token: str, address: str) -> None:
        self._peers, self._token = peers, token
        self._listener = socket.create_server((address, 0), backlog=len(peers))
        self.port: int = self._listener.getsockname()[1]
        self._lines: dict[int, _Lines] = {}
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
        lines = _Lines(connection)
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
                self._announce(_death(rank, self._table[rank][1], self._postmortems.get(rank)))

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


class Watch:
    """A rank's side: reports where it is, and hears about the others.

    Args:
        me: this rank.
        peers: all ranks.
        token: the job's token.
        address: address and port of the hub.
        on_fault: called in the watch's thread when another rank has failed.
    """

    def __init__(
        self,
        me: Peer,
        peers: list[Peer],
        token: str,
        address: tuple[str, int],
        on_fault: Callable[[Fault], None],
    ) -> None:
        self.me, self.peers = me, peers
        self.failure: DistribError | None = None
        self.ended = threading.Event()
        self._on_fault = on_fault
        self._sequence, self._step = -1, 0
        self._table = [[-1, 0] for _ in peers]
        self._left: dict[int, int] = {}
        self._announced = threading.Event()
        self._postmortem = Postmortem(peers[0].pid) if peers[0].host == me.host else None
        self._lines = _Lines(socket.create_connection(address, _CONNECT_TIMEOUT_S))
        self._lines.send({"rank": me.rank, "token": token})
        self._lines.socket.settimeout(BEAT_S)
        self._thread = threading.Thread(target=self._run, name="distrib-watch", daemon=True)
        self._thread.start()

    # --- called by the training thread

    def enter(self, sequence: int) -> None:
        """This rank is in collective `sequence`."""
        self._sequence = sequence

    def at_step(self, step: int) -> None:
        """This rank is at training step `step`."""
        self._step = step

    @property
    def step(self) -> int:
        """The training step this rank is at."""
        return self._step

    def check(self) -> None:
        """Raise what has befallen another rank, if this rank can no longer go on."""
        if self.failure is not None:
            raise self.failure
        for rank, last in list(self._left.items()):
            if last < self._sequence and rank != self.me.rank:
                raise PeerLostError(
                    f"{self.peers[rank]} has ended its script (sys.exit, or its last line) at step "
                    f"{self._table[rank][1]}, while {self.me} waits for it at step {self._step}. "
                    "Every rank must make the same calls."
                )

    def absent(self, sequence: int) -> str:
        """Which ranks have not entered collective `sequence`, in words; empty if all have or nothing is known."""
        late = [
            f"{self.peers[rank]} at step {step}"
            for rank, (at, step) in enumerate(self._table)
            if at < sequence and rank != self.me.rank
        ]
        return f"Not there: {', '.join(late)}." if late else ""

    def announce(self, fault: Fault, patience_s: float = 0.5) -> None:
        """Tell all others that this rank fails; returns when the hub has passed it on, or after a while."""
        self._lines.send({"fault": asdict(fault)})
        self._announced.wait(patience_s)

    def leave(self) -> None:
        """Say that this rank's script has ended. `ended` is set when all have said so."""
        self._lines.send({"left": self._sequence})

    def sockets(self) -> list[socket.socket]:
        """The open sockets, to be closed in a forked child."""
        return [self._lines.socket]

    # --- the watch's own thread

    def _run(self) -> None:
        heard = time.monotonic()
        next_beat = heard
        while not self.ended.is_set():
            now = time.monotonic()
            if now >= next_beat:
                next_beat = now + BEAT_S
                self._lines.send({"at": [self._sequence, self._step]})
            messages = self._lines.receive()
            if messages:
                heard = time.monotonic()
            for message in messages:
                self._take(message)
            if self._lines.closed and not self.ended.is_set():
                self._lost(_death(0, self._table[0][1], self._postmortem))
                return
            if time.monotonic() - heard > SILENCE_S:
                cause = f"said nothing for {SILENCE_S:.0f} s: frozen, or its host is unreachable"
                self._lost(Fault(0, self._table[0][1], cause, PeerLostError.exit_code))
                return

    def _take(self, message: dict[str, Any]) -> None:
        if "table" in message:
            self._table = message["table"]
            self._left = dict(message["left"])
        if "fault" in message:
            fault = Fault(**message["fault"])
            if fault.rank == self.me.rank:
                self._announced.set()
            else:
                self._lost(fault)
        if "end" in message:
            self.ended.set()

    def _lost(self, fault: Fault) -> None:
        if self.failure is None:
            kind = ProtocolError if fault.exit_code == ProtocolError.exit_code else PeerLostError
            self.failure = kind(f"{self.peers[fault.rank]} at step {fault.step} {fault.cause}")
            self._on_fault(fault)


def _death(rank: int, step: int, postmortem: Postmortem | None) -> Fault:
    cause = (postmortem.cause() if postmortem else "") or "its connection closed: killed, crashed or os._exit"
    return Fault(rank, step, f"died: {cause}", PeerLostError.exit_code)


class _Lines:
    """Lines of JSON over a socket."""

    def __init__(self, connection: socket.socket) -> None:
        self.socket = connection
        self.closed = False
        self._buffer = b""
        self._lock = threading.Lock()
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def send(self, message: dict[str, Any]) -> None:
        """Send one message; a closed connection is noticed by `receive`."""
        data = json.dumps(message).encode()[: _MAX_LINE_BYTES - 1] + b"\n"
        with self._lock:
            try:
                self.socket.sendall(data)
            except OSError:
                pass

    def receive(self) -> list[dict[str, Any]]:
        """The messages that have arrived; none if the socket's timeout passes first."""
        try:
            data = self.socket.recv(_MAX_LINE_BYTES)
        except TimeoutError:
            return []
        except OSError:
            data = b""
        self._buffer += data
        *lines, self._buffer = self._buffer.split(b"\n")
        if not data or len(self._buffer) > _MAX_LINE_BYTES:
            self.closed = True
        try:
            return [message for message in map(json.loads, lines) if isinstance(message, dict)]
        except ValueError:
            self.closed = True
            return []

    def wait_for_one(self) -> dict[str, Any]:
        """The first message. Raises `OSError` if it does not come within the socket's timeout."""
        messages = self.receive()
        if not messages:
            raise TimeoutError("no hello")
        return messages[0]
