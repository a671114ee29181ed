"""CheckpointWriter: writes what all ps keep at a cut of the log as one checkpoint folder.

A worker learns that a phase begins, or is over, only when the cut there is on the disk. So a restored job may have
lost updates, but is never at an earlier phase than a worker. Where it cannot be written, as on a full disk, training
goes on; a ps that a signal ends then reports that nothing is saved, and fails.

Every ps copies its vectors when it comes to the cut; those of the others travel to ps:0. When all are there, a thread
writes them, while training goes on. A cut that comes while one is being written waits; of several that wait only the
newest is written.
"""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import Any, NamedTuple, TypeAlias

import numpy as np

from distrib.base import background
from distrib.base.arrays import Array
from distrib.base.errors import ConfigError, ProtocolError, StorageError
from distrib.base.logs import LOGGER
from distrib.io.checkpoint_folder import latest_whole, write_checkpoint
from distrib.proto import parameter_server_pb2 as pb

NAME = "ps"
_FILE = "model.safetensors"
_CLOSE_S = 8.0
_MOST_VECTORS = 8
"""At a cut: the values, and more slots than any optimizer has."""

WhenSaved: TypeAlias = Callable[[str], None]
"""Called with why it could not be saved; empty where it is on the disk, or where nothing is to be saved."""


class CheckpointOptions(NamedTuple):
    """Where and when a ps saves.

    Attributes:
        folder: seen by all ps.
        every: updates between two.
        restore: whether to begin from the newest one.
        run: which attempt of which run this is; empty if unknown.
        only_own: whether to begin from one of this run only, and anew where it has saved none.
    """

    folder: Path
    every: int = 100
    restore: bool = False
    run: str = ""
    only_own: bool = False


class Saving:
    """Waits for the result of saving.

    Attributes:
        done: to be called with it.
    """

    def __init__(self) -> None:
        self._said: SimpleQueue[str] = SimpleQueue()
        self.done: WhenSaved = self._said.put

    def wait(self, seconds: float) -> None:
        """Return when it is on the disk. Raises `StorageError` if that fails or takes longer than `seconds`."""
        try:
            failure = self._said.get(timeout=seconds)
        except Empty:
            failure = f"it took more than {seconds:g} s."
        if failure:
            raise StorageError(f"What this ps keeps is not saved: {failure}")


class CheckpointWriter:
    """Collects and writes.

    Args:
        folder: where the checkpoint folders go.
        num_ps: how many ps send their part.
    """

    def __init__(self, folder: Path, num_ps: int) -> None:
        self._folder, self._num_ps = folder, num_ps
        self._manifests: dict[int, dict[str, Any]] = {}
        self._parts: dict[int, dict[int, dict[str, Array]]] = {}
        self._incomplete: dict[int, dict[str, bytearray]] = {}
        self._ready: tuple[int, dict[str, Any], dict[str, Array]] | None = None
        self._changed = threading.Condition()
        self._is_closed = self._is_writing = False
        self._done, self._failure = 0, ""  # the last cut that was written, or could not be
        self._callbacks: list[tuple[int, WhenSaved]] = []
        self._thread = background.start(self._run, "checkpoint writer", self._has_died)

    @property
    def is_busy(self) -> bool:
        """Whether a cut is being collected or written."""
        with self._changed:
            return bool(self._parts) or self._ready is not None or self._is_writing

    def begin(self, cut: int, manifest: dict[str, Any]) -> None:
        """ps:0 has come to a cut."""
        with self._changed:
            self._manifests[cut] = manifest
            self._complete(cut)

    def add(self, cut: int, ps: int, vectors: dict[str, Array]) -> None:
        """The vectors of one ps at a cut; they must not change any more."""
        with self._changed:
            self._parts.setdefault(cut, {})[ps] = vectors
            self._complete(cut)

    def when_done(self, cut: int, callback: WhenSaved) -> None:
        """Call back when this cut, or a later one, is on the disk or could not be written; at once if it is so."""
        with self._changed:
            if cut > self._done:
                self._callbacks.append((cut, callback))
                return
            failure = self._failure
        callback(failure)

    def collect(self, ps: int, part: pb.Part, size: int, dtype: np.dtype[Any]) -> None:
        """Take a part of the vectors of another ps, which come one after the other; `add` them when all are here.

        Args:
            ps: which one.
            part: the next.
            size: elements of each of its vectors.
            dtype: dtype of the elements.

        Raises:
            ProtocolError: a part that does not go on where the last one ended, or is too much; it is not kept.
        """
        vectors = self._incomplete.setdefault(ps, {})
        vector, most = vectors.get(part.name, bytearray()), size * dtype.itemsize
        begin, end = part.chunk.offset, part.chunk.offset + len(part.chunk.data)
        num_vectors = len({*vectors, part.name})
        if not (
            begin == len(vector)
            and (end == most if part.last else end < most)
            and num_vectors <= part.count <= _MOST_VECTORS
        ):
            raise ProtocolError(
                f"Expected bytes {len(vector)} to {most} of {part.name[:80]!r}, in order, and {_MOST_VECTORS} "
                f"vectors at most. Received: bytes {begin} to {end}, vector {num_vectors} of {part.count}."
            )
        vector.extend(part.chunk.data)
        vectors[part.name] = vector
        if part.last and len(vectors) == part.count:
            del self._incomplete[ps]
            self.add(
                part.cut, ps, {name: np.frombuffer(bytes(data), dtype) for name, data in vectors.items()}
            )

    @property
    def num_waiting(self) -> int:
        """How many cuts are in memory: those that are not whole yet, and the one that is written next."""
        return len(self._parts) + (self._ready is not None)

    def close(self) -> None:
        """Write what is complete, and end. A disk that hangs is not waited for."""
        with self._changed:
            self._is_closed = True
            self._changed.notify_all()
        self._thread.join(_CLOSE_S)

    def _complete(self, cut: int) -> None:
        parts = self._parts.get(cut, {})
        if cut not in self._manifests or len(parts) < self._num_ps:
            return
        vectors = {name: np.concatenate([parts[ps][name] for ps in range(self._num_ps)]) for name in parts[0]}
        self._ready = cut, self._manifests[cut], vectors
        for table in (self._manifests, self._parts):
            for older in [each for each in table if each <= cut]:
                del table[older]
        self._changed.notify_all()

    def _run(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._ready is not None or self._is_closed)
                if self._ready is None:
                    return
                cut, manifest, vectors = self._ready
                self._ready, self._is_writing = None, True
            failure = ""
            try:
                write_checkpoint(self._folder / f"{NAME}-{cut}", {_FILE: vectors}, manifest)
            except Exception as error:
                failure = (
                    str(error) if isinstance(error, StorageError) else f"{type(error).__name__}: {error}."
                )
                LOGGER.error("%s The checkpoint before it stays.", failure)
            self._tell(cut, failure)

    def _tell(self, cut: int, failure: str) -> None:
        """All cuts up to this one are on the disk, or cannot be written."""
        with self._changed:
            self._done, self._failure, self._is_writing = cut, failure, False
            due = [callback for number, callback in self._callbacks if number <= cut]
            self._callbacks = [each for each in self._callbacks if each[0] > cut]
        for callback in due:
            callback(failure)

    def _has_died(self, error: BaseException) -> None:
        """Nothing will be written any more: training goes on, and who asks hears why."""
        self._tell(sys.maxsize, f"the thread that saves has ended: {error!r}.")


def load(
    checkpoints: CheckpointOptions, size: int, dtype: str
) -> tuple[dict[str, Array], dict[str, Any]] | None:
    """The vectors of the whole model, and the manifest, of the newest checkpoint that is whole.

    None where it must be of this run, which has saved none. Then no worker has learned that the first phase is over,
    so nothing is lost: the workers send their initial values again.

    Args:
        checkpoints: where they are, and whose.
        size: elements of the model that it must be of.
        dtype: name of their dtype.

    Raises:
        StorageError: there is none.
        ConfigError: it is of another model.
    """
    found = latest_whole(checkpoints.folder, NAME)
    if checkpoints.only_own and (found is None or found[2].get("run") != checkpoints.run):
        LOGGER.warning("This run has saved nothing in %s yet: it begins anew.", checkpoints.folder)
        return None
    if found is None:
        raise StorageError(f"There is no checkpoint of a ps in {checkpoints.folder}.")
    path, files, manifest = found
    model = manifest["description"]
    if (model["size"], model["dtype"]) != (size, dtype):
        raise ConfigError(
            f"{path} is of a model with {model['size']} {model['dtype']}. Received: a worker with {size} {dtype}."
        )
    LOGGER.warning("restored from %s: version %d", path, manifest["sequencer"]["version"])
    return files[_FILE], manifest
