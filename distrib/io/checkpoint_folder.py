"""Checkpoint folders: written as one, or not at all, and checked when they are read.

A folder `<name>-<number>/` holds files of arrays (safetensors: no code in them, nothing but numbers) and
`manifest.json`: what they mean, and the size and SHA-256 of each. It is written under a temporary name, every file
and the folder are synced to the disk, and then it is renamed. So a folder of that name is always whole, also after
a crash; what was damaged later is found by its hash.

While a temporary folder is being written it is locked, and the kernel unlocks it when its writer ends. So what a
crash has left is known by being unlocked, and the next writer removes it. A folder that is removed is renamed first:
no reader finds half of it.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import re
import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load, save

from distrib.base.arrays import Array
from distrib.base.errors import StorageError
from distrib.base.logs import LOGGER
from distrib.base.names import is_name
from distrib.base.parse_json import parse_json
from distrib.host.disk_space import check_space, make_folder
from distrib.io.atomic_files import read_file, sync, write_file

FORMAT = 1
"""Version of the format, in the manifest. A newer one is refused."""

MANIFEST = "manifest.json"
_TEMPORARY = ".writing-"
_LOOKS = 100  # at a directory that changes meanwhile

_Files = dict[str, dict[str, Array]]


def write_checkpoint(
    folder: Path,
    files: Mapping[str, Mapping[str, Array]],
    manifest: Mapping[str, Any],
    max_to_keep: int | None = 2,
    confirm: Callable[[], None] = lambda: None,
) -> None:
    """Write a folder, in place of one of the same name, and remove older ones `<name>-<smaller number>`.

    Args:
        folder: where; its parent is made if it is missing.
        files: file name -> array name -> array.
        manifest: what they mean, as JSON values.
        max_to_keep: how many folders `<name>-<number>` stay, the newest; None for all.
        confirm: called when all is written, before it gets its name; what it raises is raised, and nothing is there.

    Raises:
        StorageError: it cannot be written; what was there before stays.
    """
    temporary = folder.parent / f"{_TEMPORARY}{os.getpid()}-{folder.name}"
    try:
        # safetensors writes strided arrays in a wrong order
        data = {
            name: save({key: np.asarray(array, order="C") for key, array in arrays.items()})
            for name, arrays in files.items()
        }
        hashes = {name: hashlib.sha256(each).hexdigest() for name, each in data.items()}
        sizes = {name: len(each) for name, each in data.items()}
        whole = {"format": FORMAT, **manifest, "sha256": hashes, "bytes": sizes}
        text = json.dumps(whole, indent=1)
        data[MANIFEST] = f"{text}\n{hashlib.sha256(text.encode()).hexdigest()}\n".encode()
        make_folder(folder.parent)
        _remove_leftovers(folder)
        check_space(folder.parent, sum(map(len, data.values())))
        with _locked(temporary):
            for name, each in data.items():
                write_file(temporary / name, each)
            sync(temporary)
            confirm()
            _take_place(temporary, folder)
        sync(folder.parent)
    except BaseException as error:
        shutil.rmtree(temporary, ignore_errors=True)
        if isinstance(error, OSError):
            confirm()  # the process that has replaced this one has removed what it wrote
        if isinstance(error, OSError | ValueError | TypeError | SafetensorError):
            raise StorageError(f"The checkpoint {folder} cannot be written: {error}") from None
        raise
    if max_to_keep is not None:
        for old in checkpoints(folder.parent, name_of(folder))[:-max_to_keep]:
            remove_checkpoint(old)


def read_checkpoint(folder: Path) -> tuple[_Files, dict[str, Any]]:
    """The arrays of every file, and the manifest.

    Raises:
        StorageError: it is not whole, or not what was written; or a newer version has written it.
    """
    manifest = read_manifest(folder)
    hashes, sizes = manifest.pop("sha256"), manifest.pop("bytes")
    del manifest["format"]
    files = {}
    for name, expected in hashes.items():
        path = folder / name
        try:
            data = read_file(path, sizes[name])
            if hashlib.sha256(data).hexdigest() != expected:
                raise StorageError(f"{path} was changed since it was written.")
            header_bytes = int.from_bytes(data[:8], "little")
            parse_json(data[8 : 8 + header_bytes], no_duplicates=True)
            files[name] = load(data)
        except (
            OSError,
            ValueError,
            TypeError,
            KeyError,
            MemoryError,
            SafetensorError,
        ) as error:
            raise StorageError(f"{path} cannot be read: {error}") from None
    return files, manifest


def read_manifest(folder: Path) -> dict[str, Any]:
    """The manifest, with the hash and the size of every file (`"sha256"`, `"bytes"`), which are not looked at.

    Raises:
        StorageError: it is not what was written, or a newer version has written it.
    """
    path = folder / MANIFEST
    try:
        text, _, digest = read_file(path).decode().rstrip("\n").rpartition("\n")
        if hashlib.sha256(text.encode()).hexdigest() != digest:
            raise StorageError(f"{path} was changed since it was written.")
        manifest: dict[str, Any] = parse_json(text)
        if int(manifest["format"]) > FORMAT:
            raise StorageError(
                f"{path} was written by a newer distrib. Expected: format {FORMAT}. "
                f"Received: format {manifest['format']}."
            )
        named = [*manifest["sha256"].keys(), *manifest["bytes"].keys()]
        if not all(map(is_name, named)):
            raise StorageError(f"{path} names files outside of its folder: {named}.")
    except (OSError, ValueError, TypeError, KeyError, AttributeError, OverflowError) as error:
        raise StorageError(f"{path} cannot be read: {error!r}") from None
    return manifest


def checkpoints(parent: Path, name: str) -> list[Path]:
    """The folders `<name>-<number>` with a manifest, oldest first: by number, not by the time of any clock."""
    return [folder for folder in _named(parent, name) if (folder / MANIFEST).is_file()]


def latest_whole(parent: Path, name: str) -> tuple[Path, _Files, dict[str, Any]] | None:
    """The newest folder that is not damaged, with its contents; None if there is none.

    A damaged one that is newer is named in a warning.

    Raises:
        StorageError: there are some, and all are damaged.
    """
    damaged: list[StorageError] = []
    for _ in range(_LOOKS):
        damaged, vanished = [], False
        for folder in reversed(_named(parent, name)):
            try:
                found = folder, *read_checkpoint(folder)
            except StorageError as error:
                # A reader may be overtaken by a writer, who removes what is no longer to be kept.
                vanished |= not os.path.lexists(folder)
                damaged.append(error)
                continue
            for each in damaged if not vanished else []:
                LOGGER.warning("A checkpoint is damaged, and %s is used: %s", folder, each)
            return found
        if not vanished:
            break
    if damaged:
        raise StorageError(f"All checkpoints in {parent} are damaged: {' '.join(map(str, damaged))}")
    return None


def remove_checkpoint(folder: Path) -> None:
    """Remove a folder, as one. What cannot be removed stays."""
    try:
        _remove(folder)
    except OSError as error:
        LOGGER.warning("The old checkpoint %s cannot be removed: %s", folder, error)


def name_of(folder: Path) -> str:
    """The name in `<name>-<number>`."""
    return folder.name.rpartition("-")[0]


def number_of(folder: Path) -> int:
    """The number in `<name>-<number>`."""
    return int(folder.name.rpartition("-")[2])


def unfinished(parent: Path, pid: object) -> list[Path]:
    """The folders that a process is writing, or was when it ended."""
    return list(parent.glob(f"{_TEMPORARY}{pid}-*"))


def _named(parent: Path, name: str) -> list[Path]:
    """Everything that is called `<name>-<number>`, lowest number first."""
    pattern = re.compile(rf"{re.escape(name)}-(\d+)")
    paths = parent.iterdir() if parent.is_dir() else ()
    return sorted((path for path in paths if pattern.fullmatch(path.name)), key=number_of)


def _remove(folder: Path) -> None:
    shutil.rmtree(_set_aside(folder))


def _set_aside(folder: Path) -> Path:
    aside = folder.parent / f"{_TEMPORARY}{os.getpid()}-removed-{folder.name}"
    shutil.rmtree(aside, ignore_errors=True)
    return folder.rename(aside)


def _take_place(temporary: Path, folder: Path) -> None:
    """Rename a folder that is whole; one that had the name goes, or stays if that fails."""
    if not folder.exists():
        temporary.rename(folder)
        return
    aside = _set_aside(folder)
    try:
        temporary.rename(folder)
    except OSError:
        aside.rename(folder)
        raise
    shutil.rmtree(aside, ignore_errors=True)


@contextmanager
def _locked(temporary: Path) -> Iterator[None]:
    """Make a folder, locked by this process until it has another name."""
    temporary.mkdir(0o700)
    descriptor = os.open(temporary, os.O_RDONLY)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
        except OSError as error:  # a file system without locks
            LOGGER.debug("%s is not locked: %s", temporary, error)
        yield
    finally:
        os.close(descriptor)


def _remove_leftovers(folder: Path) -> None:
    """Remove what writers of this name have left that were killed."""
    names = rf"({re.escape(folder.name)}|{re.escape(name_of(folder))}-\d+)"
    pattern = re.compile(rf"{re.escape(_TEMPORARY)}\d+-(removed-)?{names}")
    for path in folder.parent.iterdir():
        if not pattern.fullmatch(path.name):
            continue
        try:
            descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
        except OSError:
            continue  # none of ours
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            shutil.rmtree(path, ignore_errors=True)
        except OSError:
            continue  # it is being written
        finally:
            os.close(descriptor)
