"""Training checkpoints in a directory, with TensorFlow's names: `ckpt-1/`, `ckpt-2/`, and the text file `checkpoint`.

What is newest is decided by the number. A damaged checkpoint is passed over, and named in a warning.
"""

from __future__ import annotations

import time
import weakref
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from distrib.base.arguments import HasArguments
from distrib.base.errors import ConfigError, StorageError
from distrib.base.names import NAME_RULE, is_name
from distrib.cluster.launcher_env import run_name
from distrib.cluster.resolve import resolve
from distrib.io.checkpoint_folder import (
    checkpoints,
    latest_whole,
    number_of,
    read_checkpoint,
    read_manifest,
    remove_checkpoint,
    write_checkpoint,
)
from distrib.io.series_lock import own
from distrib.io.tf_state_file import STATE_FILE, write_state_file
from distrib.training.arguments.unsupported import refuse
from distrib.training.checkpoints.chief_writes import confirmed, write_alone
from distrib.training.checkpoints.evaluator_mailbox import EvaluatorMailbox
from distrib.training.interface import ModelInterface

_POLL_S = 0.1
_TENSORFLOWS = {
    "keep_checkpoint_every_n_hours": None,
    "step_counter": None,
    "checkpoint_interval": None,
    "init_fn": None,
    "last_checkpoint_step": None,
}
_EVALUATOR_BEGINS_S = 60.0


class CheckpointManager(HasArguments):
    """Saves a model again and again, and keeps the newest.

    Args:
        checkpoint: the model to save, or a `Checkpoint` of it; compiled, so that what the optimizer knows is saved,
            too.
        directory: where; made if it is missing.
        max_to_keep: how many stay, the newest; None for all. What an evaluator has still to evaluate stays as well.
        keep_checkpoint_every_n_hours: not supported.
        checkpoint_name: the folders are `<checkpoint_name>-<number>`.
        unsupported: other arguments of TensorFlow, with their defaults.

    Raises:
        ConfigError: an argument that is not supported, a number below 1, or a bad name.
    """

    def __init__(
        self,
        checkpoint: Any,
        directory: str | Path,
        max_to_keep: int | None = 5,
        keep_checkpoint_every_n_hours: None = None,
        checkpoint_name: str = "ckpt",
        **unsupported: Any,
    ) -> None:
        refuse(
            "CheckpointManager",
            {"keep_checkpoint_every_n_hours": keep_checkpoint_every_n_hours, **unsupported},
            _TENSORFLOWS,
            ("checkpoint", "directory", "max_to_keep", "checkpoint_name"),
        )
        checkpoint = getattr(checkpoint, "model", checkpoint)
        if not hasattr(checkpoint, "files"):
            raise ConfigError(
                f"CheckpointManager expects the model itself as checkpoint. Received: {checkpoint!r}."
            )
        if max_to_keep is not None and max_to_keep < 1:
            raise ConfigError(f"CheckpointManager expects max_to_keep >= 1 or None. Received: {max_to_keep}.")
        check_name(checkpoint_name)
        self._model: ModelInterface = checkpoint
        self._max_to_keep, self._name = max_to_keep, checkpoint_name
        self.directory = Path(directory)
        self._release: Callable[[], object] | None = None
        self._mailbox = EvaluatorMailbox(self.directory)
        has_evaluator = "evaluator" in resolve().cluster.jobs
        self._evaluator_begins_until = time.monotonic() + _EVALUATOR_BEGINS_S * has_evaluator

    @property
    def checkpoints(self) -> list[str]:
        """Paths of what is there, oldest first. They are not looked into."""
        return [str(folder) for folder in checkpoints(self.directory, self._name)]

    @property
    def latest_checkpoint(self) -> str | None:
        """See the function `latest_checkpoint`."""
        return latest_checkpoint(self.directory, checkpoint_name=self._name)

    def save(
        self,
        checkpoint_number: int | None = None,
        check_interval: bool = True,
        options: None = None,
        *,
        is_final: bool = False,
    ) -> str:
        """Write a checkpoint, and remove the oldest. Collective: the chief writes, and all know whether it could.

        Args:
            checkpoint_number: its number; one more than that of the newest by default.
            check_interval: without meaning: there is no interval.
            options: not supported.
            is_final: whether there will be no more in this run, for those who wait for them.

        Returns:
            The path; on other replicas than the chief the directory.

        Raises:
            StorageError: on every replica: it cannot be written, or NaN or Inf in the values. What was there stays.
            ConfigError: on every replica: a number below that of the newest.
        """
        refuse("save", {"options": options}, {"options": None})
        files, manifest = self._model.files.contents()
        manifest["final"] = is_final
        path = self.directory

        def write() -> None:
            nonlocal path
            self.own()
            there = checkpoints(self.directory, self._name)
            newest = number_of(there[-1]) if there else 0
            number = newest + 1 if checkpoint_number is None else checkpoint_number
            if number < newest or number < 0:
                raise ConfigError(
                    f"The newest of {self.directory} must have the highest number. Expected: {newest} or more. "
                    f"Received: checkpoint_number={number}."
                )
            path = self.directory / f"{self._name}-{number}"
            confirm = confirmed(self._model.strategy, path)
            write_checkpoint(path, files, manifest | {"number": number}, None, confirm)
            self._remove_old()
            write_state_file(self.directory, checkpoints(self.directory, self._name), confirm)

        write_alone(self._model.strategy, write)
        return str(path)

    def own(self) -> None:
        """Be the one who writes there, until this manager is gone or `release` is called. On the chief.

        Raises:
            StorageError: a living run does.
        """
        if self._release is None:
            self._release = weakref.finalize(self, own(self.directory, self._name, run_name()).release)

    def release(self) -> None:
        """Release the series of checkpoints."""
        if self._release is not None:
            self._release()
            self._release = None

    def _remove_old(self) -> None:
        """Keep the newest, and those that an evaluator has still to evaluate."""
        there = checkpoints(self.directory, self._name)
        old = there[: -self._max_to_keep] if self._max_to_keep is not None else []
        after = self._mailbox.awaits_after(self._name) if old else None
        if old and after is None and time.monotonic() < self._evaluator_begins_until:
            after = -1  # the cluster has one, which is not there yet
        for folder in old:
            if after is None or number_of(folder) <= after:
                remove_checkpoint(folder)

    def restore_or_initialize(self) -> str | None:
        """Give the model what the newest checkpoint holds; the next training goes on from there. On this replica.

        Returns:
            Its path; None if there is none, and the model keeps its initial values.

        Raises:
            StorageError: all there are are damaged, or the newest whole one is of another model or optimizer.
        """
        found = latest_whole(self.directory, self._name)
        if found is None:
            return None
        self._model.files.take(*found)
        return str(found[0])

    def clear(self) -> None:
        """Remove all, on the chief."""
        if not self._model.strategy.is_chief:
            return
        for folder in checkpoints(self.directory, self._name):
            remove_checkpoint(folder)
        (self.directory / STATE_FILE).unlink(missing_ok=True)


def latest_checkpoint(
    checkpoint_dir: str | Path, latest_filename: None = None, *, checkpoint_name: str = "ckpt"
) -> str | None:
    """The path of the newest checkpoint that is whole; None if there is none. Reads it.

    Args:
        checkpoint_dir: where a `CheckpointManager` writes, or a `ModelCheckpoint` to `ckpt-{epoch}`.
        latest_filename: not supported: the folders themselves say which is the latest.
        checkpoint_name: see `CheckpointManager`; what `BackupAndRestore` writes is called `"backup"`.

    Raises:
        ConfigError: a bad name, or an argument that is not supported.
        StorageError: there are some, and all are damaged.
    """
    refuse("latest_checkpoint", {"latest_filename": latest_filename}, {"latest_filename": None})
    check_name(checkpoint_name)
    found = latest_whole(Path(checkpoint_dir), checkpoint_name)
    return None if found is None else str(found[0])


def checkpoints_iterator(
    checkpoint_dir: str | Path,
    min_interval_secs: float = 0,
    timeout: float | None = None,
    timeout_fn: Callable[[], bool] | None = None,
    *,
    checkpoint_name: str = "ckpt",
) -> Iterator[str]:
    """Every checkpoint as it comes: the newest there is, and then each time the newest that was not yet given.

    Ends after a final one.

    Args:
        checkpoint_dir: where a `CheckpointManager` writes; need not exist yet.
        min_interval_secs: seconds between two.
        timeout: seconds to wait for one; None for no end.
        timeout_fn: called after a timeout; the iterator ends if it returns True, or if there is none.
        checkpoint_name: see `CheckpointManager`.

    Yields:
        Paths of checkpoints that were whole. A writer may have removed one when it is opened.
    """
    check_name(checkpoint_name)
    given = -1
    while True:
        begun = time.monotonic()
        folder = _wait_for_newer(Path(checkpoint_dir), checkpoint_name, given, timeout)
        if folder is None:
            if timeout_fn is None or timeout_fn():
                return
            continue
        given = number_of(folder)
        yield str(folder)
        if is_final(folder):
            return
        time.sleep(max(0.0, begun + min_interval_secs - time.monotonic()))


def is_final(folder: str | Path) -> bool:
    """Whether a checkpoint is the last one of its run; not, if it is gone or damaged."""
    try:
        return bool(read_manifest(Path(folder)).get("final"))
    except StorageError:
        return False


def check_name(name: str) -> None:
    """Raise `ConfigError` for a name that checkpoints cannot have."""
    if not is_name(name):
        raise ConfigError(f"A checkpoint's name has {NAME_RULE}. Received: {name!r}.")


def _wait_for_newer(directory: Path, name: str, given: int, timeout: float | None) -> Path | None:
    deadline = None if timeout is None else time.monotonic() + timeout
    damaged: set[tuple[Path, int]] = set()  # read once: a large one takes seconds
    while True:
        there = checkpoints(directory, name)
        for folder in reversed([each for each in there if number_of(each) > given]):
            try:
                which = folder, folder.stat().st_ctime_ns  # one that is written anew has another
                if which not in damaged:
                    read_checkpoint(folder)
                    return folder
            except StorageError:
                damaged.add(which)  # an older one may be whole
            except OSError:
                continue  # gone
        if deadline is not None and time.monotonic() >= deadline:
            return None
        time.sleep(_POLL_S if deadline is None else min(_POLL_S, max(0.0, deadline - time.monotonic())))
