"""Schedules that lower the learning rate: exponentially, inversely, by a polynomial, or in steps."""

from __future__ import annotations

import math
from bisect import bisect_left
from collections.abc import Sequence

from distrib.base.errors import ConfigError
from distrib.nn.schedules.schedule import LearningRateSchedule


class ExponentialDecay(LearningRateSchedule):
    """`initial_learning_rate * decay_rate ** (step / decay_steps)`.

    Args:
        initial_learning_rate: the rate of the first update.
        decay_steps: updates in which the rate is multiplied by `decay_rate` once.
        decay_rate: the factor.
        staircase: whether the exponent is rounded down, so that the rate falls in steps.
        name: name of the schedule.
    """

    def __init__(
        self,
        initial_learning_rate: float,
        decay_steps: float,
        decay_rate: float,
        staircase: bool = False,
        name: str = "ExponentialDecay",
    ) -> None:
        self._check_positive(decay_steps=decay_steps)
        self.initial_learning_rate, self.decay_steps = initial_learning_rate, decay_steps
        self.decay_rate, self.staircase, self.name = decay_rate, staircase, name

    def __call__(self, step: int) -> float:
        exponent = step / self.decay_steps
        exponent = math.floor(exponent) if self.staircase else exponent
        return float(self.initial_learning_rate * self.decay_rate**exponent)


class InverseTimeDecay(LearningRateSchedule):
    """`initial_learning_rate / (1 + decay_rate * step / decay_steps)`.

    Args:
        initial_learning_rate: the rate of the first update.
        decay_steps: updates of one unit of time.
        decay_rate: how fast the rate falls.
        staircase: whether the time is rounded down, so that the rate falls in steps.
        name: name of the schedule.
    """

    def __init__(
        self,
        initial_learning_rate: float,
        decay_steps: float,
        decay_rate: float,
        staircase: bool = False,
        name: str = "InverseTimeDecay",
    ) -> None:
        self._check_positive(decay_steps=decay_steps)
        self.initial_learning_rate, self.decay_steps = initial_learning_rate, decay_steps
        self.decay_rate, self.staircase, self.name = decay_rate, staircase, name

    def __call__(self, step: int) -> float:
        time = step / self.decay_steps
        time = math.floor(time) if self.staircase else time
        return self.initial_learning_rate / (1 + self.decay_rate * time)


class PolynomialDecay(LearningRateSchedule):
    """`(initial_learning_rate - end_learning_rate) * (1 - step / decay_steps) ** power + end_learning_rate`.

    Args:
        initial_learning_rate: the rate of the first update.
        decay_steps: updates after which the rate is `end_learning_rate`.
        end_learning_rate: the rate at the end.
        power: of the polynomial.
        cycle: whether the rate rises again after `decay_steps`, to reach the end after twice as many, and so on;
            otherwise it stays.
        name: name of the schedule.
    """

    def __init__(
        self,
        initial_learning_rate: float,
        decay_steps: float,
        end_learning_rate: float = 0.0001,
        power: float = 1.0,
        cycle: bool = False,
        name: str = "PolynomialDecay",
    ) -> None:
        self._check_positive(decay_steps=decay_steps)
        self.initial_learning_rate, self.decay_steps = initial_learning_rate, decay_steps
        self.end_learning_rate, self.power, self.cycle, self.name = end_learning_rate, power, cycle, name

    def __call__(self, step: int) -> float:
        steps: float = self.decay_steps
        if self.cycle:
            steps *= math.ceil(step / steps) or 1
        rest = 1 - min(step, steps) / steps
        distance = self.initial_learning_rate - self.end_learning_rate
        return float(distance * rest**self.power + self.end_learning_rate)


class PiecewiseConstantDecay(LearningRateSchedule):
    """`values[i]` up to and with update `boundaries[i]`, and the last value after them.

    Args:
        boundaries: numbers of updates, in rising order.
        values: rates, one more than boundaries.
        name: name of the schedule.

    Raises:
        ConfigError: another number of values, or boundaries that do not rise.
    """

    def __init__(
        self, boundaries: Sequence[float], values: Sequence[float], name: str = "PiecewiseConstant"
    ) -> None:
        self.boundaries, self.values, self.name = list(boundaries), list(values), name
        if len(self.boundaries) != len(self.values) - 1:
            raise ConfigError(
                "PiecewiseConstantDecay expects one value more than boundaries. "
                f"Received: {len(self.boundaries)} boundaries, {len(self.values)} values."
            )
        if self.boundaries != sorted(self.boundaries):
            raise ConfigError(
                f"PiecewiseConstantDecay expects boundaries in rising order. Received: {self.boundaries}."
            )

    def __call__(self, step: int) -> float:
        return float(self.values[bisect_left(self.boundaries, step)])
