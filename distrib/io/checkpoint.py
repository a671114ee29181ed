"""Checkpoint folders: written as one, or not at all, and checked when they are read.

A folder `<name>-<number>/` holds files of arrays (safetensors: no code in them, nothing but numbers) and
`manifest.json`: what they mean, and the SHA-256 of each. It is written under a temporary name, every file and the
folder are synced to the disk, and then it is renamed. So whoever finds the name finds the whole, also after a crash;
what was damaged later is found by its hash.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load, save

from distrib.arrays import Array
from distrib.errors import StorageError

_MANIFEST = "manifest.json"
_TEMPORARY = ".writing-"


def write_checkpoint(
    folder: Path, files: Mapping[str, Mapping[str, Array]], manifest: Mapping[str, Any], max_to_keep: int = 2
) -> None:
    """Write a folder, and remove older ones of its name.

    Args:
        folder: `parent/<name>-<number>`; the parent is made if it is missing.
        files: file name -> array name -> array.
        manifest: what they mean, as JSON values.
        max_to_keep: how many folders of this name stay, the newest.

    Raises:
        StorageError: it cannot be written; nothing of that name is there then.
    """
    temporary = folder.parent / f"{_TEMPORARY}{os.getpid()}-{folder.name}"
    try:
        temporary.mkdir(parents=True)
        hashes = {}
        for name, arrays in files.items():
            # safetensors writes strided arrays in a wrong order
            data = save({key: np.ascontiguousarray(array) for key, array in arrays.items()})
            hashes[name] = hashlib.sha256(data).hexdigest()
            _write(temporary / name, data)
        text = json.dumps({**manifest, "sha256": hashes}, indent=1)
        digest = hashlib.sha256(text.encode()).hexdigest()
        _write(temporary / _MANIFEST, f"{text}\n{digest}\n".encode())
        _sync(temporary)
        if folder.exists():
            shutil.rmtree(folder)
        temporary.rename(folder)
        _sync(folder.parent)
    except (OSError, SafetensorError) as error:
        shutil.rmtree(temporary, ignore_errors=True)
        raise StorageError(f"The checkpoint {folder} cannot be written: {error}") from None
    for old in checkpoints(folder.parent, _name(folder))[:-max_to_keep]:
        shutil.rmtree(old, ignore_errors=True)


def read_checkpoint(folder: Path) -> tuple[dict[str, dict[str, Array]], dict[str, Any]]:
    """The arrays of every file, and the manifest.

    Raises:
        StorageError: it is not whole, or not what was written.
    """
    try:
        text, _, digest = (folder / _MANIFEST).read_text().rstrip("\n").rpartition("\n")
        if hashlib.sha256(text.encode()).hexdigest() != digest:
            raise StorageError(f"{folder / _MANIFEST} was changed since it was written.")
        manifest = json.loads(text)
        files = {}
        for name, expected in manifest.pop("sha256").items():
            data = (folder / name).read_bytes()
            if hashlib.sha256(data).hexdigest() != expected:
                raise StorageError(f"{folder / name} was changed since it was written.")
            files[name] = load(data)
    except (OSError, ValueError, KeyError, AttributeError, SafetensorError) as error:
        raise StorageError(f"The checkpoint {folder} cannot be read: {error}") from None
    return files, manifest


def checkpoints(parent: Path, name: str) -> list[Path]:
    """The whole folders `<name>-<number>`, oldest first."""
    pattern = re.compile(rf"{re.escape(name)}-(\d+)")
    found = []
    if parent.is_dir():
        for path in parent.iterdir():
            match = pattern.fullmatch(path.name)
            if match and (path / _MANIFEST).is_file():
                found.append((int(match[1]), path))
    return [path for _, path in sorted(found)]


def latest_whole(parent: Path, name: str) -> tuple[Path, dict[str, dict[str, Array]], dict[str, Any]] | None:
    """The newest folder that is not damaged, with its contents; None if there is none.

    Raises:
        StorageError: there are some, and all are damaged.
    """
    error: StorageError | None = None
    for folder in reversed(checkpoints(parent, name)):
        try:
            return folder, *read_checkpoint(folder)
        except StorageError as damaged:
            error = error or damaged
    if error is not None:
        raise error
    return None


def _name(folder: Path) -> str:
    return folder.name.rpartition("-")[0]


def _write(path: Path, data: bytes) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())


def _sync(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
