"""Sidecar: what the chief and the evaluator tell each other, as small files beside the checkpoints.

    finished    by the chief, when its script has ended: there will be no more checkpoints
    stop        by the evaluator: the training may end, it does not get better

Each names its run, so what an earlier run has left is not taken for this one's. The launcher gives a run its name;
where there is none, a file counts if it was not there when this process began to look.
"""

from __future__ import annotations

import json
from pathlib import Path

from distrib.cluster.launched import run_name
from distrib.io.checkpoint import write_bytes

_FINISHED, _STOP = "finished", "stop"


class Sidecar:
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
            self._write(_FINISHED)

    @property
    def is_finished(self) -> bool:
        """Whether there will be no more checkpoints."""
        return self._is_new(_FINISHED)

    def ask_to_stop(self) -> None:
        """The evaluator would end the training. Raises `StorageError`."""
        self._write(_STOP)

    @property
    def is_asked_to_stop(self) -> bool:
        """Whether the evaluator would end the training."""
        return self._is_new(_STOP)

    def _write(self, name: str) -> None:
        write_bytes(self._directory / name, json.dumps({"run": self._run}).encode() + b"\n")

    def _is_new(self, name: str) -> bool:
        if not self._run:
            return self._state(name) not in (None, self._found[name])
        try:
            said = json.loads((self._directory / name).read_text())
            return isinstance(said, dict) and said.get("run") == self._run
        except (OSError, ValueError):
            return False

    def _state(self, name: str) -> tuple[int, int] | None:
        """What tells one file of this name from another; None if there is none."""
        try:
            found = (self._directory / name).stat()
        except OSError:
            return None
        return found.st_ino, found.st_mtime_ns
