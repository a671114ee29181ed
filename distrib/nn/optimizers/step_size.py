"""StepSize: the learning rate of an optimizer, a number or a schedule, and what reads it may do with it."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any, TypeAlias

import numpy as np

from distrib.base.errors import ConfigError
from distrib.nn.schedules import LearningRateSchedule, deserialize, serialize

LearningRate: TypeAlias = float | LearningRateSchedule | Mapping[str, Any]
"""A number, a schedule, or the config of one."""


class AssignableFloat(float):
    """A number of an optimizer, with the methods of a variable that scripts use."""

    assign: Callable[[Any], None]
    """Sets it in its optimizer."""

    def numpy(self) -> np.float32:
        """The number as NumPy has it."""
        return np.float32(self)


class AssignableInt(int):
    """A count of an optimizer, with the methods of a variable that scripts use."""

    assign: Callable[[Any], None]
    """Sets it in its optimizer."""

    def numpy(self) -> np.int64:
        """The count as NumPy has it."""
        return np.int64(self)


class StepSize:
    """A finite number >= 0, or a schedule that gives one.

    Args:
        owner: class name of the optimizer, for errors.

    Attributes:
        schedule: None where it is a number.
    """

    def __init__(self, owner: str) -> None:
        self._owner = owner
        self.schedule: LearningRateSchedule | None = None
        self._number = AssignableFloat(0.0)

    def set(self, rate: Any) -> None:
        """Take a number, a schedule or its config. Raises `ConfigError` for anything else."""
        if isinstance(rate, Mapping):
            rate = deserialize(rate)
        if isinstance(rate, LearningRateSchedule):
            self.schedule = rate
        elif self.schedule is not None:
            raise ConfigError(
                f"The learning rate of this {self._owner} follows {type(self.schedule).__name__}. "
                f"Received: {rate!r}. Make the optimizer with a number, to set it in between."
            )
        else:
            self._number = self._checked(rate)

    def at(self, iterations: int) -> AssignableFloat:
        """The step size after so many updates."""
        if self.schedule is None:
            return self._number
        # Twelve digits: what a math library has rounded differently on another host is no difference.
        return self._checked(f"{self._checked(self.schedule(iterations)):.12g}", is_text=True)

    def config(self) -> Any:
        """What `set` takes, as JSON values."""
        return float(self._number) if self.schedule is None else serialize(self.schedule)

    def _checked(self, rate: Any, is_text: bool = False) -> AssignableFloat:
        try:
            number = AssignableFloat(rate)
        except (TypeError, ValueError):
            number = AssignableFloat("nan")
        if (isinstance(rate, str) and not is_text) or not 0 <= number < math.inf:
            raise ConfigError(f"{self._owner} expects learning_rate >= 0. Received: {rate!r}.")
        number.assign = self.set
        return number
