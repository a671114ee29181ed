"""CheckpointWatcher: finds the checkpoints of a directory that are still to be evaluated.

An earlier run may have left checkpoints of the same names, and the new run replaces them one by one. So a name and a
number say nothing: what counts is which folder it is (inode and time of its manifest), and whose. Where the launcher
has given the run a name, the manifest says whose it is. Where it has not, everything counts, until one that was there
at the beginning is replaced: then a new run has begun, and nothing of what was there is its own.
"""

from __future__ import annotations

from pathlib import Path

from distrib.base.errors import StorageError
from distrib.cluster.launcher_env import run_name
from distrib.io.checkpoint_folder import MANIFEST, checkpoints, number_of, read_manifest

_Which = tuple[int, int]


class CheckpointWatcher:
    """The checkpoints `<directory>/<name>-<number>` of one run, as they come.

    Args:
        directory: where they are; need not exist yet.
        name: of all of them.
        every: give all, in their order; if False, the newest only.

    Attributes:
        done: number of the last one of this run that was given; -1 before the first.
        num_runs: how many runs have begun, as replaced checkpoints show.
    """

    def __init__(self, directory: Path, name: str, every: bool) -> None:
        self._directory, self._name, self._every = directory, name, every
        self._run = run_name()
        self._before = self._there()
        self._seen: set[_Which] = set()
        self.done, self.num_runs = -1, 0

    def next(self) -> Path | None:
        """The next one; None if there is none now."""
        there = self._there()
        if not self._run and any(there.get(folder, which) != which for folder, which in self._before.items()):
            self._seen.update(self._before.values())
            self._before, self.done = {}, -1
            self.num_runs += 1
        new = [folder for folder in there if number_of(folder) > self.done]
        for folder in new if self._every else reversed(new):
            if there[folder] in self._seen:
                continue
            self._seen.add(there[folder])
            if self._is_ours(folder):
                return folder
        return None

    def _there(self) -> dict[Path, _Which]:
        found = {}
        for folder in checkpoints(self._directory, self._name):
            try:
                status = (folder / MANIFEST).stat()
            except OSError:
                continue  # it was removed meanwhile
            found[folder] = status.st_ino, status.st_mtime_ns
        return found

    def _is_ours(self, folder: Path) -> bool:
        """Whether this run has written it; also where that cannot be read: the reader reports it."""
        try:
            return not self._run or read_manifest(folder).get("run") == self._run
        except StorageError:
            return True
