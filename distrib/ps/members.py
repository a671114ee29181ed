"""What the sequencer knows of workers: who they are, what they wait for, what they pushed, and what they are told."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from distrib.arrays import Array
from distrib.data.sharding import Positions
from distrib.ps.counts import NO_PUSH, Counts, Outcome
from distrib.ps.ledger import Lease


class Answer(NamedTuple):
    """The answer to a worker's call.

    Attributes:
        worker: whose call.
        call: its number.
        outcome: of the push it brought.
        version: of the values that are pulled with it.
        lease: what to compute next; None if the stage is over, or if the worker holds another one.
        totals: the sums of the stage so far.
        refusal: why the worker may not go on; empty if it may.
        undone: the positions that no update has taken yet, where they were asked for.
        start: where the chief goes on, in its words, where a model was registered.
    """

    worker: int
    call: int
    outcome: Outcome
    version: int
    lease: Lease | None
    totals: Array
    refusal: str = ""
    undone: Sequence[Positions] = ()
    start: str = ""


@dataclass
class Waiting:
    """A call that is not answered yet."""

    call: int
    stage: int
    description: dict[str, Any] | None = None  # of the stage, as this worker has it, until it is compared
    outcome: Outcome | None = NO_PUSH  # None: its push waits for its round


@dataclass
class Member:
    """A worker.

    Attributes:
        incarnation: which start of it.
        former: the starts before, whose late calls are refused.
        is_alive: whether it is connected.
        sequence: number of its last push.
        is_restored: whether pushes may have been lost since, as after a restoration.
        outcome: of its last push; None while that waits for its round.
        counts: what became of its pushes.
    """

    incarnation: int
    former: tuple[int, ...] = ()
    is_alive: bool = True
    sequence: int = 0
    is_restored: bool = False
    outcome: Outcome | None = NO_PUSH
    counts: Counts = field(default_factory=Counts)


@dataclass
class Pushed:
    """A gradient that is kept until its round is complete."""

    tally: Array
    skip: bool
    staleness: int
