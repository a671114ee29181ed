"""EvaluatorMailbox: small files beside the checkpoints, by which chief and evaluator talk.

    finished         by the chief, when its script has ended: there will be no more checkpoints
    stop             by the evaluator: the training may end, it does not get better
    evaluator.json   by the evaluator: what it has done; `.evaluator` is locked while it lives

Each names its run, so what an earlier run has left is not taken for this one's. The launcher gives a run its name;
where there is none, a file counts if it was not there when this process began to look.
"""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from distrib.base.errors import StorageError
from distrib.base.parse_json import parse_json
from distrib.cluster.launcher_env import run_name
from distrib.host.disk_space import make_folder
from distrib.io.atomic_files import write_bytes

_FINISHED, _STOP, _DONE, _ALIVE = "finished", "stop", "evaluator.json", ".evaluator"


class Progress(NamedTuple):
    """The progress of an evaluator.

    Attributes:
        name: of the checkpoints that it evaluates.
        done: number of the last one; -1 before the first.
        best: the best value of what it monitors; None before the first.
    """

    name: str
    done: int
    best: float | None


class EvaluatorMailbox:
    """The files of one directory of checkpoints.

    Args:
        directory: where the checkpoints are; need not exist yet.
    """

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._run = run_name()
        self._found = {name: self._state(name) for name in (_FINISHED, _STOP)}

    def begin(self) -> None:
        """The chief begins: what is there is of an earlier run."""
        for name in (_FINISHED, _STOP):
            (self._directory / name).unlink(missing_ok=True)
            self._found[name] = None

    def finish(self) -> None:
        """The chief's script has ended. Raises `StorageError`."""
        if self._directory.is_dir():
            self.write(_FINISHED)

    @property
    def is_finished(self) -> bool:
        """Whether there will be no more checkpoints."""
        return self._is_new(_FINISHED)

    def ask_to_stop(self) -> None:
        """The evaluator would end the training. Raises `StorageError`."""
        self.write(_STOP)

    @property
    def is_asked_to_stop(self) -> bool:
        """Whether the evaluator would end the training."""
        return self._is_new(_STOP)

    @contextmanager
    def evaluating(self, progress: Progress, every: bool) -> Iterator[None]:
        """An evaluator lives; if it evaluates every checkpoint, none is removed before. Raises `StorageError`.

        Args:
            progress: with which it begins.
            every: whether it evaluates every one.
        """
        try:
            make_folder(self._directory)
            descriptor = os.open(self._directory / _ALIVE, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o600)
        except OSError as error:
            raise StorageError(f"The evaluator cannot write to {self._directory}: {error}") from None
        try:
            self.evaluated(progress)
            if every:
                _lock(descriptor)
            yield
        finally:
            (self._directory / _ALIVE).unlink(missing_ok=True)
            os.close(descriptor)

    def evaluated(self, progress: Progress) -> None:
        """The evaluator has done so much. Raises `StorageError`."""
        state = {"run": self._run, **progress._asdict()}
        write_bytes(self._directory / _DONE, json.dumps(state).encode() + b"\n")

    def recalled(self, name: str) -> Progress | None:
        """The progress of this run's evaluator before it was restarted; None if there is none."""
        return self._progress(name) if self._run else None

    def awaits_after(self, name: str) -> int | None:
        """An evaluator lives, and has still to evaluate the checkpoints after this number; None: there is none."""
        try:
            descriptor = os.open(self._directory / _ALIVE, os.O_RDWR | os.O_NOFOLLOW)
        except OSError:
            return None
        try:
            is_alive = not _lock(descriptor)
        finally:
            os.close(descriptor)
        progress = self._progress(name) if is_alive else None
        return None if progress is None else progress.done

    def _progress(self, name: str) -> Progress | None:
        try:
            state = parse_json((self._directory / _DONE).read_text())
            if (state["run"], state["name"]) != (self._run, name):
                return None
            return Progress(name, int(state["done"]), state["best"])
        except (OSError, ValueError, KeyError, TypeError, OverflowError):
            return None

    def write(self, name: str) -> None:
        """Leave a message of this run. Raises `StorageError`.

        Args:
            name: of its file: `"finished"` or `"stop"`.
        """
        write_bytes(self._directory / name, json.dumps({"run": self._run}).encode() + b"\n")

    def _is_new(self, name: str) -> bool:
        if not self._run:
            return self._state(name) not in (None, self._found[name])
        try:
            said = parse_json((self._directory / name).read_text())
            return isinstance(said, dict) and said.get("run") == self._run
        except (OSError, ValueError):
            return False

    def _state(self, name: str) -> tuple[int, int] | None:
        """The identity of the file of this name; None if there is none."""
        try:
            found = (self._directory / name).stat()
        except OSError:
            return None
        return found.st_ino, found.st_mtime_ns


def _lock(descriptor: int) -> bool:
    """Lock a file until it is closed; False if another process has locked it."""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:
        pass  # a file system without locks
    return True
