"""Atomic files: written whole and flushed to disk, and checked when read."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable
from pathlib import Path

from distrib.base.errors import StorageError
from distrib.host.disk_space import check_space

_MAX_BYTES = 64 << 20  # where no size is known
_MAX_HEADER_BYTES = 4 << 20  # of a file of arrays: 100 bytes for each array


def write_bytes(path: Path, data: bytes, confirm: Callable[[], None] = lambda: None) -> None:
    """Write a file atomically: a reader finds the old one or the new one.

    Args:
        path: its name.
        data: its contents.
        confirm: see `write_checkpoint`.

    Raises:
        StorageError: it cannot be written; the old one stays.
    """
    temporary = path.with_name(f".{path.name}.writing")  # that of a writer that was killed is replaced
    try:
        temporary.unlink(missing_ok=True)
        check_space(path.parent, len(data))
        write_file(temporary, data)
        confirm()
        temporary.rename(path)
        sync(path.parent)
    except OSError as error:
        temporary.unlink(missing_ok=True)
        raise StorageError(f"{path} cannot be written: {error}") from None


def read_file(path: Path, expected_bytes: int | None = None) -> bytes:
    """The contents of a regular file of that size: no link, no pipe, no device, nothing without an end.

    Args:
        path: its name.
        expected_bytes: its size, if it is a file of arrays whose manifest says it.

    Raises:
        OSError: it cannot be read, or is something else.
    """
    descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    with os.fdopen(descriptor, "rb") as file:
        status = os.fstat(file.fileno())
        if not stat.S_ISREG(status.st_mode):
            raise OSError("it is not a regular file")
        if expected_bytes is None and status.st_size > _MAX_BYTES:
            raise OSError(f"it is larger than {_MAX_BYTES} bytes")
        if expected_bytes is not None and status.st_size != expected_bytes:
            raise OSError(f"it was changed: expected {expected_bytes} bytes, received {status.st_size}")
        if expected_bytes is not None:
            header_bytes = int.from_bytes(file.read(8), "little")  # read first: nothing large is read in vain
            if header_bytes > min(_MAX_HEADER_BYTES, expected_bytes - 8):
                raise OSError(f"its header would have {header_bytes} bytes")
            file.seek(0)
        return file.read()


def write_file(path: Path, data: bytes) -> None:
    """Write a new file, for its user alone, down to the disk. Raises `OSError`."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())


def sync(folder: Path) -> None:
    """Write the names in a folder down to the disk. Raises `OSError`."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
