"""ReduceLROnPlateau: lowers the learning rate when a monitored quantity stops improving."""

from __future__ import annotations

from distrib.base.errors import ConfigError
from distrib.training.callbacks.callback import Logs
from distrib.training.callbacks.monitor_callback import MonitorCallback


class ReduceLROnPlateau(MonitorCallback):
    """Lowers the learning rate when a quantity of the logs has not improved for `patience` epochs.

    Adds the rate of the epoch to the logs, as `learning_rate`. Every replica decides alike, from the same logs.

    Args:
        monitor: name of the quantity.
        factor: new rate = rate * factor.
        patience: epochs without improvement after which the rate is lowered.
        verbose: 1 to say what is done, on the chief.
        mode: `"min"`, `"max"` or `"auto"`, which asks the metric.
        min_delta: a change of less is no improvement.
        cooldown: epochs to wait after the rate was lowered before counting again.
        min_lr: the rate is never lower.

    Raises:
        ConfigError: a factor of 1 or more.
    """

    stops_in_batch = False

    remembered = ("best", "wait", "cooldown_counter")

    def __init__(
        self,
        monitor: str = "val_loss",
        factor: float = 0.1,
        patience: int = 10,
        verbose: int = 0,
        mode: str = "auto",
        min_delta: float = 1e-4,
        cooldown: int = 0,
        min_lr: float = 0.0,
    ) -> None:
        super().__init__(monitor, mode, min_delta=min_delta)
        if factor >= 1.0:
            raise ConfigError(f"ReduceLROnPlateau does not support a factor >= 1.0. Received factor={factor}")
        self.factor, self.min_lr, self.cooldown = factor, min_lr, cooldown
        self.patience, self.verbose = patience, verbose
        self.wait = self.cooldown_counter = 0

    def on_train_begin(self, logs: Logs | None = None) -> None:
        self.wait = self.cooldown_counter = 0
        self.best = None

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        if logs is not None:
            logs["learning_rate"] = self.model.optimizer.learning_rate
        current = self.monitored(logs, "Learning rate reduction is conditioned on metric")
        if current is None:
            return
        if self.in_cooldown():
            self.cooldown_counter -= 1
            self.wait = 0
        if self.is_improvement(current, self.best):
            self.best, self.wait = current, 0
        elif not self.in_cooldown():
            self.wait += 1
            if self.wait >= self.patience:
                self._reduce(epoch)

    def in_cooldown(self) -> bool:
        """Whether the rate was lowered so lately that epochs do not count yet."""
        return self.cooldown_counter > 0

    def _reduce(self, epoch: int) -> None:
        optimizer = self.model.optimizer
        if optimizer.learning_rate <= self.min_lr:
            return
        optimizer.learning_rate = max(optimizer.learning_rate * self.factor, self.min_lr)
        self.cooldown_counter, self.wait = self.cooldown, 0
        if self.verbose > 0:
            self.say(
                f"\nEpoch {epoch + 1}: ReduceLROnPlateau reducing learning rate to {optimizer.learning_rate}."
            )
