"""FitPlan: the arguments of one call of `fit`, checked and completed. Nothing collective happens here."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from distrib.base.errors import ConfigError
from distrib.cluster.resolve import resolve
from distrib.strategies.update.feed import AnySchedule, Data
from distrib.training.arguments.batched_data import DEFAULT_BATCH_SIZE, BatchedData, batched
from distrib.training.arguments.data_structure import DataStructure
from distrib.training.arguments.examples import Examples, ValidationData
from distrib.training.arguments.unsupported import arrays_only, at_least
from distrib.training.callbacks import BackupAndRestore, Callback, History
from distrib.training.callbacks.callback_list import CallbackList
from distrib.training.callbacks.model_checkpoint import series_of
from distrib.training.evaluator.chief_link import ChiefLink
from distrib.training.evaluator.roles_of_fit import callbacks_beside_evaluator
from distrib.training.interface import ModelInterface, Verbose


class FitPlan(NamedTuple):
    """What one call of `fit` does.

    Attributes:
        data: the examples to train on.
        validation: those to test on after an epoch; None for none.
        callbacks: of the script.
        series: folder and name of the checkpoints that a callback saves; None for none.
        batch_size: examples of a step over all replicas.
        test_size: examples of a batch of the validation.
        epochs: the epoch to begin with, and the one to stop before.
        steps_per_epoch: steps of an epoch; None for one pass over the data.
        shuffle: draw a new order for every pass over the data.
        verbose: what to show.
    """

    data: Examples | BatchedData
    validation: Examples | BatchedData | None
    callbacks: Sequence[Callback]
    series: tuple[Path, str] | None
    batch_size: int
    test_size: int
    epochs: tuple[int, int]
    steps_per_epoch: int | None
    shuffle: bool
    verbose: Verbose

    @classmethod
    def of(
        cls,
        data: Examples | BatchedData,
        callbacks: Sequence[Callback],
        *,
        structure: DataStructure,
        batch_size: int | None,
        epochs: tuple[int, int],
        verbose: Verbose,
        validation_split: float,
        validation_data: ValidationData | None,
        shuffle: bool,
        steps_per_epoch: int | None,
        validation_steps: int | None,
        validation_batch_size: int | None,
        validation_freq: int,
    ) -> FitPlan:
        """The plan for these arguments of `fit`.

        Raises:
            ConfigError: an invalid argument.
            DataError: validation data that cannot be tested on.
        """
        at_least(1, batch_size=batch_size, validation_batch_size=validation_batch_size)
        at_least(1, steps_per_epoch=steps_per_epoch, validation_steps=validation_steps)
        at_least(1, validation_freq=validation_freq)
        at_least(0, epochs=epochs[1], initial_epoch=epochs[0])
        check_verbose("fit", verbose)
        validation: Examples | BatchedData | None = None
        if validation_data is not None:
            validation = batched("validation_data", validation_data, None, None, None)
        if validation_data is not None and validation is None:
            x, y, *weight = _checked_validation(validation_data)
            validation = Examples(x, y, weight[0] if weight else None, structure)
        if validation is None and validation_split:
            data, validation = data.split(validation_split)
        test_size = size_of(batch_size if validation_batch_size is None else validation_batch_size)
        if validation is not None:
            validation = validation.first(validation_steps, test_size, "validation_steps")
        series = series_of(callbacks)
        size = size_of(batch_size)
        return cls(
            data, validation, callbacks, series, size, test_size, epochs, steps_per_epoch, shuffle, verbose
        )

    def beside_evaluator(self, is_chief: bool) -> FitPlan:
        """The plan where the cluster has an evaluator, which has the validation and what acts on it.

        Args:
            is_chief: whether to warn of callbacks that have no effect there.
        """
        if self.series is None or "evaluator" not in resolve().cluster.jobs:
            return self
        kept = callbacks_beside_evaluator(self.callbacks, self.series[0], is_chief)
        return self._replace(validation=None, callbacks=kept)

    def schedule(self, seed: int) -> AnySchedule:
        """Which examples make up which batch."""
        return self.data.schedule(self.batch_size, self.steps_per_epoch, self.shuffle, seed)

    def describe(self, schedule: AnySchedule, tests: tuple[Data, AnySchedule] | None) -> dict[str, Any]:
        """What all replicas must be about to do, as JSON values."""
        description = {
            "epochs": list(self.epochs),
            "callbacks": [type(callback).__name__ for callback in self.callbacks],
            "data": self.data.describe(),
            **schedule.describe(),
        }
        if self.validation is not None and tests is not None:
            description["validation"] = self.validation.describe() | tests[1].describe()
        return description

    def call_list(
        self, model: ModelInterface, schedule: AnySchedule, progress: Sequence[Callback], history: History
    ) -> CallbackList:
        """All callbacks in the order in which they are called.

        Args:
            model: what is trained.
            schedule: of the training.
            progress: what shows it.
            history: takes the logs, with what callbacks add to them.
        """
        # What remembers the others, for an interruption, comes last.
        backups = [each for each in self.callbacks if isinstance(each, BackupAndRestore)]
        others = [each for each in self.callbacks if each not in backups]
        is_watched = self.series is not None and model.strategy.is_chief
        links = [ChiefLink(self.series[0])] if is_watched and self.series is not None else []
        params = {"epochs": self.epochs[1], "steps": schedule.steps_per_epoch, "verbose": self.verbose}
        return CallbackList([*others, *links, *progress, history, *backups], model, params)


def size_of(batch_size: int | None) -> int:
    """The batch size that was given, or Keras' default, 32."""
    return DEFAULT_BATCH_SIZE if batch_size is None else batch_size


def check_verbose(call: str, verbose: object) -> None:
    """Raise `ConfigError` for a `verbose` that Keras does not know."""
    if verbose not in ("auto", 0, 1, 2):
        raise ConfigError(f'{call} expects verbose "auto", 0, 1 or 2. Received: {verbose!r}.')


def _checked_validation(data: Any) -> Any:
    """`validation_data`, if it is two or three arrays."""
    if isinstance(data, list | tuple) and len(data) in (2, 3):
        arrays_only("validation_data", data[0], data[1])
        return data
    raise ConfigError(
        "fit expects validation_data as (x, y) or (x, y, sample_weight). "
        f"Received: {type(data).__name__}{f' of {len(data)}' if isinstance(data, list | tuple) else ''}."
    )
