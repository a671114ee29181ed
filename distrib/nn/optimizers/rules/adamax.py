"""Adamax."""

from __future__ import annotations

from typing import Any

import numpy as np

from distrib.base.arrays import Array
from distrib.base.errors import ConfigError
from distrib.nn.jit import Loop
from distrib.nn.optimizers.optimizer import Optimizer
from distrib.nn.optimizers.step_size import LearningRate


class Adamax(Optimizer):
    """Adamax (Kingma and Ba, 2015, section 7.1): Adam with the infinity norm.

    `m = m + (1 - beta_1) (g - m)`, `u = max(beta_2 u, |g|)`,
    `w -= learning_rate / (1 - beta_1**t) * m / (u + epsilon)`.

    Args:
        learning_rate: step size.
        beta_1: decay of the first moment, in [0, 1).
        beta_2: decay of the norm, in [0, 1).
        epsilon: keeps the division finite.
        name: name of the optimizer.
        **kwargs: arguments of every optimizer; see `Optimizer`.
    """

    slot_names = ("momentum", "norm")

    def __init__(
        self,
        learning_rate: LearningRate = 0.001,
        beta_1: float = 0.9,
        beta_2: float = 0.999,
        epsilon: float = 1e-7,
        name: str = "adamax",
        **kwargs: Any,
    ) -> None:
        super().__init__(learning_rate, name, **kwargs)
        if not (0 <= beta_1 < 1 and 0 <= beta_2 < 1):
            raise ConfigError(f"Adamax expects betas in [0, 1). Received: beta_1={beta_1}, beta_2={beta_2}.")
        self.beta_1, self.beta_2, self.epsilon = float(beta_1), float(beta_2), float(epsilon)

    def coefficients(self, step: int, scale: float) -> tuple[float, ...]:
        alpha = self.learning_rate / (1.0 - self.beta_1**step)
        return alpha, 1.0 - self.beta_1, self.beta_2, self.epsilon, scale

    def fused_loop(self) -> Loop:
        return _adamax

    def update(
        self,
        value: Array,
        grad: Array,
        slots: list[Array],
        scratch: list[Array],
        coefficients: tuple[Any, ...],
    ) -> None:
        alpha, one_minus_beta_1, beta_2, epsilon, scale = coefficients
        (momentum, norm), work = slots, scratch[0]
        grad *= scale
        np.subtract(grad, momentum, out=work)
        work *= one_minus_beta_1
        momentum += work
        np.abs(grad, out=grad)
        norm *= beta_2
        np.maximum(norm, grad, out=norm)
        np.add(norm, epsilon, out=work)
        np.divide(momentum, work, out=work)
        work *= alpha
        value -= work


def _adamax(
    values: Any,
    grads: Any,
    momentum: Any,
    norm: Any,
    alpha: Any,
    one_minus_beta_1: Any,
    beta_2: Any,
    epsilon: Any,
    scale: Any,
) -> None:
    for i in range(values.size):
        g = grads[i] * scale
        m = momentum[i] + (g - momentum[i]) * one_minus_beta_1
        u = max(norm[i] * beta_2, abs(g))
        momentum[i], norm[i] = m, u
        values[i] -= m / (u + epsilon) * alpha
