"""Callback: what happens besides training.

Callbacks run on every replica, with the same logs, so a decision to stop (`self.model.stop_training = True`) is
the same everywhere. What must happen once asks `self.model.strategy.is_chief`.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, TypeAlias

from distrib.logs import LOGGER

if TYPE_CHECKING:
    from distrib.training.model import Model

Logs: TypeAlias = dict[str, float]


class Callback:
    """Base of all callbacks: override the hooks you need.

    `logs` holds the running means of loss and metrics, over all replicas: of the epoch so far at the end of a
    training batch, of the epoch (and its validation, as `val_...`) at its end. At the end of a test batch it
    is empty: sums are combined once, at the end of the evaluation.

    Attributes:
        model: the model that is trained.
        params: `epochs`, `steps` an epoch (None in predict), and `verbose`.
    """

    model: Model

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

    def on_train_end(self, logs: Logs | None = None) -> None:
        """Called once when `fit` ends, with the logs of the last epoch."""

    def on_train_failed(self, error: BaseException) -> None:
        """Called when `fit` raises `error`, in place of what would have come. Close files; do nothing collective."""

    def on_epoch_begin(self, epoch: int, logs: Logs | None = None) -> None:
        """Called before epoch `epoch`, counted from 0."""

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        """Called after epoch `epoch` and its validation."""

    def on_train_batch_begin(self, batch: int, logs: Logs | None = None) -> None:
        """Called before batch `batch` of the epoch."""

    def on_train_batch_end(self, batch: int, logs: Logs | None = None) -> None:
        """Called after batch `batch` of the epoch."""

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

    def on_predict_batch_end(self, batch: int, logs: Logs | None = None) -> None:
        """Called after a batch of `predict`."""

    def get_state(self) -> dict[str, Any]:
        """What this callback must remember when training is interrupted, as JSON values; nothing by default."""
        return {}

    def set_state(self, state: dict[str, Any]) -> None:
        """Take what `get_state` returned when training goes on; called after `on_train_begin`."""


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
        for callback in self._callbacks:
            callback.set_params(params)
            callback.set_model(model)

    def states(self) -> list[list[Any]]:
        """The class and the state of every callback that has one."""
        states = [[type(callback).__name__, callback.get_state()] for callback in self._callbacks]
        return [[name, state] for name, state in states if state]

    def set_states(self, states: list[list[Any]]) -> None:
        """Give every callback the state of one of its class, in order."""
        for callback in self._callbacks:
            found = next((each for each in states if each[0] == type(callback).__name__), None)
            if found is not None:
                callback.set_state(found[1])
                states = [each for each in states if each is not found]

    def call(self, hook: str, *args: Any) -> None:
        """Call `hook`, such as `"on_epoch_end"`."""
        overriding = self._overriding.get(hook)
        if overriding is None:
            overriding = [each for each in self._callbacks if _overrides(each, hook)]
            self._overriding[hook] = overriding
        for callback in overriding:
            getattr(callback, hook)(*args)

    @property
    def stop_training(self) -> bool:
        """Whether one of them has ended the training."""
        return self._model.stop_training

    def fail(self, error: BaseException) -> None:
        """Call `on_train_failed` of each. What it raises is logged: the first error is the one to be seen."""
        for callback in self._callbacks:
            try:
                callback.on_train_failed(error)
            except Exception as other:
                LOGGER.warning("%s.on_train_failed raised %r", type(callback).__name__, other)


def _overrides(callback: Callback, hook: str) -> bool:
    return hook in vars(callback) or getattr(type(callback), hook) is not getattr(Callback, hook)
