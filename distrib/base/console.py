"""Text for people on standard output: a terminal, a notebook, a file, in an encoding that may lack characters."""

from __future__ import annotations

import os
import shutil
import sys

from distrib.base import environment
from distrib.base.logs import LOGGER

_PLAIN = str.maketrans({"━": "=", "─": "-", "│": "|"})

_given_up = False


def show(text: str, end: str = "\n") -> None:
    """Print text. What the encoding lacks is replaced; where nothing can be written, one warning says so.

    Nobody's training ends because its output cannot be shown.

    Args:
        text: what to print.
        end: what follows it.
    """
    global _given_up
    stream = sys.stdout
    if stream is None or _given_up:
        return
    encoding = getattr(stream, "encoding", None) or "utf-8"
    if not _has(text, encoding):
        text = text.translate(_PLAIN).encode(encoding, "replace").decode(encoding)
    try:
        stream.write(text + end)
        stream.flush()
    except (OSError, ValueError) as error:  # a pipe that was closed, a disk that is full
        _given_up = True
        LOGGER.warning("Standard output cannot be written (%s): progress is not shown any more.", error)
        _discard_output()


def _discard_output() -> None:
    """Discard what is buffered, or else Python would fail to write it at its end, with exit code 120."""
    try:
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, sys.stdout.fileno())
        os.close(nowhere)
    except (OSError, ValueError):
        pass  # it has no file


def _has(text: str, encoding: str) -> bool:
    try:
        text.encode(encoding)
    except (UnicodeError, LookupError):
        return False
    return True


def is_watched() -> bool:
    """Whether a person watches this process's output: on a terminal, or in a notebook.

    `DISTRIB_TTY=1` or `0` decides. Otherwise a process of an MPI job is not watched: Open MPI gives every rank
    a terminal even when mpirun writes to a file.
    """
    decided = environment.text(environment.TTY)
    if decided:
        return decided != "0"
    if environment.mpi_rank() is not None:
        return False
    return is_notebook() or (sys.stdout is not None and sys.stdout.isatty())


def is_notebook() -> bool:
    """Whether the output is a cell's of Jupyter."""
    return type(sys.stdout).__module__.startswith("ipykernel")


class MovingLine:
    """A line that is written again and again in its place, with carriage returns only."""

    def __init__(self) -> None:
        self._length = 0

    def show(self, text: str) -> None:
        """Write over what is there, as much as fits on a line."""
        if not is_notebook():
            text = text[: shutil.get_terminal_size().columns - 1]
        show(f"\r{text:<{self._length}}", end="")
        self._length = len(text)

    def clear(self) -> None:
        """Leave an empty line, with the cursor at its beginning."""
        if self._length:
            show(f"\r{'':<{self._length}}\r", end="")
            self._length = 0
