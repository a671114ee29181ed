"""Supervisor: starts one command on a host, and makes sure that none of its processes outlive the launcher.

The launcher starts one for each task, here as its child or on another host through ssh, and talks to it over its
stdin, a line of JSON at a time:

- the first line is the job: command, folder, environment variables, and files that hold secrets;
- `{"signal": 10}` goes to the command;
- an empty line says that the launcher is alive.

When stdin ends (the launcher or the connection is gone), or says nothing for too long, every process that the command
has started is killed, also those that have left its process group: this process adopts them (a "subreaper", prctl(2))
and finds them among its children. So it is when the command ends by itself. The secrets lie in a folder of mode 700,
which is removed at the end. The exit code is that of the command; 128 + n, as in a shell, if signal n has killed it.

Signals to this process do nothing: a scheduler that means the command sends them to every process of the job.

Only the standard library is used, so that it starts at once.
"""

from __future__ import annotations

import ctypes
import json
import os
import select
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

STARTED = "\x1edistrib-start"
"""Printed to stderr when the command runs: from then on a lost connection is a lost task."""

_PR_SET_PDEATHSIG, _PR_SET_CHILD_SUBREAPER = 1, 36
_LINGER_S = 1.0
"""For what the command has started, to end by itself after it."""

_KILL_S = 5.0

_MEANT_FOR_COMMAND = (signal.SIGHUP, signal.SIGINT, signal.SIGTERM, signal.SIGUSR1, signal.SIGUSR2)


def main() -> int:
    """Read a job from stdin and see it to its end; returns its exit code."""
    for number in _MEANT_FOR_COMMAND:
        signal.signal(number, lambda *_: None)  # unlike SIG_IGN, a handler is not handed on to the command
    lines = _Lines(0)
    first = lines.read(60.0)
    if not first:
        return 70
    return run(json.loads(first[0]), lines, first[1:])


def run(job: dict[str, Any], lines: _Lines, waiting: list[bytes]) -> int:
    """See a job to its end.

    Args:
        job: `command`, `workdir`, `environ`, `files` (contents by the environment variable that is to name the file),
            `folder` (the environment variable that is to name a folder for temporary files; empty for none),
            `blocked` (signals that do not reach the command), `share` (how many such tasks share the cores of this
            host) and `silence_s` (0 for any).
        lines: what the launcher says.
        waiting: what it has said already.
    """
    _prctl(_PR_SET_CHILD_SUBREAPER, 1)
    folder = tempfile.mkdtemp(prefix=folder_prefix(os.getpid())) if job["files"] or job["folder"] else ""
    child: subprocess.Popen[bytes] | None = None
    linger_s = _LINGER_S
    try:
        environ = {**os.environ, **job["environ"], **_written(folder, job["files"])}
        if job["folder"]:
            environ[job["folder"]] = folder
        threads = max(1, len(os.sched_getaffinity(0)) // max(1, job["share"]))
        environ.setdefault("OPENBLAS_NUM_THREADS", str(threads))
        try:
            child = subprocess.Popen(
                job["command"],
                cwd=job["workdir"] or None,
                env=environ,
                stdin=subprocess.DEVNULL,
                start_new_session=True,
                preexec_fn=lambda: _prepare(job["blocked"]),
            )
        except OSError as error:
            print(f"distrib: cannot start {job['command'][0]} in {job['workdir']}: {error}", file=sys.stderr)
            return 64
        print(STARTED, file=sys.stderr, flush=True)
        if not _watch(child, lines, waiting, job["silence_s"]):
            child.kill()
            linger_s = 0.0
        code = child.wait()
        return code if code >= 0 else 128 - code
    finally:
        if child is not None:
            _end_descendants(linger_s)
        if folder:
            shutil.rmtree(folder, ignore_errors=True)


def folder_prefix(pid: int) -> str:
    """How the name of a supervisor's folder begins. If it is killed, the launcher removes the folder.

    Args:
        pid: of the supervisor.
    """
    return f"distrib-run-{pid}-"


class _Lines:
    """Lines from a file descriptor.

    Attributes:
        closed: nothing more will come.
    """

    def __init__(self, fd: int) -> None:
        self.fd, self.closed = fd, False
        self._rest = b""

    def read(self, timeout_s: float) -> list[bytes]:
        """The lines that have come; waits for the first of them."""
        if not select.select([self.fd], [], [], timeout_s)[0]:
            return []
        part = os.read(self.fd, 1 << 16)
        while part and b"\n" not in part:
            more = os.read(self.fd, 1 << 16)
            part, self.closed = part + more, self.closed or not more
            if not more:
                break
        self.closed = self.closed or not part
        *lines, self._rest = (self._rest + part).split(b"\n")
        return lines


def _watch(child: subprocess.Popen[bytes], lines: _Lines, waiting: list[bytes], silence_s: float) -> bool:
    """Pass on what the launcher says until the child ends; False if the launcher is gone."""
    heard = time.monotonic()
    ended = os.pidfd_open(child.pid)
    try:
        while True:
            for line in waiting:
                if line:
                    child.send_signal(json.loads(line)["signal"])
            ready, _, _ = select.select([ended, lines.fd], [], [], 1.0)
            if ended in ready:
                return True
            waiting = lines.read(0.0) if ready else []
            heard = time.monotonic() if ready else heard
            if lines.closed or (silence_s and time.monotonic() - heard > silence_s):
                return False
    finally:
        os.close(ended)


def _written(folder: str, files: dict[str, str]) -> dict[str, str]:
    """Write each file, for this user's eyes only; returns the variables that name them."""
    names = {}
    for variable, content in files.items():
        names[variable] = os.path.join(folder, variable)
        with open(os.open(names[variable], os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
            file.write(content)
    return names


def _end_descendants(linger_s: float) -> None:
    """Wait a while for what is left of the command, then kill it."""
    begin = time.monotonic()
    while (left := _descendants()) and time.monotonic() - begin < linger_s + _KILL_S:
        if time.monotonic() - begin >= linger_s:
            for pid in left:
                try:
                    os.kill(pid, signal.SIGKILL)
                except ProcessLookupError:
                    pass
        try:
            while os.waitpid(-1, os.WNOHANG)[0]:
                pass
        except ChildProcessError:
            pass
        time.sleep(0.01)


def _descendants() -> list[int]:
    """Living processes below this one."""
    found, parents = [], [os.getpid()]
    while parents:
        for task in Path(f"/proc/{parents.pop()}/task").glob("*/children"):
            try:
                pids = [int(pid) for pid in task.read_text().split()]
            except OSError:
                continue
            found += pids
            parents += pids
    return found


def _prepare(blocked: list[int]) -> None:
    """Prepare the command's process: it dies with this process, and does not receive these signals."""
    _prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    signal.pthread_sigmask(signal.SIG_BLOCK, blocked)


def _prctl(option: int, value: int) -> None:
    ctypes.CDLL(None).prctl(option, value)


if __name__ == "__main__":
    sys.exit(main())
