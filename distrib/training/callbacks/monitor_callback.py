"""MonitorCallback: base of callbacks that watch whether one of the logs improves."""

from __future__ import annotations

import math
import warnings
from typing import Any, ClassVar

from distrib.base.console import show
from distrib.base.errors import ConfigError
from distrib.training.callbacks.callback import Callback, Logs


class MonitorCallback(Callback):
    """Base of the callbacks that watch one quantity of the logs.

    Args:
        monitor: its name, such as `"val_loss"`.
        mode: `"min"`: less is better; `"max"`: more is; `"auto"`: as its metric says.
        baseline: the first value to beat; any will do by default.
        min_delta: by how much a value has to be better.

    Attributes:
        best: the best value so far; None before the first.
        remembered: names of the attributes that an interrupted training must go on with.
    """

    remembered: ClassVar[tuple[str, ...]] = ("best",)

    def __init__(
        self,
        monitor: str = "val_loss",
        mode: str = "auto",
        baseline: float | None = None,
        min_delta: float = 0.0,
    ) -> None:
        super().__init__()
        if mode not in ("auto", "min", "max"):
            warnings.warn(
                f"{type(self).__name__} mode '{mode}' is unknown, fallback to auto mode.", stacklevel=3
            )
            mode = "auto"
        self.monitor, self.mode = monitor, mode
        self.best = baseline
        self.min_delta = abs(min_delta)

    def get_state(self) -> dict[str, Any]:
        return {name: getattr(self, name) for name in self.remembered}

    def set_state(self, state: dict[str, Any]) -> None:
        for name in self.remembered:
            setattr(self, name, state[name])

    def is_improvement(self, value: float, reference: float | None) -> bool:
        """Whether `value` is better than `reference`, by more than `min_delta`.

        Any number is better than None or NaN; NaN is better than nothing.
        """
        if math.isnan(value):
            return False
        if reference is None or math.isnan(reference):
            return True
        if self._less_is_better():
            return value + self.min_delta < reference
        return value - self.min_delta > reference

    def monitored(self, logs: Logs | None, missing: str) -> float | None:
        """The quantity's value; where the logs lack it, None, and the chief warns.

        Args:
            logs: of an epoch.
            missing: how the warning begins.

        Raises:
            ConfigError: the mode is `"auto"` and nothing says what is better.
        """
        self._less_is_better()
        value = (logs or {}).get(self.monitor)
        if value is None and self.model.strategy.is_chief:
            warnings.warn(
                f"{missing} `{self.monitor}` which is not available. "
                f"Available metrics are: {','.join(logs or {})}",
                stacklevel=3,
            )
        return value

    def say(self, message: str) -> None:
        """Print a message, on the chief."""
        if self.model.strategy.is_chief:
            show(message)

    def _less_is_better(self) -> bool:
        if self.mode != "auto":
            return self.mode == "min"
        name = self.monitor.removeprefix("val_")
        if name == "loss":
            return True
        directions = {metric.name: metric.direction for metric in self.model.metrics}
        # An element of a vector has its number behind the name of the metric.
        direction = directions.get(name, directions.get(name.rpartition("_")[0]))
        if direction is None:
            raise ConfigError(
                f"{type(self).__name__} callback received monitor={self.monitor}, but distrib isn't able to "
                "automatically determine whether that metric should be maximized or minimized. Pass `mode='max'` in "
                "order to monitor based on the highest metric value, or pass `mode='min'` in order to use the lowest "
                "value."
            )
        return direction == "down"
