"""Node: the state of one ps, behind one lock. `ps/server/servicer.py` calls it.

Every ps has a shard. ps:0 leads: it has the sequencer too (`ps/server/leader.py`). The others follow
(`ps/server/follower.py`).
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import numpy as np

from distrib.base.arrays import Array
from distrib.proto import parameter_server_pb2 as pb
from distrib.ps.policy.admission.rules import Rules
from distrib.ps.policy.errors import NO_MODEL, RefusedError
from distrib.ps.policy.identity import CHIEF, SEQUENCER, PushId
from distrib.ps.policy.order.command_log import Cut, Entry, Pull
from distrib.ps.policy.order.sequencer import Sequencer
from distrib.ps.policy.order.shard import Shard
from distrib.ps.server.absence_timer import AbsenceTimer
from distrib.ps.server.checkpoint_coordinator import CheckpointCoordinator
from distrib.ps.server.checkpoint_writer import CheckpointOptions, Saving, WhenSaved
from distrib.ps.server.follower import Follower
from distrib.ps.server.leader import Leader
from distrib.ps.server.log_fanout import Followed
from distrib.ps.server.reconnects import Reconnects
from distrib.ps.server.unreachable_peer import UnreachablePeer
from distrib.ps.server.worker_session import WorkerSession, WorkerSessions

_LOST_AFTER_S = 1.0


class Node:
    """One ps.

    Args:
        token: of the run, for the other ps.
        on_stop: called when the job has ended, with the reason; empty for a good end.
        checkpoints: where ps:0 saves what all ps keep, and whether to begin from there; None for nowhere.
        chief_timeout_s: seconds to wait for a chief that is gone.
        ps_timeout_s: seconds to wait for another ps that does not answer.
    """

    def __init__(
        self,
        token: str,
        on_stop: Callable[[str], None],
        checkpoints: CheckpointOptions | None = None,
        chief_timeout_s: float = 60.0,
        ps_timeout_s: float = 30.0,
    ) -> None:
        self._ps_timeout_s = ps_timeout_s
        self._unreachable: dict[int, UnreachablePeer] = {}
        self._token, self._on_stop = token, on_stop
        self._checkpoints = CheckpointCoordinator(checkpoints)
        lost = f"the chief is lost: it was gone for {chief_timeout_s:g} s"
        self._chief_timer = AbsenceTimer(chief_timeout_s, lambda: on_stop(lost))
        self._lock = threading.RLock()
        self._sessions = WorkerSessions()
        self._leader = Leader(self._lock, self._sessions, self._checkpoints, self.execute)
        self._reconnects = Reconnects(self._lock, self._leader.leave)
        self._shard: Shard | None = None
        self._follower: Follower | None = None
        self._ending = threading.Event()

    @property
    def restores(self) -> bool:
        """Whether this ps begins from a checkpoint."""
        return self._checkpoints.restores

    # --- workers ------------------------------------------------------------------------------------------------

    def join(self, session: WorkerSession) -> None:
        """A worker's stream is open. Raises `RefusedError` if another process is, or was since, this worker."""
        with self._lock:
            if self.restores and self._shard is None:
                self._restore(session)
            self._leader.check_newest(session)
            self._sessions.join(session)
            self._reconnects.joins(session)
            if session.worker == CHIEF:
                self._chief_timer.end()
            self._leader.join(session)

    def leave(self, session: WorkerSession) -> None:
        """A worker's stream has ended."""
        with self._lock:
            if not self._sessions.leave(session):
                return
            if session.worker == CHIEF and not self._ending.is_set():
                self._chief_timer.begin()
            self._leader.forget(session.worker)
            if session.ps == SEQUENCER:
                self._reconnects.wait_for(session)

    def worker_ended(self, worker: int) -> None:
        """A worker says that it ends: it is not waited for."""
        with self._lock:
            session = self._sessions.get(worker)
            if session is not None:
                self.leave(session)
            self._reconnects.give_up_now(worker)

    def expects(self, worker: int) -> bool:
        """Whether a worker is connected, or may reconnect."""
        with self._lock:
            return self._sessions.get(worker) is not None or self._reconnects.awaits(worker)

    def is_silent(self, session: WorkerSession) -> None:
        """A worker has begun a call, and sent no more of it. On ps:0 the end of its stream says so."""
        if (follower := self._follower) is not None:
            follower.say_silent(session.worker, session.incarnation)

    def register(
        self,
        session: WorkerSession,
        call: int,
        phase: int,
        description: dict[str, Any],
        rules: Rules,
        values: Array | None,
    ) -> None:
        """A worker is about to train or test a model; the chief brings this ps's slice of the values."""
        addresses = list(description["ps"])
        with self._lock:
            push = None
            if values is not None:
                push = PushId(CHIEF, session.incarnation, 0)
                if self._shard is None:
                    self._shard = Shard(session.ps, len(addresses))
                self._shard.put_model(push, values, description)
                self._shard.description["ps"] = addresses  # they may be others after a restoration
                self._meet(session.ps, addresses)
            if session.ps == SEQUENCER:
                sequencer = self._leader.open(rules, len(addresses))
                sequencer.join(session.worker, session.incarnation)
                self._leader.when_whole(
                    push, lambda: sequencer.register(session.worker, call, phase, description, push)
                )
            elif push is not None and self._follower is not None:
                self._follower.arrived(push)

    def ask(self, session: WorkerSession, event: Callable[[Sequencer], None]) -> None:
        """A worker asks ps:0 for something: it begins an epoch, or saves what is kept."""
        with self._lock:
            if session.ps == SEQUENCER:
                event(self._leader.decider())
                self._leader.settle()

    def push(self, session: WorkerSession, call: int, message: pb.Push, gradient: Array | None) -> None:
        """A worker has computed a lease; None where nothing is trained.

        Raises `ProtocolError` for a gradient of another model, or with NaN or Inf that it does not say.
        """
        push = PushId(session.worker, session.incarnation, message.sequence)
        if session.ps == SEQUENCER:
            self._leader.decider().phases.check_kind(message.phase, trains=gradient is not None)
        shard = self._shard
        if gradient is not None:
            if shard is None:
                raise RefusedError(NO_MODEL)
            shard.check(gradient, allow_nonfinite=message.skip or message.allow_nonfinite)
        with self._lock:
            if gradient is not None and shard is not None:
                shard.put(push, gradient)
            if session.ps == SEQUENCER:
                sequencer = self._leader.decider()
                rate = message.learning_rate if message.HasField("learning_rate") else None
                given = message.phase, message.lease, message.version, np.array(message.sums), message.skip
                self._leader.when_whole(
                    push if gradient is not None else None,
                    lambda: sequencer.push(push, call, *given, rate, message.seconds),
                )
            elif gradient is not None and self._follower is not None:
                self._follower.arrived(push)

    def followed(self, ps: int) -> Followed:
        """Another ps, which receives the log. Raises `RefusedError` for none of the job."""
        with self._lock:
            return self._leader.followed(ps)

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
            addresses = self._shard.description["ps"] if self._shard is not None else []
            address = addresses[ps] if ps < len(addresses) else ""
            self._unreachable[ps] = UnreachablePeer(
                f"ps:{ps}", address, self._ps_timeout_s, self._ending, self._on_stop
            )
            self._unreachable[ps].begin()

    def arrived(self, push: PushId, ps: int) -> None:
        """A vector is whole on another ps."""
        with self._lock:
            self._leader.arrived(push, ps)

    def was_silent(self, ps: int, worker: int, incarnation: int) -> None:
        """A worker was silent on another ps. If it waits here for what does not come there, its stream is ended."""
        with self._lock:
            self._leader.was_silent(ps, worker, incarnation)

    def collect(self, ps: int, part: pb.Part) -> None:
        """Another ps sends a part of what it keeps at a cut."""
        if self._shard is not None:
            self._checkpoints.collect(ps, part, self._shard.description)

    def lost(self, reason: str) -> None:
        """Another ps is gone. At the end of the job it may only have been told a little earlier."""
        if not self._ending.wait(_LOST_AFTER_S):
            self._on_stop(reason)

    def save_now(self) -> None:
        """Save what all ps keep, and go on; ps:0 decides when."""
        with self._lock:
            self._leader.save_now()

    def save_last(self, seconds: float) -> None:
        """This ps ends: save what all keep. Raises `StorageError` if it is not on the disk after so many seconds."""
        saving = Saving()
        with self._lock:
            if self._follower is not None:
                self._follower.say_end(saving.done)
            else:
                self.save_for_all(saving.done)
        saving.wait(seconds)

    def save_for_all(self, when_saved: WhenSaved = lambda failure: None) -> None:
        """A ps is about to end: save, tell all ps, and answer nobody: what a worker takes for done is saved then."""
        with self._lock:
            self._sessions.end_all()
            self._leader.save_for_all(when_saved)

    def execute(self, entry: Entry) -> None:
        """The next entry of the log, on this ps."""
        with self._lock:
            if self._shard is not None:
                self._shard.execute(entry)
            if isinstance(entry, Pull):
                self._sessions.pull(entry, self._shard)
            elif isinstance(entry, Cut):
                self._save(entry)

    def end(self) -> None:
        """The job has ended: other ps that end now are not lost, nor are workers."""
        self._ending.set()
        self._reconnects.close()

    def close(self) -> None:
        """Follow no longer, let nobody wait, and write what is to be written."""
        self._ending.set()
        with self._lock:
            self._chief_timer.end()
            self._reconnects.close()
            for away in self._unreachable.values():
                away.end()
            if self._follower is not None:
                self._follower.close()
            self._leader.close()
            self._sessions.end_all()
        self._checkpoints.close()

    def _meet(self, ps: int, addresses: list[str]) -> None:
        """Connect with the other ps."""
        if ps == SEQUENCER:
            self._leader.meet(len(addresses))
        elif self._follower is None or self._follower.address != addresses[SEQUENCER]:
            self._follow(addresses[SEQUENCER], ps)

    def _follow(self, address: str, ps: int) -> None:
        """Follow ps:0; no longer where it was when that was saved from which this ps has begun."""

        def lost(reason: str) -> None:
            is_current = self._follower is None or self._follower.address == address
            if is_current and not self._ending.is_set():
                self._on_stop(reason)

        former = self._follower
        self._follower = Follower(
            address, ps, self._token, self.execute, lost, self._ending, self._ps_timeout_s
        )
        if former is not None:
            former.close()

    def _restore(self, session: WorkerSession) -> None:
        """Begin from the newest checkpoint."""
        restored = self._checkpoints.restore(session)
        if restored is None:
            return
        self._shard, self._leader.sequencer = restored
        addresses = self._shard.description["ps"]
        if len(addresses) == session.num_ps:
            self._meet(session.ps, addresses)

    def _save(self, cut: Cut) -> None:
        assert self._shard is not None
        if self._follower is not None:
            self._follower.save(cut.number, self._shard.snapshot())
        elif (sequencer := self._leader.sequencer) is not None:
            self._checkpoints.save(cut.number, self._shard, sequencer)
