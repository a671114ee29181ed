"""Adagrad."""

from __future__ import annotations

from typing import Any

import numpy as np

from distrib.base.arrays import Array
from distrib.base.errors import ConfigError
from distrib.nn.jit import Loop
from distrib.nn.optimizers.optimizer import Optimizer
from distrib.nn.optimizers.step_size import LearningRate


class Adagrad(Optimizer):
    """Adagrad (Duchi et al., 2011): steps that shrink with the sum of squared gradients.

    `accumulator += g g`, `w -= learning_rate g / sqrt(accumulator + epsilon)`.

    Args:
        learning_rate: step size.
        initial_accumulator_value: where the sums begin, at least 0.
        epsilon: keeps the division finite.
        name: name of the optimizer.
        **kwargs: arguments of every optimizer; see `Optimizer`.
    """

    slot_names = ("accumulator",)

    def __init__(
        self,
        learning_rate: LearningRate = 0.001,
        initial_accumulator_value: float = 0.1,
        epsilon: float = 1e-7,
        name: str = "adagrad",
        **kwargs: Any,
    ) -> None:
        super().__init__(learning_rate, name, **kwargs)
        if initial_accumulator_value < 0:
            raise ConfigError(
                f"Adagrad expects initial_accumulator_value >= 0. Received: {initial_accumulator_value}."
            )
        self.initial_accumulator_value, self.epsilon = float(initial_accumulator_value), float(epsilon)

    def initial_slot(self, name: str) -> float:
        return self.initial_accumulator_value

    def coefficients(self, step: int, scale: float) -> tuple[float, ...]:
        return self.learning_rate, self.epsilon, scale

    def fused_loop(self) -> Loop:
        return _adagrad

    def update(
        self,
        value: Array,
        grad: Array,
        slots: list[Array],
        scratch: list[Array],
        coefficients: tuple[Any, ...],
    ) -> None:
        rate, epsilon, scale = coefficients
        (accumulator,), work = slots, scratch[0]
        grad *= scale
        np.multiply(grad, grad, out=work)
        accumulator += work
        np.add(accumulator, epsilon, out=work)
        np.sqrt(work, out=work)
        grad *= rate
        np.divide(grad, work, out=grad)
        value -= grad


def _adagrad(values: Any, grads: Any, accumulator: Any, rate: Any, epsilon: Any, scale: Any) -> None:
    for i in range(values.size):
        g = grads[i] * scale
        a = accumulator[i] + g * g
        accumulator[i] = a
        values[i] -= g * rate / np.sqrt(a + epsilon)
