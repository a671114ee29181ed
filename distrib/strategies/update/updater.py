"""Updater: the two calls between a replica's gradient and everybody's next values.

updater.pull()
batch_sums = network.train_on(x, y, ...)
total = updater.push(batch_sums)
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Literal, NamedTuple, TypeAlias

from distrib.base.arrays import Array
from distrib.data.dataset import ArrayDataset, Batch
from distrib.data.schedule import Positions, Schedule
from distrib.nn.batch_sums import BatchSums

NonFinitePolicy: TypeAlias = Literal["raise", "skip", "allow"]
"""What to do about NaN or Inf in a gradient: raise an error, leave out the step everywhere, or go on."""


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
        slots: as of `State`.
        step: updates so far.
        learning_rate: of the next update.
        words: for all replicas.
    """

    slots: Mapping[str, Array]
    step: int
    learning_rate: float
    words: str


class Rest(NamedTuple):
    """The rest of an epoch that was interrupted.

    Attributes:
        undone: as of `State`.
        sums: over the examples that are done, laid out as `BatchSums`.
    """

    undone: list[Positions]
    sums: Array


class Updater(ABC):
    """Combines the replicas' gradients and updates the values of one network."""

    is_running: bool = False
    """Whether `push` and `total` return the sums of the whole epoch so far, not those of one step."""

    ends_early: bool = True
    """Whether an epoch may be left before its last batch, by all replicas after the same one."""

    filled: Callable[[int], None] | None = None
    """To be called while the gradient is computed, from its end: all elements from here on are final. None if nobody
    makes use of it."""

    def abandon(self) -> None:  # noqa: B027
        """An exception has left a step while its gradient was computed: what was begun with it is ended."""

    @abstractmethod
    def batches(
        self, dataset: ArrayDataset, schedule: Schedule, epoch: int, num_sums: int, rest: Rest | None = None
    ) -> Iterator[Batch]:
        """The batches that this replica computes in an epoch. Each is pushed before the next is requested.

        Args:
            dataset: all examples.
            schedule: which of them make up the batches.
            epoch: from 0.
            num_sums: length of the batch sums that are pushed.
            rest: what is left of it, if some is done.
        """

    @abstractmethod
    def test_batches(self, dataset: ArrayDataset, schedule: Schedule, num_sums: int) -> Iterator[Batch]:
        """The batches that this replica computes in an evaluation. Each is passed to `tested`."""

    @abstractmethod
    def pull(self) -> None:
        """Make the values current before a step."""

    @abstractmethod
    def push(self, batch_sums: BatchSums) -> BatchSums:
        """Combine gradients and sums over the replicas, and update the values.

        Args:
            batch_sums: this replica's sums for the batch whose gradient is in the network's buffer.

        Returns:
            The sums over all replicas, the same bits on each. Valid until the next call.

        Raises:
            NonFiniteError: a gradient holds NaN or Inf and the policy is `"raise"`.
        """

    @property
    def is_settled(self) -> bool:
        """Whether every gradient that was pushed has become an update."""
        return True

    def settle(self) -> BatchSums | None:
        """Do what is still undone at the end of an epoch.

        Returns:
            The sums that no `push` has returned yet, over all replicas; None if there are none.
        """
        return None

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
            The chief's words; empty if it has nothing, and nothing was changed.
        """

    def counters(self) -> dict[str, Any]:
        """A report about gradients and time, where there is more than the logs say; empty otherwise."""
        return {}

    def report(self) -> str:
        """The counters as a table for people; empty for none."""
        return ""

    @abstractmethod
    def tested(self, batch_sums: BatchSums) -> None:
        """A batch of `test_batches` is done; `batch_sums` has its sums."""

    @abstractmethod
    def total(self, tested: BatchSums) -> BatchSums:
        """The sums over all replicas of what was tested so far. Collective; same bits on each replica.

        Args:
            tested: the sums of this replica's batches.
        """
