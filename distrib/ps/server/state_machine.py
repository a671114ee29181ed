"""StateMachine: decides on calls, executes the log, and answers; one for each ps, behind the lock of its node.

The model of a job is a replicated state machine (Lamport, 1978; Schneider, 1990): ps:0 decides on the calls of all
workers, one after the other, and appends what follows to one log; every ps executes that log in the same order on its
range of the model. So all parts of the model are of one version, and a push is applied on all of them or on none.

    call -> decide (`Sequencer`, on ps:0) -> log -> execute (`Shard`, on every ps) -> answer (`WorkerSessions`)
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable
from typing import Any

from distrib.base.arrays import Array
from distrib.base.logs import LOGGER
from distrib.proto import parameter_server_pb2 as pb
from distrib.ps.policy.admission.rules import Rules
from distrib.ps.policy.admission.starvation import StarvationWarning
from distrib.ps.policy.errors import NO_MODEL, RefusedError
from distrib.ps.policy.identity import SEQUENCER, PushId
from distrib.ps.policy.order.command_log import Cut, Entry, Pull
from distrib.ps.policy.order.pending_calls import CallAnswer
from distrib.ps.policy.order.sequencer import Sequencer
from distrib.ps.policy.order.sequencer_state import summary_of
from distrib.ps.policy.order.shard import Shard
from distrib.ps.server.absence_timer import AbsenceTimer
from distrib.ps.server.checkpoint_coordinator import CheckpointCoordinator
from distrib.ps.server.checkpoint_writer import WhenSaved
from distrib.ps.server.replication.follower import Follower
from distrib.ps.server.replication.leader import Event, Leader
from distrib.ps.server.server_options import ServerOptions
from distrib.ps.server.worker_session import WorkerSession, WorkerSessions


class StateMachine:
    """The state of one ps.

    Args:
        lock: of the node. Callers hold it, unless a method says otherwise.
        sessions: the streams of the workers, which are answered.
        ending: set when the job has ended.
        on_stop: called, with the reason, when another ps is lost.
        options: of the ps.

    Attributes:
        sequencer: what decides; None until a model is registered, and on others than ps:0.
        shard: what is trained here; None until the chief has brought it.
        leader: the other ps of the job, on ps:0.
        follower: the log of ps:0, on other ps; None until they know where it is.
    """

    def __init__(
        self,
        lock: threading.RLock,
        sessions: WorkerSessions,
        ending: threading.Event,
        on_stop: Callable[[str], None],
        options: ServerOptions,
    ) -> None:
        self._lock, self._sessions, self._ending = lock, sessions, ending
        self._on_stop, self._options = on_stop, options
        self._checkpoints = CheckpointCoordinator(options.checkpoints) if options.checkpoints else None
        self._start_timer: AbsenceTimer | None = None
        self._starvation = StarvationWarning()
        self.sequencer: Sequencer | None = None
        self.shard: Shard | None = None
        self.leader = Leader(lock, ending, on_stop, options.ps_timeout_s)
        self.follower: Follower | None = None

    @property
    def restores(self) -> bool:
        """Whether this ps begins from a checkpoint."""
        return self._checkpoints is not None and self._checkpoints.restores

    # --- how it begins ------------------------------------------------------------------------------------------

    def restore(self, session: WorkerSession) -> None:
        """Begin from the newest checkpoint, as the ps that a worker takes this one for."""
        restored = None if self._checkpoints is None else self._checkpoints.restore(session)
        if restored is None:
            return
        self.shard, self.sequencer = restored
        addresses = self.shard.description["ps"]
        if len(addresses) == session.num_ps:
            self._meet(session.ps, addresses)

    def bring(self, push: PushId, ps: int, values: Array, description: dict[str, Any]) -> None:
        """The chief brings this ps's slice of the values. Only an entry of the log makes them those of the job."""
        addresses = list(description["ps"])
        if self.shard is None:
            self.shard = Shard(ps, len(addresses))
        self.shard.put_model(push, values, description)
        self.shard.description["ps"] = addresses  # they may be others after a restoration
        self._meet(ps, addresses)

    def open(self, rules: Rules, addresses: list[str]) -> Sequencer:
        """The sequencer; the first worker that registers a model begins the job."""
        if self.sequencer is None:
            self.sequencer = Sequencer(rules)
            self._meet(SEQUENCER, addresses)
            self._start_timer = AbsenceTimer(rules.start_timeout_s, self._give_up_absent)
            self._start_timer.begin()
        return self.sequencer

    def _meet(self, ps: int, addresses: list[str]) -> None:
        """Connect with the other ps."""
        if ps == SEQUENCER:
            self.leader.meet(addresses)
            if self._checkpoints is not None:
                self._checkpoints.begin(len(addresses))
        elif self.follower is None or self.follower.address != addresses[SEQUENCER]:
            former, options = self.follower, self._options
            self.follower = Follower(
                addresses[SEQUENCER],
                ps,
                options.token,
                self.execute,
                self._on_stop,
                self._ending,
                options.ps_timeout_s,
            )
            if former is not None:  # where ps:0 was when that was saved from which this ps has begun
                former.close()

    # --- decide, execute, answer --------------------------------------------------------------------------------

    def decider(self) -> Sequencer:
        """The sequencer. Raises `RefusedError` where nothing is registered yet."""
        if self.sequencer is None:
            raise RefusedError(NO_MODEL)
        return self.sequencer

    def when_whole(self, push: PushId | None, call: int, event: Event) -> None:
        """Decide on the event of a call when its vector has arrived on every ps; at once where it has none."""
        if push is None or not self.leader.has_followers:
            self.decide(push, event)
        elif (whole := self.leader.when_whole(push, call, event)) is not None:
            self.decide(push, whole)

    def decide(self, push: PushId | None, event: Event) -> None:
        """Let the sequencer decide on an event, and do what it decides.

        Args:
            push: the vector that is discarded if the event is refused; None for none.
            event: a method of the sequencer, with its arguments.

        Raises:
            RefusedError: the sequencer refuses it.
        """
        try:
            event()
        except RefusedError:
            self.decider().forget(push)
            raise
        finally:
            self.settle()

    def settle(self) -> None:
        """Execute what was decided, and send what was answered."""
        sequencer = self.sequencer
        if sequencer is None:
            return
        if self._checkpoints is not None:
            self._checkpoints.cut_if_due(sequencer)
        counts = sequencer.updates.counts
        if counts.dropped and (warning := self._starvation.seen(counts, time.monotonic())):
            LOGGER.warning(warning)
        for entry in sequencer.log:
            if self.leader.has_followers:
                self.leader.send(entry)
            self.execute(entry)
        sequencer.log.clear()
        answers = sequencer.answers.copy()
        sequencer.answers.clear()
        if answers and self._checkpoints is not None:
            self._checkpoints.after_border(lambda: self._answer(answers))
        elif answers:
            self._answer(answers)

    def execute(self, entry: Entry) -> None:
        """Execute the next entry of the log, on this ps. Called without the lock where it comes from ps:0."""
        with self._lock:
            if self.shard is not None:
                self.shard.execute(entry)
            if isinstance(entry, Pull):
                self._sessions.pull(entry, self.shard)
            elif isinstance(entry, Cut):
                self._save(entry)

    def _answer(self, answers: list[CallAnswer]) -> None:
        with self._lock:
            for answer in answers:
                summary = "" if answer.lease is not None else json.dumps(summary_of(self.decider()))
                self._sessions.answer(answer, summary)

    def _give_up_absent(self) -> None:
        """Do the rounds without the workers that have not come; they may come later."""
        with self._lock:
            if self.sequencer is not None and (absent := self.sequencer.give_up_absent()):
                LOGGER.warning("workers that never came: %s. The others go on without them.", absent)
            self.settle()

    # --- checkpoints --------------------------------------------------------------------------------------------

    def collect(self, ps: int, part: pb.Part) -> None:
        """Another ps sends a part of what it keeps at a cut. Called without the lock."""
        if self.shard is not None and self._checkpoints is not None:
            self._checkpoints.collect(ps, part, self.shard.description)

    def cut(self, when_saved: WhenSaved) -> None:
        """Make all ps save now; calls back at once where nothing is saved."""
        if self._checkpoints is None:
            when_saved("")
        else:
            self._checkpoints.cut(self.sequencer, when_saved)
        self.settle()

    def _save(self, cut: Cut) -> None:
        assert self.shard is not None
        if self.follower is not None:
            self.follower.save(cut.number, self.shard.snapshot())
        elif self.sequencer is not None and self._checkpoints is not None:
            self._checkpoints.save(cut.number, self.shard, self.sequencer)

    def end_waits(self) -> None:
        """Stop waiting and following."""
        if self._start_timer is not None:
            self._start_timer.end()
        if self.follower is not None:
            self.follower.close()
        self.leader.close()

    def close(self) -> None:
        """Write what is to be written. Called without the lock."""
        if self._checkpoints is not None:
            self._checkpoints.close()
