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
from distrib.strategies.updater import Updater
from distrib.training.callbacks.base import CallbackList, Logs


class Trainer:
    """Trains and tests one network.

    Args:
        network: this replica's network.
        objective: loss and metrics.
    """

    def __init__(self, network: Network, objective: Objective) -> None:
        self._network, self._objective = network, objective
        self._loss = Mean("loss")

    def train_epoch(
        self,
        updater: Updater,
        dataset: ArrayDataset,
        schedule: Schedule,
        epoch: int,
        callbacks: CallbackList,
    ) -> Logs:
        """One epoch; returns the logs of all its batches together."""
        self.reset()
        logs: Logs = {}
        parts = updater.batches(dataset, schedule, epoch, self._objective.tally.sums.size)
        for step, batch in enumerate(parts):
            callbacks.call("on_train_batch_begin", step)
            logs = self.train_step(updater, batch)
            callbacks.call("on_train_batch_end", step, logs)
            if callbacks.stop_training and updater.ends_early:
                break
        rest = updater.settle()
        if rest is not None:
            self._add(rest, updater.is_running)
            logs = self.logs()
        return logs

    def train_step(self, updater: Updater, batch: Batch) -> Logs:
        """One step on this replica's part of a batch; returns the running logs."""
        updater.pull()
        draw = Draw(self._network.seed, batch.pass_index, batch.position)
        tally = self._network.train_on(batch.x, batch.y, batch.weight, draw, self._objective, updater.filled)
        self._add(updater.push(tally), updater.is_running)
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
