"""EarlyStopping: ends training when a monitored quantity stops improving."""

from __future__ import annotations

from distrib.base.arrays import Array
from distrib.training.callbacks.callback import Logs
from distrib.training.callbacks.monitor_callback import MonitorCallback


class EarlyStopping(MonitorCallback):
    """Stops when a quantity of the logs has not improved for `patience` epochs.

    Every replica decides for itself, from the same logs, so all decide the same. Under `ParameterServerStrategy` a
    worker restores what it had pulled at the end of the best epoch. Where workers do not wait for each other (async,
    backup workers) that may be a little newer on some; the next `fit` or `evaluate` begins with the chief's.

    Args:
        monitor: name of the quantity.
        min_delta: a change of less is no improvement.
        patience: epochs without improvement after which training stops.
        verbose: 1 to say what is done, on the chief.
        mode: `"min"`, `"max"` or `"auto"`, which asks the metric.
        baseline: stop as well if the quantity does not become better than this.
        restore_best_weights: end with the weights of the best epoch, not with the last.
        start_from_epoch: epochs before this one do not count.

    After an interruption (`BackupAndRestore`) it goes on counting; weights of a best epoch before it are not kept.
    """

    stops_in_batch = False

    remembered = ("best", "wait", "stopped_epoch", "best_epoch")

    def __init__(
        self,
        monitor: str = "val_loss",
        min_delta: float = 0,
        patience: int = 0,
        verbose: int = 0,
        mode: str = "auto",
        baseline: float | None = None,
        restore_best_weights: bool = False,
        start_from_epoch: int = 0,
    ) -> None:
        super().__init__(monitor, mode, min_delta=min_delta)
        self.patience, self.verbose, self.baseline = patience, verbose, baseline
        self.restore_best_weights, self.start_from_epoch = restore_best_weights, start_from_epoch
        self.wait = self.stopped_epoch = self.best_epoch = 0
        self.best_weights: list[Array] | None = None

    def on_train_begin(self, logs: Logs | None = None) -> None:
        self.wait = self.stopped_epoch = self.best_epoch = 0
        self.best = self.best_weights = None

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        current = self.monitored(logs, "Early stopping conditioned on metric")
        if current is None or epoch < self.start_from_epoch:
            return
        self.wait += 1
        if self.is_improvement(current, self.best):
            self.best, self.best_epoch = current, epoch
            if self.restore_best_weights:
                self.best_weights = self.model.get_weights()
            if self.baseline is None or self.is_improvement(current, self.baseline):
                self.wait = 0
        elif self.wait >= self.patience and epoch > 0:
            self.stopped_epoch = epoch
            self.model.stop_training = True

    def on_train_end(self, logs: Logs | None = None) -> None:
        if self.stopped_epoch > 0 and self.verbose > 0:
            self.say(f"Epoch {self.stopped_epoch + 1}: early stopping")
        if self.best_weights is not None:
            if self.verbose > 0:
                self.say(f"Restoring model weights from the end of the best epoch: {self.best_epoch + 1}.")
            self.model.set_weights(self.best_weights)
