"""HelperProcess: a small process beside the ranks, in a session of its own.

It is started without this package's `__init__`, so it loads neither NumPy nor anything else that is large (8 MB). It
is outside of the ranks' process groups, so it outlives them when mpirun kills them, and can say why. For the same
reason signals that are meant for the training script do not reach it: schedulers send them to every process of a job.
"""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

from distrib.base.errors import PeerLostError

_NOT_FOR_IT = {signal.SIGHUP, signal.SIGINT, signal.SIGTERM, signal.SIGUSR1, signal.SIGUSR2}

# The package without its __init__: submodules are found, nothing else is imported.
_BOOT = """
import importlib, sys, types
sys.modules["distrib"] = types.ModuleType("distrib")
sys.modules["distrib"].__path__ = [sys.argv[1]]
importlib.import_module(sys.argv[2]).main()
"""


class HelperProcess:
    """A process that runs `main` of a module of this package, which reads a line from stdin and answers with one.

    Args:
        module: its full name.
        config: what it reads, as JSON.
        name: what to call it in an error.

    Raises:
        PeerLostError: it ended instead of answering.

    Attributes:
        answer: the line that it answered with.
        process: the process.
    """

    def __init__(self, module: str, config: dict[str, Any], name: str) -> None:
        package = str(Path(__file__).parents[1])
        mask = signal.pthread_sigmask(signal.SIG_BLOCK, _NOT_FOR_IT)  # a child begins with it, and keeps it
        try:
            self.process = subprocess.Popen(
                [sys.executable, "-I", "-S", "-c", _BOOT, package, module],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                start_new_session=True,
                text=True,
            )
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, mask)
        # The configuration has a token in it, and goes through a pipe: every user can read command lines.
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        with self.process.stdin as stdin, self.process.stdout as stdout:
            stdin.write(json.dumps(config) + "\n")
            stdin.flush()
            self.answer = stdout.readline()
        if not self.answer:
            raise PeerLostError(f"{name} could not start; its error stands above.")

    def close(self) -> None:
        """Wait for it to end, when it has no more to do."""
        try:
            self.process.wait(1.0)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
