"""Workers around a parameter server in virtual time: the real policies and the real updates, without processes.

Each worker takes a given time for a batch, more or less. What happens when is decided by a seed, so a run can be
repeated, and n workers need one core and no waiting.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable
from typing import Any

import numpy as np

import distrib
from distrib.data.dataset import ArrayDataset
from distrib.data.schedule import Schedule
from distrib.nn.rng import RngKey
from distrib.ps.policy.admission.push_counts import PushCounts
from distrib.ps.policy.admission.rules import Rules
from distrib.ps.policy.identity import PushId
from distrib.ps.policy.order.command_log import Pull
from distrib.ps.policy.order.sequencer import PushRequest, Sequencer
from distrib.ps.policy.order.shard import Shard


class VirtualCluster:
    """A job.

    Args:
        model: compiled; its values are the first ones, and the last ones afterwards.
        rules: how gradients become updates.
        seconds: what a worker takes for an example, one number for each worker.
        jitter: share by which that varies.
        seed: of the jitter.
    """

    def __init__(
        self,
        model: distrib.Sequential,
        rules: Rules,
        seconds: list[float],
        jitter: float = 0.1,
        seed: int = 0,
    ) -> None:
        self.model, self.rules, self.seconds, self.jitter = model, rules, seconds, jitter
        self.sequencer, self.shard = Sequencer(rules), Shard(0, 1)
        self.now = 0.0
        self._rng = np.random.default_rng(seed)
        self._values: dict[int, np.ndarray] = {}
        self._calls = [0] * rules.num_workers
        self._sequences = [0] * rules.num_workers

    @property
    def counts(self) -> PushCounts:
        """What became of the pushes."""
        return self.sequencer.counts

    def fit(
        self,
        x: np.ndarray,
        y: np.ndarray,
        batch_size: int,
        epochs: int,
        after_epoch: Callable[[], None] | None = None,
    ) -> list[float]:
        """Train; returns the seconds, in virtual time, of each epoch. The model has the values after each."""
        model, sequencer = self.model, self.sequencer
        network, compiled = model.network, model.compile_config
        assert compiled.loss is not None
        targets = compiled.loss.prepare(y, network.output_shape, network.dtype)
        dataset = ArrayDataset(x, targets, None, network.dtype)
        self._network, self._objective = network, compiled.objective(network, y)
        buffer, optimizer = network.buffer, compiled.optimizer
        description = {
            "size": buffer.size,
            "dtype": network.dtype.name,
            "optimizer": optimizer.get_config(),
            "learning_rate": optimizer.learning_rate,
            "penalties": [],
            "layout": [],
        }
        self.shard.prepare(description)
        for worker in range(self.rules.num_workers):
            sequencer.join(worker, 1)
            self._calls[worker] += 1
            push = None
            if worker == 0:
                push = PushId(0, 1, 0)
                self.shard.put(push, buffer.values.copy())
            sequencer.register(worker, self._calls[worker], 0, description, push)
            self._settle()
        sequencer.answers.clear()
        took = []
        for epoch in range(epochs):
            begin = self.now
            self._epoch(dataset, Schedule(len(dataset), batch_size, None, True, model.seed), epoch)
            took.append(self.now - begin)
            buffer.values[...] = self.shard.values
            if after_epoch is not None:
                after_epoch()
        return took

    def _epoch(self, dataset: ArrayDataset, schedule: Schedule, epoch: int) -> None:
        phase = {
            "kind": "train",
            "epoch": epoch,
            "num_examples": schedule.num_examples,
            "num_sums": self._objective.batch_sums.sums.size,
            **schedule.describe(),
        }
        computing: list[tuple[float, int, Any, int]] = []
        for worker in range(self.rules.num_workers):
            self._calls[worker] += 1
            self.sequencer.begin(worker, self._calls[worker], epoch + 1, phase)
            self._answered(computing)
        while computing:
            self.now, worker, lease, version = heapq.heappop(computing)
            pass_index, part = lease.span
            order = schedule.order(pass_index)
            batch = dataset.batch(part.slice if order is None else order[part.slice], pass_index, part.begin)
            self._network.buffer.values[...] = self._values[worker]
            draw = RngKey(self._network.seed, pass_index, part.begin)
            sums = self._network.train_on(batch.x, batch.y, None, draw, self._objective)
            self._sequences[worker] += 1
            self._calls[worker] += 1
            push = PushId(worker, 1, self._sequences[worker])
            self.shard.put(push, self._network.buffer.grads.copy())
            self.sequencer.push(
                PushRequest(push, self._calls[worker], epoch + 1, lease.number, version, sums.sums.copy())
            )
            self._answered(computing)

    def _answered(self, computing: list[tuple[float, int, Any, int]]) -> None:
        self._settle()
        for answer in self.sequencer.answers:
            if answer.lease is not None:
                jitter = 1 + self.jitter * self._rng.uniform(-1, 1)
                seconds = self.seconds[answer.worker] * answer.lease.span.range.size * jitter
                heapq.heappush(computing, (self.now + seconds, answer.worker, answer.lease, answer.version))
        self.sequencer.answers.clear()

    def _settle(self) -> None:
        for entry in self.sequencer.log:
            self.shard.execute(entry)
            if isinstance(entry, Pull):
                self._values[entry.worker] = self.shard.values.copy()
        self.sequencer.log.clear()
