"""train_and_evaluate: training with checkpoints, and their evaluation, spelled out in one call for all roles."""

from __future__ import annotations

import inspect
from pathlib import Path
from typing import Any

from distrib.base.arguments import checked, unknown
from distrib.base.errors import ConfigError
from distrib.training.arguments.examples import ValidationData
from distrib.training.callbacks import History, ModelCheckpoint
from distrib.training.callbacks.callback_list import Callbacks, listed
from distrib.training.model import Model


@checked
def train_and_evaluate(
    model: Model,
    train_data: ValidationData,
    eval_data: ValidationData,
    checkpoint_dir: str | Path,
    epochs: int = 1,
    batch_size: int | None = None,
    callbacks: Callbacks = None,
    **fit_arguments: Any,
) -> History:
    """Train, save `checkpoint_dir/ckpt-1`, `ckpt-2`, ... after every epoch, and evaluate each.

    The evaluator of the cluster evaluates them while training goes on, and this does not return there. Without one
    the replicas evaluate together after each epoch. After TensorFlow's function of that name.

    Args:
        model: compiled.
        train_data: `(x, y)` or `(x, y, sample_weight)`.
        eval_data: likewise.
        checkpoint_dir: where to save; the evaluator keeps the best one in `best` there.
        epochs: the epoch to stop before.
        batch_size: examples of a step over all replicas; 32 by default.
        callbacks: called as by `fit`.
        fit_arguments: other arguments of `fit`.

    Returns:
        The logs of every epoch.

    Raises:
        DataError, ShapeError, ConfigError, ProtocolError, StorageError: see `fit`.
    """
    known = list(inspect.signature(Model.fit).parameters)[1:]
    for name, value in fit_arguments.items():
        if name not in known:
            raise ConfigError(unknown("train_and_evaluate", name, value, known))
    x, y, *weight = train_data
    if weight:
        fit_arguments["sample_weight"] = weight[0]
    saving = ModelCheckpoint(Path(checkpoint_dir) / "ckpt-{epoch}")
    return model.fit(
        x,
        y,
        batch_size,
        epochs,
        validation_data=eval_data,
        callbacks=[saving, *listed(callbacks)],
        **fit_arguments,
    )
