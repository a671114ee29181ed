"""Processes of the launcher, each a supervisor here or behind ssh, and the one loop that listens to them all."""

from __future__ import annotations

import json
import os
import selectors
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from types import FrameType
from typing import IO, Any

from distrib.launch.task.supervisor import folder_prefix

_BEAT_S = 1.0
_DRAIN_S = 0.5
"""Seconds for output that another process still holds open after a process has ended."""

Output = Callable[[str, bytes], None]


class Process:
    """A command under a supervisor.

    Args:
        name: such as `worker 1`.
        host: where it runs.
        command: starts the supervisor.
        job: what the supervisor is to start.
        on_output: called with `stdout` or `stderr` and the next piece; an empty piece at the end.

    Attributes:
        name: such as `worker 1`.
        host: where it runs.
        code: exit code of the command; None while it runs.
        when: the monotonic time of its start, and then of its end.
        was_told: whether the launcher has asked it to end.
    """

    def __init__(
        self, name: str, host: str, command: Sequence[str], job: dict[str, Any], on_output: Output
    ) -> None:
        self.name, self.host = name, host
        self.code: int | None = None
        self.when = time.monotonic()
        self.was_told = False
        self.on_output = on_output
        self.supervisor = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            start_new_session=True,  # a terminal's Ctrl-C is for the launcher
            preexec_fn=_ignore_signals,
        )
        self.open_streams = 2
        self._dead_since = 0.0
        self._say(json.dumps(job).encode() + b"\n")

    def signal(self, number: int) -> None:
        """Make the supervisor send a signal to the command."""
        self.was_told |= number != signal.SIGUSR1
        self._say(b'{"signal": %d}\n' % number)

    def beat(self) -> None:
        """Tell the supervisor that the launcher is alive."""
        self._say(b"\n")

    def kill(self) -> None:
        """Make the supervisor kill the command and all that it has started."""
        self.was_told = True
        self._hang_up()

    def _hang_up(self) -> None:
        if self.supervisor.stdin is not None:
            try:
                self.supervisor.stdin.close()
            except OSError:
                pass

    def look(self) -> None:
        """Set `code` if the process has ended and all its output is here."""
        if self.code is not None or self.supervisor.poll() is None:
            return
        self._dead_since = self._dead_since or time.monotonic()
        if not self.open_streams or time.monotonic() - self._dead_since > _DRAIN_S:
            returned = self.supervisor.returncode
            self.code = returned if returned >= 0 else 128 - returned
            self.when = time.monotonic()
            self._hang_up()
            if returned < 0:
                self._clean_up()

    def _clean_up(self) -> None:
        """Remove what a supervisor that was killed could not."""
        for folder in Path(tempfile.gettempdir()).glob(f"{folder_prefix(self.supervisor.pid)}*"):
            shutil.rmtree(folder, ignore_errors=True)

    def _say(self, line: bytes) -> None:
        try:
            assert self.supervisor.stdin is not None
            self.supervisor.stdin.write(line)
            self.supervisor.stdin.flush()
        except (OSError, ValueError):
            pass  # it has ended


class ProcessGroup:
    """All processes of the launcher. Signals to the launcher are noted while the context lasts.

    Attributes:
        processes: all that were added.
        signals: what was received and not yet looked at.
    """

    SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2)

    def __init__(self) -> None:
        self.processes: list[Process] = []
        self.signals: list[int] = []
        self._selector = selectors.DefaultSelector()
        self._next_beat = 0.0

    def __enter__(self) -> ProcessGroup:
        self._wakeup, write_end = socket.socketpair()
        self._write_end = write_end
        for end in (self._wakeup, write_end):
            end.setblocking(False)
        self._selector.register(self._wakeup, selectors.EVENT_READ)
        # Under nohup SIGHUP is ignored, and stays so.
        is_nohup = signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
        heeded = [number for number in self.SIGNALS if not (is_nohup and number == signal.SIGHUP)]
        self._before = {number: signal.signal(number, self._note) for number in heeded}
        self._wakeup_before = signal.set_wakeup_fd(write_end.fileno(), warn_on_full_buffer=False)
        return self

    def __exit__(self, *exception: object) -> None:
        self.end_all(0.0)
        signal.set_wakeup_fd(self._wakeup_before)
        for number, handler in self._before.items():
            signal.signal(number, handler)
        self._wakeup.close()
        self._write_end.close()
        self._selector.close()

    def add(self, process: Process) -> Process:
        """Listen to a process."""
        self.processes.append(process)
        for name in ("stdout", "stderr"):
            stream: IO[bytes] = getattr(process.supervisor, name)
            os.set_blocking(stream.fileno(), False)
            self._selector.register(stream, selectors.EVENT_READ, (process, name))
        return process

    def wait(self, condition: Callable[[], bool], seconds: float) -> bool:
        """Listen until the condition holds, at most for `seconds`; returns whether it holds."""
        deadline = time.monotonic() + seconds
        while not condition():
            left = deadline - time.monotonic()
            if left <= 0:
                return False
            self._listen(min(left, _BEAT_S))
        return True

    def end_all(self, grace_s: float, number: int = signal.SIGTERM) -> None:
        """End every process: by a signal, and what is left after the grace is killed.

        Args:
            grace_s: seconds; 0 kills at once.
            number: the signal.
        """
        for process in self._running() if grace_s else ():
            process.signal(number)
        self.wait(lambda: not self._running(), grace_s)
        for process in self._running():
            process.kill()
        if not self.wait(lambda: not self._running(), 8.0):
            for process in self._running():
                process.supervisor.kill()
            self.wait(lambda: not self._running(), 2.0)

    def _running(self) -> list[Process]:
        return [process for process in self.processes if process.code is None]

    def _listen(self, seconds: float) -> None:
        ending = any(not process.open_streams for process in self._running())
        for key, _ in self._selector.select(0.01 if ending else seconds):
            if key.fileobj is self._wakeup:
                self._wakeup.recv(4096)
            else:
                self._read(key)
        for process in self._running():
            process.look()
            if process.code is not None:
                self._forget(process)
        if time.monotonic() >= self._next_beat:
            self._next_beat = time.monotonic() + _BEAT_S
            for process in self._running():
                process.beat()

    def _read(self, key: selectors.SelectorKey) -> None:
        process, name = key.data
        try:
            data = os.read(key.fd, 1 << 16)
        except BlockingIOError:
            return
        process.on_output(name, data)
        if not data:
            self._selector.unregister(key.fileobj)
            key.fileobj.close()  # type: ignore[union-attr]
            process.open_streams -= 1

    def _forget(self, process: Process) -> None:
        """Close the streams that another process holds open."""
        for key in list(self._selector.get_map().values()):
            if key.data and key.data[0] is process:
                process.on_output(key.data[1], b"")
                self._selector.unregister(key.fileobj)
                key.fileobj.close()  # type: ignore[union-attr]

    def _note(self, number: int, frame: FrameType | None) -> None:
        self.signals.append(number)


def _ignore_signals() -> None:
    """Signals blocked in supervisors and ssh: what a scheduler sends to every process is for the tasks."""
    for number in ProcessGroup.SIGNALS:
        signal.signal(number, signal.SIG_IGN)


def running(processes: Sequence[Process]) -> list[Process]:
    """Those that have not ended."""
    return [process for process in processes if process.code is None]
