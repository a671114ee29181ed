"""Coordination: what the replicas of one training decide and keep together."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any, NamedTuple

from distrib.base.arrays import Array
from distrib.data.schedule import Positions


class State(NamedTuple):
    """The state of an updater besides the values, after one and the same update.

    Attributes:
        slots: name -> `(size,)`, the optimizer's slots over the whole flat vector.
        undone: the positions of the epoch that no update has taken yet, in their order.
        sums: over the examples that are done in the epoch, where the updater adds them up; else None.
    """

    slots: dict[str, Array]
    undone: list[Positions]
    sums: Array | None


class Saved(NamedTuple):
    """The saved state of a training besides the values.

    Attributes:
        slots: see `State`.
        step: updates so far.
        learning_rate: of the next update.
        origin: JSON text that says where the training continues, for all replicas.
    """

    slots: Mapping[str, Array]
    step: int
    learning_rate: float
    origin: str


class Coordination(ABC):
    """The end of a training, its state, and reports about it."""

    def stops(self, wanted: bool) -> bool:
        """Whether the training ends after this epoch: on all replicas, or on none. Collective.

        Args:
            wanted: whether a callback on this replica wants it to.
        """
        return wanted

    @abstractmethod
    def end(self) -> None:
        """All epochs are over on this replica, with all that callbacks do after an epoch. Collective.

        Where replicas have values in common, what a callback does at the end, as to restore weights, must not
        disturb a replica whose callbacks still look at them.
        """

    @abstractmethod
    def state(self) -> State | None:
        """All that training goes on from, whatever strategy goes on. Collective where updates are.

        The network's values and the optimizer's `iterations` are those of the same update then. To be called where
        `is_settled`.

        Returns:
            The state, at least on the chief; None on replicas that do not know it.
        """

    @abstractmethod
    def restore(self, saved: Saved | None) -> str:
        """Go on from the chief's values, slots, step and rate. Collective.

        Args:
            saved: on the chief, what there is; None for nothing. What others pass is ignored.

        Returns:
            The chief's `origin`; empty if it has nothing, and nothing was changed.
        """

    def counters(self) -> dict[str, Any]:
        """A report about gradients and time, where there is more than the logs say; empty otherwise."""
        return {}

    def report(self) -> str:
        """The counters as a table for people; empty for none."""
        return ""
