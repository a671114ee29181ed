"""`.keras`: a zip archive of a model's configuration and the tree of its weights, as Keras 3 writes it.

Sizes are looked up before anything is read, and what is read is no more than they say.
"""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Mapping
from typing import Any, NamedTuple

from distrib.base.errors import StorageError
from distrib.base.parse_json import parse_json
from distrib.formats.hdf5 import Group, read_hdf5, write_hdf5

KERAS_VERSION = "3.15.1"
"""The version whose layouts these are."""

_CONFIG, _METADATA, _WEIGHTS = "config.json", "metadata.json", "model.weights.h5"
_MAX_CONFIG_BYTES = 64 << 20
_MAX_MEMBERS = 1000


class Archive(NamedTuple):
    """What an archive holds.

    Attributes:
        config: of the model, as Keras writes it, with `compile_config`.
        weights: the tree of the weights.
    """

    config: dict[str, Any]
    weights: Group


def write_archive(config: Mapping[str, Any], weights: Group) -> bytes:
    """The content of a `.keras` file. Raises `ConfigError` where h5py is not installed."""
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as archive:
        archive.writestr(_METADATA, json.dumps({"keras_version": KERAS_VERSION}))
        archive.writestr(_CONFIG, json.dumps(config))
        archive.writestr(_WEIGHTS, write_hdf5(weights))
    return content.getvalue()


def read_archive(content: bytes, name: str) -> Archive:
    """What a `.keras` file holds.

    Args:
        content: of the file.
        name: of the file, for errors.

    Raises:
        StorageError: it is damaged, or no such file.
        ConfigError: h5py is not installed.
    """
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            if len(archive.infolist()) > _MAX_MEMBERS:
                raise StorageError(f"{name} has more than {_MAX_MEMBERS} members.")
            text = _member(archive, _CONFIG, _MAX_CONFIG_BYTES)
            # An array is hardly compressible: what unfolds to much more is no file of Keras.
            weights = _member(archive, _WEIGHTS, 16 * len(content) + _MAX_CONFIG_BYTES)
        config = parse_json(text.decode(), finite=False)
    except (
        zipfile.BadZipFile,
        KeyError,
        ValueError,
        OSError,
        EOFError,
        NotImplementedError,
        RuntimeError,
    ) as error:
        raise StorageError(f"{name} is damaged, or no .keras file: {error}") from None
    if not isinstance(config, dict):
        raise StorageError(f"{name}: {_CONFIG} does not describe a model.")
    return Archive(config, read_hdf5(weights, f"{name} ({_WEIGHTS})"))


def _member(archive: zipfile.ZipFile, name: str, most: int) -> bytes:
    info = archive.getinfo(name)
    if info.file_size > most:
        raise ValueError(f"{name} is larger than {most} bytes")
    with archive.open(info) as file:
        content = file.read(most + 1)
    if len(content) != info.file_size:
        raise ValueError(f"{name} has {len(content)} bytes, and not {info.file_size}")
    return content
