"""Node: what one ps keeps and decides, behind one lock. `ps/servicer.py` brings it the calls.

Every ps has a shard. ps:0 has the sequencer too, and a queue of entries for every other ps; those have a follower.
A push is an event for the sequencer when its vector has arrived on every ps.
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable
from queue import SimpleQueue
from typing import Any

import numpy as np

from distrib.arrays import Array
from distrib.logs import LOGGER
from distrib.proto import parameter_server_pb2 as pb
from distrib.ps import absence, codec
from distrib.ps.absence import Absence
from distrib.ps.arrivals import Arrivals
from distrib.ps.calls import Answer
from distrib.ps.follower import Follower
from distrib.ps.followers import Followers
from distrib.ps.keeper import Keeper
from distrib.ps.link import Link, Links
from distrib.ps.log import Cut, Discard, Entry, Pull, PushId
from distrib.ps.rules import Rules
from distrib.ps.saver import Checkpoints, Saving, WhenSaved
from distrib.ps.sequencer import Sequencer
from distrib.ps.sequencer_state import summary_of
from distrib.ps.shard import Shard
from distrib.ps.stages import CHIEF, SEQUENCER, RefusedError, SilentError
from distrib.ps.stagnation import Stagnation

_LOST_AFTER_S = 1.0


class Node:
    """One ps.

    Args:
        token: of the run, for the other ps.
        on_stop: called when the job has ended, with the reason; empty for a good end.
        checkpoints: where ps:0 saves what all ps keep, and whether to begin from there; None for nowhere.
        chief_timeout_s: seconds to wait for a chief that is gone.
    """

    def __init__(
        self,
        token: str,
        on_stop: Callable[[str], None],
        checkpoints: Checkpoints | None = None,
        chief_timeout_s: float = 60.0,
    ) -> None:
        self._token, self._on_stop = token, on_stop
        self._keeper = Keeper(checkpoints)
        lost = f"the chief is lost: it was gone for {chief_timeout_s:g} s"
        self._absence_of_chief = Absence(chief_timeout_s, lambda: on_stop(lost))
        self._absence_of_others = Absence(absence.ABSENT_S, self._give_up_absent)
        self._stagnation = Stagnation()
        self._lock = threading.RLock()
        self._links = Links()
        self._sequencer: Sequencer | None = None
        self._shard: Shard | None = None
        self._description: dict[str, Any] = {}
        self._arrivals = Arrivals()
        self._followers = Followers()
        self._follower: Follower | None = None
        self._ending = threading.Event()

    @property
    def restores(self) -> bool:
        """Whether this ps begins from a checkpoint."""
        return self._keeper.restores

    # --- workers ------------------------------------------------------------------------------------------------

    def join(self, link: Link) -> None:
        """A worker's stream is open. Raises `RefusedError` if another process is, or was since, this worker."""
        with self._lock:
            if self.restores and self._shard is None:
                self._restore(link)
            if self._sequencer is not None:
                self._sequencer.members.check_newest(link.worker, link.incarnation)
            self._links.join(link)
            if link.worker == CHIEF:
                self._absence_of_chief.end()
            if self._sequencer is not None:
                self._sequencer.log += map(Discard, self._arrivals.torn(link.worker, link.incarnation))
                self._sequencer.join(link.worker, link.incarnation)
                self._settle()

    def leave(self, link: Link) -> None:
        """A worker's stream has ended."""
        with self._lock:
            if not self._links.leave(link):
                return
            if link.worker == CHIEF and not self._ending.is_set():
                self._absence_of_chief.begin()
            self._arrivals.forget(link.worker)
            if self._sequencer is not None and link.ps == SEQUENCER and not self._ending.is_set():
                LOGGER.warning("worker %d is gone; the others compute what it was computing.", link.worker)
                self._sequencer.leave(link.worker, link.incarnation)
                self._settle()

    def is_silent(self, link: Link) -> None:
        """A worker has begun a call, and sent no more of it. On ps:0 the end of its stream says so."""
        if (follower := self._follower) is not None:
            follower.say_silent(link.worker, link.incarnation)

    def register(
        self,
        link: Link,
        call: int,
        stage: int,
        description: dict[str, Any],
        rules: Rules,
        values: Array | None,
    ) -> None:
        """A worker is about to train or test a model; the chief brings this ps's slice of the values."""
        addresses = list(description["ps"])
        with self._lock:
            push = None
            if values is not None:
                push = PushId(CHIEF, link.incarnation, 0)
                if self._shard is None:
                    self._shard = Shard(link.ps, len(addresses))
                self._shard.prepare(description)
                self._shard.stage(push, values)
                self._description = description
                self._meet(link.ps, addresses)
            if link.ps == SEQUENCER:
                if self._sequencer is None:
                    self._sequencer = Sequencer(rules)
                    self._meet(link.ps, addresses)
                    self._absence_of_others.begin()
                sequencer = self._sequencer
                sequencer.join(link.worker, link.incarnation)
                self._when_whole(
                    push, lambda: sequencer.register(link.worker, call, stage, description, push)
                )
            elif push is not None and self._follower is not None:
                self._follower.arrived(push)

    def ask(self, link: Link, event: Callable[[Sequencer], None]) -> None:
        """A worker asks ps:0 for something: it begins an epoch, or saves what is kept."""
        with self._lock:
            if link.ps == SEQUENCER:
                event(self._decider())
                self._settle()

    def push(self, link: Link, call: int, message: pb.Push, gradient: Array | None) -> None:
        """A worker has computed a lease; None where nothing is trained.

        Raises `ProtocolError` for a gradient of another model, or with NaN or Inf that it does not say.
        """
        push = PushId(link.worker, link.incarnation, message.sequence)
        if link.ps == SEQUENCER:
            self._decider().stages.check_kind(message.stage, trains=gradient is not None)
        shard = self._shard
        if gradient is not None:
            if shard is None:
                raise RefusedError("Register a model first.")
            shard.check(gradient, allow_nonfinite=message.skip or message.allow_nonfinite)
        with self._lock:
            if gradient is not None and shard is not None:
                shard.stage(push, gradient)
            if link.ps == SEQUENCER:
                sequencer = self._decider()
                rate = message.learning_rate if message.HasField("learning_rate") else None
                given = message.stage, message.lease, message.version, np.array(message.tally), message.skip
                self._when_whole(
                    push if gradient is not None else None,
                    lambda: sequencer.push(push, call, *given, rate, message.seconds),
                )
            elif gradient is not None and self._follower is not None:
                self._follower.arrived(push)

    def entries_for(self, ps: int) -> SimpleQueue[pb.FollowReply | None]:
        """The log for another ps, from its beginning; None ends it. Raises `RefusedError` for none of the job."""
        with self._lock:
            return self._followers.queue(ps)

    def arrived(self, push: PushId, ps: int) -> None:
        """A vector is whole on another ps."""
        with self._lock:
            self._arrived(push, ps)

    def was_silent(self, ps: int, worker: int, incarnation: int) -> None:
        """A worker was silent on another ps. If it waits here for what does not come there, its stream is ended."""
        with self._lock:
            if self._arrivals.awaits(worker, incarnation):
                self._links.refuse(worker, SilentError(worker, ps))

    def collect(self, ps: int, part: pb.Part) -> None:
        """Another ps sends a part of what it keeps at a cut."""
        self._keeper.collect(ps, part, self._description["dtype"])

    def lost(self, ps: int) -> None:
        """Another ps is gone. At the end of the job it may only have been told a little earlier."""
        if not self._ending.wait(_LOST_AFTER_S):
            self._on_stop(f"ps:{ps} is lost")

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

        def tell(failure: str) -> None:
            self._followers.tell(pb.FollowReply(saved=pb.Saved(failure=failure)))
            when_saved(failure)

        with self._lock:
            self._links.end_all()
            self._keeper.cut(self._sequencer, tell)
            self._settle()

    def execute(self, entry: Entry) -> None:
        """The next entry of the log, on this ps."""
        with self._lock:
            if self._shard is not None:
                self._shard.execute(entry)
            if isinstance(entry, Pull):
                self._links.pull(entry, self._shard)
            elif isinstance(entry, Cut):
                self._save(entry)

    def end(self) -> None:
        """The job has ended: other ps that end now are not lost."""
        self._ending.set()

    def close(self) -> None:
        """Follow no longer, let nobody wait, and write what is to be written."""
        self._ending.set()
        with self._lock:
            self._absence_of_chief.end()
            self._absence_of_others.end()
            if self._follower is not None:
                self._follower.close()
            self._followers.tell(None)
            self._links.end_all()
        self._keeper.close()

    def _give_up_absent(self) -> None:
        """Do the rounds without the workers that have not come; they may come later."""
        with self._lock:
            if self._sequencer is not None and (absent := self._sequencer.give_up_absent()):
                LOGGER.warning("workers that never came: %s. The others go on without them.", absent)
            self._settle()

    def _decider(self) -> Sequencer:
        if self._sequencer is None:
            raise RefusedError("Register a model first.")
        return self._sequencer

    def _when_whole(self, push: PushId | None, event: Callable[[], None]) -> None:
        """Let an event happen when its vector has arrived on every ps."""
        if push is None or not self._followers:
            self._happen(push, event)
        else:
            self._arrivals.expect(push, event)
            self._arrived(push, SEQUENCER)

    def _arrived(self, push: PushId, ps: int) -> None:
        event = self._arrivals.arrived(push, ps)
        if event is None:
            return
        try:
            self._happen(push, event)
        except RefusedError as error:
            self._links.refuse(push.worker, error)

    def _happen(self, push: PushId | None, event: Callable[[], None]) -> None:
        try:
            event()
        except RefusedError:
            self._decider().forget(push)
            raise
        finally:
            self._settle()

    def _settle(self) -> None:
        """Execute what was decided, and send what was answered."""
        sequencer = self._sequencer
        if sequencer is None:
            return
        self._keeper.cut_if_due(sequencer)
        if words := self._stagnation.seen(sequencer.counts, time.monotonic()):
            LOGGER.warning(words)
        for entry in sequencer.log:
            if self._followers:
                self._followers.tell(codec.entry_message(entry))
            self.execute(entry)
        sequencer.log.clear()
        answers = sequencer.answers.copy()
        sequencer.answers.clear()
        if answers:
            self._keeper.after_border(lambda: self._send(answers, sequencer))

    def _send(self, answers: list[Answer], sequencer: Sequencer) -> None:
        with self._lock:
            for answer in answers:
                summary = json.dumps(summary_of(sequencer)) if answer.lease is None else ""
                self._links.answer(answer, summary)

    def _meet(self, ps: int, addresses: list[str]) -> None:
        """Connect with the other ps."""
        if ps != SEQUENCER:
            if self._follower is None:
                self._follower = Follower(
                    addresses[SEQUENCER], ps, self._token, self.execute, lambda: self.lost(SEQUENCER)
                )
            return
        self._followers.expect(len(addresses))
        self._arrivals.num_ps = len(addresses)
        self._keeper.begin(len(addresses))

    def _restore(self, link: Link) -> None:
        """Begin from the newest checkpoint."""
        self._description, self._shard, self._sequencer = self._keeper.restore(link)
        if len(self._description["ps"]) == link.num_ps:
            self._meet(link.ps, self._description["ps"])

    def _save(self, cut: Cut) -> None:
        assert self._shard is not None
        if self._follower is not None:
            self._follower.save(cut.number, self._shard.snapshot())
        elif self._sequencer is not None:
            self._keeper.save(cut.number, self._shard, self._sequencer, self._description)
