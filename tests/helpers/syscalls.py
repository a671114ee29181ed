"""Saves that meet a fault at the N-th system call of a kind, for every N until one meets none."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from campaigns.checkpoints import ENVIRON

from helpers.savers import until_stopped

_FORKS = Path(__file__).parents[1] / "io" / "programs" / "forks.py"
_MOST = 60


class Outcome(NamedTuple):
    """Of one save: where, exit code, what it said."""

    folder: Path
    code: int
    said: str


@contextmanager
def injected(pid: int, call: str, fault: str, log: Path) -> Iterator[None]:
    """Attach strace to a process until it ends: `fault` at its system calls `call`, counted from now.

    The log says `INJECTED` if the fault has fired.
    """
    options = ["-f", "-o", str(log), "-e", f"trace={call}", "-e", f"inject={call}:{fault}", "-p", str(pid)]
    strace = subprocess.Popen(["strace", *options], stderr=subprocess.PIPE, text=True)
    assert strace.stderr is not None
    try:
        said = strace.stderr.readline()
        assert "attached" in said, said
        yield
        strace.wait(10)  # it ends with the process
    finally:
        strace.kill()
        strace.communicate()


def outcomes(base: Path, at: Path, call: str, fault: str) -> Iterator[Outcome]:
    """Save beside copies of `base`, with the fault at the first call, the second, ..., and at last with none.

    Args:
        base: folder with a checkpoint.
        at: where to copy it.
        call: name of a system call.
        fault: of strace: `signal=KILL` or `error=EIO`.
    """
    command = [sys.executable, str(_FORKS)]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=ENVIRON
    ) as forks:
        assert forks.stdin is not None
        assert forks.stdout is not None
        pid = 0
        try:
            for number in range(1, _MOST):
                folder = shutil.copytree(base, at / f"{call}-{number}")
                forks.stdin.write(f"{folder}\n")
                forks.stdin.flush()
                pid = int(forks.stdout.readline().split()[1])
                until_stopped(pid)  # or it would miss that it may go on
                said, log = "", at / f"{call}-{number}.log"
                with injected(pid, call, f"{fault}:when={number}", log):
                    os.kill(pid, signal.SIGCONT)
                    while not (line := forks.stdout.readline()).startswith("ENDED"):
                        assert line, "the process that forks has ended"
                        said += line
                pid = 0
                outcome = Outcome(folder, int(line.split()[1]), said)
                yield outcome
                is_killed = outcome.code == -signal.SIGKILL
                if not is_killed and "INJECTED" not in log.read_text():
                    break  # it has made fewer calls than that
            else:
                raise AssertionError(f"after {_MOST} calls of {call} there were still more")
        except BaseException:
            forks.kill()  # or it would be waited for, and it waits for one that is stopped
            if pid:
                os.kill(pid, signal.SIGKILL)
            raise
        forks.stdin.close()
