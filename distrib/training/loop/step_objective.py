"""StepObjective and StepMeans: what `train_step` and `test_step` measure, as sums that replicas add."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np

from distrib.base.arrays import Array
from distrib.base.errors import ConfigError
from distrib.nn.batch_sums import BatchSums
from distrib.nn.metrics import Metric
from distrib.training.callbacks.callback import Logs

_MOST_KEYS = 16


class StepObjective:
    """What the steps measure.

    Args:
        metrics: of the model.

    Attributes:
        metrics: as given.
        batch_sums: the sums of the last batch: those of the metrics, and for each key that the step has returned the
            number times its weight, the weight, and the weight again where the number was the result of a metric.
        keys: of what the step returns, with the index of the metric whose result it may be; None for another number.
    """

    def __init__(self, metrics: Sequence[Metric]) -> None:
        self.metrics = list(metrics)
        self._num_sums = sum(metric.num_sums for metric in self.metrics)
        self.batch_sums = BatchSums(self._num_sums + 3 * _MOST_KEYS)
        self.keys: dict[str, int | None] = {}

    def twin(self, last_layers: Any) -> StepObjective:
        """The same metrics, with sums of its own."""
        return StepObjective(self.metrics)

    @contextmanager
    def apart(self) -> Iterator[None]:
        """The metrics begin anew, and have their state back afterwards."""
        kept = [metric.sums().copy() for metric in self.metrics]
        for metric in self.metrics:
            metric.reset_state()
        try:
            yield
        finally:
            self.set(np.concatenate([np.empty(0), *kept]))

    def set(self, sums: Array) -> None:
        """Give the metrics a state."""
        begin = 0
        for metric in self.metrics:
            metric.reset_state()
            metric.add(sums[begin : begin + metric.num_sums])
            begin += metric.num_sums

    def take(self, returned: Any, rows: int) -> None:
        """The sums of a batch, after a step has returned."""
        if not isinstance(returned, Mapping):
            raise ConfigError(f"A step returns a dict, name -> number. Received: {type(returned).__name__}.")
        total = self.batch_sums
        total.sums[:] = 0
        total.count = rows
        total.metric_sums[: self._num_sums] = np.concatenate(
            [np.empty(0), *(metric.sums() for metric in self.metrics)]
        )
        results = [np.asarray(metric.result()) for metric in self.metrics]
        if len(returned) > _MOST_KEYS or (self.keys and list(returned) != list(self.keys)):
            raise ConfigError(
                f"A step returns the same keys in the same order each time, {_MOST_KEYS} at most. Expected: "
                f"{', '.join(self.keys) or 'a dict, name -> number'}. Received: {', '.join(map(str, returned))}."
            )
        # Each key has its sums, that of a metric too: on one replica a number may equal the result of a metric by
        # chance. It is the metric if it has been equal on all.
        for slot, (key, value) in zip(self.slots, returned.items(), strict=False):
            number = np.asarray(value, np.float64)
            same = [i for i, each in enumerate(results) if np.array_equal(each, number, equal_nan=True)]
            named = [i for i in same if self.metrics[i].name == key]
            index = self.keys.setdefault(key, next(iter([*named, *same]), None))
            is_result = index in same
            if number.size == 1:
                total.metric_sums[slot : slot + 3] = rows * number.item(), rows, rows * is_result
            elif is_result:
                total.metric_sums[slot : slot + 3] = 0, rows, rows
            else:
                raise ConfigError(
                    f"A step returns numbers and results of metrics. Received: {key} of shape {number.shape}."
                )
            if key == "loss" and not is_result:
                total.loss = rows * number.item()

    @property
    def slots(self) -> range:
        """Where the sums of each key begin in `metric_sums`."""
        return range(self._num_sums, self._num_sums + 3 * _MOST_KEYS, 3)


class StepMeans:
    """What the steps have measured so far.

    Args:
        objective: whose sums they are.

    Attributes:
        metrics: of the model.
    """

    def __init__(self, objective: StepObjective) -> None:
        self._objective, self.metrics = objective, objective.metrics
        self._sums = np.zeros_like(objective.batch_sums.sums)

    @property
    def num_examples(self) -> int:
        """How many examples there are."""
        return int(BatchSums(0, self._sums).count)

    def reset(self) -> None:
        """Begin anew."""
        self._sums[:] = 0
        for metric in self.metrics:
            metric.reset_state()

    def add(self, total: BatchSums) -> None:
        """Add the sums over some examples. The metrics have the state of all."""
        self._sums += total.sums
        self._objective.set(BatchSums(0, self._sums).metric_sums)

    def logs(self) -> Logs:
        """Name -> number, by the names under which the step returns them."""
        sums, logs = BatchSums(0, self._sums).metric_sums, Logs()
        for slot, (key, index) in zip(self._objective.slots, self._objective.keys.items(), strict=False):
            number, weight, weight_of_results = sums[slot : slot + 3]
            if index is None or weight_of_results < weight:
                logs[key] = float(number / weight) if weight else 0.0
                continue
            value = np.asarray(self.metrics[index].current())
            if value.ndim == 0:
                logs[key] = float(value)
            else:
                logs |= {f"{key}_{place}": float(each) for place, each in enumerate(value)}
        return logs

    def sums(self) -> Array:
        """The sums, laid out as `BatchSums`."""
        return self._sums.copy()
