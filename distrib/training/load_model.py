"""Loading: a model from what `save`, `CheckpointManager` or `ModelCheckpoint` has written."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from distrib.base.arguments import checked
from distrib.base.errors import ConfigError, StorageError
from distrib.io.checkpoint_folder import read_checkpoint
from distrib.nn import losses, metrics, optimizers
from distrib.nn.layers import registry as layers
from distrib.nn.layers.core.input import InputLayer
from distrib.training.arguments.unsupported import refuse
from distrib.training.checkpoints.model_state import MODEL_FILE, Files
from distrib.training.checkpoints.weights_file import check_readable
from distrib.training.sequential import Sequential

_WEIGHTED = "weighted:"


@checked
def load_model(
    filepath: str | Path,
    custom_objects: Mapping[str, Any] | None = None,
    compile: bool = True,
    safe_mode: bool = True,
) -> Sequential:
    """A model with its values; compiled, with what its optimizer knows, if it was compiled when it was saved.

    On this replica; every replica that is to train it loads it. It belongs to the strategy whose scope is open, which
    need not be the one that it was saved under.

    Args:
        filepath: a folder.
        custom_objects: not supported: layers, losses and metrics are those that are built in.
        compile: whether to compile it.
        safe_mode: without meaning: there is no code in the files.

    Returns:
        The model, built. Training goes on where it was.

    Raises:
        StorageError: the folder is damaged, or is none of a model.
        ConfigError: it has layers, a loss or metrics that are not built in; or an argument that is not supported.
    """
    refuse("load_model", {"custom_objects": custom_objects or None}, {"custom_objects": None})
    check_readable(filepath)
    folder = Path(filepath)
    files, manifest = read_checkpoint(folder)
    config = manifest.get("model")
    if not isinstance(config, dict) or config.get("class") != "Sequential":
        raise StorageError(f"{folder} is not a saved model. It has: {', '.join(manifest)}.")
    try:
        parts: list[Any] = [
            InputLayer(config["input_shape"]),
            *(layers.from_config(each) for each in config["layers"]),
        ]
        model = Sequential(parts, name=config["name"], dtype=config["dtype"], seed=config["seed"])
        _build(model, config["input_shape"], files)
        if compile and manifest["compile"] is not None:
            _compile(model, manifest["compile"])
        model.files.take(folder, files, manifest)
    except ConfigError as error:
        raise ConfigError(f"{folder}: {error}") from None
    except (KeyError, TypeError, ValueError, AttributeError, OverflowError, MemoryError) as error:
        raise StorageError(f"{folder} does not describe a model: {error!r}") from None
    return model


def _build(model: Sequential, input_shape: Sequence[int], files: Files) -> None:
    """Make the variables. Raises `StorageError` for one that is larger than what the files hold."""
    largest = max((array.size for array in files.get(MODEL_FILE, {}).values()), default=0)
    for layer in model.layers:
        layer.max_elements = largest
    try:
        model.build((None, *input_shape))
    except ConfigError as error:
        raise StorageError(str(error)) from None
    for layer in model.layers:
        layer.max_elements = math.inf


def _compile(model: Sequential, config: Mapping[str, Any]) -> None:
    named = [each if isinstance(each, str) else metrics.from_config(each) for each in config["metrics"]]
    boundary = named.index(_WEIGHTED)
    optimizer = {key: value for key, value in config["optimizer"].items() if key != "iterations"}
    model.compile(
        optimizers.from_config(optimizer),
        losses.from_config(config["loss"]),
        metrics=named[:boundary],
        weighted_metrics=named[boundary + 1 :],
        on_nonfinite=config["on_nonfinite"],
    )
