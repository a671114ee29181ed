"""AccumulatingUpdater: gradients of several batches become one update, and the replicas talk once for all of them.

Sums and counts are added, so k batches of b examples give the update of one batch of k b examples. What is left at
the end of an epoch, fewer batches than k, is an update too.
"""

from __future__ import annotations

import numpy as np

from distrib.nn.batch_sums import BatchSums
from distrib.nn.network import Network
from distrib.strategies.update.updater import Updater


class AccumulatingUpdater(Updater):
    """Hands every `steps`-th batch to another updater, with the sums of those before.

    Args:
        updater: combines and updates.
        network: the network whose gradients are added up.
        steps: batches of an update; 1 hands on every batch.
    """

    def __init__(self, updater: Updater, network: Network, steps: int) -> None:
        self._updater, self._network, self._steps = updater, network, steps
        self._grads = np.empty_like(network.buffer.grads)
        self._held = 0
        self._sums = np.empty(0)
        self._nothing = BatchSums(0)

    def pull(self) -> None:
        if not self._held:
            self._updater.pull()

    def push(self, batch_sums: BatchSums) -> BatchSums:
        self._add(batch_sums)
        if self._held == self._steps:
            return self._update()
        return self._nothing

    def settle(self) -> BatchSums | None:
        total = self._update() if self._held else None
        self._updater.settle()  # has no sums to add: what accumulates is synchronous
        return total

    def finalize(self) -> None:
        self._updater.finalize()

    @property
    def is_settled(self) -> bool:
        return not self._held

    def _add(self, batch_sums: BatchSums) -> None:
        grads = self._network.buffer.grads
        if self._held:
            self._grads += grads
            self._sums += batch_sums.sums
        else:
            np.copyto(self._grads, grads)
            self._sums = batch_sums.sums.copy()
            self._nothing = BatchSums(0, np.zeros_like(batch_sums.sums))
        self._held += 1

    def _update(self) -> BatchSums:
        self._held = 0
        np.copyto(self._network.buffer.grads, self._grads)
        return self._updater.push(BatchSums(0, self._sums))
