"""Loading: a model from what `save`, `CheckpointManager` or `ModelCheckpoint` has written."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from distrib.base.arguments import checked
from distrib.base.errors import ConfigError, StorageError
from distrib.base.logs import LOGGER
from distrib.formats.keras.compile import compile_from_keras
from distrib.io.checkpoint_folder import read_checkpoint
from distrib.nn import losses, metrics, optimizers
from distrib.nn.custom_objects import custom_object_scope
from distrib.training.checkpoints.keras_files import is_keras_file, read_keras_file
from distrib.training.checkpoints.model_state import MODEL_FILE, Files
from distrib.training.model import Model
from distrib.training.model_config import LayerMaker, model_class_of

_WEIGHTED = "weighted:"
_DAMAGED = (
    *(KeyError, TypeError, ValueError, AttributeError),
    *(IndexError, OverflowError, MemoryError, RecursionError),
)
"""What descriptions that are none come to."""


@checked
def load_model(
    filepath: str | Path,
    custom_objects: Mapping[str, Any] | None = None,
    compile: bool = True,
    safe_mode: bool = True,
) -> Model:
    """A model with its values; compiled, with what its optimizer knows, if it was compiled when it was saved.

    On this replica; every replica that is to train it loads it. It belongs to the strategy whose scope is open, which
    need not be the one that it was saved under.

    Args:
        filepath: a folder, or a file of Keras: `.keras`, or `.h5` of Keras 2 or 3 (needs `distrib[h5]`).
        custom_objects: classes and functions of one's own by name; see `keras.saving.register_keras_serializable`.
        compile: whether to compile it.
        safe_mode: without meaning: code in files (of `Lambda` layers) is never run.

    Returns:
        The model, built. Training goes on where it was.

    Raises:
        StorageError: the folder is damaged, or is none of a model.
        ConfigError: it has layers, a loss or metrics that are neither built in nor registered.
    """
    with custom_object_scope(custom_objects or {}):
        path = Path(filepath)
        return _from_keras(path, compile) if is_keras_file(path) else _from_folder(path, compile)


@checked
def save_model(model: Model, filepath: str | Path, overwrite: bool = True) -> None:
    """Save a model; see `Model.save`.

    Args:
        model: the model.
        filepath: a folder, or a file that ends in `.keras` or `.h5`.
        overwrite: whether to replace what is there.
    """
    model.save(filepath, overwrite)


def _from_folder(folder: Path, compile: bool) -> Model:
    """The model in a folder."""
    files, manifest = read_checkpoint(folder)
    config = manifest.get("model")
    if not isinstance(config, dict) or not _is_of_model(config):
        raise StorageError(f"{folder} is not a saved model. It has: {', '.join(manifest)}.")
    try:
        model = _made(config, files)
        if compile and manifest["compile"] is not None:
            if manifest["compile"].get("own_optimizer", True) and not _has_own_compile(model):
                _compile(model, manifest["compile"])
            else:
                LOGGER.warning(
                    "%s: call compile before you train the model, whose compile is its own.", folder
                )
        model.files.take(folder, files, manifest)
    except ConfigError as error:
        raise ConfigError(f"{folder}: {error}") from None
    except (KeyError, TypeError, ValueError, AttributeError, OverflowError, MemoryError) as error:
        raise StorageError(f"{folder} does not describe a model: {error!r}") from None
    return model


def _is_of_model(config: Mapping[str, Any]) -> bool:
    return model_class_of(config.get("config") or config) is not None


def _from_keras(path: Path, compile: bool) -> Model:
    """The model in a file of Keras."""
    found = read_keras_file(path)
    if found.config is None:
        raise StorageError(f"{path} holds weights alone. Make the model, and use load_weights.")
    try:
        model = _built(found.config, None, found.largest())
        if compile and found.training is not None:
            model.compile(**compile_from_keras(found.training))
        model.files.take_keras(found, is_training=True)
    except ConfigError as error:
        raise ConfigError(f"{path}: {error}") from None
    except _DAMAGED as error:
        raise StorageError(f"{path} does not describe a model: {error!r}") from None
    return model


def _built(config: Mapping[str, Any], seed: int | None, largest: int) -> Model:
    """The model, built. Raises `StorageError` for a variable that is larger than `largest`."""
    maker = LayerMaker(seed, max_elements=largest)
    model: Model = maker(config)
    if config.get("input_shape") is None and config["class"] == "Sequential":
        raise ConfigError("The model was saved before it was built, and has no weights.")
    try:
        if "built_for" in config:
            model.build(_batches(config["built_for"]))
        else:
            model.build((None, *config.get("input_shape", ())))
    except ConfigError as error:
        raise StorageError(str(error)) from None
    for layer in maker.layers:
        layer.max_elements = math.inf
    return model


def _batches(shapes: Any) -> Any:
    """Shapes of batches, in the structure of those of examples."""
    if isinstance(shapes, Mapping):
        return {name: (None, *each) for name, each in shapes.items()}
    if shapes and isinstance(shapes[0], list):
        return [(None, *each) for each in shapes]
    return (None, *shapes)


def _made(config: Mapping[str, Any], files: Files) -> Model:
    """The model, built. Raises `StorageError` for a variable that is larger than what the files hold."""
    largest = max((array.size for array in files.get(MODEL_FILE, {}).values()), default=0)
    # Files of versions without graphs have the layers, in a row, and no more.
    described = config.get("config") or {**config, "trainable": True}
    return _built({**described, "input_shape": config["input_shape"]}, config["seed"], largest)


def _compile(model: Model, config: Mapping[str, Any]) -> None:
    optimizer = {key: value for key, value in config["optimizer"].items() if key != "iterations"}
    several = isinstance(config["loss"], list)  # one for each output
    named = [_metrics(each) for each in (config["metrics"] if several else [config["metrics"]])]
    found = [
        None if each is None else losses.from_config(each)
        for each in (config["loss"] if several else [config["loss"]])
    ]
    model.compile(
        optimizers.from_config(optimizer),
        found if several else found[0],
        loss_weights=config.get("loss_weights"),
        metrics=[each[0] for each in named] if several else named[0][0],
        weighted_metrics=[each[1] for each in named] if several else named[0][1],
        on_nonfinite=config["on_nonfinite"],
    )


def _has_own_compile(model: Model) -> bool:
    """Whether a subclass has a `compile` of its own, whose arguments are not known."""
    return not type(model).compile.__module__.startswith("distrib.")


def _metrics(config: list[Any] | None) -> tuple[list[Any], list[Any]]:
    """The metrics of an output, without and with sample weights."""
    if config is None:
        return [], []
    named = [each if isinstance(each, str) else metrics.from_config(each) for each in config]
    boundary = named.index(_WEIGHTED)
    return named[:boundary], named[boundary + 1 :]
