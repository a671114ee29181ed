"""Adadelta."""

from __future__ import annotations

from typing import Any

import numpy as np

from distrib.base.arrays import Array
from distrib.base.errors import ConfigError
from distrib.nn.jit import Loop
from distrib.nn.optimizers.optimizer import Optimizer
from distrib.nn.optimizers.step_size import LearningRate


class Adadelta(Optimizer):
    """Adadelta (Zeiler, 2012): steps in units of earlier steps.

    `a = rho a + (1 - rho) g g`, `d = g sqrt(b + epsilon) / sqrt(a + epsilon)`, `b = rho b + (1 - rho) d d`,
    `w -= learning_rate d`.

    Args:
        learning_rate: step size; the paper has 1.
        rho: decay of the averages, in [0, 1].
        epsilon: keeps the division finite.
        name: name of the optimizer.
        **kwargs: arguments of every optimizer; see `Optimizer`.
    """

    slot_names = ("accumulated_grad", "accumulated_delta_var")

    def __init__(
        self,
        learning_rate: LearningRate = 0.001,
        rho: float = 0.95,
        epsilon: float = 1e-7,
        name: str = "adadelta",
        **kwargs: Any,
    ) -> None:
        super().__init__(learning_rate, name, **kwargs)
        if not 0 <= rho <= 1:
            raise ConfigError(f"Adadelta expects rho in [0, 1]. Received: {rho}.")
        self.rho, self.epsilon = float(rho), float(epsilon)

    def coefficients(self, step: int, scale: float) -> tuple[float, ...]:
        return self.learning_rate, self.rho, 1.0 - self.rho, self.epsilon, scale

    def fused_loop(self) -> Loop:
        return _adadelta

    def update(
        self,
        value: Array,
        grad: Array,
        slots: list[Array],
        scratch: list[Array],
        coefficients: tuple[Any, ...],
    ) -> None:
        rate, rho, one_minus_rho, epsilon, scale = coefficients
        (of_grads, of_deltas), (work, root) = slots, scratch
        grad *= scale
        np.multiply(grad, grad, out=work)
        work *= one_minus_rho
        of_grads *= rho
        of_grads += work
        np.add(of_deltas, epsilon, out=work)
        np.sqrt(work, out=work)
        np.add(of_grads, epsilon, out=root)
        np.sqrt(root, out=root)
        grad *= work
        np.divide(grad, root, out=grad)
        np.multiply(grad, grad, out=work)
        work *= one_minus_rho
        of_deltas *= rho
        of_deltas += work
        grad *= rate
        value -= grad


def _adadelta(
    values: Any,
    grads: Any,
    of_grads: Any,
    of_deltas: Any,
    rate: Any,
    rho: Any,
    one_minus_rho: Any,
    epsilon: Any,
    scale: Any,
) -> None:
    for i in range(values.size):
        g = grads[i] * scale
        a = of_grads[i] * rho + g * g * one_minus_rho
        d = g * np.sqrt(of_deltas[i] + epsilon) / np.sqrt(a + epsilon)
        of_grads[i], of_deltas[i] = a, of_deltas[i] * rho + d * d * one_minus_rho
        values[i] -= d * rate
