"""Lion."""

from __future__ import annotations

from typing import Any

import numpy as np

from distrib.base.arrays import Array
from distrib.base.errors import ConfigError
from distrib.nn.jit import Loop
from distrib.nn.optimizers.optimizer import Optimizer
from distrib.nn.optimizers.step_size import LearningRate


class Lion(Optimizer):
    """Lion (Chen et al., 2023): the sign of an interpolated momentum.

    `w -= learning_rate sign(beta_1 m + (1 - beta_1) g)`, `m = beta_2 m + (1 - beta_2) g`.

    Args:
        learning_rate: step size.
        beta_1: weight of the momentum in a step, in (0, 1].
        beta_2: decay of the momentum, in [0, 1].
        name: name of the optimizer.
        **kwargs: arguments of every optimizer; see `Optimizer`.
    """

    slot_names = ("momentum",)

    def __init__(
        self,
        learning_rate: LearningRate = 0.001,
        beta_1: float = 0.9,
        beta_2: float = 0.99,
        name: str = "lion",
        **kwargs: Any,
    ) -> None:
        super().__init__(learning_rate, name, **kwargs)
        if not (0 < beta_1 <= 1 and 0 <= beta_2 <= 1):
            raise ConfigError(
                f"Lion expects beta_1 in (0, 1] and beta_2 in [0, 1]. Received: beta_1={beta_1}, beta_2={beta_2}."
            )
        self.beta_1, self.beta_2 = float(beta_1), float(beta_2)

    def coefficients(self, step: int, scale: float) -> tuple[float, ...]:
        return self.learning_rate, self.beta_1, 1.0 - self.beta_1, self.beta_2, 1.0 - self.beta_2, scale

    def fused_loop(self) -> Loop:
        return _lion

    def update(
        self,
        value: Array,
        grad: Array,
        slots: list[Array],
        scratch: list[Array],
        coefficients: tuple[Any, ...],
    ) -> None:
        rate, beta_1, one_minus_beta_1, beta_2, one_minus_beta_2, scale = coefficients
        (momentum,), (work, step) = slots, scratch
        grad *= scale
        np.multiply(momentum, beta_1, out=step)
        np.multiply(grad, one_minus_beta_1, out=work)
        step += work
        np.sign(step, out=step)
        step *= rate
        value -= step
        momentum *= beta_2
        grad *= one_minus_beta_2
        momentum += grad


def _lion(
    values: Any,
    grads: Any,
    momentum: Any,
    rate: Any,
    beta_1: Any,
    one_minus_beta_1: Any,
    beta_2: Any,
    one_minus_beta_2: Any,
    scale: Any,
) -> None:
    for i in range(values.size):
        g = grads[i] * scale
        values[i] -= np.sign(momentum[i] * beta_1 + g * one_minus_beta_1) * rate
        momentum[i] = momentum[i] * beta_2 + g * one_minus_beta_2
