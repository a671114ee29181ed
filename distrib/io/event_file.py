"""SummaryWriter: numbers, histograms and texts over the steps, in files that TensorBoard shows.

An event file is a row of records, each with its length and two checksums, and in each an `Event`: a step and values
with their tags. Records are written here and now, by this thread: what was written before `flush` is in the file
after it, and there is no queue that a killed process could leave behind. The messages and the framing are those of
tensorboardX, which is imported here only.
"""

from __future__ import annotations

import itertools
import json
import os
import time
from collections.abc import Collection, Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from distrib.base.errors import ConfigError, StorageError

_NUMBER = itertools.count()
_MARK = "tfevents"

FLUSH_EVERY_S = 10.0  # at the latest when something is written: who watches sees the epoch that runs
_BUCKETS = 30  # of a histogram, equally wide, as in TensorFlow


def require_tensorboard() -> None:
    """Raise `ConfigError` if what writes the files is not installed."""
    if find_spec("tensorboardX") is None:
        raise ConfigError(
            "Files for TensorBoard are written with tensorboardX, which is not installed. "
            "Run: pip install tensorboardX tensorboard."
        )


class SummaryWriter:
    """Writes one event file.

    Several roles may write to one folder, and begin in the same second: the name of the file ends in the process, a
    number and the role (TensorBoard reads files in the order of their names), as in
    `events.out.tfevents.1767225600.host.4711.000000.chief-0`.

    Args:
        folder: where; made if it is missing.
        role: who writes: `chief-0`, `worker-1`, `evaluator-0`.

    Raises:
        ConfigError: tensorboardX is not installed.
        StorageError: the file cannot be written; so do all methods.
    """

    def __init__(self, folder: str | Path, role: str) -> None:
        require_tensorboard()
        from tensorboardX import summary
        from tensorboardX.event_file_writer import EventsWriter
        from tensorboardX.proto import event_pb2, summary_pb2, tensor_pb2

        self._summary, self._event = summary, event_pb2.Event
        self._messages, self._tensor = summary_pb2, tensor_pb2.TensorProto
        self._folder, self._flushed_at = Path(folder), time.monotonic()
        suffix = f".{os.getpid()}.{next(_NUMBER):06d}.{role}"
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            self._file: Any = EventsWriter(str(self._folder / "events"), suffix)
        except OSError as error:
            raise self._failure(error) from None

    def scalar(self, tag: str, value: float, step: int) -> None:
        """Write a number; the file keeps it in float32."""
        named = self._messages.Summary.Value(tag=tag, simple_value=float(value))
        self._write(self._messages.Summary(value=[named]), step)

    def histogram(self, tag: str, values: ArrayLike, step: int) -> None:
        """Write how values are distributed. NaN and Inf do not count; of no values nothing is written."""
        array = np.asarray(values, dtype=np.float64).reshape(-1)
        finite = array[np.isfinite(array)]
        if finite.size:
            self._write(self._summary.histogram(tag, finite, _BUCKETS), step)

    def text(self, tag: str, text: str, step: int = 0) -> None:
        """Write a text in Markdown; TensorBoard shows it as `<tag>/text_summary`."""
        self._write(self._summary.text(tag, text), step)

    def keras_model(self, config: Mapping[str, Any]) -> None:
        """Write a model for TensorBoard's Graphs, as Keras does.

        Args:
            config: `class_name` and `config`, as of Keras' `to_json`.
        """
        value = self._messages.Summary.Value
        metadata = self._messages.SummaryMetadata
        plugin = metadata.PluginData(plugin_name="graph_keras_model", content=b"1")
        tensor = self._tensor(dtype="DT_STRING", string_val=[json.dumps(config).encode()])
        named = value(tag="keras", metadata=metadata(plugin_data=plugin), tensor=tensor)
        self._write(self._messages.Summary(value=[named]), 0)

    def flush(self) -> None:
        """Write all to the disk."""
        try:
            self._file.flush()
            self._flushed_at = time.monotonic()
        except OSError as error:
            raise self._failure(error) from None

    def close(self) -> None:
        """Flush, and close the file. A second call does nothing."""
        if self._file is not None:
            file, self._file = self._file, None
            try:
                file.close()
            except OSError as error:
                raise self._failure(error) from None

    def _write(self, summary: Any, step: int) -> None:
        try:
            self._file.write_event(self._event(wall_time=time.time(), step=step, summary=summary))
        except OSError as error:
            raise self._failure(error) from None
        if time.monotonic() - self._flushed_at >= FLUSH_EVERY_S:
            self.flush()

    def _failure(self, error: OSError) -> StorageError:
        return StorageError(
            f"The summaries in {self._folder} cannot be written: {error}. Free space there, or choose another folder."
        )


def event_files(log_dir: str | Path) -> dict[str, int]:
    """The event files below a folder, by their paths from there, and their sizes."""
    root = Path(log_dir)
    files = sorted(path for path in root.rglob(f"*{_MARK}*") if path.is_file())
    return {str(path.relative_to(root)): path.stat().st_size for path in files}


def rewind_event_files(log_dir: str | Path, sizes: Mapping[str, int], others: Collection[str]) -> None:
    """Take event files back to what they were: longer ones are cut, newer ones removed.

    Args:
        log_dir: the folder.
        sizes: what `event_files` has returned for the files in question.
        others: files that are left alone.

    Raises:
        StorageError: a file cannot be changed.
    """
    try:
        for name, size in event_files(log_dir).items():
            if name in others:
                continue
            path = Path(log_dir) / name
            if name not in sizes:
                path.unlink()
            elif size > sizes[name]:
                os.truncate(path, sizes[name])
    except OSError as error:
        raise StorageError(f"The summaries in {log_dir} cannot be changed: {error}.") from None
