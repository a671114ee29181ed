"""CSVLogger: the logs of every epoch as a line of a CSV file."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any, TextIO

from distrib.base.errors import StorageError
from distrib.host.disk_space import check_writable
from distrib.training.callbacks.callback import Callback, Logs
from distrib.training.checkpoints.chief_writes import write_alone


class CSVLogger(Callback):
    """Writes the logs of every epoch, on the chief.

    The columns are those of the first epoch, sorted, after `epoch`; where it has no validation they are doubled with
    `val_`, as in Keras. What an epoch lacks is `NA`. Each line is in the file when its epoch ends. When training
    goes on after an interruption (`BackupAndRestore`), so does the file, without a line lost or twice.

    Args:
        filename: the file; its folder exists.
        separator: between the values.
        append: go on with a file that exists, and not overwrite it.

    Raises:
        StorageError: from `fit`, on every replica: the file cannot be written, and that is known at the beginning.
            Later a warning says so, and training goes on.
    """

    stops_in_batch = False
    only_records = True

    def __init__(self, filename: str | Path, separator: str = ",", append: bool = False) -> None:
        super().__init__()
        self.filename, self.sep, self.append = str(filename), separator, append
        self._keys: list[str] | None = None
        self._file: TextIO | None = None
        self._writer: Any = None
        self._begin = 0  # bytes of the file that were there before, with a header

    def on_train_begin(self, logs: Logs | None = None) -> None:
        self._keys, self._begin = None, 0
        write_alone(self.model.strategy, self._find)

    def _find(self) -> None:
        """See that it can be written. What is there stays until it is known whether training goes on."""
        self._close()
        path = Path(self.filename)
        if path.parent.is_dir() and (path.is_file() or not path.exists()):  # no pipe or terminal
            check_writable(path.resolve().parent)
        try:
            with path.open("a"):
                self._begin = path.stat().st_size if self.append else 0
        except OSError as error:
            raise self._failure(error) from None

    def get_state(self) -> dict[str, Any]:
        if not self.model.strategy.is_chief:
            return {}
        return {"keys": self._keys, "size": self._begin if self._file is None else self._file.tell()}

    def set_state(self, state: dict[str, Any]) -> None:
        # What an interrupted run has written since is written again.
        self._keys, self._begin = state["keys"], state["size"]

    def on_epoch_begin(self, epoch: int, logs: Logs | None = None) -> None:
        if self._file is None and self.model.strategy.is_chief:
            path = Path(self.filename)
            try:
                self._file = path.open("a", newline="")
                if path.is_file():
                    self._begin = min(self._begin, path.stat().st_size)
                    self._file.truncate(self._begin)
                    self._file.seek(self._begin)
            except OSError as error:
                raise self._failure(error) from None
            self._writer = csv.writer(self._file, delimiter=self.sep)

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        if self._file is None:
            return
        values = logs or {}
        try:
            if self._keys is None:
                self._keys = sorted(values)
                if not any(key.startswith("val_") for key in self._keys):
                    self._keys += [f"val_{key}" for key in self._keys]
            if not self._begin:
                self._writer.writerow(["epoch", *self._keys])
                self._begin = 1
            self._writer.writerow([epoch, *(values.get(key, "NA") for key in self._keys)])
            self._file.flush()
        except OSError as error:
            raise self._failure(error) from None

    def on_train_end(self, logs: Logs | None = None) -> None:
        self._close()

    def on_train_failed(self, error: BaseException) -> None:
        self._close()

    def _close(self) -> None:
        file, self._file = self._file, None
        if file is not None:
            try:
                file.close()
            except OSError as error:
                raise self._failure(error) from None

    def _failure(self, error: OSError) -> StorageError:
        return StorageError(
            f"CSVLogger cannot write {self.filename}: {error}. Make its folder, or choose another."
        )
