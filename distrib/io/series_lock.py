"""SeriesLock: one writer at a time for a series of checkpoints; a writer that was replaced finds out.

The owner holds a lock on a small file beside the checkpoints, which says who it is. The kernel lets go of the lock
when the owner dies, however it dies. A second run is refused by name. Some owners are replaced all the same: one that
is stopped (SIGSTOP, Ctrl-Z), for it may never wake; one that is dead while a child that it has forked still holds the
lock; and one of the same run, which was started again.
Whoever replaces puts a new file in the place of the old one, and removes what the old owner has not finished. So the
old one, when it wakes, finds that the file of that name is not the one it holds, and nothing to give a name to.
"""

from __future__ import annotations

import fcntl
import json
import os
import shutil
import socket
from pathlib import Path
from typing import Any

from distrib.base.errors import PeerLostError, StorageError
from distrib.base.logs import LOGGER
from distrib.base.parse_json import parse_json
from distrib.host.disk_space import make_folder
from distrib.io.checkpoint_folder import unfinished

_FLAGS = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK
_MAX_BYTES = 4096
_TRIES = 100

owned: dict[Path, SeriesLock] = {}


class SeriesLock:
    """The right to write the series `name` in a folder. Several parts of one process may have it together.

    Args:
        folder: where; made if it is missing.
        name: of the series.
        run: name of the run, if it has one.

    Raises:
        StorageError: a living run has it, or the folder cannot be written to.
    """

    def __init__(self, folder: Path, name: str, run: str) -> None:
        self.folder, self._name, self._uses = folder.absolute(), name, 0
        self._me = {"run": run, "host": socket.gethostname(), "pid": os.getpid(), "pids": _pid_namespace()}
        self._path = self.folder / f".{name}.owner"
        try:
            make_folder(self.folder)
            self._descriptor = self._acquire()
        except OSError as error:
            raise StorageError(f"{self._path} cannot be written: {error}") from None

    def confirm(self) -> None:
        """Return if this process still has it. Raises `PeerLostError`."""
        if not self._is_mine(self._descriptor):
            raise PeerLostError(
                f"{self.folder}: another process ({_words(read_owner(self._path))}) writes '{self._name}' now, "
                "because this one was stopped, or started again. This one saves nothing any more."
            )

    def release(self) -> None:
        """Give it up. What is left of it goes."""
        self._uses -= 1
        if self._uses:
            return
        owned.pop(self._path, None)
        if self._is_mine(self._descriptor):
            self._path.unlink(missing_ok=True)
        os.close(self._descriptor)

    def _acquire(self) -> int:
        for _ in range(_TRIES):
            descriptor = os.open(self._path, _FLAGS, 0o600)
            if not _lock(descriptor):
                os.close(descriptor)
                return self._replace(read_owner(self._path))
            if self._is_mine(descriptor):  # the owner before may have removed it meanwhile
                os.ftruncate(descriptor, 0)
                os.pwrite(descriptor, json.dumps(self._me).encode(), 0)
                return descriptor
            os.close(descriptor)
        raise OSError("others make and remove it all the time")

    def _replace(self, holder: dict[str, Any]) -> int:
        """Take the place of a process that has it, if that may be."""
        is_restart = bool(self._me["run"]) and holder.get("run") == self._me["run"]
        is_here = (holder.get("host"), holder.get("pids")) == (self._me["host"], self._me["pids"])
        if not is_restart and not (is_here and _is_stopped(holder.get("pid"))):
            raise StorageError(
                f"{self.folder}: another run ({_words(holder)}) writes '{self._name}' there. Wait until it has "
                "ended, end it, or choose another folder."
            )
        LOGGER.warning(
            "%s: this process takes the place of %s, which saves nothing any more.",
            self.folder,
            _words(holder),
        )
        temporary = self._path.with_name(f"{self._path.name}-{os.getpid()}")
        temporary.unlink(missing_ok=True)
        descriptor = os.open(temporary, _FLAGS | os.O_EXCL, 0o600)
        _lock(descriptor)
        os.pwrite(descriptor, json.dumps(self._me).encode(), 0)
        temporary.rename(self._path)
        for folder in unfinished(self.folder, holder.get("pid")):
            shutil.rmtree(folder, ignore_errors=True)
        return descriptor

    def _is_mine(self, descriptor: int) -> bool:
        try:
            return os.path.samestat(os.fstat(descriptor), os.lstat(self._path))
        except OSError:
            return False


def own(folder: Path, name: str, run: str) -> SeriesLock:
    """The right to write a series, until its `release` is called as often as this. See `SeriesLock`."""
    path = folder.absolute() / f".{name}.owner"
    owner = owned.get(path)
    if owner is None:
        owner = owned[path] = SeriesLock(folder, name, run)
    owner._uses += 1
    return owner


def confirm_owned(path: Path) -> None:
    """Return if this process still has what it owned in the folders above `path`. Raises `PeerLostError`."""
    above = path.absolute().parents
    for owner in list(owned.values()):
        if owner.folder in above:
            owner.confirm()


def _lock(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError as error:  # a file system without locks
        LOGGER.debug("There is no lock: %s", error)
    return True


def read_owner(path: Path) -> dict[str, Any]:
    """The description that an owner has written; empty if it has written none yet."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
        try:
            found = parse_json(os.read(descriptor, _MAX_BYTES))
        finally:
            os.close(descriptor)
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def _is_stopped(pid: object) -> bool:
    """Whether a process of this host is stopped by a signal, or has ended."""
    try:
        state = Path(f"/proc/{int(str(pid))}/stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return True  # a child of it has the lock, as it was forked
    except (OSError, ValueError, IndexError):
        return False
    return state in "TtZX"


def _pid_namespace() -> str:
    """Where a pid means the same process as here: containers may have one host name."""
    try:
        return os.readlink("/proc/self/ns/pid")
    except OSError:
        return ""


def _words(holder: dict[str, Any]) -> str:
    if not holder:
        return "which has not said who it is"
    run = f", run {holder.get('run')}" if holder.get("run") else ""
    return f"pid {holder.get('pid')} on {holder.get('host')}{run}"
