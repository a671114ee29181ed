"""Statistics of pushes: the outcome of each, and counts by outcome."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import Any, NamedTuple

CAUSES = ("compute", "push", "pull", "barrier")
"""The causes of a worker's time."""


class Outcome(NamedTuple):
    """The outcome of a push.

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


@dataclass
class PushCounts:
    """How many pushes there were; pushed = applied + dropped, and those that wait for their round.

    Attributes:
        pushed: all.
        applied: those that are part of the values, scaled ones among them.
        dropped: those that are not.
        scaled: those with a lower learning rate.
        staleness: of those that were applied, how often there was each.
        examples: in those that were applied.
        updates: that they are part of.
    """

    pushed: int = 0
    applied: int = 0
    dropped: int = 0
    scaled: int = 0
    staleness: Counter[int] = field(default_factory=Counter)
    examples: int = 0
    updates: int = 0

    def add_applied(self, staleness: int, factor: float, examples: int) -> None:
        """Count a push that was applied."""
        self.applied += 1
        self.examples += examples
        self.scaled += factor != 1.0
        self.staleness[staleness] += 1

    def as_json(self) -> dict[str, Any]:
        """The counts as JSON values, with mean and histogram of the staleness of what was applied.

        The effective batch is what an update was made of on average: examples applied / updates.
        """
        total = sum(self.staleness.values())
        weighted = sum(staleness * number for staleness, number in self.staleness.items())
        return {
            "pushed": self.pushed,
            "applied": self.applied,
            "dropped": self.dropped,
            "scaled": self.scaled,
            "staleness_mean": weighted / total if total else 0.0,
            "staleness_histogram": {str(each): self.staleness[each] for each in sorted(self.staleness)},
            "examples": self.examples,
            "updates": self.updates,
            "effective_batch": self.examples / self.updates if self.updates else 0.0,
        }


def counts_from_json(counts: dict[str, Any]) -> PushCounts:
    """The counts that `as_json` described."""
    histogram = Counter({int(each): number for each, number in counts["staleness_histogram"].items()})
    # Older checkpoints have not counted examples and updates.
    names = ("pushed", "applied", "dropped", "scaled", "examples", "updates")
    return PushCounts(**{name: counts.get(name, 0) for name in names}, staleness=histogram)
