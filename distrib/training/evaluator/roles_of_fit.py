"""The roles of `fit` in a cluster with an evaluator: what the evaluator does, and what the others leave to it.

The evaluator has the validation, and what acts on it. Those who train do not wait for it, so their logs have no
`val_...`. A callback that needs one there is refused or named, with what to do instead.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from distrib.base.errors import ConfigError
from distrib.base.logs import LOGGER
from distrib.training.arguments.batched_data import BatchedData
from distrib.training.arguments.examples import Examples
from distrib.training.callbacks.callback import Callback
from distrib.training.callbacks.early_stopping import EarlyStopping
from distrib.training.callbacks.model_checkpoint import ModelCheckpoint, series_of
from distrib.training.callbacks.reduce_lr_on_plateau import ReduceLROnPlateau
from distrib.training.callbacks.tensorboard import TensorBoard
from distrib.training.evaluator.sidecar_evaluator import BEST, SidecarEvaluator
from distrib.training.interface import ModelInterface


def evaluator_of_fit(
    model: ModelInterface,
    callbacks: Sequence[Callback],
    validation: Examples | BatchedData | None,
    batch_size: int | None,
) -> SidecarEvaluator:
    """Make the evaluator that `fit` is in the evaluator's process.

    Args:
        model: to be evaluated.
        callbacks: of `fit`: a `ModelCheckpoint` that says where the chief saves, and what to do with results.
        validation: of `fit`.
        batch_size: examples computed at once; 32 by default.

    Raises:
        ConfigError: there is nothing to evaluate, or nothing to evaluate it with; or the chief would save nothing.
    """
    series = series_of(callbacks)
    if series is None or validation is None:
        raise ConfigError(
            "The evaluator expects fit(validation_data=..., callbacks=[ModelCheckpoint('DIR/ckpt-{epoch}')]). "
            f"Received: {'no validation data' if validation is None else 'no such ModelCheckpoint'}."
        )
    if isinstance(validation, BatchedData):
        raise ConfigError(
            "The evaluator expects validation_data as arrays, (x, y). Received: data in batches."
        )
    _check_checkpoints(callbacks, series[0])
    weight = () if validation.weight is None else (validation.weight,)
    acting = [each for each in callbacks if isinstance(each, TensorBoard) or _stops_by_validation(each)]
    monitors = [
        each
        for each in callbacks
        if isinstance(each, ModelCheckpoint | EarlyStopping) and each.monitor.startswith("val_")
    ]
    return SidecarEvaluator(
        model,
        (validation.x, validation.y, *weight),
        series[0],
        callbacks=acting,
        batch_size=batch_size,
        monitor=monitors[0].monitor if monitors else "val_loss",
        mode=monitors[0].mode if monitors else "auto",
        checkpoint_name=series[1],
    )


def callbacks_beside_evaluator(
    callbacks: Sequence[Callback], directory: Path, is_chief: bool
) -> list[Callback]:
    """The callbacks of `fit` that those who train call. What has no effect there is named in a warning.

    Args:
        callbacks: of `fit`.
        directory: where the chief saves.
        is_chief: whether to warn.

    Raises:
        ConfigError: a `ModelCheckpoint` that would save nothing.
    """
    _check_checkpoints(callbacks, directory)
    kept = []
    for callback in callbacks:
        if _stops_by_validation(callback):
            if is_chief and isinstance(callback, EarlyStopping) and callback.restore_best_weights:
                LOGGER.warning(
                    "EarlyStopping(monitor=%r, restore_best_weights=True): the evaluator ends the training, and the "
                    "weights stay those of the last epoch. The best ones are in %s: load_model reads them.",
                    callback.monitor,
                    directory / BEST,
                )
        elif isinstance(callback, ReduceLROnPlateau) and callback.monitor.startswith("val_"):
            if is_chief:
                LOGGER.warning(
                    "ReduceLROnPlateau(monitor=%r) has no effect: the evaluator measures it, and the training does "
                    "not wait for that. Monitor %r, or take the evaluator out of the cluster.",
                    callback.monitor,
                    callback.monitor.removeprefix("val_"),
                )
        else:
            kept.append(callback)
    return kept


def _stops_by_validation(callback: Callback) -> bool:
    """Whether this callback ends training by what the evaluator measures."""
    return isinstance(callback, EarlyStopping) and callback.monitor.startswith("val_")


def _check_checkpoints(callbacks: Sequence[Callback], directory: Path) -> None:
    for callback in callbacks:
        if not isinstance(callback, ModelCheckpoint):
            continue
        by_validation = callback.save_best_only and callback.monitor.startswith("val_")
        if by_validation or "{val_" in callback.filepath:
            raise ConfigError(
                f"ModelCheckpoint({callback.filepath!r}, monitor={callback.monitor!r}, "
                f"save_best_only={callback.save_best_only}) needs what the evaluator of the cluster measures, so the "
                "chief would never save. Expected: ModelCheckpoint('DIR/ckpt-{epoch}') without save_best_only. The "
                f"evaluator keeps the best one in {directory / BEST}."
            )
