"""Nadam."""

from __future__ import annotations

from typing import Any

import numpy as np

from distrib.base.arrays import Array
from distrib.base.errors import ConfigError
from distrib.nn.jit import Loop
from distrib.nn.optimizers.optimizer import Optimizer
from distrib.nn.optimizers.step_size import LearningRate

_DECAY = 0.96


class Nadam(Optimizer):
    """Nadam (Dozat, 2015): Adam with Nesterov momentum, whose warm-up follows a schedule.

    With `u(t) = beta_1 (1 - 0.96**t / 2)`, and `U(t)` the product of `u(1)` to `u(t)`:
    `m_hat = u(t + 1) m / (1 - U(t + 1)) + (1 - u(t)) g / (1 - U(t))`,
    `w -= learning_rate * m_hat / (sqrt(v / (1 - beta_2**t)) + epsilon)`.

    Args:
        learning_rate: step size.
        beta_1: decay of the first moment, in [0, 1).
        beta_2: decay of the second moment, in [0, 1).
        epsilon: keeps the division finite.
        name: name of the optimizer.
        **kwargs: arguments of every optimizer; see `Optimizer`.
    """

    slot_names = ("momentum", "velocity")

    def __init__(
        self,
        learning_rate: LearningRate = 0.001,
        beta_1: float = 0.9,
        beta_2: float = 0.999,
        epsilon: float = 1e-7,
        name: str = "nadam",
        **kwargs: Any,
    ) -> None:
        super().__init__(learning_rate, name, **kwargs)
        if not (0 <= beta_1 < 1 and 0 <= beta_2 < 1):
            raise ConfigError(f"Nadam expects betas in [0, 1). Received: beta_1={beta_1}, beta_2={beta_2}.")
        self.beta_1, self.beta_2, self.epsilon = float(beta_1), float(beta_2), float(epsilon)
        self._product = 0, 1.0  # U(t), and for which t

    def coefficients(self, step: int, scale: float) -> tuple[float, ...]:
        known, product = self._product if self._product[0] <= step else (0, 1.0)  # a training may begin anew
        for t in range(known + 1, step + 1):
            product *= self._momentum(t)
        self._product = step, product
        now, following = self._momentum(step), self._momentum(step + 1)
        of_momentum = self.learning_rate * following / (1.0 - product * following)
        of_grad = self.learning_rate * (1.0 - now) / (1.0 - product)
        correction = 1.0 - self.beta_2**step
        return of_momentum, of_grad, 1.0 - self.beta_1, 1.0 - self.beta_2, correction, self.epsilon, scale

    def _momentum(self, step: int) -> float:
        return self.beta_1 * (1.0 - 0.5 * _DECAY**step)

    def fused_loop(self) -> Loop:
        return _nadam

    def update(
        self,
        value: Array,
        grad: Array,
        slots: list[Array],
        scratch: list[Array],
        coefficients: tuple[Any, ...],
    ) -> None:
        of_momentum, of_grad, one_minus_beta_1, one_minus_beta_2, correction, epsilon, scale = coefficients
        (momentum, velocity), (work, root) = slots, scratch
        grad *= scale
        np.subtract(grad, momentum, out=work)
        work *= one_minus_beta_1
        momentum += work
        np.multiply(grad, grad, out=work)
        work -= velocity
        work *= one_minus_beta_2
        velocity += work
        np.divide(velocity, correction, out=root)
        np.sqrt(root, out=root)
        root += epsilon
        np.multiply(momentum, of_momentum, out=work)
        grad *= of_grad
        work += grad
        work /= root
        value -= work


def _nadam(
    values: Any,
    grads: Any,
    momentum: Any,
    velocity: Any,
    of_momentum: Any,
    of_grad: Any,
    one_minus_beta_1: Any,
    one_minus_beta_2: Any,
    correction: Any,
    epsilon: Any,
    scale: Any,
) -> None:
    for i in range(values.size):
        g = grads[i] * scale
        m = momentum[i] + (g - momentum[i]) * one_minus_beta_1
        v = velocity[i] + (g * g - velocity[i]) * one_minus_beta_2
        momentum[i], velocity[i] = m, v
        values[i] -= (m * of_momentum + g * of_grad) / (np.sqrt(v / correction) + epsilon)
