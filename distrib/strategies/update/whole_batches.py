"""WholeBatchFeed: every batch is cut into one part for each replica. For strategies that are synchronous."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from distrib.base.ranges import Range
from distrib.comm.communicator import Communicator
from distrib.data.dataset import Batch
from distrib.data.schedule import Positions
from distrib.nn.batch_sums import BatchSums
from distrib.nn.network import Network
from distrib.strategies.update.feed import AnySchedule, Data, Feed, Rest
from distrib.strategies.update.replica_state import ReplicaState


class WholeBatchFeed(Feed):
    """This replica's part of every batch.

    Args:
        communicator: the collectives between the replicas.
        network: what is trained or tested.
        owned: the ranges of the flat vector whose regularizers this replica counts.
        replica_state: compares what the replicas read.
    """

    def __init__(
        self,
        communicator: Communicator,
        network: Network,
        owned: Sequence[Range],
        replica_state: ReplicaState,
    ) -> None:
        self._communicator, self._network, self._owned = communicator, network, owned
        self._replica_state = replica_state
        self._epoch: Any = None  # that is trained: the batches that are left of it

    def batches(
        self, dataset: Data, schedule: AnySchedule, epoch: int, num_sums: int, rest: Rest | None = None
    ) -> Iterator[Batch]:
        self._epoch = self._of_epoch(dataset, schedule, epoch, None if rest is None else rest.undone)
        for batch in self._epoch.from_step(0 if rest is None else rest.steps):
            self._replica_state.data = batch.checksum
            yield batch

    def _of_epoch(self, dataset: Any, schedule: Any, epoch: int, undone: Sequence[Positions] | None) -> Any:
        return dataset.epoch(schedule, epoch, undone, self._communicator.rank, self._communicator.world_size)

    def undone(self) -> list[Positions]:
        """The positions of the epoch whose batches have not begun, in their order."""
        found: list[Positions] = [] if self._epoch is None else self._epoch.undone()
        return found

    def test_batches(self, dataset: Data, schedule: AnySchedule, num_sums: int) -> Iterator[Batch]:
        dataset.restart()
        batches: Iterator[Batch] = self._of_epoch(dataset, schedule, 0, None).from_step(0)
        return batches

    def tested(self, batch_sums: BatchSums) -> None:
        pass  # The sums are combined at the end.

    def total(self, tested: BatchSums) -> BatchSums:
        tested.penalty = penalty_of(self._network, self._owned)
        # In memory of its own: an evaluation must leave what the training reads as it is.
        return BatchSums(0, np.add.reduce(self._communicator.gather_scalars(tested.sums), axis=0))


def penalty_of(network: Network, owned: Sequence[Range]) -> float:
    """The regularizers' penalty for the elements that a replica owns."""
    return sum(network.penalties(own) for own in owned)
