"""Processes that train and save until they are killed."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from campaigns.checkpoints import ENVIRON

SAVES = Path(__file__).parents[1] / "io" / "programs" / "saves.py"
CLUSTER = {"cluster": {"chief": ["localhost:0"]}, "task": {"type": "chief", "index": 0}}


@contextmanager
def chief(folder: Path, name: str, run: str = "", launcher: bool = True) -> Iterator[subprocess.Popen[str]]:
    """A process that trains and saves; under the program of `distrib launch`, whose exit codes are ours."""
    program = ["-m", "distrib.launch.task.entrypoint", SAVES] if launcher else [SAVES]
    environ = {**ENVIRON, "TF_CONFIG": json.dumps(CLUSTER), "DISTRIB_RUN_ID": run}
    process = subprocess.Popen(
        list(map(str, [sys.executable, *program, folder, name])),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environ,
    )
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def saved(process: subprocess.Popen[str], count: int) -> None:
    """Return when it has saved so often."""
    assert process.stdout is not None
    assert process.stderr is not None
    for _ in range(count):
        line = process.stdout.readline()
        assert line.startswith("SAVED"), line + process.stderr.read()


def until_stopped(pid: int) -> None:
    """Return when a process is stopped by a signal."""
    deadline = time.monotonic() + 10
    while Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "T":
        assert time.monotonic() < deadline
        time.sleep(0.005)
