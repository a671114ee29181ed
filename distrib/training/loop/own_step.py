"""OwnStep: `train_step` and `test_step` of a model, in place of what `fit` does with a batch.

`fit` goes on as it does otherwise, with these in the places of a network and of an objective. A step computes on
this replica's part of a batch. Its gradients are weighted by the number of examples of the part, so that a loss that
is a mean over the examples has the gradient of the whole batch. What it measures are sums, which the replicas add:
those of the model's metrics, and numbers that it returns, weighted likewise.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from typing import Any, Protocol

import numpy as np

from distrib.autodiff.tensor import as_tensor
from distrib.base.arrays import Columns, columns
from distrib.base.errors import ConfigError
from distrib.nn.batch_sums import BatchSums
from distrib.nn.calls.call_context import CallContext, in_context
from distrib.nn.penalties import WeightPenalties
from distrib.nn.rng import RngKey
from distrib.nn.variable import Variable
from distrib.strategies.strategy import Strategy
from distrib.strategies.update.step_context import StepContext, in_step
from distrib.training.loop.step_objective import StepObjective


class StepModel(Protocol):
    """The model.

    Attributes:
        name: of it.
        dtype: of its values.
        seed: of what is drawn.
        strategy: that trains it, whose scope is open in the steps.
    """

    name: str
    dtype: np.dtype[Any]
    seed: int
    strategy: Strategy

    def train_step(self, data: Any) -> Any:
        """Train on a batch."""

    def test_step(self, data: Any) -> Any:
        """Measure a batch."""

    def data_of(self, x: Columns, y: Columns, weight: Columns | None) -> Any:
        """A batch, as the steps take it."""


class StepNetwork:
    """A model whose steps are its own, as `fit` takes a network.

    Args:
        model: the model.
        network: its network, or its variables.
        optimizer: `self.optimizer`, whose update `fit` makes; None for a model that makes all updates in its step.
    """

    def __init__(self, model: StepModel, network: Any, optimizer: Any) -> None:
        self._model, self._optimizer, self._network = model, optimizer, network
        self._updates = optimizer is not None
        self.buffer, self.states = network.buffer, list(network.states)
        self.variables, self.fixed_variables = network.variables, network.fixed_variables
        self.constraints, self.layers = network.constraints, list(getattr(network, "layers", ()))
        self.penalties = WeightPenalties({}, self.buffer)  # those of a step are in its loss
        self.output_layers: list[Any] = []
        self.input_shape = getattr(network, "input_shape", ())
        self.dtype, self.seed = model.dtype, model.seed
        self._taken, self._rows = False, 0

    @property
    def damage(self) -> str:
        """What makes the values useless; see `Network`."""
        return str(self._network.damage)

    @damage.setter
    def damage(self, damage: str) -> None:
        self._network.damage = damage

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
        """Run a step on a part of a batch.

        Where the part is empty, and other replicas have the examples, an example of zeros stands in, and counts
        nothing. It shows what the step returns, and lets this replica take part in the updates that the step makes,
        which are those of all replicas.
        """
        rows = len(columns(x)[0])
        makes_updates = draw is not None and not self._updates
        if not rows and objective.keys and not makes_updates:
            objective.batch_sums.sums[:] = 0
            return
        if not rows:
            x, y = _one_of_zeros(x), _one_of_zeros(y)
            weight = None if weight is None else _one_of_zeros(weight)
        context = CallContext(False, None, self.dtype, self.seed, max(1, rows), draw)
        quiet = nullcontext() if rows else np.errstate(all="ignore")
        with self._model.strategy.scope(), objective.apart(), in_context(context), quiet:
            data = self._model.data_of(_tensors(x), _tensors(y), None if weight is None else _tensors(weight))
            objective.take(step(data), rows)
        if not rows:
            objective.batch_sums.sums[:] = 0

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
            if gradient is not None and self._rows:
                np.multiply(np.asarray(gradient), self._rows, out=variable.grad, casting="same_kind")
        return True


def _one_of_zeros(arrays: Columns) -> Columns:
    made = tuple(np.zeros((1, *each.shape[1:]), each.dtype) for each in columns(arrays))
    return made if isinstance(arrays, tuple) else made[0]


def _tensors(arrays: Columns) -> Any:
    if isinstance(arrays, tuple):
        return tuple(map(as_tensor, arrays))
    return as_tensor(arrays)
