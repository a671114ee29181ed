"""Ftrl."""

from __future__ import annotations

from typing import Any

import numpy as np

from distrib.base.arrays import Array
from distrib.base.errors import ConfigError
from distrib.nn.jit import Loop
from distrib.nn.optimizers.optimizer import Optimizer
from distrib.nn.optimizers.step_size import LearningRate


class Ftrl(Optimizer):
    """Follow the regularized leader (McMahan et al., 2013), for sparse linear models, as Keras has it.

    `n' = n + g g`, `z += g + 2 shrinkage w - (n'**p - n**p) / learning_rate * w` with `p = -learning_rate_power`,
    `w = (clip(z, -l1, l1) - z) / (n'**p / learning_rate + 2 l2 + beta / learning_rate)`.

    Args:
        learning_rate: step size, positive.
        learning_rate_power: at most 0; 0 for a constant learning rate. Powers other than -0.5 and 0 may differ in the
            last bit from host to host.
        initial_accumulator_value: where the sums of squares begin, at least 0.
        l1_regularization_strength: at least 0.
        l2_regularization_strength: at least 0.
        l2_shrinkage_regularization_strength: at least 0; unlike L2, it is added to the gradient.
        beta: of the paper.
        name: name of the optimizer.
        **kwargs: arguments of every optimizer; see `Optimizer`.
    """

    slot_names = ("accumulator", "linear")

    def __init__(
        self,
        learning_rate: LearningRate = 0.001,
        learning_rate_power: float = -0.5,
        initial_accumulator_value: float = 0.1,
        l1_regularization_strength: float = 0.0,
        l2_regularization_strength: float = 0.0,
        l2_shrinkage_regularization_strength: float = 0.0,
        beta: float = 0.0,
        name: str = "ftrl",
        **kwargs: Any,
    ) -> None:
        super().__init__(learning_rate, name, **kwargs)
        if learning_rate_power > 0:
            raise ConfigError(f"Ftrl expects learning_rate_power <= 0. Received: {learning_rate_power}.")
        self.learning_rate_power, self.beta = float(learning_rate_power), float(beta)
        self.initial_accumulator_value = float(initial_accumulator_value)
        self.l1_regularization_strength = float(l1_regularization_strength)
        self.l2_regularization_strength = float(l2_regularization_strength)
        self.l2_shrinkage_regularization_strength = float(l2_shrinkage_regularization_strength)
        strengths = {
            name: value for name, value in vars(self).items() if "strength" in name or "initial" in name
        }
        for name, value in strengths.items():
            if value < 0:
                raise ConfigError(f"Ftrl expects {name} >= 0. Received: {value}.")

    def initial_slot(self, name: str) -> float:
        return self.initial_accumulator_value if name == "accumulator" else 0.0

    def coefficients(self, step: int, scale: float) -> tuple[float, ...]:
        rate = self.learning_rate
        l2 = 2.0 * self.l2_regularization_strength + self.beta / rate
        shrinkage = 2.0 * self.l2_shrinkage_regularization_strength
        return rate, -self.learning_rate_power, self.l1_regularization_strength, l2, shrinkage, scale

    def fused_loop(self) -> Loop:
        return _with_root if self.learning_rate_power == -0.5 else _with_power

    def update(
        self,
        value: Array,
        grad: Array,
        slots: list[Array],
        scratch: list[Array],
        coefficients: tuple[Any, ...],
    ) -> None:
        rate, power, l1, l2, shrinkage, scale = coefficients
        (accumulator, linear), (work, root) = slots, scratch
        grad *= scale
        self._raise(accumulator, power, work)
        np.multiply(grad, grad, out=root)
        accumulator += root
        self._raise(accumulator, power, root)
        linear += grad
        np.multiply(value, shrinkage, out=grad)
        linear += grad
        np.subtract(root, work, out=work)
        work /= rate
        work *= value
        linear -= work
        root /= rate
        root += l2
        np.clip(linear, -l1, l1, out=work)
        work -= linear
        np.divide(work, root, out=value)

    def _raise(self, base: Array, power: Any, out: Array) -> None:
        if self.learning_rate_power == -0.5:
            np.sqrt(base, out=out)
        else:
            np.power(base, power, out=out)


def _with_root(
    values: Any,
    grads: Any,
    accumulator: Any,
    linear: Any,
    rate: Any,
    power: Any,
    l1: Any,
    l2: Any,
    shrinkage: Any,
    scale: Any,
) -> None:
    for i in range(values.size):
        g = grads[i] * scale
        before, n = np.sqrt(accumulator[i]), accumulator[i] + g * g
        after = np.sqrt(n)
        z = linear[i] + g + values[i] * shrinkage - (after - before) / rate * values[i]
        accumulator[i], linear[i] = n, z
        values[i] = (min(max(z, -l1), l1) - z) / (after / rate + l2)


def _with_power(
    values: Any,
    grads: Any,
    accumulator: Any,
    linear: Any,
    rate: Any,
    power: Any,
    l1: Any,
    l2: Any,
    shrinkage: Any,
    scale: Any,
) -> None:
    for i in range(values.size):
        g = grads[i] * scale
        before, n = accumulator[i] ** power, accumulator[i] + g * g
        after = n**power
        z = linear[i] + g + values[i] * shrinkage - (after - before) / rate * values[i]
        accumulator[i], linear[i] = n, z
        values[i] = (min(max(z, -l1), l1) - z) / (after / rate + l2)
