"""Sequencer: decides on calls and pushes, in one order for all ps. No I/O; only ps:0 has one.

Its output is one ordered log of entries (`ps/policy/order/command_log.py`), which every ps executes in the same order
on its range of the model (`ps/policy/order/shard.py`). So there is one decision for each push, for the whole model,
and one version: a pulled model is of one version in all its parts, and a gradient is on all of them or on none.

Its parts: who is there (`ps/policy/admission/membership.py`), what they do together (`ps/policy/order/phases.py`),
what becomes of what they push (`ps/policy/order/aggregation.py`), who may compute now
(`ps/policy/admission/pace.py`), and what they are answered, and when (`ps/policy/order/pending_calls.py`).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from distrib.base.arrays import Array
from distrib.nn.batch_sums import BatchSums
from distrib.ps.policy.admission.membership import Membership
from distrib.ps.policy.admission.push_counts import CAUSES, NO_PUSH, Outcome, PushCounts
from distrib.ps.policy.admission.rules import Rules
from distrib.ps.policy.errors import ImpossibleError, RefusedError
from distrib.ps.policy.identity import CHIEF, PushId
from distrib.ps.policy.order.aggregation import Aggregation
from distrib.ps.policy.order.command_log import Discard, Entry, Install, Pull
from distrib.ps.policy.order.pace import AdmissionPace
from distrib.ps.policy.order.pending_calls import CallAnswer, PendingCalls, Waiting
from distrib.ps.policy.order.phases import LARGEST_RATE, Phase, Phases, admission_of


class PushRequest(NamedTuple):
    """A push whose gradient has arrived on every ps.

    Attributes:
        push: which push it is.
        call: which call is to be answered.
        phase: index of the phase.
        lease: number of the lease.
        version: of the values it was computed from.
        sums: `(num_sums,)`, as in `BatchSums`.
        skip: whether NaN or Inf was found, and the update is to be left out.
        learning_rate: the chief's, now; None from others.
        seconds: how the worker has spent its time so far.
    """

    push: PushId
    call: int
    phase: int
    lease: int
    version: int
    sums: Array
    skip: bool = False
    learning_rate: float | None = None
    seconds: Sequence[float] = ()


class Sequencer:
    """Decides for one job.

    Args:
        rules: how gradients become updates.

    Attributes:
        log: decisions that are not executed yet; the caller takes them out.
        answers: answers that are not sent yet; the caller takes them out.
        members: every worker that has ever joined.
        phases: what was done, and is being done.
        updates: what became of what was pushed.
        is_restored: whether it goes on from a saved state, and workers may know what is lost.
    """

    def __init__(self, rules: Rules) -> None:
        self.rules = rules
        self.is_restored = False
        self.log: list[Entry] = []
        self.members = Membership(rules.num_workers)
        self.phases = Phases()
        self.updates = Aggregation(rules, self.members, self.log)
        self._calls = PendingCalls(self.phases, self.members, AdmissionPace(rules, self.members), self.log)
        self.answers = self._calls.answers

    @property
    def version(self) -> int:
        """Updates so far."""
        return self.updates.version

    @property
    def counts(self) -> PushCounts:
        """Statistics of the pushes of all workers."""
        return self.updates.counts

    def join(self, worker: int, incarnation: int) -> None:
        """A worker is connected, maybe again. Raises `RefusedError` if another process is this worker."""
        self.members.join(worker, incarnation)
        self._release(worker)
        self._settle()

    def leave(self, worker: int, incarnation: int) -> None:
        """A worker is gone, or its link is. What it has pushed counts; what it was computing goes to others."""
        if self.members.leave(worker, incarnation):
            self._calls.forget(worker)
            self._release(worker)
            self._settle()

    def give_up_absent(self) -> list[int]:
        """Count the workers that never came as lost, until they come; returns their numbers."""
        absent = self.members.give_up_absent()
        self._settle()
        return absent

    def register(
        self, worker: int, call: int, phase: int, description: dict[str, Any], values: PushId | None
    ) -> None:
        """A worker is about to train or test this model; `values` are those it brought (the chief's count)."""
        opened = self.phases.open(worker, phase, description)
        if opened is not None and values is not None:
            start = description.get("start", {})
            self.log.append(Install(values, start.get("step")))
            self.updates.train(int(description.get("training", 0)), int(description.get("iterations", 0)))
            self.updates.version = start.get("step", self.version)
            self.updates.learning_rate = float(
                (start or description).get("learning_rate", self.updates.learning_rate)
            )
            opened.is_over = True
        elif values is not None:
            self.log.append(Discard(values))
        self._wait(worker, Waiting(call, phase, description))

    def begin(self, worker: int, call: int, phase: int, description: dict[str, Any]) -> None:
        """A worker begins an epoch of training or testing, or a loop, or asks what comes after it; see `Phase`."""
        if description["kind"] == "join":
            self.phases.leave_loop(worker, phase)
        opened = self.phases.open(worker, phase, description)
        if phase < len(self.phases.all):
            self.phases.all[phase].left.discard(worker)  # one that was started again
        if worker == CHIEF and description["kind"] == "vote" and phase == len(self.phases.all) - 1:
            self.phases.all[phase].hear(bool(description.get("stops")))
        elif opened is not None and opened.has_examples:
            opened.admission = admission_of(self.rules, description)
            opened.is_over = opened.admission.ledger.is_done  # where nothing is left of it
            self.updates.learning_rate = float(description.get("learning_rate", self.updates.learning_rate))
        self._wait(worker, Waiting(call, phase, description))

    def check_phase(self, phase: int, trains: bool) -> None:
        """Raise `RefusedError` unless gradients are pushed in this phase just if `trains`."""
        if not 0 <= phase < len(self.phases.all) or self.phases.all[phase].trains is not trains:
            raise RefusedError(
                f"A push {'with' if trains else 'without'} a gradient does not belong to phase {phase}."
            )

    def push(self, request: PushRequest) -> None:
        """A worker has computed a lease. Raises `RefusedError` for an invalid push, which has changed nothing."""
        push = request.push
        member = self.members.of(push)
        if push.sequence == member.sequence:  # a retry: the answer was lost, and the lease in it
            self.forget(push)
            self._release(push.worker)
            self._wait(push.worker, Waiting(request.call, request.phase, None, member.outcome))
            return
        if push.sequence <= member.sequence or (
            push.sequence > member.sequence + 1 and not member.is_restored
        ):
            raise RefusedError(
                f"Expected push {member.sequence + 1} of worker {push.worker}. Received: push {push.sequence}."
            )
        phases, index = self.phases.all, request.phase
        if not 0 <= index < len(phases) or not phases[index].has_examples:
            raise RefusedError(
                f"Worker {push.worker} pushed to phase {index}, where nothing is trained or tested."
            )
        phase = phases[index]
        self._check(request, phase)
        if request.learning_rate is not None and push.worker == CHIEF:
            self.updates.learning_rate = request.learning_rate
        member.sequence, member.is_restored, member.seconds = push.sequence, False, tuple(request.seconds)
        if push.worker in phase.clocks:
            phase.clocks[push.worker] += 1
        outcomes = self.updates.decide(
            phase, push, request.lease, request.version, request.sums, request.skip
        )
        member.outcome = outcomes.pop(push, None)
        for earlier, outcome in outcomes.items():
            self._tell(earlier, outcome)
        self._wait(push.worker, Waiting(request.call, index, None, member.outcome))

    def _check(self, request: PushRequest, phase: Phase) -> None:
        """Raise `ImpossibleError` for numbers that no worker can have."""
        # After a restoration a worker may have seen versions that are lost; with prefetch, in two pushes.
        known = self.updates.version if not self.is_restored else request.version
        seconds, sums, version = request.seconds, request.sums, request.version
        if len(seconds) not in (0, len(CAUSES)) or not all(map(math.isfinite, seconds)):
            raise ImpossibleError(f"Expected seconds for {', '.join(CAUSES)}. Received: {list(seconds)}.")
        if sums.shape != phase.totals.shape or not 0 <= version <= known:
            raise ImpossibleError(
                f"Expected {phase.totals.size} sums and a version up to {self.version}. "
                f"Received: {sums.size} sums, version {version}."
            )
        if not 0 <= (request.learning_rate or 0.0) <= LARGEST_RATE:
            raise ImpossibleError(
                f"Expected a learning rate of 0 to {LARGEST_RATE:g}. Received: {request.learning_rate}."
            )
        if phase.admission is not None:  # the sum of gradients is divided by the number of examples
            phase.admission.ledger.check_size(request.lease, BatchSums(0, sums).count)

    def forget(self, push: PushId | None) -> None:
        """Discard a vector that was received, unless it is a repeated push that waits for its round."""
        if push is not None and not self.updates.keeps(push):
            self.log.append(Discard(push))

    def state(self, worker: int, call: int) -> None:
        """The chief saves what is kept: it gets all of one version, and what is left of the epoch then."""
        phase = self.phases.last
        undone = [] if phase is None or phase.admission is None else phase.admission.undone()
        self.log.append(Pull(worker, call, self.version, state=True))
        totals = np.empty(0) if phase is None else phase.totals.copy()
        self.answers.append(CallAnswer(worker, call, NO_PUSH, self.version, None, totals, undone=undone))

    def _tell(self, push: PushId, outcome: Outcome) -> None:
        """The round of an earlier push is complete."""
        member = self.members[push.worker]
        if (member.incarnation, member.sequence) == (push.incarnation, push.sequence):
            member.outcome = outcome
            self._calls.tell(push.worker, outcome)

    def _wait(self, worker: int, waiting: Waiting) -> None:
        self._calls.wait(worker, waiting)
        self._settle()

    def _settle(self) -> None:
        last = self.phases.last
        if last is not None and last.is_join and not last.is_over:
            self._end_loop()
        self._calls.settle(self.updates.version)

    def _end_loop(self) -> None:
        """End the loop before a join, if all workers that are there have come to it."""
        alive = {worker for worker, _ in self.members.items() if self.members.is_alive(worker)}
        loop = self.phases.join(alive)
        if loop is not None:
            for push, outcome in self.updates.end(loop).items():
                self._tell(push, outcome)

    def _release(self, worker: int) -> None:
        for phase in self.phases.going_on:
            if phase.admission is not None:
                phase.admission.lost(worker)
            phase.clocks.pop(worker, None)
