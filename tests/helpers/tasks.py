"""Processes whose output is read while they run."""

import os
import signal
import subprocess
import threading
import time

from helpers.mpi import ROOT


class Task:
    """A process whose lines are read as they come."""

    def __init__(self, command, **variables):
        self.process = subprocess.Popen(
            list(map(str, command)),
            env={**os.environ, "PYTHONPATH": str(ROOT), **variables},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )
        self.seen = ""
        self._reader = threading.Thread(target=self._read)
        self._reader.start()

    def _read(self):
        for line in self.process.stdout:
            self.seen += line

    def until(self, text, after=0, deadline_s=20.0):
        """Wait until it has said this, after so many characters."""
        deadline = time.monotonic() + deadline_s
        while text not in self.seen[after:]:
            assert time.monotonic() < deadline, f"it never said {text!r}:\n{self.seen}"
            time.sleep(0.005)

    def ended(self, deadline_s=20.0):
        code = self.process.wait(deadline_s)
        self._reader.join(5)
        return code

    def close(self):
        try:
            os.killpg(self.process.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
        self.process.wait()
        self._reader.join(5)
        self.process.stdout.close()
