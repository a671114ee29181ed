"""Adafactor."""

from __future__ import annotations

import math
from typing import Any, ClassVar

import numpy as np

from distrib.base.arrays import Array
from distrib.nn.optimizers.norms import norm
from distrib.nn.optimizers.optimizer import Optimizer
from distrib.nn.optimizers.step_size import LearningRate


class Adafactor(Optimizer):
    """Second moments from means over rows and columns, as Keras has it (Shazeer and Stern, 2018).

    Of a tensor with two axes or more, means of `g g + epsilon_1` over the last axis and over the one before are
    averaged over time, and the second moment is their product over the mean of the first. The step is relative to the
    root mean square of the tensor, and clipped by that of the quotient of gradient and root of the second moment.

    Both averages lie at the beginning of a slot as large as the tensor: memory is not saved, as Keras does not
    either.

    Args:
        learning_rate: largest step size; from update number `1 / learning_rate**2` on it is `1 / sqrt(number)`.
        beta_2_decay: the averages decay by `1 - number**beta_2_decay`.
        epsilon_1: is added to the squared gradient.
        epsilon_2: smallest root mean square of a tensor that steps are relative to.
        clip_threshold: largest root mean square of an update.
        relative_step: as in Keras, which limits the step size as above in either case.
        name: name of the optimizer.
        **kwargs: arguments of every optimizer; see `Optimizer`.
    """

    updates_tensors: ClassVar[bool] = True

    def __init__(
        self,
        learning_rate: LearningRate = 0.001,
        beta_2_decay: float = -0.8,
        epsilon_1: float = 1e-30,
        epsilon_2: float = 1e-3,
        clip_threshold: float = 1.0,
        relative_step: bool = True,
        name: str = "adafactor",
        **kwargs: Any,
    ) -> None:
        super().__init__(learning_rate, name, **kwargs)
        self.beta_2_decay, self.clip_threshold = float(beta_2_decay), float(clip_threshold)
        self.epsilon_1, self.epsilon_2 = float(epsilon_1), float(epsilon_2)
        self.relative_step = bool(relative_step)

    @property
    def slot_names(self) -> tuple[str, ...]:
        return ("rows", "columns")

    def coefficients(self, step: int, scale: float) -> tuple[float, ...]:
        return min(self.learning_rate, 1.0 / math.sqrt(step)), 1.0 - step**self.beta_2_decay, scale

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
        rate, decay, scale = coefficients
        square, velocity = scratch
        kind = value.dtype.type
        grad *= scale
        np.multiply(grad, grad, out=square)
        square += kind(self.epsilon_1)
        if value.ndim < 2:
            velocity = slots[0]
            velocity *= decay
            square *= 1 - decay
            velocity += square
        else:
            rows = _average(slots[0], square, -1, decay)
            columns = _average(slots[1], square, -2, decay)
            relative = rows / rows.mean(axis=-1, keepdims=True)
            np.multiply(relative[..., np.newaxis], columns[..., np.newaxis, :], out=velocity)
        np.sqrt(velocity, out=square)
        np.divide(grad, square, out=grad)
        root_size = math.sqrt(value.size)
        step = max(self.epsilon_2, norm(value) / root_size) * float(rate)
        grad *= kind(step / max(1.0, norm(grad) / root_size / self.clip_threshold))
        value -= grad


def _average(slot: Array, square: Array, axis: int, decay: Any) -> Array:
    """Average the means over an axis over time, at the beginning of the slot. Returns the average there."""
    means = square.mean(axis=axis)
    average = slot.reshape(-1)[: means.size].reshape(means.shape)
    average *= decay
    means *= 1 - decay
    average += means
    return average
