"""Stochastic gradient descent."""

from __future__ import annotations

from typing import Any

import numpy as np

from distrib.base.arrays import Array
from distrib.base.errors import ConfigError
from distrib.nn.jit import Loop
from distrib.nn.optimizers.optimizer import Optimizer
from distrib.nn.optimizers.step_size import LearningRate


class SGD(Optimizer):
    """Gradient descent, with momentum (Polyak, 1964; Sutskever et al., 2013).

    `velocity = momentum * velocity - learning_rate * g`; `w += velocity`, or with Nesterov momentum
    `w += momentum * velocity - learning_rate * g`.

    Args:
        learning_rate: step size.
        momentum: in [0, 1].
        nesterov: use Nesterov momentum.
        name: name of the optimizer.
        **kwargs: arguments of every optimizer; see `Optimizer`.
    """

    def __init__(
        self,
        learning_rate: LearningRate = 0.01,
        momentum: float = 0.0,
        nesterov: bool = False,
        name: str = "SGD",
        **kwargs: Any,
    ) -> None:
        super().__init__(learning_rate, name, **kwargs)
        if not 0 <= momentum <= 1:
            raise ConfigError(f"SGD expects momentum in [0, 1]. Received: {momentum}.")
        self.momentum, self.nesterov = float(momentum), nesterov

    @property
    def slot_names(self) -> tuple[str, ...]:
        return ("momentum",) if self.momentum else ()

    def coefficients(self, step: int, scale: float) -> tuple[float, ...]:
        return self.learning_rate * scale, self.momentum

    def fused_loop(self) -> Loop:
        if not self.momentum:
            return _plain
        return _nesterov if self.nesterov else _momentum

    def update(
        self,
        value: Array,
        grad: Array,
        slots: list[Array],
        scratch: list[Array],
        coefficients: tuple[Any, ...],
    ) -> None:
        rate, momentum = coefficients
        grad *= rate
        if not slots:
            value -= grad
            return
        velocity = slots[0]
        velocity *= momentum
        velocity -= grad
        if self.nesterov:
            ahead = scratch[0]
            np.multiply(velocity, momentum, out=ahead)
            ahead -= grad
            value += ahead
        else:
            value += velocity


def _plain(values: Any, grads: Any, rate: Any, momentum: Any) -> None:
    for i in range(values.size):
        values[i] -= grads[i] * rate


def _momentum(values: Any, grads: Any, velocity: Any, rate: Any, momentum: Any) -> None:
    for i in range(values.size):
        velocity[i] = velocity[i] * momentum - grads[i] * rate
        values[i] += velocity[i]


def _nesterov(values: Any, grads: Any, velocity: Any, rate: Any, momentum: Any) -> None:
    for i in range(values.size):
        step = grads[i] * rate
        velocity[i] = velocity[i] * momentum - step
        values[i] += velocity[i] * momentum - step
