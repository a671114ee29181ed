"""Result: how an attempt has ended. Values only."""

from __future__ import annotations

from dataclasses import dataclass, field

from distrib.launch.run.root_cause import Failure


@dataclass
class Result:
    """How a start has ended.

    Attributes:
        failures: in the order in which they were noticed; of those that ended the start.
        has_finished: whether the chief, or every rank, has come to the end of its script, or has saved and ended.
        has_ended_well: whether it, or every one of them, has come to the end of its script, with 0.
        stopped_by: the signal that asked the launcher to end; 0 if none did.
        seconds: how long it took.
        codes: exit code of each task; None for a rank that has not said it.
    """

    failures: list[Failure] = field(default_factory=list)
    has_finished: bool = False
    has_ended_well: bool = False
    stopped_by: int = 0
    seconds: float = 0.0
    codes: dict[str, int | None] = field(default_factory=dict)
