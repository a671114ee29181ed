"""Trainer: the loop over steps and epochs, the same for every strategy.

updater.pull(); tally = network.train_on(x, y, ...); total = updater.push(tally)
"""

from __future__ import annotations

import numpy as np

from distrib.arrays import Array
from distrib.data.dataset import ArrayDataset, Batch
from distrib.data.sharding import Schedule
from distrib.nn.metrics import Mean, Metric
from distrib.nn.network import Network
from distrib.nn.objective import Objective
from distrib.nn.random import Draw
from distrib.nn.tally import Tally
from distrib.strategies.updater import Rest, Updater
from distrib.training.callbacks.base import CallbackList, Logs


class Trainer:
    """Trains and tests one network.

    Args:
        network: this replica's network.
        objective: loss and metrics.

    Attributes:
        steps_done: batches of the epoch that is trained.
        request: what this replica asks of all, with every step from now on (`Tally.request`).
        requested: what the replicas asked together in the last step, the same on all.
    """

    def __init__(self, network: Network, objective: Objective) -> None:
        self._network, self._objective = network, objective
        self._loss = Mean("loss")
        self.steps_done = self.request = self.requested = 0

    def train_epoch(
        self,
        updater: Updater,
        dataset: ArrayDataset,
        schedule: Schedule,
        epoch: int,
        callbacks: CallbackList,
        rest: Rest | None = None,
    ) -> Logs:
        """One epoch; returns the logs of all its batches together.

        Args:
            updater: combines and updates.
            dataset: all examples.
            schedule: which of them make up the batches.
            epoch: from 0.
            callbacks: called at each batch.
            rest: what is left of it, after `steps_done` batches; None for all.
        """
        self.reset()
        logs: Logs = {}
        if rest is None:
            self.steps_done = 0
        else:
            self._add(Tally(0, rest.sums))
            logs = self.logs()
        parts = updater.batches(dataset, schedule, epoch, self._objective.tally.sums.size, rest)
        for step, batch in enumerate(parts, self.steps_done):
            callbacks.call("on_train_batch_begin", step)
            logs = self.train_step(updater, batch)
            self.steps_done = step + 1
            callbacks.call("on_train_batch_end", step, logs)
            if callbacks.stop_training and updater.ends_early:
                break
        settled = updater.settle()
        if settled is not None:
            self._add(settled, updater.is_running)
            logs = self.logs()
        return logs

    def train_step(self, updater: Updater, batch: Batch) -> Logs:
        """One step on this replica's part of a batch; returns the running logs."""
        updater.pull()
        draw = Draw(self._network.seed, batch.pass_index, batch.position)
        tally = self._network.train_on(batch.x, batch.y, batch.weight, draw, self._objective, updater.filled)
        tally.request = self.request
        total = updater.push(tally)
        self.requested = total.request
        self._add(total, updater.is_running)
        return self.logs()

    def test_epoch(
        self, updater: Updater, dataset: ArrayDataset, schedule: Schedule, callbacks: CallbackList
    ) -> Logs:
        """Every example once, spread over the replicas; the sums are combined once, at the end."""
        callbacks.call("on_test_begin")
        updater.pull()
        self.reset()
        parts = updater.test_batches(dataset, schedule, self._objective.tally.sums.size)
        for step, batch in enumerate(parts):
            callbacks.call("on_test_batch_begin", step)
            updater.tested(self._network.test_on(batch.x, batch.y, batch.weight, self._objective))
            callbacks.call("on_test_batch_end", step, {})
        self._add(updater.total())
        logs = self.logs()
        callbacks.call("on_test_end", logs)
        return logs

    @property
    def metrics(self) -> list[Metric]:
        """What is measured besides the loss."""
        return self._objective.metrics

    @property
    def num_examples(self) -> int:
        """How many examples the running means are of."""
        return int(self._loss.count)

    def reset(self) -> None:
        """Begin new running means."""
        self._loss.reset_state()
        for metric in self._objective.metrics:
            metric.reset_state()

    def logs(self) -> Logs:
        """The running means."""
        logs = {metric.name: metric.result() for metric in self._objective.metrics}
        logs["loss"] = self._loss.result()
        return logs

    def sums(self) -> Array:
        """What the running means were made of, laid out as in a tally."""
        tally = Tally(len(self._objective.metrics))
        tally.count, tally.loss = self._loss.count, self._loss.total
        for index, metric in enumerate(self._objective.metrics):
            tally.set_metric(index, metric.total, metric.count)
        return tally.sums

    def _add(self, total: Tally, is_running: bool = False) -> None:
        if is_running:
            self.reset()
        self._loss.add(total.loss + total.penalty * total.count, total.count)
        for index, metric in enumerate(self._objective.metrics):
            metric.add(*total.metric(index))


def predict(network: Network, x: Array, batch_size: int, callbacks: CallbackList) -> Array:
    """The outputs of a network for `x`, batch by batch, on this replica alone."""
    outputs = []
    callbacks.call("on_predict_begin")
    for step, begin in enumerate(range(0, len(x), batch_size)):
        callbacks.call("on_predict_batch_begin", step)
        batch = np.ascontiguousarray(x[begin : begin + batch_size], network.dtype)
        outputs.append(network.forward(batch).copy())
        callbacks.call("on_predict_batch_end", step, {})
    callbacks.call("on_predict_end")
    return np.concatenate(outputs)
