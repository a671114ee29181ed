"""SidecarEvaluator: evaluates the checkpoints of a training that runs elsewhere, and does not wait for it.

It looks for new checkpoints in a directory. Each is loaded and evaluated; the best one is kept beside them in `best`;
callbacks write summaries. What it has done is in `evaluator.json`, so one that is started again goes on. It ends when
the chief's script has ended and the last checkpoint is evaluated.

`fit` becomes this in a process that the cluster names as its evaluator (`beside_evaluator.py`).
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from distrib.base.arguments import HasArguments
from distrib.base.console import show
from distrib.base.errors import ConfigError, PeerLostError, StorageError
from distrib.base.logs import LOGGER
from distrib.io.checkpoint_folder import number_of, read_checkpoint, write_checkpoint
from distrib.strategies.default import DefaultStrategy
from distrib.training.arguments.examples import ValidationData
from distrib.training.callbacks.callback_list import Callbacks, listed
from distrib.training.callbacks.early_stopping import EarlyStopping
from distrib.training.callbacks.monitor_callback import MonitorCallback
from distrib.training.callbacks.tensorboard import TensorBoard
from distrib.training.checkpoints.evaluator_mailbox import EvaluatorMailbox, Progress
from distrib.training.checkpoints.manager import is_final
from distrib.training.checkpoints.watcher import CheckpointWatcher
from distrib.training.interface import ModelInterface

BEST = "best"
_POLL_S = 0.1


class SidecarEvaluator(HasArguments):
    """Evaluates every checkpoint as it comes; after Keras' class of that name.

    Args:
        model: compiled; evaluated in this process alone, whatever its strategy.
        data: `(x, y)` or `(x, y, sample_weight)`.
        checkpoint_dir: where the chief's `ModelCheckpoint` or `CheckpointManager` writes; need not exist yet.
        steps: number of batches, from the first; all by default.
        max_evaluations: how many, at most; None for no limit. Damaged ones do not count.
        callbacks: called as by `evaluate`; `EarlyStopping` sees each result as that of an epoch, and ends the
            training if the chief's script has a `ModelCheckpoint` there.
        batch_size: examples computed at once; 32 by default.
        every: evaluate every checkpoint, in their order; if False, those that came meanwhile are passed over but
            for the newest.
        monitor: what the best one is best in.
        mode: `"min"`, `"max"` or `"auto"`, which asks the metric.
        timeout: seconds to wait for a checkpoint; None for no end.
        checkpoint_name: the folders are `<checkpoint_name>-<number>`.
    """

    def __init__(
        self,
        model: ModelInterface,
        data: ValidationData,
        checkpoint_dir: str | Path,
        steps: int | None = None,
        max_evaluations: int | None = None,
        callbacks: Callbacks = None,
        *,
        batch_size: int | None = None,
        every: bool = True,
        monitor: str = "val_loss",
        mode: str = "auto",
        timeout: float | None = None,
        checkpoint_name: str = "ckpt",
    ) -> None:
        self._model, self._data, self._batch_size, self._steps = model, data, batch_size, steps
        callbacks = listed(callbacks)
        self._directory, self._name = Path(checkpoint_dir), checkpoint_name
        self._watcher = CheckpointWatcher(self._directory, checkpoint_name, every)
        self._stoppers = [each for each in callbacks if isinstance(each, EarlyStopping)]
        self._callbacks = [each for each in callbacks if each not in self._stoppers]
        self._max_evaluations, self._every, self._timeout = max_evaluations, every, timeout
        self._mailbox = EvaluatorMailbox(self._directory)
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
        model = self._model
        model.strategy = DefaultStrategy()
        for callback in (self._monitor, *self._stoppers):
            callback.set_model(model)
        self._begin()
        boards = [each for each in self._callbacks if isinstance(each, TensorBoard)]
        with ExitStack() as held:
            held.enter_context(self._mailbox.evaluating(self._progress(), self._every))
            for board in boards:
                held.enter_context(board.held_open())
            return self._evaluate_all(boards)

    def _evaluate_all(self, boards: Sequence[TensorBoard]) -> dict[str, float]:
        model, results = self._model, dict[str, float]()
        count = num_runs = 0
        for folder in self._folders():
            try:
                files, manifest = read_checkpoint(folder)
            except StorageError as error:
                LOGGER.warning("%s It is not evaluated.", error)
                continue
            if num_runs < self._watcher.num_runs:
                num_runs = self._watcher.num_runs
                self._begin()
            count += 1
            model.files.take(folder, files, manifest)
            results = self._evaluated()
            logs = {f"val_{name}": value for name, value in results.items()}
            message = " - ".join(f"{name}: {value:.4f}" for name, value in logs.items())
            is_best = self._is_best(logs)
            if is_best:
                write_checkpoint(self._directory / BEST, files, manifest, None)
            show(f"{folder.name}: {message}{' - best so far' if is_best else ''}")
            for board in boards:
                board.write_validation(number_of(folder) - 1, logs)
            self._stop_early(number_of(folder) - 1, logs)
            self._mailbox.evaluated(self._progress())
            if count == self._max_evaluations or manifest.get("final"):
                break
        return results

    def _begin(self) -> None:
        """A run begins: what is best is not known yet."""
        self._monitor.best = None
        for stopper in self._stoppers:
            stopper.on_train_begin()
        former = self._mailbox.recalled(self._name)
        if former is not None and not self._watcher.num_runs:  # the evaluator of this run was started again
            self._watcher.done, self._monitor.best = former.done, former.best

    def _evaluated(self) -> dict[str, float]:
        x, y, *rest = self._data
        weight = rest[0] if rest else None
        results: Any = self._model.evaluate(
            x, y, self._batch_size, 0, weight, self._steps, self._callbacks, return_dict=True
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
        if not monitor.is_improvement(value, monitor.best):
            return False
        monitor.best = value
        return True

    def _stop_early(self, epoch: int, logs: dict[str, float]) -> None:
        for stopper in self._stoppers:
            stopper.on_epoch_end(epoch, logs)
            if stopper.stopped_epoch and not self._mailbox.is_asked_to_stop:
                self._mailbox.ask_to_stop()

    def _folders(self) -> Iterator[Path]:
        """The checkpoints that are not done, as they come, until there will be no more."""
        since, watcher = time.monotonic(), self._watcher
        while True:
            is_finished = self._mailbox.is_finished  # asked first: what comes before it is seen then
            folder = watcher.next()
            if folder is not None:
                watcher.done = number_of(folder)
                yield folder
                since = time.monotonic()
            elif is_finished or (
                watcher.done >= 0 and is_final(self._directory / f"{self._name}-{watcher.done}")
            ):
                return
            elif self._timeout is not None and time.monotonic() - since > self._timeout:
                raise PeerLostError(
                    f"The evaluator waited {self._timeout:g} s for a checkpoint in {self._directory}."
                )
            else:
                time.sleep(_POLL_S)

    def _progress(self) -> Progress:
        return Progress(self._name, self._watcher.done, self._monitor.best)
