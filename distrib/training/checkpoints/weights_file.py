"""Files of weights, and the paths of models: which names they may have, and reading and writing them."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load, save

from distrib.base.arrays import Array
from distrib.base.errors import ConfigError, StorageError
from distrib.host.disk_space import make_folder
from distrib.io.atomic_files import write_bytes
from distrib.nn.network import Network
from distrib.training.checkpoints.model_state import MODEL_FILE, contents

_ENDING = ".weights.safetensors"
_OF_KERAS = (".keras", ".h5", ".hdf5")
_MAX_BYTES = 1 << 40


def folder_path(filepath: str | Path) -> Path:
    """The folder that a model is saved in. Raises `ConfigError` for the name of a file of Keras."""
    path = Path(filepath)
    if path.suffix.lower() in _OF_KERAS:
        raise ConfigError(
            f"save writes a folder, and files of Keras ({', '.join(_OF_KERAS)}) cannot be written yet. "
            f"Received: {filepath}. Choose a name without {path.suffix}."
        )
    return path


def check_readable(filepath: str | Path) -> None:
    """Raise `StorageError` for a file of Keras."""
    path = Path(filepath)
    if path.suffix.lower() in _OF_KERAS and not path.is_dir():
        there = "" if path.exists() else " There is none of that name, either."
        raise StorageError(
            f"{filepath}: files of Keras ({', '.join(_OF_KERAS)}) cannot be read yet.{there} In Python, "
            "model.set_weights(keras_model.get_weights()) takes over the weights of a Keras model."
        )


def weights_path(filepath: str | Path) -> Path:
    """The path of a file of weights. Raises `ConfigError` for another ending, as Keras does."""
    if not str(filepath).endswith(_ENDING):
        raise ConfigError(f"Expected a file of weights that ends in {_ENDING}. Received: {filepath}.")
    return Path(filepath)


def write_weights(path: Path, network: Network, confirm: Callable[[], None]) -> None:
    """Write the values of all variables. Raises `StorageError`, and what `confirm` raises."""
    files, _ = contents({"class": "", "name": ""}, network, None, None)
    arrays = {name: np.ascontiguousarray(array) for name, array in files[MODEL_FILE].items()}
    try:
        make_folder(path.parent)
    except OSError as error:
        raise StorageError(f"{path} cannot be written: {error}") from None
    write_bytes(path, save(arrays), confirm)


def read_weights(path: Path) -> dict[str, Array]:
    """Arrays by name. Raises `StorageError`."""
    try:
        size = os.stat(path, follow_symlinks=True)
        if not path.is_file() or size.st_size > _MAX_BYTES:
            raise OSError("it is not a regular file")
        return load(path.read_bytes())
    except (OSError, ValueError, TypeError, KeyError, MemoryError, SafetensorError) as error:
        raise StorageError(f"{path} cannot be read: {error}") from None
