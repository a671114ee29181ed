"""Lamb."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np

from distrib.base.arrays import Array
from distrib.base.errors import ConfigError
from distrib.nn.optimizers.norms import norm
from distrib.nn.optimizers.optimizer import Optimizer
from distrib.nn.optimizers.step_size import LearningRate


class Lamb(Optimizer):
    """Adam whose step is scaled, tensor by tensor, to the norm of the tensor (You et al., 2020).

    `m += (1 - beta_1) (g - m)`, `v += (1 - beta_2) (g g - v)`,
    `u = m / (1 - beta_1**t) / (sqrt(v / (1 - beta_2**t)) + epsilon)`, `w -= learning_rate * |w| / |u| * u`;
    where a norm is 0, the quotient of the two is taken as 1.

    Args:
        learning_rate: step size.
        beta_1: decay of the first moment, in [0, 1).
        beta_2: decay of the second moment, in [0, 1).
        epsilon: keeps the division finite.
        name: name of the optimizer.
        **kwargs: arguments of every optimizer; see `Optimizer`.
    """

    updates_tensors: ClassVar[bool] = True

    def __init__(
        self,
        learning_rate: LearningRate = 0.001,
        beta_1: float = 0.9,
        beta_2: float = 0.999,
        epsilon: float = 1e-7,
        name: str = "lamb",
        **kwargs: Any,
    ) -> None:
        super().__init__(learning_rate, name, **kwargs)
        if not (0 <= beta_1 < 1 and 0 <= beta_2 < 1):
            raise ConfigError(f"Lamb expects betas in [0, 1). Received: beta_1={beta_1}, beta_2={beta_2}.")
        self.beta_1, self.beta_2, self.epsilon = float(beta_1), float(beta_2), float(epsilon)

    @property
    def slot_names(self) -> tuple[str, ...]:
        return ("momentum", "velocity")

    def coefficients(self, step: int, scale: float) -> tuple[float, ...]:
        to_momentum, to_velocity = 1.0 / (1.0 - self.beta_1**step), 1.0 / (1.0 - self.beta_2**step)
        return self.learning_rate, scale, to_momentum, to_velocity

    def fused_loop(self) -> None:
        return None

    def update(
        self,
        value: Array,
        grad: Array,
        slots: list[Array],
        scratch: list[Array],
        coefficients: tuple[Any, ...],
    ) -> None:
        rate, scale, to_momentum, to_velocity = coefficients
        momentum, velocity = slots
        change, root = scratch
        kind = value.dtype.type
        grad *= scale
        np.subtract(grad, momentum, out=change)
        change *= kind(1.0 - self.beta_1)
        momentum += change
        grad *= grad
        grad -= velocity
        grad *= kind(1.0 - self.beta_2)
        velocity += grad
        np.multiply(velocity, to_velocity, out=root)
        np.sqrt(root, out=root)
        root += kind(self.epsilon)
        np.multiply(momentum, to_momentum, out=change)
        change /= root
        norms = norm(value), norm(change)
        change *= kind(float(rate) * (norms[0] / norms[1] if min(norms) > 0 else 1.0))
        value -= change
