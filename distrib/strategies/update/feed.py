"""Feed: the examples that this replica computes, and the sums over those of all replicas."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from typing import NamedTuple, TypeAlias

from distrib.base.arrays import Array
from distrib.data.dataset import ArrayDataset, Batch
from distrib.data.schedule import Positions, Schedule
from distrib.data.streams.leased import LeasedStream
from distrib.data.streams.stream import BatchStream, StreamSchedule
from distrib.nn.batch_sums import BatchSums

Data: TypeAlias = ArrayDataset | BatchStream | LeasedStream
"""All examples of a training or an evaluation."""

AnySchedule: TypeAlias = Schedule | StreamSchedule
"""Which of them make up the batches."""


class Rest(NamedTuple):
    """The rest of an epoch that was interrupted.

    Attributes:
        undone: the positions that no update has taken yet, in their order.
        sums: over the examples that are done, laid out as `BatchSums`.
        steps: how many batches are done.
    """

    undone: list[Positions]
    sums: Array
    steps: int = 0


class Feed(ABC):
    """Hands out batches, in training and in evaluations."""

    sums_are_running: bool = False
    """Whether `Updater.push` and `total` return the sums of the whole epoch so far, not those of one step."""

    ends_early: bool = True
    """Whether an epoch may be left before its last batch, by all replicas after the same one."""

    @abstractmethod
    def batches(
        self, dataset: Data, schedule: AnySchedule, epoch: int, num_sums: int, rest: Rest | None = None
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
    def test_batches(self, dataset: Data, schedule: AnySchedule, num_sums: int) -> Iterator[Batch]:
        """The batches that this replica computes in an evaluation. Each is passed to `tested`."""

    @abstractmethod
    def tested(self, batch_sums: BatchSums) -> None:
        """A batch of `test_batches` is done; `batch_sums` has its sums."""

    @abstractmethod
    def total(self, tested: BatchSums) -> BatchSums:
        """The sums over all replicas of what was tested so far. Collective; same bits on each replica.

        Args:
            tested: the sums of this replica's batches.
        """
