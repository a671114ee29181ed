"""SidecarEvaluator: evaluates the checkpoints of a training that goes on elsewhere, and does not wait for it.

It looks for new checkpoints in a directory. Each is loaded and evaluated; the best one is kept beside them in `best`;
callbacks write summaries. What it has done is in `evaluator.json`, so one that is started again goes on. It ends when
the chief's script has ended and the last checkpoint is evaluated.

`fit` becomes this in a process that the cluster names as its evaluator.
"""

from __future__ import annotations

import json
import math
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from distrib.cluster.launched import run_name
from distrib.errors import ConfigError, PeerLostError, StorageError
from distrib.io.checkpoint import number_of, read_checkpoint, write_bytes, write_checkpoint
from distrib.logs import LOGGER
from distrib.strategies.single import DefaultStrategy
from distrib.training.arrivals import Arrivals
from distrib.training.callbacks.base import Callback
from distrib.training.callbacks.early_stopping import EarlyStopping
from distrib.training.callbacks.model_checkpoint import ModelCheckpoint, series_of
from distrib.training.callbacks.monitor import MonitorCallback
from distrib.training.callbacks.tensorboard import TensorBoard
from distrib.training.checkpoints import is_final
from distrib.training.examples import Examples, ValidationData
from distrib.training.sidecar import Sidecar

if TYPE_CHECKING:
    from distrib.training.model import Model

BEST = "best"
_DONE = "evaluator.json"
_POLL_S = 0.1


class SidecarEvaluator:
    """Evaluates every checkpoint as it comes; after Keras' class of that name.

    Args:
        model: compiled; evaluated in this process alone, whatever its strategy.
        data: `(x, y)` or `(x, y, sample_weight)`.
        checkpoint_dir: where the chief's `ModelCheckpoint` or `CheckpointManager` writes; need not exist yet.
        callbacks: called as by `evaluate`; `EarlyStopping` sees each result as that of an epoch, and ends the
            training if the chief's script has a `ModelCheckpoint` there.
        batch_size: examples computed at once; 32 by default.
        max_evaluations: how many, at most; None for no limit. Damaged ones do not count.
        every: evaluate every checkpoint, in their order; if False, those that came meanwhile are passed over but
            for the newest.
        monitor: what the best one is best in.
        mode: `"min"`, `"max"` or `"auto"`, which asks the metric.
        timeout: seconds to wait for a checkpoint; None for no end.
        checkpoint_name: the folders are `<checkpoint_name>-<number>`.
    """

    def __init__(
        self,
        model: Model,
        data: ValidationData,
        checkpoint_dir: str | Path,
        callbacks: Sequence[Callback] = (),
        batch_size: int | None = None,
        max_evaluations: int | None = None,
        every: bool = True,
        monitor: str = "val_loss",
        mode: str = "auto",
        timeout: float | None = None,
        checkpoint_name: str = "ckpt",
    ) -> None:
        self._model, self._data, self._batch_size = model, data, batch_size
        self._directory, self._name = Path(checkpoint_dir), checkpoint_name
        self._arrivals = Arrivals(self._directory, checkpoint_name, every)
        self._stoppers = [each for each in callbacks if isinstance(each, EarlyStopping)]
        self._callbacks = [each for each in callbacks if each not in self._stoppers]
        self._max_evaluations, self._timeout = max_evaluations, timeout
        self._sidecar = Sidecar(self._directory)
        self._monitor = MonitorCallback(monitor, mode)

    def start(self) -> dict[str, float]:
        """Evaluate until the run is finished.

        Returns:
            Loss and metrics of the last checkpoint; empty if there was none.

        Raises:
            StorageError: a checkpoint is of another model, or `best` cannot be written.
            ConfigError: the monitored quantity is not measured.
            PeerLostError: no checkpoint came in time.
        """
        model, results = self._model, dict[str, float]()
        model.strategy = DefaultStrategy()
        for callback in (self._monitor, *self._stoppers):
            callback.set_model(model)
        self._begin()
        self._recall()
        count = num_runs = 0
        for folder in self._folders():
            try:
                files, manifest = read_checkpoint(folder)
            except StorageError as error:
                LOGGER.warning("%s It is not evaluated.", error)
                continue
            if num_runs < self._arrivals.num_runs:
                num_runs = self._arrivals.num_runs
                self._begin()
            count += 1
            model.take(folder, files, manifest)
            results = self._evaluated()
            logs = {f"val_{name}": value for name, value in results.items()}
            words = " - ".join(f"{name}: {value:.4f}" for name, value in logs.items())
            is_best = self._is_best(logs)
            if is_best:
                write_checkpoint(self._directory / BEST, files, manifest, None)
            print(f"{folder.name}: {words}{' - best so far' if is_best else ''}", flush=True)
            self._stop_early(number_of(folder) - 1, logs)
            self._remember()
            if count == self._max_evaluations or manifest.get("final"):
                break
        return results

    def _begin(self) -> None:
        """A run begins: what is best is not known yet."""
        self._monitor.best = None
        for stopper in self._stoppers:
            stopper.on_train_begin()

    def _evaluated(self) -> dict[str, float]:
        x, y, *rest = self._data
        weight = rest[0] if rest else None
        results: Any = self._model.evaluate(
            x, y, self._batch_size, 0, weight, self._callbacks, return_dict=True
        )
        return dict(results)

    def _is_best(self, logs: dict[str, float]) -> bool:
        monitor = self._monitor
        if monitor.monitor not in logs:
            raise ConfigError(
                f"The evaluator keeps the best by {monitor.monitor!r}, which is not measured. There are: "
                f"{', '.join(logs)}."
            )
        value = logs[monitor.monitor]
        if math.isnan(value) or not monitor.is_improvement(value, monitor.best):
            return False
        monitor.best = value
        return True

    def _stop_early(self, epoch: int, logs: dict[str, float]) -> None:
        for stopper in self._stoppers:
            stopper.on_epoch_end(epoch, logs)
            if stopper.stopped_epoch and not self._sidecar.is_asked_to_stop:
                self._sidecar.ask_to_stop()

    def _folders(self) -> Iterator[Path]:
        """The checkpoints that are not done, as they come, until there will be no more."""
        since, arrivals = time.monotonic(), self._arrivals
        while True:
            is_finished = self._sidecar.is_finished  # asked first: what comes before it is seen then
            folder = arrivals.next()
            if folder is not None:
                arrivals.done = number_of(folder)
                yield folder
                since = time.monotonic()
            elif is_finished or (
                arrivals.done >= 0 and is_final(self._directory / f"{self._name}-{arrivals.done}")
            ):
                return
            elif self._timeout is not None and time.monotonic() - since > self._timeout:
                raise PeerLostError(
                    f"The evaluator waited {self._timeout:g} s for a checkpoint in {self._directory}."
                )
            else:
                time.sleep(_POLL_S)

    def _remember(self) -> None:
        state = {"run": run_name(), "done": self._arrivals.done, "best": self._monitor.best}
        write_bytes(self._directory / _DONE, json.dumps(state).encode() + b"\n")

    def _recall(self) -> None:
        """Go on where the evaluator of this run ended, if it was started again."""
        try:
            state = json.loads((self._directory / _DONE).read_text())
            if run_name() and state["run"] == run_name():
                self._arrivals.done, self._monitor.best = int(state["done"]), state["best"]
        except (OSError, ValueError, KeyError, TypeError):
            pass


def stops_by_validation(callback: Callback) -> bool:
    """Whether this callback of `fit` ends training by what the evaluator measures."""
    return isinstance(callback, EarlyStopping) and callback.monitor.startswith("val_")


def evaluator_of_fit(
    model: Model, callbacks: Sequence[Callback], validation: Examples | None, batch_size: int | None
) -> SidecarEvaluator:
    """What `fit` is in the process of the evaluator.

    Args:
        model: to be evaluated.
        callbacks: of `fit`: a `ModelCheckpoint` that says where the chief saves, and what to do with results.
        validation: of `fit`.
        batch_size: examples computed at once; 32 by default.

    Raises:
        ConfigError: there is nothing to evaluate, or nothing to evaluate it with.
    """
    series = series_of(callbacks)
    if series is None or validation is None:
        raise ConfigError(
            "The evaluator expects fit(validation_data=..., callbacks=[ModelCheckpoint('DIR/ckpt-{epoch}')]). "
            f"Received: {'no validation data' if validation is None else 'no such ModelCheckpoint'}."
        )
    weight = () if validation.weight is None else (validation.weight,)
    acting = [each for each in callbacks if isinstance(each, TensorBoard) or stops_by_validation(each)]
    monitors = [
        each
        for each in callbacks
        if isinstance(each, ModelCheckpoint | EarlyStopping) and each.monitor.startswith("val_")
    ]
    return SidecarEvaluator(
        model,
        (validation.x, validation.y, *weight),
        series[0],
        acting,
        batch_size,
        monitor=monitors[0].monitor if monitors else "val_loss",
        mode=monitors[0].mode if monitors else "auto",
        checkpoint_name=series[1],
    )
