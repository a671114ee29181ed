"""LearningRateSchedule: the learning rate as a function of the number of updates."""

from __future__ import annotations

from abc import abstractmethod
from typing import Any

from distrib.base.arguments import HasArguments
from distrib.base.errors import ConfigError


class LearningRateSchedule(HasArguments):
    """Base of schedules, for subclasses of one's own too.

    Pass one as `learning_rate` of an optimizer. Every replica calls it with the number of updates so far; parameter
    servers update with the chief's rate.
    """

    @abstractmethod
    def __call__(self, step: int) -> float:
        """The learning rate of an update.

        Args:
            step: number of updates before it.
        """

    def get_config(self) -> dict[str, Any]:
        """The arguments, as JSON values."""
        return {key: value for key, value in vars(self).items() if key[0] != "_"}

    def _check_positive(self, **numbers: float) -> None:
        for name, number in numbers.items():
            if not number > 0:
                raise ConfigError(f"{type(self).__name__} expects {name} > 0. Received: {number}.")
