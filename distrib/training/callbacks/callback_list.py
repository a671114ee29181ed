"""CallbackList: the callbacks of one call of `fit`, `evaluate` or `predict`."""

from __future__ import annotations

import functools
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, TypeAlias

from distrib.base.errors import ConfigError, StorageError
from distrib.base.logs import LOGGER
from distrib.training.callbacks.callback import Callback
from distrib.training.interface import ModelInterface

Callbacks: TypeAlias = Callback | Sequence[Callback] | None
"""The type of `fit`'s argument `callbacks`."""

_BEFORE_EPOCH_END = ("on_train_begin", "on_epoch_begin", "on_train_batch_begin", "on_train_batch_end")

_OLDER_NAMES = {"on_train_batch_begin": "on_batch_begin", "on_train_batch_end": "on_batch_end"}


def listed(callbacks: Callbacks) -> list[Callback]:
    """Callbacks as a list: none, one, or several. Raises `ConfigError` for what is no callback."""
    if callbacks is None:
        return []
    if isinstance(callbacks, Callback):
        return [callbacks]
    found = list(callbacks) if isinstance(callbacks, Iterable) else [callbacks]
    for each in found:
        if not isinstance(each, Callback):
            raise ConfigError(
                "Expected callbacks derived from distrib.callbacks.Callback, each an instance. "
                f"Received: {each!r} of type {type(each).__name__}."
            )
    return found


class CallbackList:
    """Calls each hook of each callback that overrides it: an unused hook costs nothing in a step.

    Args:
        callbacks: called in this order.
        model: given to each.
        params: given to each.

    Attributes:
        params: as given.
    """

    def __init__(self, callbacks: Iterable[Callback], model: ModelInterface, params: dict[str, Any]) -> None:
        self._callbacks, self._model, self.params = list(callbacks), model, params
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
