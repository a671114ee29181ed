"""Leader: the part of ps:0 that acts for all ps: it runs the sequencer and distributes its log.

A push is an event for the sequencer when its vector has arrived on every ps. Each event is settled at once: the log
is executed here and told to the other ps, and what was answered is sent.
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable

from distrib.base.logs import LOGGER
from distrib.proto import parameter_server_pb2 as pb
from distrib.ps.policy.admission.rules import Rules
from distrib.ps.policy.admission.starvation import StarvationWarning
from distrib.ps.policy.errors import NO_MODEL, RefusedError, SilentError
from distrib.ps.policy.identity import SEQUENCER, PushId
from distrib.ps.policy.order.command_log import Discard, Entry
from distrib.ps.policy.order.pending_calls import CallAnswer
from distrib.ps.policy.order.push_assembly import PushAssembly
from distrib.ps.policy.order.sequencer import Sequencer
from distrib.ps.policy.order.sequencer_state import summary_of
from distrib.ps.server.absence_timer import AbsenceTimer
from distrib.ps.server.checkpoint_coordinator import CheckpointCoordinator
from distrib.ps.server.checkpoint_writer import WhenSaved
from distrib.ps.server.log_fanout import Followed, LogFanout
from distrib.ps.server.worker_session import WorkerSession, WorkerSessions
from distrib.ps.wire import codec


class Leader:
    """The part of ps:0 that acts for all ps. On another ps it does nothing.

    Args:
        lock: of the node; whoever calls holds it.
        sessions: the streams of the workers.
        checkpoints: saves what is kept.
        execute: called with every entry of the log, in order.

    Attributes:
        sequencer: None until a model is registered, and on another ps.
    """

    def __init__(
        self,
        lock: threading.RLock,
        sessions: WorkerSessions,
        checkpoints: CheckpointCoordinator,
        execute: Callable[[Entry], None],
    ) -> None:
        self._lock, self._sessions, self._checkpoints, self._execute = lock, sessions, checkpoints, execute
        self.sequencer: Sequencer | None = None
        self._assembly = PushAssembly()
        self._fanout = LogFanout()
        self._start_timer: AbsenceTimer | None = None
        self._starvation = StarvationWarning()

    # --- workers ------------------------------------------------------------------------------------------------

    def check_newest(self, session: WorkerSession) -> None:
        """Raise `RefusedError` if another process was this worker since."""
        if self.sequencer is not None:
            self.sequencer.members.check_newest(session.worker, session.incarnation)

    def join(self, session: WorkerSession) -> None:
        """A worker's stream is open. Raises `RefusedError` if another process is this worker."""
        if self.sequencer is not None:
            self.sequencer.log += map(Discard, self._assembly.torn(session.worker, session.incarnation))
            self.sequencer.join(session.worker, session.incarnation)
            self.settle()

    def forget(self, worker: int) -> None:
        """A worker's stream has ended: what it was sending may not be whole."""
        self._assembly.forget(worker)

    def leave(self, session: WorkerSession) -> None:
        """A worker is gone while the job goes on."""
        if self.sequencer is not None:
            phase = self.sequencer.phases.last
            if phase is not None and phase.has_examples and not phase.is_over:
                LOGGER.warning("worker %d is gone; the others compute what it was computing.", session.worker)
            self.sequencer.leave(session.worker, session.incarnation)
            self.settle()

    def open(self, rules: Rules, num_ps: int) -> Sequencer:
        """A worker registers a model; the first one begins the job. Returns what decides."""
        if self.sequencer is None:
            self.sequencer = Sequencer(rules)
            self.meet(num_ps)
            self._start_timer = AbsenceTimer(rules.start_timeout_s, self._give_up_absent)
            self._start_timer.begin()
        return self.sequencer

    def decider(self) -> Sequencer:
        """The sequencer. Raises `RefusedError` where nothing is registered yet."""
        if self.sequencer is None:
            raise RefusedError(NO_MODEL)
        return self.sequencer

    def when_whole(self, push: PushId | None, event: Callable[[], None]) -> None:
        """Handle an event when its vector has arrived on every ps; at once where it has none."""
        if push is None or not self._fanout:
            self._happen(push, event)
        else:
            self._assembly.expect(push, event)
            self.arrived(push, SEQUENCER)

    # --- other ps -----------------------------------------------------------------------------------------------

    def meet(self, num_ps: int) -> None:
        """So many ps take part from now on."""
        self._fanout.expect(num_ps)
        self._assembly.num_ps = num_ps
        self._checkpoints.begin(num_ps)

    def followed(self, ps: int) -> Followed:
        """Another ps, which receives the log. Raises `RefusedError` for none of the job."""
        return self._fanout.of(ps)

    def arrived(self, push: PushId, ps: int) -> None:
        """A vector is whole on a ps."""
        event = self._assembly.arrived(push, ps)
        if event is None:
            return
        try:
            self._happen(push, event)
        except RefusedError as error:
            self._sessions.refuse(push.worker, error)

    def was_silent(self, ps: int, worker: int, incarnation: int) -> None:
        """A worker was silent on another ps. If it waits here for what does not come there, its stream is ended."""
        if self._assembly.awaits(worker, incarnation):
            self._sessions.refuse(worker, SilentError(worker, ps))

    def save_now(self) -> None:
        """Save, and go on."""
        self._checkpoints.cut(self.sequencer, lambda failure: None)
        self.settle()

    def save_for_all(self, when_saved: WhenSaved) -> None:
        """Save, tell all ps, and call back."""

        def tell(failure: str) -> None:
            self._fanout.tell(pb.FollowReply(saved=pb.Saved(failure=failure)))
            when_saved(failure)

        self._checkpoints.cut(self.sequencer, tell)
        self.settle()

    def close(self) -> None:
        """Wait for nobody, and end the log."""
        if self._start_timer is not None:
            self._start_timer.end()
        self._fanout.close()

    # --- decisions ----------------------------------------------------------------------------------------------

    def settle(self) -> None:
        """Execute what was decided, and send what was answered."""
        sequencer = self.sequencer
        if sequencer is None:
            return
        self._checkpoints.cut_if_due(sequencer)
        if words := self._starvation.seen(sequencer.counts, time.monotonic()):
            LOGGER.warning(words)
        for entry in sequencer.log:
            if self._fanout:
                self._fanout.tell(codec.entry_message(entry))
            self._execute(entry)
        sequencer.log.clear()
        answers = sequencer.answers.copy()
        sequencer.answers.clear()
        if answers:
            self._checkpoints.after_border(lambda: self._send(answers, sequencer))

    def _happen(self, push: PushId | None, event: Callable[[], None]) -> None:
        try:
            event()
        except RefusedError:
            self.decider().forget(push)
            raise
        finally:
            self.settle()

    def _send(self, answers: list[CallAnswer], sequencer: Sequencer) -> None:
        with self._lock:
            for answer in answers:
                summary = json.dumps(summary_of(sequencer)) if answer.lease is None else ""
                self._sessions.answer(answer, summary)

    def _give_up_absent(self) -> None:
        """Do the rounds without the workers that have not come; they may come later."""
        with self._lock:
            if self.sequencer is not None and (absent := self.sequencer.give_up_absent()):
                LOGGER.warning("workers that never came: %s. The others go on without them.", absent)
            self.settle()
