"""Callback: what happens besides training.

Callbacks run on every replica, with the same logs, so a decision to stop (`self.model.stop_training = True`) is
the same everywhere. What must happen once asks `self.model.strategy.is_chief`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, TypeAlias

from distrib.base.arguments import HasArguments
from distrib.training.interface import ModelInterface

Logs: TypeAlias = dict[str, float]


class Callback(HasArguments):
    """Base of all callbacks: override the hooks you need.

    `logs` holds the running means of loss and metrics, over all replicas: of the epoch or evaluation so far at the
    end of a batch, of the epoch (and its validation, as `val_...`) at its end. It is empty if there is nothing to
    report. A callback that has `on_test_batch_end` makes the replicas add up their sums after every batch of an
    evaluation; pass it on every replica.

    Attributes:
        model: the model that is trained.
        params: `epochs`, `steps` an epoch (None in predict), and `verbose`.
    """

    model: ModelInterface

    stops_in_batch: ClassVar[bool] = True
    """Whether it may set `model.stop_training` before the end of an epoch. Then replicas ask each other after every
    batch whether to stop."""

    reads_test_logs: ClassVar[bool] = True
    """Whether `on_test_batch_end` reads its logs. Where it does not they may be empty."""

    only_records: ClassVar[bool] = False
    """Whether training goes on when it can no longer write, as on a full disk: a warning says so, and it is called
    no more. A `StorageError` of `on_train_begin` ends `fit` before the first step all the same."""

    def __init__(self) -> None:
        self.params: dict[str, Any] = {}

    def set_params(self, params: dict[str, Any]) -> None:
        """Called before the first hook."""
        self.params = params

    def set_model(self, model: ModelInterface) -> None:
        """Called before the first hook."""
        self.model = model

    def on_train_begin(self, logs: Logs | None = None) -> None:
        """Called once when `fit` begins."""

    def on_train_resume(self, epoch: int, batch: int) -> None:
        """Called after `on_train_begin` when `fit` goes on after an interruption (`BackupAndRestore`).

        Args:
            epoch: the epoch that comes next or goes on, from 0.
            batch: its first batch that is still to be trained; 0 for all of the epoch.
        """

    def on_train_end(self, logs: Logs | None = None) -> None:
        """Called once when `fit` ends, with the logs of the last epoch."""

    def on_train_failed(self, error: BaseException) -> None:
        """Called when `fit` raises `error`, in place of what would have come. Close files; do nothing collective."""

    def on_epoch_begin(self, epoch: int, logs: Logs | None = None) -> None:
        """Called before epoch `epoch`, counted from 0."""

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        """Called after epoch `epoch` and its validation."""

    def on_batch_begin(self, batch: int, logs: Logs | None = None) -> None:
        """An older name of `on_train_batch_begin`."""

    def on_batch_end(self, batch: int, logs: Logs | None = None) -> None:
        """An older name of `on_train_batch_end`."""

    def on_train_batch_begin(self, batch: int, logs: Logs | None = None) -> None:
        """Called before batch `batch` of the epoch. By default it calls `on_batch_begin`."""
        self.on_batch_begin(batch, logs=logs)

    def on_train_batch_end(self, batch: int, logs: Logs | None = None) -> None:
        """Called after batch `batch` of the epoch. By default it calls `on_batch_end`."""
        self.on_batch_end(batch, logs=logs)

    def on_test_begin(self, logs: Logs | None = None) -> None:
        """Called when an evaluation begins, also in `fit`."""

    def on_test_end(self, logs: Logs | None = None) -> None:
        """Called when an evaluation ends."""

    def on_test_batch_begin(self, batch: int, logs: Logs | None = None) -> None:
        """Called before a batch of an evaluation."""

    def on_test_batch_end(self, batch: int, logs: Logs | None = None) -> None:
        """Called after a batch of an evaluation."""

    def on_predict_begin(self, logs: Logs | None = None) -> None:
        """Called when `predict` begins."""

    def on_predict_end(self, logs: Logs | None = None) -> None:
        """Called when `predict` ends."""

    def on_predict_batch_begin(self, batch: int, logs: Logs | None = None) -> None:
        """Called before a batch of `predict`."""

    def on_predict_batch_end(self, batch: int, logs: Mapping[str, Any] | None = None) -> None:
        """Called after a batch of `predict`; `logs["outputs"]` are the batch's, `(batch, *output_shape)`."""

    def get_state(self) -> dict[str, Any]:
        """The state to keep when training is interrupted, as JSON values; none by default.

        Called whenever `BackupAndRestore` saves; the chief's is kept.
        """
        return {}

    def set_state(self, state: dict[str, Any]) -> None:
        """Take what `get_state` returned when training goes on; called before `on_train_resume`, on every replica."""
