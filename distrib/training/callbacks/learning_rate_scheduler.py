"""LearningRateScheduler: the learning rate of every epoch, by a function."""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable
from typing import Any

import numpy as np

from distrib.base.console import show
from distrib.base.errors import ConfigError
from distrib.training.callbacks.callback import Callback, Logs


class LearningRateScheduler(Callback):
    """Sets the learning rate at the beginning of every epoch, and adds it to the logs as `learning_rate`.

    Every replica calls the function, so it must give the same on each: no clocks, no random numbers without a seed.
    Under `ParameterServerStrategy` the chief's rate counts.

    Args:
        schedule: `schedule(epoch, learning_rate)`, or `schedule(epoch)`; returns the new rate, a float. Epochs are
            counted from 0.
        verbose: 1 to say what is set, on the chief.

    Raises:
        ConfigError: from `fit`: the function returned no float, or one that cannot be a rate.
    """

    stops_in_batch = False

    def __init__(self, schedule: Callable[..., float], verbose: int = 0) -> None:
        super().__init__()
        self.schedule, self.verbose = schedule, verbose

    def on_epoch_begin(self, epoch: int, logs: Logs | None = None) -> None:
        optimizer = self.model.optimizer
        arguments: tuple[Any, ...] = (epoch, optimizer.learning_rate)
        rate = self.schedule(*arguments[: _num_arguments(self.schedule)])
        if not isinstance(rate, (float, np.float32, np.float64)):
            raise ConfigError(f"The output of the `schedule` function should be a float. Got: {rate}")
        if not 0.0 <= rate < math.inf:
            raise ConfigError(f"The output of the `schedule` function should be 0 or more. Got: {rate}")
        optimizer.learning_rate = float(rate)
        if self.verbose > 0 and self.model.strategy.is_chief:
            show(f"\nEpoch {epoch + 1}: LearningRateScheduler setting learning rate to {rate}.")

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        if logs is not None:
            logs["learning_rate"] = self.model.optimizer.learning_rate


def _num_arguments(schedule: Callable[..., float]) -> int:
    """2, or 1 for a function that takes the epoch only."""
    try:
        inspect.signature(schedule).bind(0, 0.0)
    except TypeError:
        return 1
    except ValueError:  # some functions written in C do not say
        pass
    return 2
