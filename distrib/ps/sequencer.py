"""Sequencer: takes what workers ask and push, and decides. A plain class, without I/O; only ps:0 has one.

Its output is one ordered log of entries, which every ps executes in the same order on its range of the model
(`ps/shard.py`). So there is one decision for each push, for the whole model, and one version: a pulled model is of
one version in all its parts, and a gradient is on all of them or on none.

Workers run the same script, and so come to the same *stages* in the same order: a model is registered, an epoch is
trained, a data set is tested. The chief opens a stage; the others wait for it. A stage that is over is remembered
with its totals, so a worker that was restarted runs through its script again until it meets the others.

A call of a worker is answered when there is something to say: a lease, or the end of the stage. Until then it waits.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import Any, NamedTuple, TypeAlias

import numpy as np

from distrib.arrays import Array
from distrib.data.sharding import Positions, Schedule
from distrib.errors import ProtocolError
from distrib.ps.admission import Admission, AsyncArrivals, SyncRounds
from distrib.ps.ledger import Lease, Ledger
from distrib.ps.rules import Rules
from distrib.ranges import Range

CHIEF = 0


class PushId(NamedTuple):
    """Names a push. A retry has the same name, so it is counted once."""

    worker: int
    incarnation: int
    sequence: int


class Apply(NamedTuple):
    """Add these gradients in this order, and update the values to `version`."""

    pushes: tuple[PushId, ...]
    scale: float
    learning_rate: float
    version: int


class Discard(NamedTuple):
    """Forget a gradient."""

    push: PushId


class Keep(NamedTuple):
    """Copy a gradient: its worker goes on before it is applied."""

    push: PushId


class Install(NamedTuple):
    """Take these values, those of the chief."""

    push: PushId


class Pull(NamedTuple):
    """Give a worker the values as they are now, as the answer to its call."""

    worker: int
    call: int
    version: int


Entry: TypeAlias = Apply | Discard | Keep | Install | Pull


class Outcome(NamedTuple):
    """What became of a push.

    Attributes:
        decision: "applied", "scaled", "accepted" (applied when its round is complete) or "dropped"; "" for no push.
        staleness: updates between the values it was computed from and its arrival.
        factor: of the learning rate.
        why: of a drop.
    """

    decision: str = ""
    staleness: int = 0
    factor: float = 1.0
    why: str = ""


NO_PUSH = Outcome()


class Answer(NamedTuple):
    """The answer to a worker's call.

    Attributes:
        worker: whose call.
        call: its number.
        outcome: of the push it brought.
        version: of the values that are pulled with it.
        lease: what to compute next; None if the stage is over.
        totals: the sums of the stage so far.
    """

    worker: int
    call: int
    outcome: Outcome
    version: int
    lease: Lease | None
    totals: Array


class RefusedError(ProtocolError):
    """A call that cannot be right. Nothing was changed by it."""


@dataclass
class Counts:
    """What became of pushes."""

    pushed: int = 0
    applied: int = 0
    dropped: int = 0
    scaled: int = 0
    staleness: Counter[int] = field(default_factory=Counter)


@dataclass
class _Stage:
    """What all workers do at the same place of their scripts."""

    description: dict[str, Any]
    totals: Array
    is_over: bool = False
    admission: Admission[PushId] | None = None
    clocks: dict[int, int] = field(default_factory=dict)


@dataclass
class _Waiting:
    """A call that is not answered yet."""

    call: int
    stage: int
    outcome: Outcome | None = NO_PUSH  # None: its push waits for its round


@dataclass
class _Member:
    """A worker."""

    incarnation: int
    is_alive: bool = True
    sequence: int = 0
    outcome: Outcome | None = NO_PUSH
    counts: Counts = field(default_factory=Counts)


@dataclass
class _Pushed:
    """A gradient that is kept until its round is complete."""

    tally: Array
    skip: bool
    staleness: int


class Sequencer:
    """Decides for one job.

    Args:
        rules: how gradients become updates.
    """

    def __init__(self, rules: Rules) -> None:
        self.rules = rules
        self.version = 0
        self.learning_rate = 0.0
        self.counts = Counts()
        self.log: list[Entry] = []
        self.answers: list[Answer] = []
        self._members: dict[int, _Member] = {}
        self._stages: list[_Stage] = []
        self._waiting: dict[int, _Waiting] = {}
        self._pushed: dict[PushId, _Pushed] = {}

    # --- events -------------------------------------------------------------------------------------------------

    def join(self, worker: int, incarnation: int) -> None:
        """A worker is connected. Raises `RefusedError` if another process is this worker."""
        if not 0 <= worker < self.rules.num_workers:
            raise RefusedError(
                f"Expected a worker from 0 to {self.rules.num_workers - 1}. Received: worker {worker}."
            )
        member = self._members.get(worker)
        if member is None or member.incarnation < incarnation:
            if member is not None and member.is_alive:
                raise RefusedError(
                    f"Worker {worker} is running already. Only one process may be worker {worker}."
                )
            counts = Counts() if member is None else member.counts
            self._members[worker] = _Member(incarnation, counts=counts)
        elif member.incarnation > incarnation:
            raise RefusedError(f"Worker {worker} was started again since. This process is no longer it.")
        else:
            self._release(worker)
            member.is_alive = True
        self._settle()

    def leave(self, worker: int, incarnation: int) -> None:
        """A worker is gone, or its link is. What it has pushed counts; what it was computing goes to others."""
        member = self._members.get(worker)
        if member is None or member.incarnation != incarnation or not member.is_alive:
            return
        member.is_alive = False
        self._waiting.pop(worker, None)
        self._release(worker)
        self._settle()

    def register(
        self, worker: int, call: int, stage: int, description: dict[str, Any], values: PushId | None
    ) -> None:
        """A worker is about to train or test this model; `values` are those it brought (the chief's count)."""
        if self._open(worker, stage, description) and values is not None:
            self.log.append(Install(values))
            self.learning_rate = float(description.get("learning_rate", self.learning_rate))
            self._stages[stage].is_over = True
        elif values is not None:
            self.log.append(Discard(values))
        self._wait(worker, _Waiting(call, stage))

    def begin(self, worker: int, call: int, stage: int, description: dict[str, Any]) -> None:
        """A worker begins an epoch of training (`"kind": "train"`) or testing."""
        if self._open(worker, stage, description):
            self._stages[stage].admission = self._admission(description)
        if stage < len(self._stages):
            self._stages[stage].clocks.setdefault(worker, 0)
        self._wait(worker, _Waiting(call, stage))

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

        Raises:
            RefusedError: it cannot be right; nothing was changed.
        """
        member = self._member(push)
        if push.sequence == member.sequence:  # a retry: the answer was lost, and the lease in it
            self._release(push.worker)
            self._wait(push.worker, _Waiting(call, stage, member.outcome))
            return
        if push.sequence != member.sequence + 1:
            raise RefusedError(
                f"Expected push {member.sequence + 1} of worker {push.worker}. Received: push {push.sequence}."
            )
        if not 0 <= stage < len(self._stages) or self._stages[stage].admission is None:
            raise RefusedError(
                f"Worker {push.worker} pushed to stage {stage}, where nothing is trained or tested."
            )
        current = self._stages[stage]
        if tally.shape != current.totals.shape or not 0 <= version <= self.version:
            raise RefusedError(
                f"Expected {current.totals.size} sums and a version up to {self.version}. "
                f"Received: {tally.size} sums, version {version}."
            )
        if learning_rate is not None and push.worker == CHIEF:
            self.learning_rate = learning_rate
        member.sequence = push.sequence
        current.clocks[push.worker] = current.clocks.get(push.worker, 0) + 1
        member.outcome = self._decide(current, push, lease, version, tally, skip)
        self._wait(push.worker, _Waiting(call, stage, member.outcome))

    # --- decisions ----------------------------------------------------------------------------------------------

    def _decide(
        self, stage: _Stage, push: PushId, lease: int, version: int, tally: Array, skip: bool
    ) -> Outcome | None:
        """What becomes of a push; None if its round is not complete yet."""
        admission, trains = stage.admission, stage.description["kind"] == "train"
        assert admission is not None
        staleness = self.version - version if trains else 0
        if trains:
            self._count(push).pushed += 1
            self.counts.pushed += 1
        factor = self.rules.staleness.factor(staleness) if trains and not self.rules.is_sync else 1.0
        if stage.is_over or factor is None:
            admission.return_lease(push.worker, lease)
            why = "too stale" if factor is None else "the epoch is over"
            return self._drop(stage, push, staleness, why)
        self._pushed[push] = _Pushed(tally, skip, staleness)
        verdict = admission.push(push.worker, lease, push)
        for each in verdict.drop:
            del self._pushed[each]
            return self._drop(stage, each, staleness, verdict.why)
        if not verdict.apply:
            return None
        outcome = self._apply(stage, verdict.apply, factor, push)
        stage.is_over = admission.ledger.is_done
        return outcome

    def _apply(self, stage: _Stage, pushes: list[PushId], factor: float, last: PushId) -> Outcome:
        """Make these pushes one update, and tell their workers. Returns the outcome of the last one."""
        parts = [self._pushed.pop(push) for push in pushes]
        tally = np.sum([part.tally for part in parts], axis=0)
        # [count, non-finite, loss, penalty, metrics]: every part brought the penalty of the whole model.
        tally[2] += parts[0].tally[3] * tally[0]
        tally[3] = 0.0
        stage.totals += tally
        if stage.description["kind"] == "train":
            if not any(part.skip for part in parts):
                self.version += 1
                rate = self.learning_rate * factor * self.rules.learning_rate_factor
                self.log.append(Apply(tuple(pushes), 1.0 / tally[0], rate, self.version))
            else:
                self.log.extend(Discard(push) for push in pushes)
        decision = "applied" if factor == 1.0 else "scaled"
        result = Outcome()
        for push, part in zip(pushes, parts, strict=True):
            outcome = Outcome(decision, part.staleness, factor)
            if stage.description["kind"] == "train":
                for counts in (self._count(push), self.counts):
                    counts.applied += 1
                    counts.scaled += factor != 1.0
                    counts.staleness[part.staleness] += 1
            if push == last:
                result = outcome
            else:
                self._tell(push, outcome)
        return result

    def _drop(self, stage: _Stage, push: PushId, staleness: int, why: str) -> Outcome:
        self.log.append(Discard(push))
        if stage.description["kind"] == "train":
            for counts in (self._count(push), self.counts):
                counts.dropped += 1
        return Outcome("dropped", staleness, 0.0, why)

    def _tell(self, push: PushId, outcome: Outcome) -> None:
        """The round of an earlier push is complete."""
        member = self._members[push.worker]
        if (member.incarnation, member.sequence) != (push.incarnation, push.sequence):
            return
        member.outcome = outcome
        waiting = self._waiting.get(push.worker)
        if waiting is not None and waiting.outcome is None:
            waiting.outcome = outcome

    def _may_begin(self, stage: _Stage, worker: int) -> bool:
        if stage.description["kind"] != "train":
            return True
        if self._is_warming_up(stage):
            return worker == CHIEF
        clocks = [clock for each, clock in stage.clocks.items() if self._is_alive(each)]
        return self.rules.staleness.may_begin(stage.clocks.get(worker, 0), min(clocks, default=0))

    def _is_warming_up(self, stage: _Stage) -> bool:
        epoch = stage.description.get("epoch", 0)
        return self.version < self.rules.warmup_steps or epoch < self.rules.warmup_epochs

    def _num_alive(self, stage: _Stage) -> int:
        """How many workers there are to do a round. Those that never came are waited for."""
        if self._is_warming_up(stage):
            return 1
        lost = sum(not member.is_alive for member in self._members.values())
        return self.rules.num_workers - lost

    # --- answers ------------------------------------------------------------------------------------------------

    def _settle(self) -> None:
        """Answer every waiting call for which there is something to say, those that wait longest first."""
        for worker in list(self._waiting):
            waiting = self._waiting[worker]
            if waiting.stage >= len(self._stages):
                continue
            stage = self._stages[waiting.stage]
            lease = None
            if not stage.is_over:
                if stage.admission is None or not self._may_begin(stage, worker):
                    continue
                lease = stage.admission.lease(worker, self._num_alive(stage))
                if lease is None:
                    continue
            outcome = waiting.outcome
            if outcome is None:
                member = self._members[worker]
                self.log.append(Keep(PushId(worker, member.incarnation, member.sequence)))
                outcome = Outcome("accepted")
            del self._waiting[worker]
            self.log.append(Pull(worker, waiting.call, self.version))
            self.answers.append(
                Answer(worker, waiting.call, outcome, self.version, lease, stage.totals.copy())
            )

    def _wait(self, worker: int, waiting: _Waiting) -> None:
        self._waiting.pop(worker, None)
        self._waiting[worker] = waiting
        self._settle()

    # --- state --------------------------------------------------------------------------------------------------

    def summary(self) -> dict[str, Any]:
        """Counters of the job and of every worker, as JSON values."""
        workers = {str(worker): _as_json(self._members[worker].counts) for worker in sorted(self._members)}
        return {"version": self.version, **_as_json(self.counts), "workers": workers}

    def _open(self, worker: int, index: int, description: dict[str, Any]) -> bool:
        """Check that a stage is the one the others are at. Returns whether this call opened it."""
        if not 0 <= index <= len(self._stages) or (self._stages and not self._may_open(index)):
            raise RefusedError(
                f"Worker {worker} is at stage {index} of its script, the job at stage {len(self._stages) - 1}."
            )
        if index < len(self._stages):
            differing = differences(self._stages[index].description, description)
            if differing:
                raise RefusedError(
                    f"Worker {worker} is not about to do what the chief does. They differ in: {differing}. "
                    "Every worker must build the same model and pass the same data and arguments."
                )
            return False
        if worker != CHIEF:
            return False
        self._stages.append(_Stage(description, np.zeros(int(description.get("num_sums", 0)))))
        return True

    def _may_open(self, index: int) -> bool:
        return index < len(self._stages) or self._stages[-1].is_over

    def _admission(self, description: dict[str, Any]) -> Admission[PushId]:
        schedule = Schedule(
            int(description["num_examples"]),
            int(description["batch_size"]),
            int(description["steps_per_epoch"]),
        )
        ledger = Ledger(_joined(schedule.epoch(int(description.get("epoch", 0)))))
        if description["kind"] == "train" and self.rules.is_sync:
            return SyncRounds(
                ledger, schedule.batch_size, self.rules.num_to_aggregate, self.rules.num_backup_workers
            )
        size = schedule.batch_size
        if description["kind"] == "train":
            size = max(1, round(size * self.rules.batch_size_factor))
        return AsyncArrivals(ledger, size)

    def _member(self, push: PushId) -> _Member:
        member = self._members.get(push.worker)
        if member is None or member.incarnation != push.incarnation:
            raise RefusedError(
                f"Worker {push.worker} was started again since. This push is of the one before."
            )
        return member

    def _is_alive(self, worker: int) -> bool:
        member = self._members.get(worker)
        return member is not None and member.is_alive

    def _release(self, worker: int) -> None:
        for stage in self._stages[-1:]:
            if stage.admission is not None:
                stage.admission.lost(worker)

    def _count(self, push: PushId) -> Counts:
        return self._members[push.worker].counts


def differences(expected: Any, received: Any, path: str = "") -> str:
    """Where two nested JSON values differ, in words; empty where they do not."""
    if isinstance(expected, dict) and isinstance(received, dict):
        found = [
            differences(
                expected.get(key, "nothing"), received.get(key, "nothing"), f"{path}.{key}".lstrip(".")
            )
            for key in dict.fromkeys([*expected, *received])
        ]
    elif isinstance(expected, list) and isinstance(received, list) and len(expected) == len(received):
        found = [
            differences(a, b, f"{path}[{index}]")
            for index, (a, b) in enumerate(zip(expected, received, strict=True))
        ]
    else:
        found = [] if expected == received else [f"{path} (chief: {expected!r}, here: {received!r})"]
    return ", ".join(filter(None, found))


def _joined(batches: Any) -> list[Positions]:
    """The positions of an epoch, neighbouring batches of a pass as one span."""
    spans: list[Positions] = []
    for pass_index, part in batches:
        if spans and spans[-1].pass_index == pass_index and spans[-1].range.end == part.begin:
            spans[-1] = Positions(pass_index, Range(spans[-1].range.begin, part.end))
        else:
            spans.append(Positions(pass_index, part))
    return spans


def _as_json(counts: Counts) -> dict[str, Any]:
    histogram = {str(staleness): counts.staleness[staleness] for staleness in sorted(counts.staleness)}
    total = sum(counts.staleness.values())
    mean = sum(staleness * number for staleness, number in counts.staleness.items()) / total if total else 0.0
    return {
        "pushed": counts.pushed,
        "applied": counts.applied,
        "dropped": counts.dropped,
        "scaled": counts.scaled,
        "staleness_mean": mean,
        "staleness_histogram": histogram,
    }
