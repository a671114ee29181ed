"""Phases: what all workers do in the same order, since they run the same script.

A model is registered, an epoch is trained, a data set is tested, the chief says whether to go on; or workers
run a loop of their own, and wait for each other after it. The chief opens a phase; the others wait for it,
and must be about to do the same. A phase that is over is remembered with its totals, so a worker that was
restarted runs through its script again until it meets the others.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from distrib.base.arrays import Array
from distrib.base.logs import LOGGER
from distrib.base.ranges import Range
from distrib.base.tree_diff import NOTHING, differing, flatten
from distrib.data.schedule import Positions, Schedule
from distrib.ps.policy.admission.admission import Admission, AsyncAdmission, SyncRounds
from distrib.ps.policy.admission.ledger import Ledger
from distrib.ps.policy.admission.rules import Rules
from distrib.ps.policy.errors import RefusedError
from distrib.ps.policy.identity import CHIEF, PushId

LARGEST_RATE = 3e38
"""No float32 is larger."""

_ENDLESS = 1 << 53
"""Steps of a loop of one's own, whose end its script decides."""

_MAY_DIFFER = {"ps", "start", "iterations", "undone", "totals", "learning_rate", "stops"}
"""A job may go on with other parameter servers; the chief alone knows from where, how fast, and whether to stop.
A worker that was restarted has done no update yet where the others have."""


@dataclass
class Phase:
    """One phase.

    Attributes:
        description: as the chief gave it; `kind` is train or test where there are examples, vote where the chief says
            with `stops` whether the training ends, loop where workers hand in the gradients of a loop of their own,
            and join where they wait for each other after it.
        totals: sums of what was applied.
        is_over: whether there is nothing left to do.
        admission: who computes what; None where there are no examples, or, after a restoration, none left.
        clocks: how many batches every worker that is there has done; one that came later counts from the slowest.
        left: of a loop: workers that have come to its end.
        trains: whether gradients are pushed.
        is_loop: whether it is a loop of the workers' own, where a step counts as one example.
        has_examples: whether leases are computed and handed in.
        is_vote: whether the chief says here if the training goes on.
        is_join: whether workers wait here for each other.
        start: where the chief goes on, as its script has described it; empty where it begins.
    """

    description: dict[str, Any]
    totals: Array
    is_over: bool = False
    admission: Admission[PushId] | None = None
    clocks: dict[int, int] = field(default_factory=dict)
    left: set[int] = field(default_factory=set)

    def __post_init__(self) -> None:
        kind = self.description.get("kind")
        self.is_vote, self.is_loop, self.is_join = (kind == each for each in ("vote", "loop", "join"))
        self.trains, self.has_examples = kind in ("train", "loop"), kind in ("train", "test", "loop")
        start = self.description.get("start", {})
        self.start = str(start.get("origin", start.get("words", "")))  # "words": older checkpoints

    def hear(self, stops: bool) -> None:
        """The chief's vote. After a restoration it may differ from the one before."""
        if self.is_vote:
            self.is_over, self.totals[0] = True, float(stops)

    def refusal(self, worker: int, description: dict[str, Any]) -> str:
        """Why a worker that is about to do `description` may not; empty if it may."""
        mine, theirs = (_numpy_of(each) for each in (self.description, description))
        if mine != theirs:  # only the ps apply gradients, so a last bit that differs is no harm
            LOGGER.warning("worker %d has NumPy %s, and the chief %s.", worker, theirs, mine)
        difference = _differences(_compared(self.description), _compared(description))
        if not difference:
            return ""
        return (
            f"Worker {worker} is not about to do what the chief does. They differ in: {difference}. "
            "Every worker must build the same model and pass the same data and arguments."
        )


class Phases:
    """The phases of a job so far.

    Attributes:
        all: in their order.
    """

    def __init__(self) -> None:
        self.all: list[Phase] = []

    @property
    def last(self) -> Phase | None:
        """The one that is open, or was open last."""
        return self.all[-1] if self.all else None

    @property
    def going_on(self) -> list[Phase]:
        """The phases whose leases workers may hold: the last one, and a loop that not all have left."""
        return [phase for phase in self.all[-2:] if phase.admission is not None and not phase.is_over]

    def worker_ended(self, worker: int) -> None:
        """A worker has ended well: where it was in a loop, that is its end."""
        if self.last is not None and self.last.is_loop:
            self.last.left.add(worker)

    def leave_loop(self, worker: int, index: int) -> None:
        """A worker has come to the join after a loop."""
        if not 0 < index <= len(self.all) or not self.all[index - 1].is_loop:
            raise RefusedError(f"Worker {worker} joins at phase {index}, which is not after a loop.")
        loop = self.all[index - 1]
        loop.left.add(worker)
        loop.clocks.pop(worker, None)
        if loop.admission is not None:
            loop.admission.lost(worker)

    def join(self, alive: set[int]) -> Phase | None:
        """Returns the loop that all workers have left, once."""
        if len(self.all) < 2 or not self.all[-1].is_join or self.all[-1].is_over:
            return None
        loop, join = self.all[-2:]
        if not alive <= loop.left:
            return None
        loop.is_over = join.is_over = True
        return loop

    @property
    def num_borders(self) -> int:
        """How many beginnings and ends there were so far."""
        return len(self.all) + sum(phase.is_over for phase in self.all)

    def open(self, worker: int, index: int, description: dict[str, Any]) -> Phase | None:
        """A worker has come to phase `index`; returns it if that opens it.

        Raises:
            RefusedError: it is somewhere else in its script than the others.
        """
        last = self.last
        may_open = last is None or last.is_over or last.is_vote
        may_open = may_open or (last is not None and last.is_loop and description.get("kind") == "join")
        if not 0 <= index <= len(self.all) or (index == len(self.all) and not may_open):
            raise RefusedError(
                f"Worker {worker} is at phase {index} of its script, the job at phase {len(self.all) - 1}."
            )
        if index < len(self.all) or worker != CHIEF:
            return None
        if last is not None and not last.is_loop:  # a loop goes on until all workers have joined after it
            last.is_over = True  # a vote to be repeated after a restoration, by a chief that had its answer
        totals = description.get("totals") or [0.0] * int(description.get("num_sums", 0))
        return self.append(Phase(description, np.array(totals)))

    def append(self, phase: Phase) -> Phase:
        """Add the next one."""
        self.all.append(phase)
        return phase


def admission_of(
    rules: Rules, description: dict[str, Any], undone: list[Positions] | None = None, first_lease: int = 0
) -> Admission[PushId]:
    """The admission of a phase: leases its examples.

    Args:
        rules: how gradients become updates.
        description: `num_examples`, `batch_size`, `steps_per_epoch`, `epoch` and `kind`, and `undone` where only
            that is left.
        undone: the positions that are left now; by default those.
        first_lease: number of the first lease.
    """
    if description["kind"] == "loop":  # each worker brings a step of its own to each round
        ledger = Ledger(undone or [Positions(0, Range(0, _ENDLESS))], first_lease)
        if rules.is_sync:
            count = rules.num_to_aggregate
            return SyncRounds(ledger, count, count, rules.num_backup_workers)
        return AsyncAdmission(ledger, 1)
    schedule = Schedule(
        int(description["num_examples"]), int(description["batch_size"]), int(description["steps_per_epoch"])
    )
    if undone is None and "undone" in description:
        undone = [Positions(index, Range(begin, end)) for index, begin, end in description["undone"]]
    elif undone is None:
        undone = schedule.spans(int(description.get("epoch", 0)))
    ledger, size = Ledger(undone, first_lease), schedule.batch_size
    if description["kind"] != "train":
        return AsyncAdmission(ledger, size)
    if rules.is_sync:
        return SyncRounds(ledger, size, rules.num_to_aggregate, rules.num_backup_workers)
    return AsyncAdmission(ledger, max(1, round(size * rules.batch_size_factor)), 1 + rules.prefetch)


def _differences(expected: dict[str, Any], received: dict[str, Any]) -> str:
    """The differences between a description and that of the chief, as text; empty if there are none."""
    chief, here = flatten(expected), flatten(received)
    return ", ".join(
        f"{key} (chief: {chief.get(key, NOTHING)!r}, here: {here.get(key, NOTHING)!r})"
        for key in differing([chief, here])
    )


def _compared(description: dict[str, Any]) -> dict[str, Any]:
    compared = {key: value for key, value in description.items() if key not in _MAY_DIFFER}
    if isinstance(versions := compared.get("versions"), dict):
        compared["versions"] = {key: value for key, value in versions.items() if key != "numpy"}
    return compared


def _numpy_of(description: dict[str, Any]) -> str:
    versions = description.get("versions")
    return str(versions.get("numpy")) if isinstance(versions, dict) else ""
