"""Adam."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from distrib.base.arrays import Array
from distrib.base.errors import ConfigError
from distrib.nn.jit import Loop
from distrib.nn.optimizers.optimizer import Optimizer
from distrib.nn.optimizers.step_size import LearningRate


class Adam(Optimizer):
    """Adam (Kingma and Ba, 2015), in the form just before its section 2.1, as Keras has it.

    `m = beta_1 m + (1 - beta_1) g`, `v = beta_2 v + (1 - beta_2) g g`,
    `w -= learning_rate * sqrt(1 - beta_2**t) / (1 - beta_1**t) * m / (sqrt(v) + epsilon)`.

    Args:
        learning_rate: step size.
        beta_1: decay of the first moment, in [0, 1).
        beta_2: decay of the second moment, in [0, 1).
        epsilon: keeps the division finite.
        amsgrad: divide by the root of the largest second moment so far (Reddi et al., 2018).
        name: name of the optimizer.
        **kwargs: arguments of every optimizer; see `Optimizer`.
    """

    def __init__(
        self,
        learning_rate: LearningRate = 0.001,
        beta_1: float = 0.9,
        beta_2: float = 0.999,
        epsilon: float = 1e-7,
        amsgrad: bool = False,
        name: str = "adam",
        **kwargs: Any,
    ) -> None:
        super().__init__(learning_rate, name, **kwargs)
        if not (0 <= beta_1 < 1 and 0 <= beta_2 < 1):
            kind = type(self).__name__
            raise ConfigError(f"{kind} expects betas in [0, 1). Received: beta_1={beta_1}, beta_2={beta_2}.")
        self.beta_1, self.beta_2, self.epsilon = float(beta_1), float(beta_2), float(epsilon)
        self.amsgrad = bool(amsgrad)

    @property
    def slot_names(self) -> tuple[str, ...]:
        return ("momentum", "velocity", "velocity_hat") if self.amsgrad else ("momentum", "velocity")

    def coefficients(self, step: int, scale: float) -> tuple[float, ...]:
        alpha = self.learning_rate * math.sqrt(1.0 - self.beta_2**step) / (1.0 - self.beta_1**step)
        to_momentum, to_velocity = (1.0 - self.beta_1) * scale, math.sqrt(1.0 - self.beta_2) * scale
        return alpha, self.beta_1, to_momentum, self.beta_2, to_velocity, self.epsilon

    def fused_loop(self) -> Loop:
        return _amsgrad if self.amsgrad else _adam

    def update(
        self,
        value: Array,
        grad: Array,
        slots: list[Array],
        scratch: list[Array],
        coefficients: tuple[Any, ...],
    ) -> None:
        alpha, beta_1, to_momentum, beta_2, to_velocity, epsilon = coefficients
        momentum, velocity = slots[:2]
        change = scratch[0]
        momentum *= beta_1
        np.multiply(grad, to_momentum, out=change)
        momentum += change
        velocity *= beta_2
        grad *= to_velocity
        grad *= grad
        velocity += grad
        if self.amsgrad:
            velocity = np.maximum(slots[2], velocity, out=slots[2])
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
    alpha: Any,
    beta_1: Any,
    to_momentum: Any,
    beta_2: Any,
    to_velocity: Any,
    epsilon: Any,
) -> None:
    for i in range(values.size):
        m = momentum[i] * beta_1 + grads[i] * to_momentum
        grad = grads[i] * to_velocity
        v = velocity[i] * beta_2 + grad * grad
        momentum[i], velocity[i] = m, v
        values[i] -= m / (np.sqrt(v) + epsilon) * alpha


def _amsgrad(
    values: Any,
    grads: Any,
    momentum: Any,
    velocity: Any,
    largest: Any,
    alpha: Any,
    beta_1: Any,
    to_momentum: Any,
    beta_2: Any,
    to_velocity: Any,
    epsilon: Any,
) -> None:
    for i in range(values.size):
        m = momentum[i] * beta_1 + grads[i] * to_momentum
        grad = grads[i] * to_velocity
        v = velocity[i] * beta_2 + grad * grad
        momentum[i], velocity[i], largest[i] = m, v, max(largest[i], v)
        values[i] -= m / (np.sqrt(largest[i]) + epsilon) * alpha
