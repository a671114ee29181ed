"""Leader: what ps:0 does for the other ps. It sends them the log, and waits for those that have lost their stream.

A push counts when its vector has arrived on every ps, so what it causes is kept here until then.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence

from distrib.proto import parameter_server_pb2 as pb
from distrib.ps.policy.identity import SEQUENCER, PushId
from distrib.ps.policy.order.command_log import Entry
from distrib.ps.policy.order.push_assembly import PushAssembly
from distrib.ps.server.replication.log_fanout import Followed, LogFanout
from distrib.ps.server.replication.unreachable_peer import UnreachablePeer
from distrib.ps.wire import codec

Event = Callable[[], None]

_LOST_AFTER_S = 1.0


class Leader:
    """The other ps of a job, as ps:0 knows them. On another ps it has nothing to do.

    Args:
        lock: of the node. Callers hold it, except the threads of other ps.
        ending: set when the job has ended: a ps that ends then is not lost.
        on_stop: called, with the reason, when a ps is lost.
        timeout_s: seconds to wait for a ps that does not answer.

    Attributes:
        has_followers: whether there are other ps.
    """

    def __init__(
        self,
        lock: threading.RLock,
        ending: threading.Event,
        on_stop: Callable[[str], None],
        timeout_s: float,
    ) -> None:
        self._lock = lock
        self._ending, self._on_stop, self._timeout_s = ending, on_stop, timeout_s
        self._addresses: Sequence[str] = ()
        self._assembly = PushAssembly()
        self._fanout = LogFanout()
        self._unreachable: dict[int, UnreachablePeer] = {}
        self.has_followers = False

    def meet(self, addresses: Sequence[str]) -> None:
        """The ps at these addresses take part from now on, ps:0 among them."""
        self._addresses = addresses
        self._fanout.expect(len(addresses))
        self._assembly.num_ps = len(addresses)
        self.has_followers = bool(self._fanout)

    def followed(self, ps: int) -> Followed:
        """Another ps, which receives the log. Raises `RefusedError` for none of the job."""
        with self._lock:
            followed = self._fanout.of(ps)
            self.has_followers = True
            return followed

    def send(self, entry: Entry) -> None:
        """Send the next entry of the log to all of them."""
        self._fanout.tell(codec.entry_message(entry))

    def send_saved(self, failure: str) -> None:
        """Tell all of them that what is kept is on the disk, or why it is not."""
        self._fanout.tell(pb.FollowReply(saved=pb.Saved(failure=failure)))

    @property
    def num_queued(self) -> dict[int, int]:
        """How many messages every other ps has not acknowledged."""
        return self._fanout.num_queued

    # --- vectors that arrive ------------------------------------------------------------------------------------

    def when_whole(self, push: PushId, call: int, event: Event) -> Event | None:
        """Keep an event until the vector of its call has arrived on every ps; returns it if that is so already."""
        self._assembly.expect(push, call, event)
        return self.arrived(push, call, SEQUENCER)

    def arrived(self, push: PushId, call: int, ps: int) -> Event | None:
        """A vector is whole on a ps. Returns the event that was kept for it, if it is whole on all of them."""
        return self._assembly.arrived(push, call, ps)

    def awaits(self, worker: int, incarnation: int) -> bool:
        """Whether a vector of this process is here, but not yet on every ps."""
        return self._assembly.awaits(worker, incarnation)

    def forget(self, worker: int) -> None:
        """A worker's stream has ended: what it was sending may not be whole."""
        self._assembly.forget(worker)

    def torn(self, worker: int, incarnation: int) -> list[PushId]:
        """Vectors that earlier processes of this worker left half sent; each is returned once."""
        return self._assembly.torn(worker, incarnation)

    # --- connections --------------------------------------------------------------------------------------------

    def is_back(self, ps: int) -> None:
        """Another ps follows, or does so again."""
        with self._lock:
            if ps in self._unreachable:
                self._unreachable[ps].end()

    def is_away(self, ps: int) -> None:
        """The stream of another ps has broken: it may come back."""
        with self._lock:
            if self._ending.is_set():
                return
            address = self._addresses[ps] if ps < len(self._addresses) else ""
            away = UnreachablePeer(f"ps:{ps}", address, self._timeout_s, self._ending, self._on_stop)
            self._unreachable[ps] = away
            away.begin()

    def lost(self, reason: str) -> None:
        """Another ps is gone. At the end of the job it may only have heard of it a little earlier."""
        if not self._ending.wait(_LOST_AFTER_S):
            self._on_stop(reason)

    def close(self) -> None:
        """Stop waiting, and end the log."""
        for away in self._unreachable.values():
            away.end()
        self._fanout.close()
