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
from distrib.formats.hdf5 import check_installed
from distrib.host.disk_space import make_folder
from distrib.io.atomic_files import write_bytes
from distrib.nn.network import Network
from distrib.training.checkpoints.keras_files import WEIGHTS_ENDING, is_keras_file
from distrib.training.checkpoints.model_state import MODEL_FILE, contents

ENDINGS = (".weights.safetensors", WEIGHTS_ENDING)
_MAX_BYTES = 1 << 40


def model_path(filepath: str | Path) -> Path:
    """The path that a model is saved at. Raises `ConfigError` for the name of a file of weights."""
    path = Path(filepath)
    if str(filepath).endswith(ENDINGS):
        raise ConfigError(f"save writes models. Received: {filepath}, a name of weights. Use save_weights.")
    if is_keras_file(path):
        check_installed()
    return path


def weights_path(filepath: str | Path) -> Path:
    """The path of a file of weights. Raises `ConfigError` for another ending, as Keras does."""
    if not str(filepath).endswith(ENDINGS):
        raise ConfigError(
            f"Expected a file of weights that ends in {' or '.join(ENDINGS)}. Received: {filepath}."
        )
    if str(filepath).endswith(WEIGHTS_ENDING):
        check_installed()
    return Path(filepath)


def write_weights(path: Path, network: Network, confirm: Callable[[], None]) -> None:
    """Write the values of all variables. Raises `StorageError`, and what `confirm` raises."""
    files, _ = contents({"class": "", "name": ""}, network, None, None)
    arrays = {name: np.asarray(array, order="C") for name, array in files[MODEL_FILE].items()}
    write_file(path, save(arrays), confirm)


def write_file(path: Path, content: bytes, confirm: Callable[[], None]) -> None:
    """Write a file, and its folder. Raises `StorageError`, and what `confirm` raises."""
    try:
        make_folder(path.parent)
    except OSError as error:
        raise StorageError(f"{path} cannot be written: {error}") from None
    write_bytes(path, content, confirm)


def read_weights(path: Path) -> dict[str, Array]:
    """Arrays by name. Raises `StorageError`."""
    try:
        size = os.stat(path, follow_symlinks=True)
        if not path.is_file() or size.st_size > _MAX_BYTES:
            raise OSError("it is not a regular file")
        return load(path.read_bytes())
    except (OSError, ValueError, TypeError, KeyError, MemoryError, SafetensorError) as error:
        raise StorageError(f"{path} cannot be read: {error}") from None
