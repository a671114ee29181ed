"""Adam."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from distrib.arrays import Array
from distrib.errors import ConfigError
from distrib.nn.jit import Loop
from distrib.nn.optimizers.base import Optimizer


class Adam(Optimizer):
    """Adam (Kingma and Ba, 2015), in the form just before its section 2.1, as Keras has it.

    `m += (g - m)(1 - beta_1)`, `v += (g * g - v)(1 - beta_2)`,
    `w -= learning_rate * sqrt(1 - beta_2**t) / (1 - beta_1**t) * m / (sqrt(v) + epsilon)`.

    Args:
        learning_rate: step size.
        beta_1: decay of the first moment, in [0, 1).
        beta_2: decay of the second moment, in [0, 1).
        epsilon: keeps the division finite.
        name: name of the optimizer.
        **options: `clipvalue`, `global_clipnorm` and `gradient_accumulation_steps`, as of `Optimizer`.
    """

    slot_names = ("momentum", "velocity")

    def __init__(
        self,
        learning_rate: float = 0.001,
        beta_1: float = 0.9,
        beta_2: float = 0.999,
        epsilon: float = 1e-7,
        name: str = "adam",
        **options: Any,
    ) -> None:
        super().__init__(learning_rate, name, **options)
        if not (0 <= beta_1 < 1 and 0 <= beta_2 < 1):
            raise ConfigError(f"Adam expects betas in [0, 1). Received: beta_1={beta_1}, beta_2={beta_2}.")
        self.beta_1, self.beta_2, self.epsilon = float(beta_1), float(beta_2), float(epsilon)

    def coefficients(self, step: int, dtype: np.dtype[Any]) -> tuple[Any, ...]:
        alpha = self.learning_rate * math.sqrt(1.0 - self.beta_2**step) / (1.0 - self.beta_1**step)
        return tuple(dtype.type(c) for c in (alpha, 1.0 - self.beta_1, 1.0 - self.beta_2, self.epsilon))

    def fused_loop(self) -> Loop:
        return _adam

    def update(
        self,
        value: Array,
        grad: Array,
        slots: list[Array],
        scratch: list[Array],
        coefficients: tuple[Any, ...],
    ) -> None:
        alpha, keep_1, keep_2, epsilon = coefficients
        momentum, velocity = slots
        change = scratch[0]
        np.subtract(grad, momentum, out=change)
        change *= keep_1
        momentum += change
        np.multiply(grad, grad, out=grad)
        grad -= velocity
        grad *= keep_2
        velocity += grad
        np.sqrt(velocity, out=change)
        change += epsilon
        np.divide(momentum, change, out=change)
        change *= alpha
        value -= change


def _adam(
    values: Any,
    grads: Any,
    momentum: Any,
    velocity: Any,
    scale: Any,
    alpha: Any,
    keep_1: Any,
    keep_2: Any,
    epsilon: Any,
) -> None:
    for i in range(values.size):
        grad = grads[i] * scale
        m = momentum[i] + (grad - momentum[i]) * keep_1
        v = velocity[i] + (grad * grad - velocity[i]) * keep_2
        momentum[i], velocity[i] = m, v
        values[i] -= m / (np.sqrt(v) + epsilon) * alpha
