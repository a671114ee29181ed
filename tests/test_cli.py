"""The command `distrib`."""

import os
import re
import subprocess
import sys

import pytest
from helpers.mpi import mpirun

REPLICA = re.compile(r"cores (\S+), (\d+) BLAS threads")


def distrib(*arguments):
    command = [sys.executable, "-m", "distrib", *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=30)


def rows(output):
    return {line[:14].strip(): line[15:] for line in output.splitlines()}


def test_doctor_says_what_there_is():
    ended = distrib("doctor")
    assert ended.returncode == 0, ended.stderr
    found = rows(ended.stdout)
    assert "Open MPI" in found["MPI"]
    assert found["shared memory"].startswith("works")
    assert found["auto"].startswith("shared_memory for several ranks on this host")
    assert {"distrib", "jit", "host", "cores", "BLAS"} <= set(found)


@pytest.mark.parametrize("forced", [None, "2"])
def test_doctor_under_mpirun_lists_the_replicas_with_their_blas_threads(mpi_name, forced):
    ended = mpirun(mpi_name, 2, "doctor.py", **({"OPENBLAS_NUM_THREADS": forced} if forced else {}))
    assert ended.code == 0, ended.output
    found = rows(ended.output)
    for rank in (0, 1):
        assert f"INFO replica {rank}: {found[f'replica {rank}']}\n" in ended.output, "log_device_placement"
    assert found["auto"] == "shared_memory (SharedMemoryCommunicator)"
    assert found["shared memory"].startswith("works")
    cores, threads = zip(*(REPLICA.search(found[f"replica {rank}"]).groups() for rank in (0, 1)), strict=True)
    # Open MPI may bind each rank to a core; elsewhere the two share what there is.
    usable = 1 if cores[0].isdigit() else len(os.sched_getaffinity(0))
    expected = min(int(forced), usable) if forced else max(1, usable // 2)
    assert threads == (str(expected),) * 2
    assert f", {threads[0]} threads," in found["BLAS"]


@pytest.mark.parametrize("arguments", [["nonsense"], ["doctor", "--nonsense"], []])
def test_a_bad_command_line_ends_with_64_and_no_traceback(arguments):
    ended = distrib(*arguments)
    assert ended.returncode == 64
    assert "Traceback" not in ended.stderr
    assert "distrib" in ended.stderr
