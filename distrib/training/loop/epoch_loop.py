"""EpochLoop: the loop over the steps of an epoch, the same for every strategy.

updater.pull(); batch_sums = network.train_on(x, y, ...); total = updater.push(batch_sums)
"""

from __future__ import annotations

from distrib.data.dataset import Batch
from distrib.nn.batch_sums import BatchSums
from distrib.nn.joint_objective import AnyObjective
from distrib.nn.network import Network
from distrib.nn.rng import RngKey
from distrib.strategies.update.feed import AnySchedule, Data, Rest
from distrib.strategies.update.training import Training
from distrib.training.callbacks.callback import Logs
from distrib.training.callbacks.callback_list import CallbackList
from distrib.training.loop.means import means_of


class EpochLoop:
    """Trains one network.

    Args:
        network: this replica's network.
        objective: loss and metrics.

    Attributes:
        means: loss and metrics over the examples of the epoch so far.
        steps_done: batches of the epoch that is trained.
        request: what this replica asks of all, with every step from now on (`BatchSums.request`).
        requested: what the replicas asked together in the last step, the same on all.
    """

    def __init__(self, network: Network, objective: AnyObjective) -> None:
        self._network, self._objective = network, objective
        self.means = means_of(objective)
        self.steps_done = self.request = self.requested = 0

    def train_epoch(
        self,
        training: Training,
        dataset: Data,
        schedule: AnySchedule,
        epoch: int,
        callbacks: CallbackList,
        rest: Rest | None = None,
    ) -> Logs:
        """One epoch; returns the logs of all its batches together.

        Args:
            training: what the strategy provides.
            dataset: all examples.
            schedule: which of them make up the batches.
            epoch: from 0.
            callbacks: called at each batch.
            rest: what is left of it, after `steps_done` batches; None for all.
        """
        self.means.reset()
        logs: Logs = {}
        if rest is None:
            self.steps_done = 0
        else:
            self._add(BatchSums(0, rest.sums))
            logs = self.means.logs()
        feed = training.feed
        parts = feed.batches(dataset, schedule, epoch, self._objective.batch_sums.sums.size, rest)
        for step, batch in enumerate(parts, self.steps_done):
            callbacks.call("on_train_batch_begin", step)
            logs = self.train_step(training, batch)
            self.steps_done = step + 1
            callbacks.call("on_train_batch_end", step, logs)
            if feed.ends_early and callbacks.may_stop_in_batch:
                if training.coordination.stops(callbacks.stop_training):
                    callbacks.stop()
                    break
        settled = training.updater.settle()
        if settled is not None:
            self._add(settled, feed.sums_are_running)
            logs = self.means.logs()
        return logs

    def train_step(self, training: Training, batch: Batch) -> Logs:
        """One step on this replica's part of a batch; returns the running logs."""
        updater = training.updater
        self._network.buffer.gather()
        updater.pull()
        draw = RngKey(self._network.seed, batch.pass_index, batch.position)
        try:
            batch_sums = self._network.train_on(
                batch.x, batch.y, batch.weight, draw, self._objective, updater.filled
            )
        except BaseException:
            updater.abandon()
            raise
        batch_sums.request = self.request
        total = updater.push(batch_sums)
        self.requested = total.request
        self._add(total, training.feed.sums_are_running)
        logs: Logs = self.means.logs()
        return logs

    @property
    def objective(self) -> AnyObjective:
        """The loss and the metrics."""
        return self._objective

    def _add(self, total: BatchSums, is_running: bool = False) -> None:
        if is_running:
            self.means.reset()
        self.means.add(total)
