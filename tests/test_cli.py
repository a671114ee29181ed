"""The command `distrib`."""

import subprocess
import sys

import pytest
from helpers.mpi import mpirun


def distrib(*arguments):
    command = [sys.executable, "-m", "distrib", *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=30)


def test_doctor_says_what_there_is():
    ended = distrib("doctor")
    assert ended.returncode == 0, ended.stderr
    lines = {line[:14].strip(): line[15:] for line in ended.stdout.splitlines()}
    assert "Open MPI" in lines["MPI"]
    assert "shared_memory" in lines["auto"]
    assert {"distrib", "jit", "host", "cores", "BLAS"} <= set(lines)


def test_doctor_under_mpirun_lists_the_replicas(mpi_name):
    ended = mpirun(mpi_name, 2, "doctor.py")
    assert ended.code == 0, ended.output
    assert ended.output.count("SharedMemoryCommunicator") == 1
    assert ended.output.count("replica 0 ") == ended.output.count("replica 1 ") == 1


@pytest.mark.parametrize("arguments", [["nonsense"], ["doctor", "--nonsense"], []])
def test_a_bad_command_line_ends_with_64_and_no_traceback(arguments):
    ended = distrib(*arguments)
    assert ended.returncode == 64
    assert "Traceback" not in ended.stderr
    assert "distrib" in ended.stderr
