"""Checks whether a folder can be written, and has space, before anything is lost."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

from distrib.base.errors import StorageError

_MARGIN_BYTES = 64 << 10  # what a folder takes besides its files
_PROBE_BYTES = 4096


def make_folder(folder: Path) -> None:
    """Make a folder, and those above it that are missing, for their user alone. Raises `OSError`."""
    if not folder.is_dir():
        make_folder(folder.parent)
        folder.mkdir(mode=0o700, exist_ok=True)


def check_writable(folder: Path, num_bytes: int = 0) -> None:
    """Make a folder, and write to it what leaves no trace.

    Args:
        folder: made if it is missing.
        num_bytes: how many it will have to take at least.

    Raises:
        StorageError: it cannot be made or written to, or there is not so much space.
    """
    try:
        make_folder(folder)
        check_space(folder, num_bytes)
        with tempfile.TemporaryFile(dir=folder) as file:
            file.write(bytes(_PROBE_BYTES))
    except OSError as error:
        raise StorageError(
            f"{folder} cannot be written to: {error.strerror or error} Mount it writable, or choose another folder."
        ) from None


def check_space(folder: Path, num_bytes: int) -> None:
    """Raise `OSError` if there is not so much space."""
    free = shutil.disk_usage(folder).free
    if num_bytes + _MARGIN_BYTES > free:
        raise OSError(
            f"it needs {num_bytes} bytes, and {free} are free. Free some, or keep fewer checkpoints."
        )
