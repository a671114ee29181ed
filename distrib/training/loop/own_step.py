"""OwnStep: `train_step` and `test_step` of a model, in place of what `fit` does with a batch.

`fit` goes on as it does otherwise, with these in the places of a network and of an objective. A step computes on
this replica's part of a batch. Its gradients are weighted by the number of examples of the part, so that a loss that
is a mean over the examples has the gradient of the whole batch. What it measures are sums, which the replicas add:
those of the model's metrics, and numbers that it returns, weighted likewise.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, Protocol

import numpy as np

from distrib.autodiff.tensor import as_tensor
from distrib.base.arrays import Array, Columns, columns
from distrib.base.errors import ConfigError
from distrib.nn.batch_sums import BatchSums
from distrib.nn.calls.call_context import CallContext, in_context
from distrib.nn.metrics import Metric
from distrib.nn.rng import RngKey
from distrib.nn.variable import Variable
from distrib.strategies.update.step_context import StepContext, in_step
from distrib.strategies.update.variable_group import VariableGroup
from distrib.training.callbacks.callback import Logs

_MOST_KEYS = 16


class StepModel(Protocol):
    """The model.

    Attributes:
        name: of it.
        dtype: of its values.
        seed: of what is drawn.
    """

    name: str
    dtype: np.dtype[Any]
    seed: int

    def train_step(self, data: Any) -> Any:
        """Train on a batch."""

    def test_step(self, data: Any) -> Any:
        """Measure a batch."""

    def data_of(self, x: Columns, y: Columns, weight: Columns | None) -> Any:
        """A batch, as the steps take it."""


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


class StepNetwork:
    """A model whose steps are its own, as `fit` takes a network.

    Args:
        model: the model.
        network: its network, whose update `fit` makes, with what `self.optimizer` is given; None for a model that
            makes all updates in its step.
        optimizer: see `network`.
    """

    def __init__(self, model: StepModel, network: Any, optimizer: Any) -> None:
        self._model, self._optimizer = model, optimizer
        self._updates = network is not None
        inner = VariableGroup.empty(model.dtype) if network is None else network
        self.buffer, self.states = inner.buffer, list(inner.states)
        self.variables, self.fixed_variables = inner.variables, inner.fixed_variables
        self.constraints, self.layers = inner.constraints, list(getattr(inner, "layers", ()))
        self.penalties = VariableGroup.empty(model.dtype).penalties  # those of a step are in its loss
        self.output_layers: list[Any] = []
        self.input_shape = getattr(inner, "input_shape", ())
        self.dtype, self.damage, self.seed = model.dtype, "", model.seed
        self._taken, self._rows = False, 0

    @contextmanager
    def apart(self) -> Iterator[StepNetwork]:
        """This network: an evaluation has nothing of its own in it."""
        yield copy.copy(self)

    def train_on(
        self,
        x: Columns,
        y: Columns,
        weight: Columns | None,
        draw: RngKey,
        objective: StepObjective,
        filled: Callable[[int], None] | None = None,
    ) -> BatchSums:
        """`train_step` on a batch; see `Network.train_on`."""
        rows = self._rows = len(columns(x)[0])
        self._taken = False
        if self._updates:
            self.buffer.grads[:] = 0
        step = StepContext(rows, self._take)
        with in_step(step):
            self._run(self._model.train_step, x, y, weight, draw, objective)
        if self._updates and rows and not self._taken:
            raise ConfigError(
                f"train_step of model '{self._model.name}' applies gradients with self.optimizer. It has not: call "
                "self.optimizer.apply(gradients, self.trainable_variables); or, for optimizers of its own, call "
                "super().compile() without one."
            )
        return objective.batch_sums

    def test_on(self, x: Columns, y: Columns, weight: Columns | None, objective: StepObjective) -> BatchSums:
        """`test_step` on a batch; see `Network.test_on`."""
        self._run(self._model.test_step, x, y, weight, None, objective)
        return objective.batch_sums

    def _run(
        self,
        step: Callable[[Any], Any],
        x: Columns,
        y: Columns,
        weight: Columns | None,
        draw: RngKey | None,
        objective: StepObjective,
    ) -> None:
        rows = len(columns(x)[0])
        if not rows:  # other replicas have the examples
            objective.batch_sums.sums[:] = 0
            return
        context = CallContext(False, None, self.dtype, self.seed, rows, draw)
        with objective.apart(), in_context(context):
            data = self._model.data_of(_tensors(x), _tensors(y), None if weight is None else _tensors(weight))
            objective.take(step(data), rows)

    def _take(self, optimizer: Any, gradients: Sequence[Any], variables: Sequence[Variable]) -> bool:
        """Leave the gradients of the model's optimizer for the update of `fit`."""
        if not self._updates or optimizer is not self._optimizer:
            return False
        if self._taken:
            raise ConfigError(
                f"train_step of model '{self._model.name}' applies gradients with self.optimizer once. Received: "
                "another call. Use an optimizer for each; or add the gradients."
            )
        own = {id(each) for each in self.buffer.variables}
        others = [each.name for each in variables if id(each) not in own]
        if others:
            raise ConfigError(
                f"train_step of model '{self._model.name}' applies gradients of its trainable variables. Received: "
                f"{', '.join(others[:5])}, which it had not when it was built, or which are frozen."
            )
        self._taken = True
        for gradient, variable in zip(gradients, variables, strict=True):
            if gradient is not None:
                np.multiply(np.asarray(gradient), self._rows, out=variable.grad, casting="same_kind")
        return True


def _tensors(arrays: Columns) -> Any:
    if isinstance(arrays, tuple):
        return tuple(map(as_tensor, arrays))
    return as_tensor(arrays)
