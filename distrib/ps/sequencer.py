"""Sequencer: takes what workers ask and push, and decides. A plain class, without I/O; only ps:0 has one.

Its output is one ordered log of entries (`ps/log.py`), which every ps executes in the same order on its range of the
model (`ps/shard.py`). So there is one decision for each push, for the whole model, and one version: a pulled model is
of one version in all its parts, and a gradient is on all of them or on none.

A call of a worker is answered when there is something to say: a lease, or the end of the stage (`ps/stages.py`).
Until then it waits.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from distrib.arrays import Array
from distrib.ps.counts import CAUSES, NO_PUSH, Counts, Outcome
from distrib.ps.log import Apply, Discard, Entry, Install, Keep, Pull, PushId
from distrib.ps.members import Answer, Members, Pushed, Waiting
from distrib.ps.rules import Rules
from distrib.ps.stages import CHIEF, ImpossibleError, RefusedError, Stage, Stages, admission_of


class Sequencer:
    """Decides for one job.

    Args:
        rules: how gradients become updates.

    Attributes:
        version: updates so far.
        learning_rate: the chief's.
        counts: of all workers.
        log: decisions that are not executed yet; the caller takes them out.
        answers: answers that are not sent yet, likewise.
        members: every worker that was ever there.
        stages: what was done, and is being done.
        is_restored: whether it goes on from a saved state, and workers may know what is lost.
    """

    def __init__(self, rules: Rules) -> None:
        self.rules = rules
        self.version = 0
        self.is_restored = False
        self.learning_rate = 0.0
        self.counts = Counts()
        self.log: list[Entry] = []
        self.answers: list[Answer] = []
        self.members = Members(rules.num_workers)
        self.stages = Stages()
        self._waiting: dict[int, Waiting] = {}
        self._pushed: dict[PushId, Pushed] = {}

    # --- events -------------------------------------------------------------------------------------------------

    def join(self, worker: int, incarnation: int) -> None:
        """A worker is connected, maybe again. Raises `RefusedError` if another process is this worker."""
        self.members.join(worker, incarnation)
        self._release(worker)
        self._settle()

    def leave(self, worker: int, incarnation: int) -> None:
        """A worker is gone, or its link is. What it has pushed counts; what it was computing goes to others."""
        if self.members.leave(worker, incarnation):
            self._waiting.pop(worker, None)
            self._release(worker)
            self._settle()

    def give_up_absent(self) -> list[int]:
        """Count the workers that never came as lost, until they come; returns their numbers."""
        absent = self.members.give_up_absent()
        self._settle()
        return absent

    def register(
        self, worker: int, call: int, stage: int, description: dict[str, Any], values: PushId | None
    ) -> None:
        """A worker is about to train or test this model; `values` are those it brought (the chief's count)."""
        opened = self.stages.open(worker, stage, description)
        if opened is not None and values is not None:
            start = description.get("start", {})
            self.log.append(Install(values, start.get("step")))
            self.version = start.get("step", self.version)
            self.learning_rate = float((start or description).get("learning_rate", self.learning_rate))
            opened.is_over = True
        elif values is not None:
            self.log.append(Discard(values))
        self._wait(worker, Waiting(call, stage, description))

    def begin(self, worker: int, call: int, stage: int, description: dict[str, Any]) -> None:
        """A worker begins an epoch of training (`"kind": "train"`) or testing, or asks whether it was the last."""
        opened = self.stages.open(worker, stage, description)
        if worker == CHIEF and description["kind"] == "vote" and stage == len(self.stages) - 1:
            self.stages[stage].hear(bool(description.get("stops")))
        elif opened is not None:
            opened.admission = admission_of(self.rules, description)
            opened.is_over = opened.admission.ledger.is_done  # where nothing is left of it
            self.learning_rate = float(description.get("learning_rate", self.learning_rate))
        if stage < len(self.stages):
            self.stages[stage].clocks.setdefault(worker, 0)
        self._wait(worker, Waiting(call, stage, description))

    def push(
        self,
        push: PushId,
        call: int,
        stage: int,
        lease: int,
        version: int,
        tally: Array,
        skip: bool = False,
        learning_rate: float | None = None,
        seconds: Sequence[float] = (),
    ) -> None:
        """A worker has computed a lease; its gradient is whole on every ps.

        Args:
            push: which push it is.
            call: which call is to be answered.
            stage: index of the stage.
            lease: number of the lease.
            version: of the values it was computed from.
            tally: its sums.
            skip: whether NaN or Inf was found, and the update is to be left out.
            learning_rate: the chief's, now; None from others.
            seconds: how the worker has spent its time so far.

        Raises:
            RefusedError: it cannot be right; nothing was changed.
        """
        member = self.members.of(push)
        if push.sequence == member.sequence:  # a retry: the answer was lost, and the lease in it
            self.forget(push)
            self._release(push.worker)
            self._wait(push.worker, Waiting(call, stage, None, member.outcome))
            return
        if push.sequence <= member.sequence or (
            push.sequence > member.sequence + 1 and not member.is_restored
        ):
            raise RefusedError(
                f"Expected push {member.sequence + 1} of worker {push.worker}. Received: push {push.sequence}."
            )
        if not 0 <= stage < len(self.stages) or not self.stages[stage].has_examples:
            raise RefusedError(
                f"Worker {push.worker} pushed to stage {stage}, where nothing is trained or tested."
            )
        current = self.stages[stage]
        # After a restoration a worker may have seen versions that are lost; with prefetch, in two pushes.
        known = self.version if not self.is_restored else version
        if len(seconds) not in (0, len(CAUSES)) or not all(map(math.isfinite, seconds)):
            raise ImpossibleError(f"Expected seconds for {', '.join(CAUSES)}. Received: {list(seconds)}.")
        if tally.shape != current.totals.shape or not 0 <= version <= known:
            raise ImpossibleError(
                f"Expected {current.totals.size} sums and a version up to {self.version}. "
                f"Received: {tally.size} sums, version {version}."
            )
        current.check_examples(lease, float(tally[0]))
        if learning_rate is not None and push.worker == CHIEF:
            self.learning_rate = learning_rate
        member.sequence, member.is_restored, member.seconds = push.sequence, False, tuple(seconds)
        current.clocks[push.worker] = current.clocks.get(push.worker, 0) + 1
        member.outcome = self._decide(current, push, lease, version, tally, skip)
        self._wait(push.worker, Waiting(call, stage, None, member.outcome))

    def forget(self, push: PushId | None) -> None:
        """What has come is not used, unless it has come before and waits for its round."""
        if push is not None and push not in self._pushed:
            self.log.append(Discard(push))

    def state(self, worker: int, call: int) -> None:
        """The chief saves what is kept: it gets all of one version, and what is left of the epoch then."""
        stage = self.stages.last
        undone = [] if stage is None or stage.admission is None else stage.admission.undone()
        self.log.append(Pull(worker, call, self.version, state=True))
        totals = np.empty(0) if stage is None else stage.totals.copy()
        self.answers.append(Answer(worker, call, NO_PUSH, self.version, None, totals, undone=undone))

    # --- decisions ----------------------------------------------------------------------------------------------

    def _decide(
        self, stage: Stage, push: PushId, lease: int, version: int, tally: Array, skip: bool
    ) -> Outcome | None:
        """What becomes of a push; None if its round is not complete yet."""
        admission, trains = stage.admission, stage.trains
        staleness = max(0, self.version - version) if trains else 0
        if trains:
            self._count(push).pushed += 1
            self.counts.pushed += 1
        factor = self.rules.staleness.factor(staleness) if trains and not self.rules.is_sync else 1.0
        if version > self.version:
            factor, why = None, "computed from values that are lost"
        else:
            why = "too stale" if factor is None else "the epoch is over"
        if admission is None or stage.is_over or factor is None:
            if admission is not None:
                admission.return_lease(push.worker, lease)
            return self._drop(stage, push, staleness, why)
        self._pushed[push] = Pushed(tally, skip, staleness)
        verdict = admission.push(push.worker, lease, push)
        for each in verdict.drop:
            del self._pushed[each]
            return self._drop(stage, each, staleness, verdict.why)
        if not verdict.apply:
            return None
        outcome = self._apply(stage, verdict.apply, factor, push)
        stage.is_over = admission.ledger.is_done
        return outcome

    def _apply(self, stage: Stage, pushes: list[PushId], factor: float, last: PushId) -> Outcome:
        """Make these pushes one update, and tell their workers. Returns the outcome of the last one."""
        parts = [self._pushed.pop(push) for push in pushes]
        if any(part.skip for part in parts):
            return self._skip(stage, pushes, parts, last)
        tally = np.sum([part.tally for part in parts], axis=0)
        # [count, non-finite, loss, penalty, metrics]: every part brought the penalty of the whole model.
        tally[2] += parts[0].tally[3] * tally[0]
        tally[3] = 0.0
        stage.totals += tally
        if stage.trains:
            self.version += 1
            rate = self.learning_rate * factor * self.rules.learning_rate_factor
            self.log.append(Apply(tuple(pushes), 1.0 / tally[0], rate, self.version))
        decision = "applied" if factor == 1.0 else "scaled"
        outcomes = [Outcome(decision, part.staleness, factor) for part in parts]
        if stage.trains:
            for push, part in zip(pushes, parts, strict=True):
                for counts in (self._count(push), self.counts):
                    counts.add_applied(part.staleness, factor, int(part.tally[0]))
            for worker in {push.worker for push in pushes}:
                self.members[worker].counts.updates += 1
            self.counts.updates += 1
        return self._tell_others(pushes, outcomes, last)

    def _skip(self, stage: Stage, pushes: list[PushId], parts: list[Pushed], last: PushId) -> Outcome:
        """Leave out an update with NaN or Inf, and its sums. Its examples are done: they would be no better again."""
        why = "NaN or Inf in a gradient of this update"
        outcomes = [
            self._drop(stage, push, part.staleness, why) for push, part in zip(pushes, parts, strict=True)
        ]
        return self._tell_others(pushes, outcomes, last)

    def _tell_others(self, pushes: list[PushId], outcomes: list[Outcome], last: PushId) -> Outcome:
        """Tell the workers of the earlier pushes; returns the outcome of the last one."""
        result = Outcome()
        for push, outcome in zip(pushes, outcomes, strict=True):
            if push == last:
                result = outcome
            else:
                self._tell(push, outcome)
        return result

    def _drop(self, stage: Stage, push: PushId, staleness: int, why: str) -> Outcome:
        self.log.append(Discard(push))
        if stage.trains:
            for counts in (self._count(push), self.counts):
                counts.dropped += 1
        return Outcome("dropped", staleness, 0.0, why)

    def _tell(self, push: PushId, outcome: Outcome) -> None:
        """The round of an earlier push is complete."""
        member = self.members[push.worker]
        if (member.incarnation, member.sequence) != (push.incarnation, push.sequence):
            return
        member.outcome = outcome
        waiting = self._waiting.get(push.worker)
        if waiting is not None and waiting.outcome is None:
            waiting.outcome = outcome

    def _may_begin(self, stage: Stage, worker: int) -> bool:
        if not stage.trains:
            return True
        if self._is_warming_up(stage):
            return worker == CHIEF
        clocks = [clock for each, clock in stage.clocks.items() if self.members.is_alive(each)]
        return self.rules.staleness.may_begin(stage.clocks.get(worker, 0), min(clocks, default=0))

    def _is_warming_up(self, stage: Stage) -> bool:
        epoch = stage.description.get("epoch", 0)
        return self.version < self.rules.warmup_steps or epoch < self.rules.warmup_epochs

    def _num_alive(self, stage: Stage) -> int:
        """How many workers there are to do a round. Those that have not come yet are waited for, for a while."""
        if self._is_warming_up(stage):
            return 1
        return self.rules.num_workers - self.members.num_lost

    # --- answers ------------------------------------------------------------------------------------------------

    def _settle(self) -> None:
        """Answer every waiting call for which there is something to say, those that wait longest first."""
        for worker in list(self._waiting):
            waiting = self._waiting[worker]
            if waiting.stage >= len(self.stages):
                continue
            stage = self.stages[waiting.stage]
            refusal = "" if waiting.description is None else stage.refusal(worker, waiting.description)
            waiting.description = None
            if refusal:
                del self._waiting[worker]
                refused = Answer(worker, waiting.call, NO_PUSH, self.version, None, stage.totals, refusal)
                self.answers.append(refused)
                continue
            lease = None
            if not stage.is_over:
                if stage.admission is None:
                    continue
                if self._may_begin(stage, worker):
                    lease = stage.admission.lease(worker, self._num_alive(stage))
                if lease is None and not stage.admission.holds(worker):
                    continue
            outcome = waiting.outcome
            if outcome is None:
                member = self.members[worker]
                self.log.append(Keep(PushId(worker, member.incarnation, member.sequence)))
                outcome = Outcome("accepted")
            del self._waiting[worker]
            self.log.append(Pull(worker, waiting.call, self.version))
            told = stage.totals.copy(), "", (), stage.start
            self.answers.append(Answer(worker, waiting.call, outcome, self.version, lease, *told))

    def _wait(self, worker: int, waiting: Waiting) -> None:
        self._waiting.pop(worker, None)
        self._waiting[worker] = waiting
        self._settle()

    # --- state --------------------------------------------------------------------------------------------------

    def _release(self, worker: int) -> None:
        stage = self.stages.last
        if stage is not None and stage.admission is not None:
            stage.admission.lost(worker)

    def _count(self, push: PushId) -> Counts:
        return self.members[push.worker].counts
