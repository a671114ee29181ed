"""ModelCheckpoint: saves the model, or its weights, after epochs or batches, all or the best only."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path
from typing import Literal

from distrib.base.errors import ConfigError
from distrib.io.series_lock import SeriesLock
from distrib.training.callbacks.callback import Callback, Logs
from distrib.training.callbacks.monitor_callback import MonitorCallback
from distrib.training.checkpoints.chief_writes import claim_folder
from distrib.training.checkpoints.weights_file import model_path, weights_path

_SERIES = re.compile(r"([A-Za-z0-9_][A-Za-z0-9._-]{0,63})-\{epoch(?::0?\d*d?)?\}")

SaveFreq = int | Literal["epoch"]


class ModelCheckpoint(MonitorCallback):
    """Saves after every epoch, or after a number of batches, as Keras' callback of that name. The chief writes.

    Args:
        filepath: where; may name the epoch (from 1), the batch and logs: `"best-{epoch:02d}-{val_loss:.2f}"`. A
            folder, or a file that ends in `.keras` or `.h5`, see `Model.save`; with `save_weights_only`, a file that
            ends in `.weights.h5` or `.weights.safetensors`.
        monitor: name in the logs of what is compared.
        verbose: 1 to say what is done, on the chief.
        save_best_only: save only if it is better than ever.
        save_weights_only: save as `Model.save_weights` does.
        mode: `"min"`, `"max"` or `"auto"`, which asks the metric.
        save_freq: `"epoch"`, or a number of batches.
        initial_value_threshold: what it must be better than at first.

    Raises:
        ConfigError: an invalid argument.
        StorageError: on every replica, from `fit`: it cannot be written. What was there stays.
    """

    stops_in_batch = False

    remembered = ("best", "num_batches")

    def __init__(
        self,
        filepath: str | Path,
        monitor: str = "val_loss",
        verbose: int = 0,
        save_best_only: bool = False,
        save_weights_only: bool = False,
        mode: str = "auto",
        save_freq: SaveFreq = "epoch",
        initial_value_threshold: float | None = None,
    ) -> None:
        super().__init__(monitor, mode, initial_value_threshold)
        check_freq("ModelCheckpoint", save_freq)
        check_path = weights_path if save_weights_only else model_path
        check_path(filepath)
        self.filepath, self.verbose = str(filepath), verbose
        self.save_best_only, self.save_weights_only, self.save_freq = (
            save_best_only,
            save_weights_only,
            save_freq,
        )
        self._epoch = self.num_batches = 0
        self._series_lock: SeriesLock | None = None

    def on_train_begin(self, logs: Logs | None = None) -> None:
        # What is in braces is known later only.
        folder = next(each for each in Path(self.filepath).parents if "{" not in str(each))
        name = re.sub(r"\{[^}]*\}|[^A-Za-z0-9._-]", "", str(Path(self.filepath).relative_to(folder)))
        self._series_lock = claim_folder(self.model, folder, name[:100].strip(".-_") or "checkpoints")

    def on_train_end(self, logs: Logs | None = None) -> None:
        owner, self._series_lock = self._series_lock, None
        if owner is not None:
            owner.release()

    def on_train_failed(self, error: BaseException) -> None:
        self.on_train_end()

    def on_epoch_begin(self, epoch: int, logs: Logs | None = None) -> None:
        self._epoch = epoch

    def on_train_batch_end(self, batch: int, logs: Logs | None = None) -> None:
        self.num_batches += 1
        if self.save_freq != "epoch" and self.num_batches >= self.save_freq:
            self.num_batches = 0
            self._save({"batch": batch + 1, **(logs or {})})

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        if self.save_freq == "epoch":
            self._save(logs or {})

    def _save(self, logs: Logs) -> None:
        how, former = "", self.best
        if self.save_best_only:
            if not self._is_better(logs):
                if self.verbose > 0:
                    self.say(f"Epoch {self._epoch + 1}: {self.monitor} did not improve from {_shown(former)}")
                return
            how = f"{self.monitor} improved from {_shown(former)} to {_shown(self.best)}, "
        try:
            path = self.filepath.format(epoch=self._epoch + 1, **logs)
        except (KeyError, IndexError, ValueError) as error:
            raise ConfigError(
                f"ModelCheckpoint cannot make a path of {self.filepath!r}: {error!r}. There are: epoch, "
                f"{', '.join(logs)}."
            ) from None
        if self.verbose > 0:
            self.say(f"Epoch {self._epoch + 1}: {how}saving model to {path}")
        if self.save_weights_only:
            self.model.save_weights(path)
        else:
            self.model.save(path)

    def _is_better(self, logs: Logs) -> bool:
        value = self.monitored(logs, "Can save best model only with")
        if value is None or not self.is_improvement(value, self.best):
            return False
        self.best = value
        return True


def _shown(value: float | None) -> str:
    return "none" if value is None else f"{value:.5f}"


def series_of(callbacks: Iterable[Callback]) -> tuple[Path, str] | None:
    """Directory and name of the checkpoints `DIR/name-{epoch}` that one of the callbacks saves; None if none does."""
    for callback in callbacks:
        if isinstance(callback, ModelCheckpoint) and not callback.save_weights_only:
            path = Path(callback.filepath)
            if (match := _SERIES.fullmatch(path.name)) and "{" not in str(path.parent):
                return path.parent, match[1]
    return None


def check_freq(who: str, save_freq: object) -> None:
    """Raise `ConfigError` unless it is `"epoch"` or a positive number."""
    if save_freq == "epoch" or (isinstance(save_freq, int) and save_freq >= 1):
        return
    raise ConfigError(f'{who} expects save_freq="epoch" or a number of batches. Received: {save_freq!r}.')
