"""Task logs: writes the output of each task to its file, and shows what should be seen.

The chief is shown as it is, with its progress bar; the others only if they are wanted, line by line behind a prefix.
What supervisor and script say to the launcher itself is taken out on the way.
"""

from __future__ import annotations

import os
import re
import stat
import sys
from collections import deque
from pathlib import Path
from typing import BinaryIO

from distrib.base.errors import StorageError
from distrib.host.disk_space import check_writable
from distrib.launch.run.console import say
from distrib.launch.task.exit_record import ExitRecord, from_line
from distrib.launch.task.supervisor import STARTED

_MARK = b"\x1e"
_LAST_LINES = 24
_LONGEST_LINE = 1 << 16
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")


class TaskLog:
    """The output of one task.

    Args:
        path: its file, which is appended to.
        prefix: shown in front of each line; None for the output as it is.
        shown: whether it is shown at all.

    Attributes:
        path: its file.
        lines: the last ones.
        record: its exit record; None until it has written one.
        has_started: whether its supervisor has started it.
    """

    def __init__(self, path: Path, prefix: str | None, shown: bool) -> None:
        self.path = path
        self.lines: deque[str] = deque(maxlen=_LAST_LINES)
        self.record: ExitRecord | None = None
        self.has_started = False
        self._prefix, self._shown = prefix, shown
        self._pending = {"stdout": b"", "stderr": b""}
        self._line = {"stdout": b"", "stderr": b""}
        self._file = LogFile(path)

    def fileno(self) -> int:
        """The descriptor of its file; -1 if that is not written any more."""
        return self._file.fileno()

    def write(self, stream: str, data: bytes) -> None:
        """Take what the task has written.

        Args:
            stream: `stdout` or `stderr`.
            data: the next piece; empty at its end.
        """
        text = self._pending[stream] + data
        self._pending[stream] = b""
        while (begin := text.find(_MARK)) >= 0:
            self._pass_on(stream, text[:begin])
            line, newline, rest = text[begin:].partition(b"\n")
            if not newline and data and len(line) < _LONGEST_LINE:
                self._pending[stream] = line
                return
            self._hear(stream, line, newline)
            text = rest
        self._pass_on(stream, text)
        if not data:
            self._finish_line(stream)

    @property
    def unseen(self) -> tuple[str, ...]:
        """The last lines, if they were not shown."""
        return () if self._shown else tuple(self.lines)

    def note(self, line: str) -> None:
        """Write a line of the launcher's into the file."""
        self._file.write(f"{line}\n".encode())

    def close(self) -> None:
        """Write what is left."""
        for stream in self._pending:
            self.write(stream, b"")
        self._file.close()

    def _hear(self, stream: str, line: bytes, newline: bytes) -> None:
        text = line.decode(errors="replace").rstrip("\r")
        _, record = from_line(text)
        if record is not None:
            self.record = record
        elif text == STARTED:
            self.has_started = True
        else:
            self._pass_on(stream, line.replace(_MARK, b"\\x1e") + newline)

    def _pass_on(self, stream: str, data: bytes) -> None:
        if not data:
            return
        self._file.write(data)
        if self._shown and self._prefix is None:
            _show(stream, data)
        *lines, self._line[stream] = (self._line[stream] + data).split(b"\n")
        for line in lines:
            self._add_line(stream, line)
        if len(self._line[stream]) > _LONGEST_LINE:
            self._finish_line(stream)

    def _finish_line(self, stream: str) -> None:
        if self._line[stream]:
            self._add_line(stream, self._line[stream])
            self._line[stream] = b""

    def _add_line(self, stream: str, line: bytes) -> None:
        text = printable(line.decode(errors="replace").rstrip("\r").rpartition("\r")[2])
        self.lines.append(text)
        if self._shown and self._prefix is not None:
            _show(stream, f"{self._prefix}{text}\n".encode())


class LogFile:
    """A file of the launcher's that is written as long as it can be: the training is worth more than its log.

    At the first failure, such as a full disk, a warning says so, and nothing more is written.

    Args:
        path: of the file, for this user's eyes only.
        truncate: begin anew, and not append.
    """

    def __init__(self, path: Path, truncate: bool = False) -> None:
        self._path = path
        self._fd = -1
        flags = os.O_WRONLY | os.O_CREAT | os.O_NOFOLLOW | (os.O_TRUNC if truncate else os.O_APPEND)
        try:
            self._fd = os.open(path, flags | os.O_NONBLOCK, 0o600)  # else a pipe would be waited for
            found = os.fstat(self._fd)
            if not stat.S_ISREG(found.st_mode):
                raise OSError(f"{path} is not a regular file")
            if found.st_uid != os.geteuid():
                raise OSError(f"{path} belongs to user {found.st_uid}")
        except OSError as error:
            self._give_up(error)

    def fileno(self) -> int:
        """The descriptor; -1 if the file is not written any more."""
        return self._fd

    def write(self, data: bytes) -> None:
        """Append."""
        while data and self._fd >= 0:
            try:
                data = data[os.write(self._fd, data) :]
            except OSError as error:
                self._give_up(error)

    def close(self) -> None:
        """Close the file. A second call does nothing."""
        fd, self._fd = self._fd, -1
        if fd >= 0:
            try:
                os.close(fd)
            except OSError as error:
                self._give_up(error)

    def _give_up(self, error: OSError) -> None:
        say(f"warning: {self._path} is not written any more, and the tasks go on: {error}")
        self.close()


def printable(text: str) -> str:
    """`text` with control characters spelled out: what another host says must not steer this terminal."""
    return _CONTROL.sub(lambda match: f"\\x{ord(match[0]):02x}", text)


def _show(stream: str, data: bytes) -> None:
    out: BinaryIO = getattr(sys, stream).buffer
    try:
        out.write(data)
        out.flush()
    except OSError:
        pass  # the reader is gone: the log file has it


def make_folder(path: Path) -> None:
    """Make the folder of the logs, for this user's eyes only.

    Args:
        path: of the folder; it may exist.

    Raises:
        StorageError: it cannot be made, or not be written to.
    """
    try:
        path.mkdir(parents=True, exist_ok=True, mode=0o700)
    except OSError as error:
        raise StorageError(
            f"--log-dir: {path} cannot be made: {error.strerror or error}. Choose another folder."
        ) from None
    try:
        check_writable(path)
    except StorageError as error:
        raise StorageError(f"--log-dir: {error}") from None
