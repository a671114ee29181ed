"""WholeBatchFeed: every batch is cut into one part for each replica. For strategies that are synchronous."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from distrib.base.ranges import Range
from distrib.comm.communicator import Communicator
from distrib.data.dataset import ArrayDataset, Batch
from distrib.data.schedule import Positions, Schedule, joined
from distrib.nn.batch_sums import BatchSums
from distrib.nn.network import Network
from distrib.strategies.update.feed import Feed, Rest


class WholeBatchFeed(Feed):
    """This replica's part of every batch.

    Args:
        communicator: the collectives between the replicas.
        network: what is trained or tested.
        owned: the ranges of the flat vector whose regularizers this replica counts.
    """

    def __init__(self, communicator: Communicator, network: Network, owned: Sequence[Range]) -> None:
        self._communicator, self._network, self._owned = communicator, network, owned
        self._wholes: list[Positions] = []  # the batches of the epoch
        self._num_begun = 0  # of them

    def batches(
        self, dataset: ArrayDataset, schedule: Schedule, epoch: int, num_sums: int, rest: Rest | None = None
    ) -> Iterator[Batch]:
        self._wholes = list(schedule.epoch(epoch) if rest is None else schedule.cut(rest.undone))
        self._num_begun = 0
        parts = dataset.batches(
            schedule, self._wholes, self._communicator.rank, self._communicator.world_size
        )
        for self._num_begun, batch in enumerate(parts, 1):
            yield batch

    def undone(self) -> list[Positions]:
        """The positions of the epoch whose batches have not begun, in their order."""
        return joined(self._wholes[self._num_begun :])

    def test_batches(self, dataset: ArrayDataset, schedule: Schedule, num_sums: int) -> Iterator[Batch]:
        communicator = self._communicator
        return dataset.batches(schedule, schedule.epoch(0), communicator.rank, communicator.world_size)

    def tested(self, batch_sums: BatchSums) -> None:
        pass  # The sums are combined at the end.

    def total(self, tested: BatchSums) -> BatchSums:
        tested.penalty = penalty_of(self._network, self._owned)
        # In memory of its own: an evaluation must leave what the training reads as it is.
        return BatchSums(0, np.add.reduce(self._communicator.gather_scalars(tested.sums), axis=0))


def penalty_of(network: Network, owned: Sequence[Range]) -> float:
    """The regularizers' penalty for the elements that a replica owns."""
    return sum(network.penalties(own) for own in owned)
