"""RMSprop."""

from __future__ import annotations

from typing import Any

import numpy as np

from distrib.base.arrays import Array
from distrib.base.errors import ConfigError
from distrib.nn.jit import Loop
from distrib.nn.optimizers.optimizer import Optimizer
from distrib.nn.optimizers.step_size import LearningRate


class RMSprop(Optimizer):
    """RMSprop (Hinton, 2012): the gradient divided by a running average of its magnitude, as Keras has it.

    `velocity = rho velocity + (1 - rho) g g`, `w -= learning_rate g / sqrt(velocity + epsilon)`.

    Args:
        learning_rate: step size.
        rho: decay of the average, in [0, 1].
        momentum: of the increments, in [0, 1].
        epsilon: keeps the division finite.
        centered: subtract the square of the average gradient from the average square.
        name: name of the optimizer.
        **kwargs: arguments of every optimizer; see `Optimizer`.
    """

    def __init__(
        self,
        learning_rate: LearningRate = 0.001,
        rho: float = 0.9,
        momentum: float = 0.0,
        epsilon: float = 1e-7,
        centered: bool = False,
        name: str = "rmsprop",
        **kwargs: Any,
    ) -> None:
        super().__init__(learning_rate, name, **kwargs)
        if not (0 <= rho <= 1 and 0 <= momentum <= 1):
            raise ConfigError(f"RMSprop expects rho and momentum in [0, 1]. Received: {rho}, {momentum}.")
        self.rho, self.momentum, self.epsilon = float(rho), float(momentum), float(epsilon)
        self.centered = bool(centered)

    @property
    def slot_names(self) -> tuple[str, ...]:
        used = (True, self.momentum > 0, self.centered)
        names = ("velocity", "momentum", "average_gradient")
        return tuple(name for name, is_used in zip(names, used, strict=True) if is_used)

    def coefficients(self, step: int, scale: float) -> tuple[float, ...]:
        return self.learning_rate, self.rho, 1.0 - self.rho, self.momentum, self.epsilon, scale

    def fused_loop(self) -> Loop:
        if self.centered:
            return _centered_momentum if self.momentum else _centered
        return _momentum if self.momentum else _plain

    def update(
        self,
        value: Array,
        grad: Array,
        slots: list[Array],
        scratch: list[Array],
        coefficients: tuple[Any, ...],
    ) -> None:
        rate, rho, one_minus_rho, momentum, epsilon, scale = coefficients
        velocity, work = slots[0], scratch[0]
        grad *= scale
        np.multiply(grad, grad, out=work)
        work *= one_minus_rho
        velocity *= rho
        velocity += work
        if self.centered:
            average = slots[-1]
            average *= rho
            np.multiply(grad, one_minus_rho, out=work)
            average += work
            np.multiply(average, average, out=work)
            np.subtract(velocity, work, out=work)
            work += epsilon
        else:
            np.add(velocity, epsilon, out=work)
        np.sqrt(work, out=work)
        grad *= rate
        np.divide(grad, work, out=grad)
        if self.momentum:
            slots[1] *= momentum
            slots[1] += grad
            value -= slots[1]
        else:
            value -= grad


def _plain(
    values: Any,
    grads: Any,
    velocity: Any,
    rate: Any,
    rho: Any,
    one_minus_rho: Any,
    momentum: Any,
    epsilon: Any,
    scale: Any,
) -> None:
    for i in range(values.size):
        g = grads[i] * scale
        v = velocity[i] * rho + g * g * one_minus_rho
        velocity[i] = v
        values[i] -= g * rate / np.sqrt(v + epsilon)


def _momentum(
    values: Any,
    grads: Any,
    velocity: Any,
    moments: Any,
    rate: Any,
    rho: Any,
    one_minus_rho: Any,
    momentum: Any,
    epsilon: Any,
    scale: Any,
) -> None:
    for i in range(values.size):
        g = grads[i] * scale
        v = velocity[i] * rho + g * g * one_minus_rho
        velocity[i] = v
        moments[i] = moments[i] * momentum + g * rate / np.sqrt(v + epsilon)
        values[i] -= moments[i]


def _centered(
    values: Any,
    grads: Any,
    velocity: Any,
    average: Any,
    rate: Any,
    rho: Any,
    one_minus_rho: Any,
    momentum: Any,
    epsilon: Any,
    scale: Any,
) -> None:
    for i in range(values.size):
        g = grads[i] * scale
        v = velocity[i] * rho + g * g * one_minus_rho
        a = average[i] * rho + g * one_minus_rho
        velocity[i], average[i] = v, a
        values[i] -= g * rate / np.sqrt(v - a * a + epsilon)


def _centered_momentum(
    values: Any,
    grads: Any,
    velocity: Any,
    moments: Any,
    average: Any,
    rate: Any,
    rho: Any,
    one_minus_rho: Any,
    momentum: Any,
    epsilon: Any,
    scale: Any,
) -> None:
    for i in range(values.size):
        g = grads[i] * scale
        v = velocity[i] * rho + g * g * one_minus_rho
        a = average[i] * rho + g * one_minus_rho
        velocity[i], average[i] = v, a
        moments[i] = moments[i] * momentum + g * rate / np.sqrt(v - a * a + epsilon)
        values[i] -= moments[i]
