"""Node: one ps: which workers are there, and their calls, behind one lock. `ps/server/servicer.py` calls it.

What a call changes is in `ps/server/state_machine.py`.
"""

from __future__ import annotations

import copy
import threading
from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

from distrib.base.arrays import Array
from distrib.base.logs import LOGGER
from distrib.proto import parameter_server_pb2 as pb
from distrib.ps.policy.admission.rules import Rules
from distrib.ps.policy.errors import NO_MODEL, RefusedError, SilentError
from distrib.ps.policy.identity import CHIEF, SEQUENCER, PushId
from distrib.ps.policy.order.command_log import Discard
from distrib.ps.policy.order.sequencer import Sequencer
from distrib.ps.policy.order.shard import Shard
from distrib.ps.server.absence_timer import AbsenceTimer
from distrib.ps.server.checkpoint_writer import Saving, WhenSaved
from distrib.ps.server.reconnects import Reconnects
from distrib.ps.server.server_options import ServerOptions
from distrib.ps.server.state_machine import StateMachine
from distrib.ps.server.worker_session import WorkerSession, WorkerSessions
from distrib.ps.wire import codec


class Inspection(NamedTuple):
    """Copies of what a ps keeps at one moment.

    Attributes:
        workers: those that are connected, by number.
        values: `(own.size,)`, this ps's range of the values; empty before the chief has brought a model.
        version: updates of the values so far.
        description: of the model.
        waiting: gradients and models that are here, and of which the log has said nothing yet.
        sequencer: what decides; None on others than ps:0.
        num_queued: messages to every other ps that it has not acknowledged.
    """

    workers: tuple[int, ...]
    values: Array
    version: int
    description: dict[str, Any]
    waiting: frozenset[PushId]
    sequencer: Sequencer | None
    num_queued: dict[int, int]


class Node:
    """One ps.

    Args:
        options: of the ps; its token is for the other ps.
        on_stop: called when the job has ended, with the reason; empty for a good end.

    Attributes:
        state: what the ps keeps and does.
    """

    def __init__(self, options: ServerOptions, on_stop: Callable[[str], None]) -> None:
        lost = f"the chief is lost: it was gone for {options.chief_timeout_s:g} s"
        self._chief_timer = AbsenceTimer(options.chief_timeout_s, lambda: on_stop(lost))
        self._lock = threading.RLock()
        self._ending = threading.Event()
        self._sessions = WorkerSessions()
        self._reconnects = Reconnects(self._lock, self._give_up)
        self.state = StateMachine(self._lock, self._sessions, self._ending, on_stop, options)

    # --- workers ------------------------------------------------------------------------------------------------

    def join(self, session: WorkerSession) -> None:
        """A worker's stream is open. Raises `RefusedError` if another process is, or was since, this worker."""
        worker, incarnation = session.worker, session.incarnation
        with self._lock:
            if self.state.restores and self.state.shard is None:
                self.state.restore(session)
            sequencer = self.state.sequencer
            if sequencer is not None:
                sequencer.members.check_newest(worker, incarnation)
            self._sessions.join(session)
            self._reconnects.joins(session)
            if worker == CHIEF:
                self._chief_timer.end()
            if sequencer is not None:
                sequencer.log += map(Discard, self.state.leader.torn(worker, incarnation))
                sequencer.join(worker, incarnation)
                self.state.settle()

    def leave(self, session: WorkerSession) -> None:
        """A worker's stream has ended."""
        with self._lock:
            if not self._sessions.leave(session):
                return
            if session.worker == CHIEF and not self._ending.is_set():
                self._chief_timer.begin()
            self.state.leader.forget(session.worker)
            if session.ps == SEQUENCER:
                self._reconnects.wait_for(session)

    def worker_ended(self, worker: int) -> None:
        """A worker says that it ends: it is not waited for."""
        with self._lock:
            session = self._sessions.get(worker)
            if session is not None:
                self.leave(session)
            if self.state.sequencer is not None:
                self.state.sequencer.phases.worker_ended(worker)
            self._reconnects.give_up_now(worker)

    def expects(self, worker: int) -> bool:
        """Whether a worker is connected, or may reconnect."""
        with self._lock:
            return self._sessions.get(worker) is not None or self._reconnects.awaits(worker)

    def is_silent(self, session: WorkerSession) -> None:
        """A worker has begun a call, and sent no more of it. On ps:0 the end of its stream says so."""
        if (follower := self.state.follower) is not None:
            follower.say_silent(session.worker, session.incarnation)

    def _give_up(self, session: WorkerSession) -> None:
        """A worker is gone while the job goes on."""
        sequencer = self.state.sequencer
        if sequencer is not None:
            phase = sequencer.phases.last
            has_work = phase is not None and phase.has_examples and not phase.is_over
            if phase is not None and has_work and session.worker not in phase.left:
                LOGGER.warning("worker %d is gone; the others compute what it was computing.", session.worker)
            sequencer.leave(session.worker, session.incarnation)
            self.state.settle()

    # --- calls of workers ---------------------------------------------------------------------------------------

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
        with self._lock:
            self._sessions.check_current(session)
            push = None
            if values is not None:
                push = PushId(CHIEF, session.incarnation, 0)
                self.state.bring(push, session.ps, values, description)
            if session.ps == SEQUENCER:
                sequencer = self.state.open(rules, list(description["ps"]))
                sequencer.join(session.worker, session.incarnation)
                event = partial(sequencer.register, session.worker, call, phase, description, push)
                self.state.when_whole(push, call, event)
            elif push is not None and self.state.follower is not None:
                self.state.follower.arrived(push, call)

    def ask(self, session: WorkerSession, event: Callable[[Sequencer], None]) -> None:
        """A worker asks ps:0 for something: it begins an epoch, or saves what is kept."""
        with self._lock:
            self._sessions.check_current(session)
            if session.ps == SEQUENCER:
                event(self.state.decider())
                self.state.settle()

    def push(self, session: WorkerSession, call: int, message: pb.Push, gradient: Array | None) -> None:
        """A worker has computed a lease; `gradient` is None where nothing is trained.

        Raises `ProtocolError` for a gradient of another model, or with NaN or Inf that it does not say.
        """
        push = PushId(session.worker, session.incarnation, message.sequence)
        sequencer = self.state.decider() if session.ps == SEQUENCER else None
        if sequencer is not None:
            sequencer.check_phase(message.phase, trains=gradient is not None)
        shard = self.state.shard
        if gradient is not None:
            if shard is None:
                raise RefusedError(NO_MODEL)
            shard.check(gradient, allow_nonfinite=message.skip or message.allow_nonfinite)
        with self._lock:
            self._sessions.check_current(session)
            if gradient is not None and shard is not None:
                shard.put(push, gradient)
            if sequencer is not None:
                request = codec.push_request(push, call, message)
                event = partial(sequencer.push, request)
                self.state.when_whole(None if gradient is None else push, call, event)
            elif gradient is not None and self.state.follower is not None:
                self.state.follower.arrived(push, call)

    # --- other ps -----------------------------------------------------------------------------------------------

    def arrived(self, push: PushId, call: int, ps: int) -> None:
        """The vector of a call is whole on another ps."""
        with self._lock:
            event = self.state.leader.arrived(push, call, ps)
            if event is None:
                return
            try:
                self.state.decide(push, event)
            except RefusedError as error:
                self._sessions.refuse(push.worker, error)

    def was_silent(self, ps: int, worker: int, incarnation: int) -> None:
        """A worker was silent on another ps. If it waits here for what does not come there, its stream is ended."""
        with self._lock:
            if self.state.leader.awaits(worker, incarnation):
                self._sessions.refuse(worker, SilentError(worker, ps))

    def inspect(self) -> Inspection:
        """Copies of what is kept now."""
        with self._lock:
            shard = self.state.shard or Shard(0, 1)
            return Inspection(
                self._sessions.workers,
                shard.values.copy(),
                shard.version,
                copy.deepcopy(shard.description),
                shard.waiting,
                copy.deepcopy(self.state.sequencer),
                self.state.leader.num_queued,
            )

    # --- checkpoints and the end --------------------------------------------------------------------------------

    def save_now(self) -> None:
        """Save what all ps keep, and go on; ps:0 decides when."""
        with self._lock:
            self.state.cut(lambda failure: None)

    def save_last(self, seconds: float) -> None:
        """This ps ends: save what all keep. Raises `StorageError` if it is not on the disk after `seconds`."""
        saving = Saving()
        with self._lock:
            if self.state.follower is not None:
                self.state.follower.say_end(saving.done)
            else:
                self.save_for_all(saving.done)
        saving.wait(seconds)

    def save_for_all(self, when_saved: WhenSaved = lambda failure: None) -> None:
        """A ps is about to end: save, inform all ps, and send no more answers.

        So everything that a worker has been answered is saved.
        """

        def tell(failure: str) -> None:
            self.state.leader.send_saved(failure)
            when_saved(failure)

        with self._lock:
            self._sessions.end_all()
            self.state.cut(tell)

    def end(self) -> None:
        """The job has ended: other ps that end now are not lost, nor are workers."""
        self._ending.set()
        self._reconnects.close()

    def close(self) -> None:
        """Stop following, end all waits, and finish pending checkpoints."""
        self._ending.set()
        with self._lock:
            self._chief_timer.end()
            self._reconnects.close()
            self.state.end_waits()
            self._sessions.end_all()
        self.state.close()
