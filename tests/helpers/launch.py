"""`distrib launch` as a process of its own, found again by a variable that all its processes inherit."""

import os
import re
import select
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

import distrib
from helpers.mpi import ROOT, job_pids, kill_job

PROGRAM = ROOT / "tests" / "launch" / "programs" / "train.py"

SAVES = 'ps_arguments = ["--checkpoint-dir", "{}/kept", "--checkpoint-steps", "5"]'
"""Of a cluster file: ps save below a folder."""

CLUSTERS = {
    "ps": 'chief = ["localhost:0"]\nworker = ["localhost:0"]\nps = ["localhost:0", "127.0.0.1:0"]',
    "ranks": 'chief = ["localhost:0"]\nworker = ["localhost:0"]',
}


def config(folder: Path, strategy: str, evaluator: bool = False, launch: str = "") -> Path:
    """A cluster file for a strategy, with a chief and a worker."""
    tasks = CLUSTERS["ps" if strategy.startswith("ps-") else "ranks"]
    tasks += '\nevaluator = ["localhost:0"]' if evaluator else ""
    file = folder / "cluster.toml"
    file.write_text(f'[cluster]\n{tasks}\n[launch]\nstrategy = "{strategy}"\n{launch}\n')
    return file


@dataclass
class Ended:
    """What came of it; `seconds` from the start, or from the last `signal`, to the end of the last process."""

    code: int
    output: str
    seconds: float
    survivors: list[int]


started: list["Launch"] = []
"""Those of this test, which ends what a failed assertion has left running."""


def end_what_is_left() -> None:
    """Kill the jobs that a test has not ended."""
    while started:
        launch = started.pop()
        if launch.process.poll() is None:
            kill_job(launch.job)
            launch.process.kill()
            launch.process.communicate()


class Launch:
    """A launcher at work.

    Args:
        arguments: of `distrib launch`.
        python: the interpreter.
        start: what comes between the two.
        prefix: what starts it, such as on another host.
        variables: of the environment.
    """

    def __init__(
        self,
        *arguments: object,
        python: object = sys.executable,
        prefix=(),
        start=("-m", "distrib", "launch"),
        **variables: str,
    ) -> None:
        self.temporary = tempfile.mkdtemp(prefix="dl-")  # short: sockets are made below it
        self.job = f"{os.getpid()}.{time.monotonic_ns()}"
        environ = {
            name: value
            for name, value in os.environ.items()
            if not name.startswith(("OMPI_", "PMI", "PRTE_"))
        }
        environ |= {
            "OMPI_ALLOW_RUN_AS_ROOT": "1",
            "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM": "1",
            "DISTRIB_TEST_JOB": self.job,
            "TMPDIR": self.temporary,
            "PYTHONPATH": str(ROOT),
            **variables,
        }
        command = [*prefix, python, *start, *arguments]
        self.process = subprocess.Popen(
            list(map(str, command)),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            stdin=subprocess.DEVNULL,
            env=environ,
            cwd=ROOT,
            start_new_session=True,
        )
        self.begin = time.monotonic()
        self.seen = ""
        started.append(self)

    def until(self, text: str, count: int = 1, deadline_s: float = 30.0) -> None:
        """Read its output until a text has come so often."""
        deadline = time.monotonic() + deadline_s
        while self.seen.count(text) < count:
            assert self._read(deadline), f"it never said {text!r}:\n{self.seen}"

    def _read(self, deadline: float) -> bool:
        """Take the next piece of output; False at its end."""
        stream = self.process.stdout
        if not select.select([stream], [], [], max(0.0, deadline - time.monotonic()))[0]:
            self.process.kill()
            kill_job(self.job)
            self.process.wait()
            stream.close()
            raise AssertionError(f"it hangs:\n{self.seen}")
        data = os.read(stream.fileno(), 1 << 16)
        self.seen += data.decode(errors="replace")
        return bool(data)

    def signal(self, number: int) -> None:
        assert self.process.poll() is None, "it has ended already"
        self.begin = time.monotonic()
        self.process.send_signal(number)

    def task(self, name: str) -> int:
        """The pid of a task."""
        job, index = name.split()
        words = f'"task": {{"type": "{job}", "index": {index}}}'.encode()
        deadline = time.monotonic() + 15
        while time.monotonic() < deadline:
            for pid in job_pids(self.job):
                try:
                    environ = Path(f"/proc/{pid}/environ").read_bytes()
                    line = Path(f"/proc/{pid}/cmdline").read_bytes()
                except OSError:
                    continue
                if words in environ and (b"distrib.launch.task.entrypoint\0" in line or b"\0ps\0" in line):
                    return pid
            time.sleep(0.01)
        raise AssertionError(f"there is no {name}")

    def ended(self, deadline_s: float = 40.0) -> Ended:
        """Wait for its end, and for that of all its processes."""
        deadline = time.monotonic() + deadline_s
        while self._read(deadline):
            pass
        self.process.stdout.close()
        self.process.wait(10)
        seconds = time.monotonic() - self.begin
        # What it has started must be gone when it is; only after SIGKILL it takes a moment.
        patience = 3.0 if self.process.returncode == -signal.SIGKILL else 0.0
        deadline = time.monotonic() + patience
        while (survivors := job_pids(self.job)) and time.monotonic() < deadline:
            time.sleep(0.01)
        kill_job(self.job)
        left = [str(path) for path in Path(self.temporary).rglob("*")]
        shutil.rmtree(self.temporary)
        assert not left, f"left in TMPDIR: {left}"
        return Ended(self.process.returncode, self.seen, seconds, survivors)


def check_comeback(ended: Ended, epochs: int, victim: str, workers: int = 2) -> None:
    """A ps was killed, and all came back; no script began anew, and what was trained is what one process trains."""
    assert ended.code == 0, ended.output
    assert not ended.survivors
    assert ended.output.count("ENDED WELL") == ended.output.count("TRAINING") == workers, (
        f"a script began anew:\n{ended.output}"
    )
    assert f"{victim} was killed by signal 9" in ended.output
    assert "All ps start again, while the workers wait; restarts left: 1" in ended.output
    counts = re.search(r"counts (\d+) (\d+) (\d+) version (\d+)", ended.output)
    pushed, applied, dropped, version = map(int, counts.groups())
    assert (pushed, applied, version) == (applied + dropped, epochs * 8 * workers, epochs * 8)
    loss = float(re.search(r"\nloss (\S+)", ended.output)[1])
    assert loss == pytest.approx(loss_of_one_process(epochs), rel=1e-4)


def loss_of_one_process(epochs: int) -> float:
    """The last that `PROGRAM` tells."""
    distrib.set_random_seed(1)
    model = distrib.Sequential([distrib.layers.Dense(3, input_shape=(4,))])
    model.compile("sgd", "mse")
    x = np.random.default_rng(0).normal(size=(64, 4))
    history = model.fit(x, x[:, :3], batch_size=8, epochs=epochs, verbose=0)
    return history.history["loss"][-1]
