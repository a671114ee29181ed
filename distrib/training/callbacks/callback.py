"""Callback: what happens besides training.

Callbacks run on every replica, with the same logs, so a decision to stop (`self.model.stop_training = True`) is
the same everywhere. What must happen once asks `self.model.strategy.is_chief`.
"""

from __future__ import annotations

import functools
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any, ClassVar, TypeAlias

from distrib.base.arguments import HasArguments
from distrib.base.errors import StorageError
from distrib.base.logs import LOGGER

if TYPE_CHECKING:
    from distrib.training.model import Model

Logs: TypeAlias = dict[str, float]

_BEFORE_EPOCH_END = ("on_train_begin", "on_epoch_begin", "on_train_batch_begin", "on_train_batch_end")

_OLDER_NAMES = {"on_train_batch_begin": "on_batch_begin", "on_train_batch_end": "on_batch_end"}


class Callback(HasArguments):
    """Base of all callbacks: override the hooks you need.

    `logs` holds the running means of loss and metrics, over all replicas: of the epoch or evaluation so far at the
    end of a batch, of the epoch (and its validation, as `val_...`) at its end. Without anything to tell it is empty.
    A callback that has `on_test_batch_end` makes the replicas add up their sums after every batch of an evaluation;
    pass it on every replica.

    Attributes:
        model: the model that is trained.
        params: `epochs`, `steps` an epoch (None in predict), and `verbose`.
    """

    model: Model

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

    def set_model(self, model: Model) -> None:
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
        """What this callback must remember when training is interrupted, as JSON values; nothing by default.

        Called whenever `BackupAndRestore` saves; the chief's is kept.
        """
        return {}

    def set_state(self, state: dict[str, Any]) -> None:
        """Take what `get_state` returned when training goes on; called before `on_train_resume`, on every replica."""


class CallbackList:
    """Calls each hook of each callback that overrides it: an unused hook costs nothing in a step.

    Args:
        callbacks: called in this order.
        model: given to each.
        params: given to each.
    """

    def __init__(self, callbacks: Iterable[Callback], model: Model, params: dict[str, Any]) -> None:
        self._callbacks, self._model = list(callbacks), model
        self._overriding: dict[str, list[Callback]] = {}
        self._given_up: set[Callback] = set()
        self._states: dict[Callback, dict[str, Any]] = {}  # as last asked for
        for callback in self._callbacks:
            callback.set_params(params)
            callback.set_model(model)

    def states(self) -> list[list[Any]]:
        """The class and the state of every callback that has one."""
        for callback in self._callbacks:
            if callback in self._given_up:
                continue  # what was last in its files
            try:
                self._states[callback] = callback.get_state()
            except StorageError as error:
                self._give_up(callback, error)
        states = [(callback, self._states.get(callback)) for callback in self._callbacks]
        return [[type(callback).__name__, state] for callback, state in states if state]

    def resume(self, states: list[list[Any]], epoch: int, batch: int) -> None:
        """Give every callback the state of one of its class, in order, and call `on_train_resume`."""
        for callback in self._callbacks:
            found = next((each for each in states if each[0] == type(callback).__name__), None)
            if found is not None:
                callback.set_state(found[1])
                states = [each for each in states if each is not found]
        for callback in self._having("on_train_resume"):
            callback.on_train_resume(epoch, batch)

    @property
    def reads_test_batches(self) -> bool:
        """Whether a callback reads the running logs of an evaluation; the same on every replica."""
        return any(callback.reads_test_logs for callback in self._having("on_test_batch_end"))

    def call(self, hook: str, at: int | None = None, logs: Mapping[str, Any] | None = None) -> None:
        """Call a hook.

        Args:
            hook: its name, such as `"on_epoch_end"`.
            at: the batch or the epoch; None for a hook that has none.
            logs: for the hook; an empty dict by default, as in Keras.
        """
        arguments = () if at is None else (at,)
        for callback in self._having(hook):
            if callback in self._given_up:
                continue
            try:
                getattr(callback, hook)(*arguments, {} if logs is None else logs)
            except StorageError as error:
                if hook == "on_train_begin":
                    raise
                self._give_up(callback, error)

    def _give_up(self, callback: Callback, error: StorageError) -> None:
        """Do without a callback that only records. Raises `error` for others."""
        if not callback.only_records:
            raise error
        self._given_up.add(callback)
        LOGGER.warning("%s writes no more, and training goes on: %s", type(callback).__name__, error)
        self._fail(callback, error)

    def _having(self, hook: str) -> list[Callback]:
        """The callbacks that do something there."""
        having = self._overriding.get(hook)
        if having is None:
            names = (hook, _OLDER_NAMES.get(hook, hook))
            having = [each for each in self._callbacks if any(_overrides(each, name) for name in names)]
            self._overriding[hook] = having
        return having

    @functools.cached_property
    def may_stop_in_batch(self) -> bool:
        """Whether one of them may end the training before the end of an epoch; the same on every replica."""
        return any(callback.stops_in_batch for hook in _BEFORE_EPOCH_END for callback in self._having(hook))

    @property
    def stop_training(self) -> bool:
        """Whether one of them has ended the training."""
        return self._model.stop_training

    def stop(self) -> None:
        """End the training: one of them has, on some replica."""
        self._model.stop_training = True

    def fail(self, error: BaseException) -> None:
        """Call `on_train_failed` of each. What it raises is logged: the first error is the one to be seen."""
        for callback in self._callbacks:
            if callback not in self._given_up:
                self._fail(callback, error)

    def _fail(self, callback: Callback, error: BaseException) -> None:
        try:
            callback.on_train_failed(error)
        except Exception as other:
            if callback not in self._given_up:
                LOGGER.warning("%s.on_train_failed raised %r", type(callback).__name__, other)


def _overrides(callback: Callback, hook: str) -> bool:
    return hook in vars(callback) or getattr(type(callback), hook) is not getattr(Callback, hook)
